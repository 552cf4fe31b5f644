//! Brings rows, marks and closures together, finds what does not hold, and writes the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::closed::{Closed, FILE, How, precedence};
use crate::marks::{Found, scenario_of};
use crate::tables::{Table, Tables};

/// What a row stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Done,
    Deviates { test: String, decision: String, why: String },
    NotApplicable { why: String },
}

/// Everything the page is written from.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    tables: &'a Tables,
    status: Vec<Status>,
    /// The tests that name each row.
    tests: Vec<Vec<String>>,
    pub(crate) problems: Vec<String>,
}

/// How many rows of each kind; also the committed snapshot of the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: usize,
    pub(crate) done: usize,
    pub(crate) deviates: usize,
    pub(crate) not_applicable: usize,
}

impl Counts {
    fn add(&mut self, status: &Status) {
        self.rows += 1;
        match status {
            Status::Open => {}
            Status::Done => self.done += 1,
            Status::Deviates { .. } => self.deviates += 1,
            Status::NotApplicable { .. } => self.not_applicable += 1,
        }
    }

    fn open(&self) -> usize {
        self.rows - self.done - self.deviates - self.not_applicable
    }

    fn cells(&self) -> String {
        let Counts { rows, done, deviates, not_applicable } = *self;
        format!("{rows} | {done} | {deviates} | {not_applicable} | {}", self.open())
    }
}

impl<'a> Report<'a> {
    /// `page_exists` answers for a path below `docs/`.
    pub(crate) fn new(
        tables: &'a Tables,
        found: &Found,
        closed: &Closed,
        page_exists: impl Fn(&str) -> bool,
    ) -> Self {
        let rows = tables.rows.len();
        let mut report = Report {
            tables,
            status: vec![Status::Open; rows],
            tests: vec![Vec::new(); rows],
            problems: Vec::new(),
        };
        report.problems.extend(found.problems.iter().cloned());
        report.problems.extend(closed.problems.iter().cloned());
        report.take_marks(found);
        report.take_closures(found, closed, page_exists);
        for &row in &closed.due {
            if report.status[row] == Status::Open {
                let id = &tables.rows[row].id;
                report.problems.push(format!(
                    "{id} ({}) is due and open: mark the test that proves it, or close it in {FILE}",
                    tables.table_of(row).file()
                ));
            }
        }
        report
    }

    fn take_marks(&mut self, found: &Found) {
        for mark in &found.marks {
            let test = &found.tests[mark.test];
            match self.tables.find(&mark.id).filter(|&row| self.tables.table_of(row) == mark.table) {
                _ if test.ignored => {
                    self.problems.push(format!(
                        "{}: {} is #[ignore]d and so proves nothing of {}",
                        mark.at, test.name, mark.id
                    ));
                }
                Some(row) => self.done(row, test.full_name()),
                None => self.problems.push(format!(
                    "{}: there is no row {} in {}",
                    mark.at,
                    mark.id,
                    mark.table.file()
                )),
            }
        }
        for test in &found.tests {
            let Some(id) = scenario_of(&test.name) else { continue };
            match self.tables.find(&id).filter(|&row| self.tables.table_of(row) == Table::Scenarios) {
                Some(row) if !test.ignored => self.done(row, test.full_name()),
                Some(_) => {}
                None => self.problems.push(format!(
                    "{}: its name begins like a scenario's row, but there is no {id} in {}; rename it",
                    test.full_name(),
                    Table::Scenarios.file()
                )),
            }
        }
        for tests in &mut self.tests {
            tests.sort();
            tests.dedup();
        }
    }

    fn done(&mut self, row: usize, test: String) {
        self.status[row] = Status::Done;
        self.tests[row].push(test);
    }

    fn take_closures(&mut self, found: &Found, closed: &Closed, page_exists: impl Fn(&str) -> bool) {
        for closure in &closed.closures {
            let id = &self.tables.rows[closure.row].id;
            let why = closure.why.clone();
            self.status[closure.row] = match &closure.how {
                How::NotApplicable => {
                    if let Some(test) = self.tests[closure.row].first() {
                        self.problems.push(format!(
                            "{id} is closed as not applicable in {FILE}, but {test} is marked with it"
                        ));
                    }
                    Status::NotApplicable { why }
                }
                How::Deviates { test, decision } => {
                    let known = found
                        .tests
                        .iter()
                        .filter(|t| !t.ignored && (t.name == *test || t.full_name() == *test));
                    let names: Vec<String> = known.map(|t| t.full_name()).collect();
                    match names.len() {
                        1 => {}
                        0 => self.problems.push(format!(
                            "{FILE}: {id} deviates, but its test \"{test}\" does not exist or is ignored"
                        )),
                        _ => self.problems.push(format!(
                            "{FILE}: {id}: \"{test}\" is ambiguous; write one of {}",
                            names.join(", ")
                        )),
                    }
                    if precedence(decision, self.tables).is_none() && !page_exists(decision) {
                        self.problems.push(format!(
                            "{FILE}: {id} deviates along \"{decision}\", which is neither a page below docs/ nor \"precedence N\" of requirements.md"
                        ));
                    }
                    let test = names.into_iter().next().unwrap_or_else(|| test.clone());
                    Status::Deviates { test, decision: decision.clone(), why }
                }
            };
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.status.iter().for_each(|s| counts.add(s));
        counts
    }

    fn counts_where(&self, keep: impl Fn(usize) -> bool) -> Counts {
        let mut counts = Counts::default();
        self.status.iter().enumerate().filter(|(row, _)| keep(*row)).for_each(|(_, s)| counts.add(s));
        counts
    }

    /// `docs/conformance.md`.
    pub(crate) fn page(&self) -> String {
        let mut out = String::from(
            "# Conformance\n\n\
             Generated by `cargo run -p conformance` from the marks in the tests and from [conformance-closed.md](conformance-closed.md):\n\
             do not edit. How rows are marked and closed: [CONTRIBUTING.md](../CONTRIBUTING.md#conformance).\n\n",
        );
        self.summary(&mut out);
        for (index, section) in self.tables.sections.iter().enumerate() {
            let anchor = section.table.file().trim_start_matches("docs/");
            let _ = write!(out, "\n## {}, {}\n\n", section.table.title(), section.title);
            let _ = writeln!(out, "Rows of [{anchor}]({anchor}).");
            let _ = write!(out, "\n| row | level | what | status | test, or why |\n|---|---|---|---|---|\n");
            for (row, data) in self.tables.rows.iter().enumerate().filter(|(_, r)| r.section == index) {
                let (status, note) = self.status_cells(row);
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {status} | {note} |",
                    data.id,
                    data.level,
                    shortened(&data.text)
                );
            }
        }
        out
    }

    fn summary(&self, out: &mut String) {
        const HEAD: &str = "rows | done | deviates | not applicable | open |\n|---|--:|--:|--:|--:|--:|\n";
        let _ = write!(out, "| table | {HEAD}");
        for table in Table::ALL {
            let counts = self.counts_where(|row| self.tables.table_of(row) == table);
            let _ = writeln!(out, "| {} | {} |", table.title(), counts.cells());
        }
        let mut levels: BTreeMap<&str, Counts> = BTreeMap::new();
        for (row, status) in self.tables.rows.iter().zip(&self.status).filter(|(r, _)| !r.level.is_empty()) {
            levels.entry(&row.level).or_default().add(status);
        }
        let _ = write!(out, "\n| requirements by level | {HEAD}");
        for (level, counts) in levels {
            let _ = writeln!(out, "| {level} | {} |", counts.cells());
        }
        let _ = write!(out, "\n| section | {HEAD}");
        for (index, section) in self.tables.sections.iter().enumerate() {
            let counts = self.counts_where(|row| self.tables.rows[row].section == index);
            let head = format!("{}, {}", section.table.title(), section.title);
            let _ = writeln!(out, "| [{head}](#{}) | {} |", anchor_of(&head), counts.cells());
        }
    }

    fn status_cells(&self, row: usize) -> (&'static str, String) {
        let tests =
            |tests: &[String]| tests.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join("<br>");
        match &self.status[row] {
            Status::Open => ("open", String::new()),
            Status::Done => ("done", tests(&self.tests[row])),
            Status::NotApplicable { why } => ("not applicable", why.clone()),
            Status::Deviates { test, decision, why } => {
                let decision = match precedence(decision, self.tables) {
                    Some(number) => format!("[precedence {number}](requirements.md)"),
                    None => format!("[decision]({decision})"),
                };
                ("deviates", format!("{why} ({decision})<br>`{test}`"))
            }
        }
    }
}

/// Where the page links to for a heading: in lower case, without punctuation, with dashes for spaces.
fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The first words of a row, as plain text that Markdown shows as it is.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 90;
    // What is left of the row's own Markdown is meant: `<` is "less than", not a tag.
    let plain = text.replace("**", "").replace('`', "");
    if plain.chars().count() <= LENGTH {
        return escaped(&plain);
    }
    let cut: String = plain.chars().take(LENGTH).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", escaped(cut[..end].trim_end()))
}

fn escaped(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '_' | '*' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let mut tables = Tables::default();
        let text = "## Precedence\n1. a\n2. b\n3. c\n## A. X\n> Tier: core.\n| M-1 | MUST | first |\n| M-2 | SHOULD | second |\n";
        tables.read(Table::Requirements, text).unwrap();
        tables.read(Table::Traps, "## I. X\n**1. A corner.** a\n").unwrap();
        tables.read(Table::Scenarios, "## B. X\n| B13 | reboot |\n").unwrap();
        tables
    }

    fn report(tables: &Tables, source: &str, closed: &str) -> (Vec<String>, Counts, String) {
        let mut found = Found::default();
        found.scan_rust("a.rs", source);
        let closed = Closed::read(closed, tables);
        let report = Report::new(tables, &found, &closed, |page| page == "decisions/p.md");
        (report.problems.clone(), report.counts(), report.page())
    }

    #[test]
    fn a_row_is_done_by_its_mark_or_by_the_name_of_its_test() {
        let source = "// req: M-1\n// trap: 1\n#[test]\nfn b13_reboot() {}\n";
        let (problems, counts, page) = report(&tables(), source, "");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(counts, Counts { rows: 4, done: 3, deviates: 0, not_applicable: 0 });
        assert!(page.contains("| M-1 | MUST | first | done | `a.rs::b13_reboot` |"));
        assert!(page.contains("| M-2 | SHOULD | second | open |  |"));
        assert!(page.contains("| 1 |  | A corner | done | `a.rs::b13_reboot` |"));
        assert!(page.contains("| Requirements | 2 | 1 | 0 | 0 | 1 |"));
    }

    #[test]
    fn marks_of_unknown_rows_and_on_ignored_tests_are_problems() {
        for (source, says) in [
            ("// req: M-9\n#[test]\nfn x() {}\n", "no row M-9 in docs/requirements.md"),
            ("// trap: M-1\n#[test]\nfn x() {}\n", "no row M-1 in docs/traps.md"),
            ("// req: M-1\n#[test]\n#[ignore]\nfn x() {}\n", "proves nothing"),
            ("#[test]\nfn b14_x() {}\n", "no B14"),
        ] {
            let (problems, ..) = report(&tables(), source, "");
            assert!(problems.len() == 1 && problems[0].contains(says), "{problems:?}");
        }
    }

    #[test]
    fn a_deviation_needs_a_test_that_exists_and_a_decision() {
        let source = "#[test]\nfn other() {}\n";
        let closed = |row: &str| format!("## Deviates\n{row}\n");
        let (problems, counts, page) =
            report(&tables(), source, &closed("| M-1 | other | decisions/p.md | why |"));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(counts.deviates, 1);
        assert!(page.contains("| deviates | why ([decision](decisions/p.md))<br>`a.rs::other` |"));
        let (problems, ..) = report(&tables(), source, &closed("| M-1 | other | precedence 3 | why |"));
        assert!(problems.is_empty(), "{problems:?}");
        let (problems, ..) = report(&tables(), source, &closed("| M-1 | gone | precedence 3 | why |"));
        assert!(problems[0].contains("\"gone\" does not exist"));
        let (problems, ..) = report(&tables(), source, &closed("| M-1 | other | decisions/q.md | why |"));
        assert!(problems[0].contains("neither a page"));
    }

    #[test]
    fn a_row_cannot_be_done_and_not_applicable() {
        let source = "// req: M-1\n#[test]\nfn x() {}\n";
        let (problems, ..) = report(&tables(), source, "## Not applicable\n| M-1 | why |\n");
        assert!(problems[0].contains("a.rs::x is marked with it"));
    }

    #[test]
    fn a_due_row_that_is_open_is_a_problem_until_it_is_closed() {
        let due = "## Due\n- Requirements: A\n";
        let (problems, ..) = report(&tables(), "", due);
        assert!(problems.len() == 1 && problems[0].starts_with("M-1"), "{problems:?}");
        let (problems, ..) = report(&tables(), "// req: M-1\n#[test]\nfn x() {}\n", due);
        assert!(problems.is_empty());
        let (problems, ..) = report(&tables(), "", &format!("{due}## Not applicable\n| M-1 | why |\n"));
        assert!(problems.is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_words() {
        assert_eq!(shortened("a `b` c"), "a b c");
        let long = shortened(&"word ".repeat(40));
        assert!(long.ends_with("word …") && long.chars().count() <= 92);
    }

    #[test]
    fn what_markdown_would_take_for_its_own_is_escaped_after_the_cut() {
        assert_eq!(shortened("a < b_c > d"), r"a &lt; b\_c &gt; d");
        assert_eq!(shortened("**two** `x * y`"), r"two x \* y");
        let signs = "<".repeat(90);
        assert_eq!(shortened(&signs), "&lt;".repeat(90), "as long as it may be, before it is escaped");
    }

    #[test]
    fn a_section_of_the_summary_links_to_its_rows() {
        let (.., page) = report(&tables(), "", "");
        assert!(page.contains("| [Requirements, A. X](#requirements-a-x) | 2 |"));
        assert_eq!(anchor_of("D. RFC 7323 — window scale, PAWS"), "d-rfc-7323--window-scale-paws");
    }
}
