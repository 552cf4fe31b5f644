//! Which rows of the requirements, traps and scenarios hold, and which test shows it.
//!
//! Reads the three tables in `docs/`, the marks above the tests (`// req: MUST-58`, `// trap: 29`, `fn b13_…`) and the rows
//! closed by hand in `docs/conformance-closed.md`; writes `docs/conformance.md`. From here: `tables` reads rows, `marks` reads
//! tests, `closed` reads closures, `report` brings them together.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

mod closed;
mod marks;
mod report;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use closed::Closed;
use marks::Found;
use report::{Counts, Report};
use tables::{Table, Tables};

const HELP: &str = "\
Writes docs/conformance.md: which rows of the tables in docs/ hold, and which test shows it.

Usage: conformance [--check | --raise-counts] [--root DIR]

  --check         write nothing; fail where the page is not what would be written
  --raise-counts  also accept more rows that deviate or do not apply than docs/conformance-counts.txt allows
  --root DIR      the workspace; otherwise the nearest directory above that has docs/requirements.md
  -h, --help      this text

Examples:
  cargo run -p conformance                 after a mark, a test's name or a closed row changed
  cargo run -p conformance -- --check      what .ci/run calls

Exit codes: 0 all is well; 1 something does not hold (each is named); 2 wrong usage, or a file cannot be read.";

const PAGE: &str = "docs/conformance.md";
const COUNTS: &str = "docs/conformance-counts.txt";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Write,
    RaiseCounts,
    Check,
}

fn main() -> ExitCode {
    let mut mode = Mode::Write;
    let mut root = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--check" => mode = Mode::Check,
            "--raise-counts" => mode = Mode::RaiseCounts,
            "--root" if root.is_none() => root = args.next().map(PathBuf::from),
            "-h" | "--help" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("conformance: unknown argument {other}; try --help");
                return ExitCode::from(2);
            }
        }
    }
    let Some(root) = root.or_else(find_root) else {
        eprintln!(
            "conformance: no docs/requirements.md here or above; go into the workspace, or give --root DIR"
        );
        return ExitCode::from(2);
    };
    match run(&root, mode) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in &problems {
                eprintln!("conformance: {problem}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn find_root() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|dir| dir.join(Table::Requirements.file()).is_file()).map(Path::to_path_buf)
}

/// Everything that does not hold; an error where a file could not be read or written.
fn run(root: &Path, mode: Mode) -> Result<Vec<String>, String> {
    let mut tables = Tables::default();
    for table in Table::ALL {
        tables.read(table, &read(root, table.file())?)?;
    }
    let mut found = Found::default();
    scan(root, root, &mut found)?;
    let closed = Closed::read(&read(root, closed::FILE)?, &tables);
    let report = Report::new(&tables, &found, &closed, |page| root.join("docs").join(page).is_file());
    let mut problems = report.problems.clone();

    let (page, counts) = (report.page(), report.counts());
    let allowed = parse_counts(&read(root, COUNTS)?)?;
    let grown = counts.deviates > allowed.deviates || counts.not_applicable > allowed.not_applicable;
    if grown && mode != Mode::RaiseCounts {
        problems.push(format!(
            "{} rows deviate and {} do not apply; {COUNTS} allows {} and {}. Write the tests, or state the growth with --raise-counts",
            counts.deviates, counts.not_applicable, allowed.deviates, allowed.not_applicable
        ));
    }
    // The snapshot only falls by itself; where it may not rise, what is allowed stays.
    let snapshot = if grown && mode != Mode::RaiseCounts { allowed } else { counts };
    for (path, text) in [(PAGE, page), (COUNTS, format_counts(snapshot))] {
        let old = fs::read_to_string(root.join(path)).unwrap_or_default();
        if old == text {
            continue;
        }
        if mode == Mode::Check {
            problems.push(format!(
                "{path} is not what the tests say; run `cargo run -p conformance` and commit it"
            ));
        } else {
            fs::write(root.join(path), text).map_err(|e| format!("cannot write {path}: {e}"))?;
            println!("wrote {path}");
        }
    }
    let Counts { rows, done, deviates, not_applicable } = counts;
    println!(
        "{done} of {rows} rows done, {deviates} deviate, {not_applicable} not applicable; {} due",
        closed.due.len()
    );
    Ok(problems)
}

fn read(root: &Path, path: &str) -> Result<String, String> {
    fs::read_to_string(root.join(path)).map_err(|e| format!("cannot read {path}: {e}"))
}

/// Reads all sources below `dir`, in the order of their names so that the page does not depend on the file system.
fn scan(root: &Path, dir: &Path, found: &mut Found) -> Result<(), String> {
    let cannot_read = |e: std::io::Error| format!("cannot read {}: {e}", dir.display());
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot_read)? {
        paths.push(entry.map_err(cannot_read)?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            // This program's own tests are full of marks that mean nothing.
            let skip = name.starts_with('.')
                || matches!(name, "target" | "mutants.out")
                || relative == "tools/conformance";
            if !skip {
                scan(root, &path, found)?;
            }
        } else if name.ends_with(".rs") {
            found.scan_rust(&relative, &read(root, &relative)?);
        } else if name.ends_with(".pkt") {
            found.scan_script(&relative, &read(root, &relative)?);
        }
    }
    Ok(())
}

/// The snapshot's two lines: `deviates 3`, `not-applicable 5`.
fn parse_counts(text: &str) -> Result<Counts, String> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|n| n.trim().parse().ok())
            .ok_or_else(|| format!("{COUNTS}: there is no line \"{name} N\""))
    };
    Ok(Counts { deviates: value("deviates")?, not_applicable: value("not-applicable")?, ..Counts::default() })
}

fn format_counts(counts: Counts) -> String {
    format!(
        "# How many rows may deviate, or not apply. Falls by itself, grows only by `cargo run -p conformance -- --raise-counts`.\n\
         deviates {}\nnot-applicable {}\n",
        counts.deviates, counts.not_applicable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_reads_what_it_writes() {
        let counts = Counts { deviates: 3, not_applicable: 5, ..Counts::default() };
        assert_eq!(parse_counts(&format_counts(counts)), Ok(counts));
        assert!(parse_counts("deviates 3\n").unwrap_err().contains("not-applicable N"));
    }

    /// A small workspace on disk: the page goes stale, is written, and the counts hold.
    #[test]
    fn check_fails_until_the_page_is_written_and_counts_do_not_grow() {
        let root = std::env::temp_dir().join(format!("conformance-test-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("docs/requirements.md", "## A. X\n> Tier: core.\n| M-1 | MUST | a |\n| M-2 | MUST | b |\n");
        put("docs/traps.md", "## I. X\n**1. A.** a\n");
        put("docs/scenarios.md", "## A. X\n| A1 | a |\n");
        put(closed::FILE, "");
        put(COUNTS, &format_counts(Counts::default()));
        put("x/src/lib.rs", "// req: M-1\n#[test]\nfn a1_x() {}\n");
        put("x/target/y.rs", "// req: nothing\n");

        assert!(run(&root, Mode::Check).unwrap()[0].contains("not what the tests say"));
        assert_eq!(run(&root, Mode::Write), Ok(vec![]));
        assert_eq!(run(&root, Mode::Check), Ok(vec![]));

        put(closed::FILE, "## Not applicable\n| M-2 | why |\n");
        assert!(run(&root, Mode::Write).unwrap()[0].contains("--raise-counts"));
        assert!(run(&root, Mode::Check).unwrap()[0].contains("--raise-counts"));
        assert_eq!(run(&root, Mode::RaiseCounts), Ok(vec![]));
        assert_eq!(run(&root, Mode::Check), Ok(vec![]));

        put(closed::FILE, "");
        assert_eq!(run(&root, Mode::Check).unwrap().len(), 2, "a count that fell is written down");
        assert_eq!(run(&root, Mode::Write), Ok(vec![]));
        fs::remove_dir_all(&root).unwrap();
    }
}
