//! Finds tests, and the marks above them, in source text.
//!
//! This reads lines, not Rust: a mark is a comment, and what stands below it is an attribute, a comment or a function. That is
//! enough, and it works inside macros such as `proptest!` where a parser would see tokens only.

use crate::tables::Table;

/// A test function, or a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// The file, as seen from the root of the workspace.
    pub(crate) path: String,
    /// The function's name; a script's is its file's.
    pub(crate) name: String,
    pub(crate) ignored: bool,
}

impl Test {
    /// How the test is written in a table: `tcp-core/src/seq.rs::wraps`.
    pub(crate) fn full_name(&self) -> String {
        if self.path.ends_with(".pkt") { self.path.clone() } else { format!("{}::{}", self.path, self.name) }
    }
}

/// A row that a test says it proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) table: Table,
    pub(crate) id: String,
    /// Index into [`Found::tests`].
    pub(crate) test: usize,
    /// `path:line`, for messages.
    pub(crate) at: String,
}

/// What was found in all files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) tests: Vec<Test>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) problems: Vec<String>,
}

/// A mark that waits for its test.
struct Pending {
    table: Table,
    id: String,
    at: String,
}

impl Found {
    /// Reads a Rust file.
    pub(crate) fn scan_rust(&mut self, path: &str, text: &str) {
        let mut pending: Vec<Pending> = Vec::new();
        let (mut is_test, mut ignored) = (false, false);
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let at = format!("{path}:{}", index + 1);
            let mut code = line.trim();
            if code.starts_with("//") {
                self.comment(code, &at, &mut pending);
                continue;
            }
            // Attributes, which may go over several lines and may have the function behind them.
            let mut attributes = false;
            while code.starts_with("#[") {
                attributes = true;
                let name = attribute_name(code);
                is_test |= name == "test";
                ignored |= name == "ignore";
                let mut depth = 0;
                code = loop {
                    match end_of_attribute(code, &mut depth) {
                        Some(rest) => break rest.trim(),
                        None => match lines.next() {
                            Some((_, next)) => code = next,
                            None => break "",
                        },
                    }
                };
            }
            if attributes && (code.is_empty() || code.starts_with("//")) {
                continue;
            }
            self.trailing_mark(line, &at);
            let name = match function_name(code) {
                Some(name) if is_test => Some(name),
                _ => trial_name(code),
            };
            if let Some(name) = name {
                self.tests.push(Test { path: path.to_owned(), name: name.to_owned(), ignored });
                self.settle(&mut pending);
            }
            self.orphans(&mut pending);
            (is_test, ignored) = (false, false);
        }
        self.orphans(&mut pending);
    }

    /// Reads a script: the whole file is one test, and its marks may stand anywhere in it.
    pub(crate) fn scan_script(&mut self, path: &str, text: &str) {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".pkt");
        self.tests.push(Test { path: path.to_owned(), name: stem.to_owned(), ignored: false });
        let mut pending = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let line = line.strip_prefix('#').map_or(line.to_owned(), |rest| format!("//{rest}"));
            if line.starts_with("//") {
                self.comment(&line, &format!("{path}:{}", index + 1), &mut pending);
            }
        }
        self.settle(&mut pending);
    }

    fn comment(&mut self, line: &str, at: &str, pending: &mut Vec<Pending>) {
        let Some((table, ids)) = mark_text(line.trim_start_matches('/').trim_start_matches('!')) else {
            return;
        };
        if line.starts_with("///") || line.starts_with("//!") {
            self.problems.push(format!("{at}: a mark is a plain comment (//), not documentation"));
            return;
        }
        let before = pending.len();
        for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
            pending.push(Pending { table, id: id.to_owned(), at: at.to_owned() });
        }
        if pending.len() == before {
            self.problems.push(format!("{at}: this mark names no row"));
        }
    }

    /// A mark behind code would be read by nobody: say so.
    fn trailing_mark(&mut self, line: &str, at: &str) {
        if let Some((_, comment)) = line.split_once(" // ") {
            if mark_text(comment).is_some() {
                self.problems
                    .push(format!("{at}: a mark stands on a line of its own, directly above its test"));
            }
        }
    }

    fn settle(&mut self, pending: &mut Vec<Pending>) {
        let test = self.tests.len() - 1;
        for Pending { table, id, at } in pending.drain(..) {
            self.marks.push(Mark { table, id, test, at });
        }
    }

    fn orphans(&mut self, pending: &mut Vec<Pending>) {
        for Pending { id, at, .. } in pending.drain(..) {
            self.problems.push(format!(
                "{at}: the mark of {id} stands above no test; put it directly above a #[test] function"
            ));
        }
    }
}

/// `req: A, B` and `trap: 1`, without the slashes.
fn mark_text(comment: &str) -> Option<(Table, &str)> {
    let comment = comment.trim_start();
    let requirements = comment.strip_prefix("req:").map(|ids| (Table::Requirements, ids));
    requirements.or_else(|| comment.strip_prefix("trap:").map(|ids| (Table::Traps, ids)))
}

/// `test` of `#[tokio::test(…)]`.
fn attribute_name(code: &str) -> &str {
    let path = code.trim_start_matches("#[").trim_start();
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
    path[..end].rsplit("::").next().unwrap_or("")
}

/// What stands behind the attribute that `code` is in; `None` while it is still open at the end of the line.
fn end_of_attribute<'a>(code: &'a str, depth: &mut i32) -> Option<&'a str> {
    for (at, c) in code.char_indices() {
        match c {
            '[' => *depth += 1,
            ']' => *depth -= 1,
            _ => continue,
        }
        if *depth == 0 {
            return Some(&code[at + 1..]);
        }
    }
    None
}

/// The name in `pub(crate) async fn name(`.
fn function_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let modifiers = before.split_whitespace().all(|w| {
        matches!(w, "pub" | "async" | "const" | "unsafe" | "extern" | "\"C\"") || w.starts_with("pub(")
    });
    let name = identifier(after);
    (modifiers && !name.is_empty()).then_some(name)
}

/// The name in `Trial::test("name", …)`, as `libtest-mimic` has it.
fn trial_name(code: &str) -> Option<&str> {
    let (_, after) = code.split_once("Trial::test(\"")?;
    let name = identifier(after);
    (!name.is_empty()).then_some(name)
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The scenario that a test's name begins with: `b13_the_peer_rebooted` is `B13`.
pub(crate) fn scenario_of(test: &str) -> Option<String> {
    let (id, rest) = test.split_once('_').unwrap_or((test, ""));
    let (letter, digits) = id.split_at_checked(1)?;
    let fits = matches!(letter, "a" | "b" | "c" | "d" | "e" | "f" | "g")
        && (1..=2).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit());
    (fits && !rest.is_empty()).then(|| id.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Found {
        let mut found = Found::default();
        found.scan_rust("a.rs", text);
        found
    }

    fn ids(found: &Found) -> Vec<(&str, &str)> {
        found.marks.iter().map(|m| (m.id.as_str(), found.tests[m.test].name.as_str())).collect()
    }

    #[test]
    fn marks_belong_to_the_test_below_them() {
        let found = scan(
            "// req: MUST-58, 5681-AK1\n// trap: 29\n/// Words.\n#[test]\n#[should_panic(\n  expected = \"x\"\n)]\n\
             // a note\nfn first() {\n}\n\n#[tokio::test]\nasync fn second() {}\n",
        );
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(ids(&found), [("MUST-58", "first"), ("5681-AK1", "first"), ("29", "first")]);
        assert_eq!(found.marks[2].table, Table::Traps);
        assert_eq!(found.tests.len(), 2);
        assert_eq!(found.tests[1].full_name(), "a.rs::second");
    }

    #[test]
    fn a_mark_may_stand_between_the_attribute_and_the_function() {
        assert_eq!(ids(&scan("#[test]\n// trap: 5\nfn x() {}\n")), [("5", "x")]);
        assert_eq!(ids(&scan("// trap: 5\n#[test] fn x() {}\n")), [("5", "x")]);
        assert_eq!(ids(&scan("// trap: 5\n#[test] // why\nfn x() {}\n")), [("5", "x")]);
    }

    #[test]
    fn a_mark_above_no_test_is_a_problem() {
        for text in [
            "// req: MUST-1\nfn helper() {}\n",
            "// req: MUST-1\n\n#[test]\nfn x() {}\n",
            "// req: MUST-1\nlet a = 1;\n",
            "// req: MUST-1\n",
            "// req: MUST-1\n#[cfg(test)]\nmod tests {\n",
        ] {
            let found = scan(text);
            assert_eq!(found.problems.len(), 1, "{text}");
            assert!(found.problems[0].contains("a.rs:1") && found.problems[0].contains("MUST-1"));
            assert!(found.marks.is_empty());
        }
    }

    #[test]
    fn marks_that_nobody_would_read_are_problems() {
        assert!(scan("let a = 1; // req: MUST-1\n").problems[0].contains("a line of its own"));
        assert!(scan("/// req: MUST-1\n#[test]\nfn x() {}\n").problems[0].contains("plain comment"));
        assert!(scan("// req:\n#[test]\nfn x() {}\n").problems[0].contains("names no row"));
    }

    #[test]
    fn functions_that_are_no_tests_are_not_taken_for_tests() {
        let found = scan("#[inline]\nfn a1_x() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n");
        assert!(found.tests.is_empty());
    }

    #[test]
    fn ignored_tests_are_known_as_such() {
        let found = scan("#[test]\n#[ignore = \"slow\"]\nfn x() {}\n#[test]\nfn y() {}\n");
        assert_eq!(found.tests.iter().map(|t| t.ignored).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn trials_and_scripts_count() {
        assert_eq!(
            ids(&scan("// req: SIO-8\nTrial::test(\"kernel_client\", || run()),\n")),
            [("SIO-8", "kernel_client")]
        );
        let mut found = Found::default();
        found.scan_script("tcp-sim/scripts/b1_open.pkt", "# req: MUST-1\n0 > S 0:0(0)\n// trap: 3\n");
        assert_eq!(ids(&found), [("MUST-1", "b1_open"), ("3", "b1_open")]);
        assert_eq!(found.tests[0].full_name(), "tcp-sim/scripts/b1_open.pkt");
    }

    #[test]
    fn a_scenario_is_named_by_the_beginning_of_the_name() {
        assert_eq!(scenario_of("b13_the_peer_rebooted"), Some("B13".to_owned()));
        for none in ["b13", "x1_y", "b_1", "abc_d", "é1_x", "e1000_driver", ""] {
            assert_eq!(scenario_of(none), None, "{none}");
        }
    }
}
