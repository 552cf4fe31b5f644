//! Reads the core's own paths, and fails on an arrow that points up the floors.
//!
//! A module uses its own floor and those below, nothing above: that is what keeps the wire free of the state machine, and
//! the state machine free of the endpoint. Tests inside the modules may use what they like.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Which module stands on which floor. A new module at the root of the crate is entered here.
const FLOORS: &[(u8, &[&str])] = &[
    (5, &["endpoint", "connection", "isn"]),
    (4, &["tcb"]),
    (3, &["recovery", "congestion"]),
    (2, &["buffer"]),
    (1, &["wire"]),
    (
        0,
        &["seq", "time", "addr", "id", "rand", "config", "error", "event", "state", "stats", "observe", "rx"],
    ),
];

#[test]
fn no_arrow_points_up_the_floors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read_sources(&src, &src, &mut sources);
    assert!(sources.iter().any(|s| s.file == "lib.rs"), "no sources found in {}", src.display());
    let problems = check(&sources);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

struct Source {
    /// As seen from `src/`, with forward slashes.
    file: String,
    text: String,
}

fn read_sources(src: &Path, dir: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("the source directory can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            read_sources(src, &path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let file = path.strip_prefix(src).expect("it is below src").to_string_lossy().replace('\\', "/");
            sources.push(Source { file, text: fs::read_to_string(&path).expect("a source is UTF-8 text") });
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// Every arrow that points up, and everything that cannot be judged.
fn check(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut parsed: Vec<Parsed> = sources.iter().map(Parsed::new).collect();
    // A file that is a module under #[cfg(test)] is not part of the house.
    let tests: Vec<Vec<String>> = parsed.iter().flat_map(|p| p.test_modules.clone()).collect();
    parsed.retain(|p| !tests.iter().any(|test| p.module.starts_with(test)));

    // `crate::SeqNumber` is an arrow to where lib.rs takes the name from.
    let roof = parsed.iter().find(|p| p.module.is_empty());
    let names: BTreeMap<&str, &str> = roof.map(Parsed::reexports).unwrap_or_default();
    for Parsed { file, module, paths, .. } in parsed.iter().filter(|p| !p.module.is_empty()) {
        let Some(floor) = floor_of(&module[0]) else {
            problems.push(format!(
                "{file}: the module `{}` stands on no floor; enter it in FLOORS in tests/floors.rs and in the tables of the floors in CONTRIBUTING.md",
                module[0]
            ));
            continue;
        };
        for path in paths.iter().filter(|p| p.root) {
            let Some(first) = path.segments.first().map(String::as_str) else { continue };
            let target = names.get(first).copied().unwrap_or(first);
            let at = format!("{file}:{}: `crate::{}`", path.line, path.segments.join("::"));
            match floor_of(target) {
                Some(to) if to <= floor => {}
                Some(to) => problems.push(format!(
                    "{at} points up, from `{}` on floor {floor} to `{target}` on floor {to}; move what is needed down, or hand it in from above",
                    module[0]
                )),
                None if names.contains_key(first) => {} // another crate's, passed on by lib.rs
                None => problems.push(format!(
                    "{at} names neither a module with a floor nor anything that lib.rs re-exports; name the module it comes from"
                )),
            }
        }
    }
    problems
}

/// A path in the code, from the root of the crate where that is known.
struct UsedPath {
    segments: Vec<String>,
    /// The name it gets by `as`, otherwise its last segment.
    name: String,
    /// It began with `crate`, `super` or `self`; otherwise it is relative to who knows what.
    root: bool,
    line: usize,
}

/// A file, as far as arrows go.
struct Parsed {
    file: String,
    module: Vec<String>,
    paths: Vec<UsedPath>,
    test_modules: Vec<Vec<String>>,
}

impl Parsed {
    fn new(source: &Source) -> Parsed {
        let stem = source.file.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
        let mut parsed =
            Parsed { file: source.file.clone(), module, paths: Vec::new(), test_modules: Vec::new() };
        parsed.read(&tokens(&source.text));
        parsed
    }

    fn read(&mut self, tokens: &[Token]) {
        // Where we are: the file's module, and the modules written out inside it with the depth of their braces.
        let mut inside: Vec<(String, usize)> = Vec::new();
        let (mut depth, mut at) = (0, 0);
        while at < tokens.len() {
            let here: Vec<String> =
                self.module.iter().cloned().chain(inside.iter().map(|(m, _)| m.clone())).collect();
            let word = |ahead: usize| tokens.get(at + ahead).map_or("", |t| t.text.as_str());
            match word(0) {
                "#" if word(1) == "["
                    && word(2) == "cfg"
                    && (word(4) == "test" || (word(4), word(6)) == ("all", "test")) =>
                {
                    at = self.skip_test_item(tokens, at, &here);
                    continue;
                }
                "mod" if word(2) == "{" => inside.push((word(1).to_owned(), depth)),
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inside.last().is_some_and(|(_, d)| *d == depth) {
                        inside.pop();
                    }
                }
                "use" => {
                    at = self.path(tokens, at + 1, &here, false, &[]);
                    continue;
                }
                "crate" | "super" | "self" if word(1) == "::" && (at == 0 || tokens[at - 1].text != "::") => {
                    at = self.path(tokens, at, &here, false, &[]);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a path, with groups; returns where it ends.
    fn path(
        &mut self,
        tokens: &[Token],
        start: usize,
        here: &[String],
        rooted: bool,
        prefix: &[String],
    ) -> usize {
        let (mut at, mut root, mut segments) = (start, rooted, prefix.to_vec());
        let text = |at: usize| tokens.get(at).map_or("", |t| t.text.as_str());
        let line = tokens.get(start).map_or(0, |t| t.line);
        loop {
            match text(at) {
                "::" => {} // a path of another crate: `::core::…`
                "crate" => root = true,
                "self" if segments.is_empty() && !root => (root, segments) = (true, here.to_vec()),
                "self" => {} // `a::{self}` is `a`
                "super" if !root => {
                    (root, segments) = (true, here.to_vec());
                    segments.pop();
                }
                "super" => drop(segments.pop()),
                "{" => {
                    at += 1;
                    while !matches!(text(at), "}" | "") {
                        at = self.path(tokens, at, here, root, &segments);
                        at += usize::from(text(at) == ",");
                    }
                    return at + 1;
                }
                word if is_word(word) || word == "*" => segments.push(word.to_owned()),
                _ => return at + 1,
            }
            at += 1;
            if text(at) != "::" {
                break;
            }
            at += 1;
            // `Vec::<u8>::new`: what follows is a type, which is read by itself.
            if text(at) == "<" {
                break;
            }
        }
        let mut name = segments.last().cloned().unwrap_or_default();
        if text(at) == "as" {
            name = text(at + 1).to_owned();
            at += 2;
        }
        self.paths.push(UsedPath { segments, name, root, line });
        at
    }

    /// Passes over what stands under `#[cfg(test)]`; returns where the code goes on.
    fn skip_test_item(&mut self, tokens: &[Token], start: usize, here: &[String]) -> usize {
        let mut at = start;
        let mut depth = 0usize;
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "mod" if depth == 0 && tokens.get(at + 2).is_some_and(|t| t.text == ";") => {
                    let mut module = here.to_vec();
                    module.push(tokens[at + 1].text.clone());
                    self.test_modules.push(module);
                }
                "(" | "[" | "{" => depth += 1,
                close @ (")" | "]" | "}") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && close == "}" {
                        return at + 1;
                    }
                }
                ";" if depth == 0 => return at + 1,
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// For lib.rs: each name that it re-exports, and the module or crate this comes from.
    fn reexports(&self) -> BTreeMap<&str, &str> {
        self.paths.iter().filter_map(|p| Some((p.name.as_str(), p.segments.first()?.as_str()))).collect()
    }
}

struct Token {
    text: String,
    line: usize,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single signs; comments and literals left out.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(c) = rest.chars().next() {
        let literal = raw_string(rest).or_else(|| comment(rest)).or_else(|| quoted(rest));
        let length = literal.unwrap_or_else(|| {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            if word > 0 {
                word
            } else if rest.starts_with("::") {
                2
            } else {
                c.len_utf8()
            }
        });
        let (text, after) = rest.split_at(length);
        if literal.is_none() && !c.is_whitespace() {
            tokens.push(Token { text: text.to_owned(), line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The length of the comment that begins here; Rust's block comments nest.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let (mut at, mut depth) = (0, 0);
    while rest[at..].starts_with("/*") || depth > 0 {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest[at..].chars().next()?.len_utf8();
        }
    }
    (at > 0).then_some(at)
}

/// The length of the raw string that begins here: `r"…"`, `br#"…"#`.
fn raw_string(rest: &str) -> Option<usize> {
    let after_r = ["br", "cr", "r"].iter().find_map(|p| rest.strip_prefix(p))?;
    let body = after_r.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(after_r.len() - body.len()));
    let text = body.strip_prefix('"')?;
    let close = text.find(&end)?;
    Some(rest.len() - text.len() + close + end.len())
}

/// The length of the string or character that begins here; a lifetime is neither.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' {
        let mut chars = rest.chars().skip(1);
        let (first, second) = (chars.next()?, chars.next());
        if first != '\\' {
            return (second == Some('\'')).then_some(2 + first.len_utf8());
        }
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The checker sees what it is for.
mod checker {
    use super::{Source, check};

    const LIB: &str = "mod seq; pub mod wire; mod tcb;\npub use seq::{SeqNumber, SeqRange as Range};\n\
                       pub use tcb::State;\npub use bytes::Bytes;\n";

    fn problems(file: &str, text: &str) -> Vec<String> {
        let source = |file: &str, text: &str| Source { file: file.to_owned(), text: text.to_owned() };
        check(&[source("lib.rs", LIB), source(file, text)])
    }

    fn assert_up(file: &str, text: &str) {
        let found = problems(file, text);
        assert!(found.len() == 1 && found[0].contains("points up"), "{text}: {found:?}");
    }

    fn assert_fine(file: &str, text: &str) {
        let found = problems(file, text);
        assert!(found.is_empty(), "{text}: {found:?}");
    }

    #[test]
    fn an_arrow_up_is_found_however_it_is_written() {
        assert_up("wire/tcp.rs", "use crate::tcb::input;");
        assert_up("wire/tcp.rs", "pub(crate) use crate::{seq::SeqNumber, tcb::{self}};");
        assert_up("wire/tcp.rs", "use crate::State;");
        assert_up("wire/tcp.rs", "use crate::{Range, State as S};");
        assert_up("wire/tcp.rs", "fn f(x: &crate::tcb::Tcb) {}");
        assert_up("wire/tcp.rs", "use super::super::tcb;");
        assert_up("wire/mod.rs", "use super::tcb;");
        assert_up("wire/mod.rs", "mod inner { use super::super::tcb; }\nuse self::inner;");
        assert_up("wire/mod.rs", "fn f() { let c = '\"'; crate::tcb::run::<'static>(c, \"x\") }");
        assert_up("seq.rs", "use crate::wire;");
        assert_up("tcb/input.rs", "#[cfg(test)]\nuse crate::connection::A;\nuse crate::connection::B;");
    }

    #[test]
    fn arrows_down_and_within_a_floor_are_fine() {
        assert_fine(
            "tcb/input.rs",
            "use crate::{SeqNumber, Range, Bytes, wire::tcp, State};\nuse super::output;",
        );
        assert_fine(
            "wire/tcp.rs",
            "use super::options::Options;\nuse bytes::Bytes;\nuse core::fmt::{self, Write as _};",
        );
        assert_fine("congestion/cubic.rs", "use crate::recovery::rtt;");
        assert_fine("wire/mod.rs", "mod inner { use super::tcp; }\nuse crate::seq;\npub(crate) mod x;");
    }

    #[test]
    fn tests_comments_and_strings_are_not_read() {
        assert_fine(
            "wire/tcp.rs",
            "#[cfg(test)]\nmod tests { use super::*; use crate::tcb::Tcb; fn f(x: [u8; 3]) {} }",
        );
        assert_fine(
            "wire/tcp.rs",
            "/// [`Tcb`](crate::tcb::Tcb)\n/* crate::tcb /* x */ */ // crate::tcb\nconst S: &str = \"crate::tcb\";",
        );
        assert_fine("wire/tcp.rs", "const S: &str = r#\"crate::tcb \"quoted\" \"#;\nconst C: char = '\\'';");
        let file = |file: &str, text: &str| Source { file: file.to_owned(), text: text.to_owned() };
        let sources = [
            file("lib.rs", LIB),
            file("wire/mod.rs", "#[cfg(test)]\nmod tests;\n"),
            file("wire/tests.rs", "use crate::tcb::Tcb;"),
        ];
        assert_eq!(check(&sources), Vec::<String>::new());
    }

    #[test]
    fn what_stands_on_no_floor_is_named_with_what_to_do() {
        let found = problems("shed.rs", "");
        assert!(
            found.len() == 1 && found[0].contains("`shed` stands on no floor; enter it in FLOORS"),
            "{found:?}"
        );
        let found = problems("wire/tcp.rs", "use crate::Unheard;");
        assert!(found.len() == 1 && found[0].contains("crate::Unheard"), "{found:?}");
        assert_eq!(problems("wire/tcp.rs", "use crate::*;").len(), 1);
    }
}
