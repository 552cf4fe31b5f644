//! Reads `docs/conformance-closed.md`: what is due, which rows we deviate from, which do not apply.

use crate::tables::{Table, Tables, cells};

/// A row that no test makes true, and why that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closure {
    /// Index into [`Tables::rows`].
    pub(crate) row: usize,
    pub(crate) how: How,
    pub(crate) why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// We do something else: the test of what is done instead, and where it was decided.
    Deviates {
        test: String,
        decision: String,
    },
    NotApplicable,
}

/// The whole file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closed {
    pub(crate) closures: Vec<Closure>,
    /// Rows that may not be open: of a due section of the requirements only its core MUSTs.
    pub(crate) due: Vec<usize>,
    /// Rows of due sections that wait for a part that does not exist yet.
    not_yet: Vec<usize>,
    pub(crate) problems: Vec<String>,
}

pub(crate) const FILE: &str = "docs/conformance-closed.md";

impl Closed {
    pub(crate) fn read(text: &str, tables: &Tables) -> Closed {
        let mut closed = Closed::default();
        let mut head = "";
        for (index, line) in text.lines().enumerate() {
            let at = format!("{FILE}:{}", index + 1);
            if let Some(title) = line.strip_prefix("## ") {
                head = title.trim();
                continue;
            }
            match head {
                "Due" => closed.due_line(line, &at, tables),
                "Deviates" | "Not applicable" => closed.closure_line(head, line, &at, tables),
                _ => {}
            }
        }
        let Closed { due, not_yet, .. } = &mut closed;
        due.retain(|row| !not_yet.contains(row));
        closed
    }

    /// `- Requirements: A, C, X, AA–AC`
    fn due_line(&mut self, line: &str, at: &str, tables: &Tables) {
        let Some(item) = line.strip_prefix("- ") else { return };
        let Some((title, list)) = item.split_once(':') else { return };
        if title.trim() == "Not yet" {
            self.not_yet_line(list, at, tables);
            return;
        }
        let Some(table) = Table::ALL.into_iter().find(|t| t.title() == title.trim()) else {
            self.problems
                .push(format!("{at}: \"{title}\" is none of Requirements, Traps, Scenarios, Not yet"));
            return;
        };
        let keys = due_keys(table, tables);
        for part in list.split(',').map(str::trim).filter(|p| !p.is_empty() && *p != "none") {
            let (from, to) = part.split_once('–').unwrap_or((part, part));
            let place = |key: &str| keys.iter().position(|k| *k == key.trim());
            let (Some(from), Some(to)) = (place(from), place(to)) else {
                self.problems.push(format!("{at}: {part} names nothing in {}", table.file()));
                continue;
            };
            let named = keys.get(from..=to).unwrap_or(&[]);
            self.due.extend((0..tables.rows.len()).filter(|&row| is_due(tables, row, table, named)));
        }
    }

    /// `- Not yet: MUST-41, trap 23`
    fn not_yet_line(&mut self, list: &str, at: &str, tables: &Tables) {
        for id in list.split(',').map(str::trim).filter(|id| !id.is_empty() && *id != "none") {
            match tables.find(id.strip_prefix("trap ").unwrap_or(id)) {
                Some(row) => self.not_yet.push(row),
                None => self.problems.push(format!("{at}: there is no row {id}")),
            }
        }
    }

    fn closure_line(&mut self, head: &str, line: &str, at: &str, tables: &Tables) {
        let Some(cells) = cells(line) else { return };
        let (rows, how, why) = match (head, &cells[..]) {
            (_, ["Rows", ..]) => return,
            ("Deviates", [rows, test, decision, why]) => {
                let decision = link_target(decision).to_owned();
                (rows, How::Deviates { test: test.replace('`', ""), decision }, why)
            }
            ("Not applicable", [rows, why]) => (rows, How::NotApplicable, why),
            _ => {
                self.problems.push(format!(
                    "{at}: this row has {} cells; the table's head says which it needs",
                    cells.len()
                ));
                return;
            }
        };
        if why.is_empty() {
            self.problems.push(format!("{at}: {rows} is closed without a reason; say why"));
        }
        for id in rows.split(',').map(str::trim) {
            let id = id.strip_prefix("trap ").unwrap_or(id);
            let Some(row) = tables.find(id) else {
                self.problems.push(format!("{at}: there is no row {id} in requirements, traps or scenarios"));
                continue;
            };
            if self.closures.iter().any(|c| c.row == row) {
                self.problems.push(format!("{at}: row {id} is closed twice"));
                continue;
            }
            self.closures.push(Closure { row, how: how.clone(), why: (*why).to_owned() });
        }
    }
}

/// What a due list may name: the sections of requirements and traps, the rows of the scenarios.
fn due_keys(table: Table, tables: &Tables) -> Vec<&str> {
    if table == Table::Scenarios {
        let rows = (0..tables.rows.len()).filter(|&row| tables.table_of(row) == table);
        return rows.map(|row| tables.rows[row].id.as_str()).collect();
    }
    tables.sections.iter().filter(|s| s.table == table).map(|s| s.key.as_str()).collect()
}

fn is_due(tables: &Tables, index: usize, table: Table, named: &[&str]) -> bool {
    let row = &tables.rows[index];
    let section = &tables.sections[row.section];
    if section.table != table {
        return false;
    }
    match table {
        Table::Requirements => {
            named.contains(&section.key.as_str())
                && row.core
                && matches!(row.level.as_str(), "MUST" | "MUST NOT")
        }
        Table::Traps => named.contains(&section.key.as_str()),
        Table::Scenarios => named.contains(&row.id.as_str()),
    }
}

/// `decisions/x.md` of `[words](decisions/x.md)`, or the text itself.
fn link_target(cell: &str) -> &str {
    match cell.split_once("](") {
        Some((_, rest)) => rest.split(')').next().unwrap_or(rest),
        None => cell,
    }
}

/// The number of `precedence 7`, if the requirements' list has it.
pub(crate) fn precedence(decision: &str, tables: &Tables) -> Option<u32> {
    let number = decision.strip_prefix("precedence ")?.parse().ok()?;
    (1..=tables.precedences).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let mut tables = Tables::default();
        let requirements = "## A. X\n> Tier: core.\n| M-1 | MUST | a |\n| M-2 | SHOULD | b |\n\
                            ## B. Y\n> Tier: optional.\n| M-3 | MUST | c |\n## C. Z\n> Tier: core.\n| M-4 | MUST NOT | d |\n";
        tables.read(Table::Requirements, requirements).unwrap();
        tables.read(Table::Traps, "## I. X\n**1. A.** a\n## II. Y\n**2. B.** b\n").unwrap();
        tables.read(Table::Scenarios, "## A. X\n| A1 | a |\n| A2 | b |\n| A3 | c |\n").unwrap();
        tables
    }

    #[test]
    fn closures_are_read_with_their_reason() {
        let text = "## Deviates\n| Rows | Test | Decision | Why |\n|---|---|---|---|\n\
                    | M-1, trap 1 | `x` | [page](decisions/p.md) | because |\n\
                    ## Not applicable\n| Rows | Why |\n|---|---|\n| A2 | no such thing |\n";
        let closed = Closed::read(text, &tables());
        assert!(closed.problems.is_empty(), "{:?}", closed.problems);
        assert_eq!(closed.closures.iter().map(|c| c.row).collect::<Vec<_>>(), [0, 4, 7]);
        let how = How::Deviates { test: "x".to_owned(), decision: "decisions/p.md".to_owned() };
        assert_eq!(closed.closures[0].how, how);
    }

    #[test]
    fn a_closure_of_no_row_or_without_reason_is_a_problem() {
        let text = "## Not applicable\n| M-9 | why |\n| M-1 | |\n| M-1 | again |\n| M-2 |\n";
        let problems = Closed::read(text, &tables()).problems;
        for (problem, says) in
            problems.iter().zip(["no row M-9", "without a reason", "closed twice", "1 cells"])
        {
            assert!(problem.contains(says), "{problem}");
        }
        assert_eq!(problems.len(), 4);
    }

    #[test]
    fn what_is_due_are_the_core_musts_of_the_sections_named() {
        let due = |text: &str| Closed::read(&format!("## Due\n{text}\n"), &tables()).due;
        assert!(due("- Requirements: none").is_empty());
        assert_eq!(due("- Requirements: A"), [0]);
        assert_eq!(due("- Requirements: A–C"), [0, 3]);
        assert_eq!(due("- Traps: II"), [5]);
        assert_eq!(due("- Scenarios: A1–A2"), [6, 7]);
        let all = due("- Requirements: A–C");
        let id = &tables().rows[all[0]].id;
        assert_eq!(due(&format!("- Not yet: {id}\n- Requirements: A–C")), all[1..]);
        let unknown = Closed::read("## Due\n- Requirements: Q\n", &tables());
        assert!(unknown.problems[0].contains("Q names nothing"));
    }

    #[test]
    fn precedences_are_those_of_the_list() {
        let mut tables = tables();
        tables.precedences = 14;
        assert_eq!(precedence("precedence 7", &tables), Some(7));
        assert_eq!(precedence("precedence 15", &tables), None);
        assert_eq!(precedence("decisions/x.md", &tables), None);
    }
}
