//! Reads the three tables (requirements, traps, scenarios) out of their Markdown.
//!
//! A row is what a test can be held to. Its id is unique over all three tables: `MUST-58`, `29`, `B13`.

use std::collections::BTreeMap;

/// Which of the three tables a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Requirements,
    Traps,
    Scenarios,
}

impl Table {
    pub(crate) const ALL: [Table; 3] = [Table::Requirements, Table::Traps, Table::Scenarios];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Table::Requirements => "Requirements",
            Table::Traps => "Traps",
            Table::Scenarios => "Scenarios",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Table::Requirements => "docs/requirements.md",
            Table::Traps => "docs/traps.md",
            Table::Scenarios => "docs/scenarios.md",
        }
    }
}

/// A section of a table: `A` of the requirements, corner `IV` of the traps.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) table: Table,
    pub(crate) key: String,
    pub(crate) title: String,
    /// As it stands under the section's head; empty where the table has no tiers.
    pub(crate) tier: String,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) section: usize,
    /// `MUST`, `ALGO`, …; empty for traps and scenarios.
    pub(crate) level: String,
    pub(crate) text: String,
    /// Whether no release is possible without it.
    pub(crate) core: bool,
}

/// All rows of all tables, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) sections: Vec<Section>,
    pub(crate) rows: Vec<Row>,
    /// How many precedences the requirements list; a deviation may name one of them.
    pub(crate) precedences: u32,
    by_id: BTreeMap<String, usize>,
}

impl Tables {
    /// Reads one table's text and adds its rows.
    pub(crate) fn read(&mut self, table: Table, text: &str) -> Result<(), String> {
        let mut in_precedences = false;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                in_precedences = title.starts_with("Precedence");
                // Sections are numbered ("A. …", "IV. …"); a head without a number is prose, and so is what follows it.
                if let Some((key, _)) = title.split_once(". ").filter(|(k, _)| is_section_key(k)) {
                    let (key, title) = (key.to_owned(), title.to_owned());
                    self.sections.push(Section { table, key, title, tier: String::new() });
                }
                continue;
            }
            if in_precedences && line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok()) {
                self.precedences += 1;
            }
            let Some(section) = self.sections.iter().rposition(|s| s.table == table) else { continue };
            if let Some(tier) = line.strip_prefix("> Tier: ") {
                let end = tier.find("Text:").or_else(|| tier.find("Sources:")).unwrap_or(tier.len());
                self.sections[section].tier = tier[..end].trim().trim_end_matches('.').to_owned();
            } else if let Some(row) = self.row_of(table, section, line) {
                self.add(row)?;
            }
        }
        if self.sections.iter().any(|s| s.table == table) {
            Ok(())
        } else {
            Err(format!("{}: no section found; heads look like \"## A. Title\"", table.file()))
        }
    }

    fn row_of(&self, table: Table, section: usize, line: &str) -> Option<Row> {
        let (id, level, text) = match table {
            // **29. Option parser.** …
            Table::Traps => {
                let (bold, _) = line.strip_prefix("**")?.split_once("**")?;
                let (id, text) = bold.split_once(". ")?;
                if !id.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                (id, "", text.trim_end_matches('.'))
            }
            Table::Requirements => match cells(line)?[..] {
                [id, level, text, ..] if is_row_id(id) => (id, level, text),
                _ => return None,
            },
            Table::Scenarios => match cells(line)?[..] {
                [id, text, ..] if is_row_id(id) => (id, "", text),
                _ => return None,
            },
        };
        let core = is_core(&self.sections[section].tier, id);
        Some(Row { id: id.to_owned(), section, level: level.to_owned(), text: text.to_owned(), core })
    }

    fn add(&mut self, row: Row) -> Result<(), String> {
        let file = self.sections[row.section].table.file();
        if self.by_id.insert(row.id.clone(), self.rows.len()).is_some() {
            return Err(format!("{file}: row {} stands twice; ids are unique over all tables", row.id));
        }
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn table_of(&self, row: usize) -> Table {
        self.sections[self.rows[row].section].table
    }
}

/// The cells of a Markdown table's row; `None` for a line that is none, and for the line under the head.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let rule = cells.iter().all(|c| !c.is_empty() && c.bytes().all(|b| b == b'-' || b == b':'));
    (!rule).then_some(cells)
}

fn is_section_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 4 && key.bytes().all(|b| b.is_ascii_uppercase())
}

/// Ids have no spaces and at least one digit, or a dash: this tells them from the head of a table.
fn is_row_id(id: &str) -> bool {
    let fit = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    fit && id.bytes().any(|b| b.is_ascii_digit() || b == b'-')
}

/// Whether a tier line makes this row one of the core.
///
/// Tiers are written for people: `core`, `core (3042, 6582); 5827 optional`, `6093/6691 core; 5482/7413 optional`. A clause
/// that names documents speaks for the rows whose ids begin with these; one that names none speaks for all the rest.
fn is_core(tier: &str, id: &str) -> bool {
    let tier = tier.replace("), ", "); ");
    let mut rest = false;
    for clause in tier.split(';') {
        let mut words = clause.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let core = words.clone().any(|w| w == "core");
        let names_any = words.clone().any(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        if !names_any {
            rest |= core;
        } else if words.any(|w| w.starts_with(|c: char| c.is_ascii_digit()) && id.starts_with(w)) {
            return core;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_speaks_for_all_rows_or_for_those_it_names() {
        assert!(is_core("core", "MUST-1"));
        assert!(is_core("core (as base or fallback of RACK)", "6675-A1"));
        assert!(!is_core("recommended", "8985-6.1"));
        let named = "core (3042, 6582); 5827 optional (RACK supersedes)";
        assert!(is_core(named, "6582-1") && !is_core(named, "5827-1"));
        let comma = "core (6528, 6056, 6191, 1337), 4987 recommended";
        assert!(is_core(comma, "1337-1") && !is_core(comma, "4987-1"));
        let before = "5681-ID1 core; 7661 optional";
        assert!(is_core(before, "5681-ID1") && !is_core(before, "7661-1") && !is_core(before, "2861-1"));
    }

    #[test]
    fn rows_are_read_with_section_and_level() {
        let text = "## Counts\n| RFC 9293 | 63 |\n\n## Precedence\n\n1. One.\n2. Two. And 3. more.\n\n## A. Labels\n\n> Tier: core. Text: somewhere; 1 optional.\n\n\
                    | ID | Level | Requirement | Section | Test |\n|---|---|---|---|---|\n\
                    | MUST-1 | MUST | unsigned | 3.1 | x |\n| 6298-2.3b | ALGO | y | 2 | z |\n";
        let mut tables = Tables::default();
        tables.read(Table::Requirements, text).unwrap();
        let ids: Vec<&str> = tables.rows.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["MUST-1", "6298-2.3b"]);
        assert_eq!(tables.rows[0].level, "MUST");
        assert!(tables.rows[0].core);
        assert_eq!(tables.sections[0].tier, "core");
        assert_eq!(tables.precedences, 2);
    }

    #[test]
    fn traps_and_scenarios_are_read() {
        let mut tables = Tables::default();
        tables.read(Table::Traps, "## I. Windows\n**1. Zero window.** Four cases.\nT: x\n").unwrap();
        tables
            .read(Table::Scenarios, "## B. Opening\n| id | given |\n|---|---|\n| B13 | reboot |\n")
            .unwrap();
        assert_eq!(tables.rows[0].text, "Zero window");
        assert_eq!(tables.find("B13"), Some(1));
        assert_eq!(tables.table_of(1), Table::Scenarios);
    }

    #[test]
    fn an_id_that_stands_twice_is_an_error() {
        let mut tables = Tables::default();
        let text = "## A. X\n| MUST-1 | MUST | a |\n| MUST-1 | MUST | b |\n";
        assert!(tables.read(Table::Requirements, text).unwrap_err().contains("MUST-1 stands twice"));
    }
}
