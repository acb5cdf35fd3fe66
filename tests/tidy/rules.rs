//! Rules about one file: its length, its white space, its attributes, and what the law book may not name.

use super::code::{Token, blanked, module_of, named_paths, tokens};

/// Lines a file may have before its tests. Past it there is a second noun in the file.
const LINES_MAX: usize = 400;

/// Files that are longer, with the most lines each may have. The list only shrinks.
const LONGER: [(&str, usize); 5] = [
    ("actors/log/log.rs", 570),
    ("src/export/run.rs", 610),
    ("src/formats/journal.rs", 460),
    ("src/formats/matcher_xml.rs", 420),
    ("src/formats/servicenow_xml/read.rs", 420),
];

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Lines before the tests at the foot of the file.
fn production_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

fn too_long(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with(".rs") || is_test(path) {
        return Vec::new();
    }
    let lines = production_lines(text);
    match LONGER.iter().find(|(longer, _)| *longer == path) {
        Some((_, most)) if lines > *most => vec![format!("{path}: {lines} lines before its tests, at most {most}")],
        Some(_) if lines <= LINES_MAX => vec![format!("{path}: {lines} lines, so it need not be in LONGER any more")],
        None if lines > LINES_MAX => vec![format!("{path}: {lines} lines before its tests, at most {LINES_MAX}")],
        _ => Vec::new(),
    }
}

/// Tabs, blanks at the end of a line, carriage returns, a last line without its end.
fn white_space(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.contains('\t') {
            findings.push(format!("{path}:{number}: a tab"));
        }
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(format!("{path}:{number}: a blank at the end of the line"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(format!("{path}: the last line has no end"));
    }
    findings
}

/// `todo!` and its kin, lints switched off without a reason, files taken in from elsewhere.
fn words(path: &str, text: &str) -> Vec<String> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let tokens = tokens(&blanked(text));
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut findings = Vec::new();
    for (at, Token { text, line }) in tokens.iter().enumerate() {
        match text.as_str() {
            "todo" | "unimplemented" | "dbg" | "include" if word(at + 1) == "!" => {
                findings.push(format!("{path}:{line}: `{text}!`"));
            }
            "#" if word(at + 1) == "[" || (word(at + 1) == "!" && word(at + 2) == "[") => {
                for lint in
                    attribute(&tokens, at).split(|token| token.text == "allow" || token.text == "expect").skip(1)
                {
                    let ends = closing(lint, "(", ")");
                    if lint.first().is_some_and(|token| token.text == "(")
                        && !lint[..ends].iter().any(|t| t.text == "reason")
                    {
                        findings.push(format!("{path}:{line}: a lint is switched off without a reason"));
                    }
                }
                if word(at + 1) == "[" && word(at + 2) == "path" && word(at + 3) == "=" {
                    findings.push(format!("{path}:{line}: `#[path]`"));
                }
            }
            _ => {}
        }
    }
    findings
}

/// The tokens of the attribute that begins at `at`.
fn attribute(tokens: &[Token], at: usize) -> &[Token] {
    &tokens[at..at + closing(&tokens[at..], "[", "]")]
}

/// How many tokens there are up to the one that closes the first `open`.
fn closing(tokens: &[Token], open: &str, close: &str) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.text == open {
            depth += 1;
        } else if token.text == close {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len()
}

/// What would let the law book read a clock, touch a disk, a network or a process, or draw at random by itself.
fn worldly(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("src/") else { return Vec::new() };
    let finding = |line: usize, what: &str| format!("{path}:{line}: `{what}` belongs to actors/");
    let mut findings = Vec::new();
    for named in named_paths(&module_of(inside), text, &["std", "rand", "uuid", "jiff", "tokio", "actix"]) {
        let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
        let is_worldly = match segments[..] {
            // Addresses are values.
            ["std", "net", name, ..] => !name.starts_with("Ip") && !name.starts_with("SocketAddr"),
            ["std", "fs" | "net" | "process" | "env" | "thread" | "os", ..] => true,
            ["std", "time", "Instant" | "SystemTime" | "*", ..] => true,
            ["std", "io", "stdin" | "stdout" | "stderr", ..] => true,
            ["std"] | ["std", "*"] => true,
            ["rand", "rng" | "random" | "thread_rng", ..] => true,
            ["uuid", "Uuid", "new_v4" | "now_v7", ..] => true,
            ["tokio" | "actix", ..] => true,
            _ => false,
        };
        if is_worldly {
            findings.push(finding(named.line, &segments.join("::")));
        }
    }
    let tokens = tokens(&blanked(text));
    for (at, token) in tokens.iter().enumerate() {
        let follows: Vec<&str> = tokens[at..].iter().take(3).map(|token| token.text.as_str()).collect();
        match follows[..] {
            ["thread_rng" | "ThreadRng" | "SysRng" | "OsRng", ..] => findings.push(finding(token.line, follows[0])),
            ["Instant" | "SystemTime" | "Timestamp" | "Zoned" | "Utc", "::", "now"] => {
                findings.push(finding(token.line, &follows.concat()));
            }
            _ => {}
        }
    }
    findings
}

#[test]
fn a_file_that_grew_too_long_is_found_and_its_tests_do_not_count() {
    let long = "x\n".repeat(LINES_MAX + 1);
    let fits = format!("{}#[cfg(test)]\n{long}", "x\n".repeat(LINES_MAX));
    assert_eq!(too_long("src/a.rs", &fits), [""; 0]);
    assert_eq!(too_long("src/a.rs", &long), ["src/a.rs: 401 lines before its tests, at most 400"]);
    assert_eq!(too_long("src/a/tests.rs", &long), [""; 0]);
    let (path, most) = LONGER[0];
    assert_eq!(too_long(path, &long), [""; 0]);
    assert_eq!(too_long(path, &"x\n".repeat(most + 1)).len(), 1);
    assert_eq!(too_long(path, "x\n"), [format!("{path}: 1 lines, so it need not be in LONGER any more")]);
}

#[test]
fn stray_white_space_is_found() {
    assert_eq!(white_space("a.md", "a\n\n  b\n"), [""; 0]);
    assert_eq!(
        white_space("a.md", "a \n\tb\nc"),
        ["a.md:1: a blank at the end of the line", "a.md:2: a tab", "a.md: the last line has no end"]
    );
}

#[test]
fn unfinished_code_and_silenced_lints_are_found() {
    let check = |text: &str, wanted: &[&str]| assert_eq!(words("src/a.rs", text), wanted, "{text}");
    check("// todo!()\nlet todo = \"todo!()\";", &[]);
    check("fn f() {\n todo!()\n}", &["src/a.rs:2: `todo!`"]);
    check("#[allow(dead_code)]\nfn f() {}", &["src/a.rs:1: a lint is switched off without a reason"]);
    check("#![cfg_attr(test, allow(a))]", &["src/a.rs:1: a lint is switched off without a reason"]);
    check("#[expect(a, reason = \"b\")]\n#[derive(Debug)] fn f() { x.expect(\"y\") }", &[]);
    check("#![allow(a, b(c), reason = \"d\")]", &[]);
    check("#[path = \"b.rs\"] mod c;", &["src/a.rs:1: `#[path]`"]);
}

#[test]
fn a_clock_a_disk_a_socket_and_chance_are_found_in_the_law_book() {
    let check = |text: &str, wanted: &[&str]| {
        let wanted: Vec<String> =
            wanted.iter().map(|what| format!("src/a.rs:1: `{what}` belongs to actors/")).collect();
        assert_eq!(worldly("src/a.rs", text), wanted, "{text}");
        assert_eq!(worldly("actors/a.rs", text), [""; 0]);
    };
    check("use std::{io::Read, net::{Ipv4Addr, IpAddr}, sync::Arc}; // std::fs", &[]);
    check("use std::{fmt, fs};", &["std::fs"]);
    check("std::fs::read(p)", &["std::fs::read"]);
    check("use std::net::{IpAddr, TcpStream};", &["std::net::TcpStream"]);
    check("use std::time::{Duration, Instant as I};", &["std::time::Instant"]);
    check("let now = Instant::now();", &["Instant::now"]);
    check("let now = SystemTime::now();", &["SystemTime::now"]);
    check("let mut rng = thread_rng();", &["thread_rng"]);
    check("let x: u8 = rand::random();", &["rand::random"]);
    check("let id = uuid::Uuid::new_v4();", &["uuid::Uuid::new_v4"]);
    check("let ctx: actix::Context<A>;", &["actix::Context"]);
}

#[test]
fn the_project_keeps_the_rules_of_a_file() {
    let rules = [too_long, white_space, words, worldly];
    let texts = super::texts();
    super::assert_none(
        texts.iter().flat_map(|(path, text)| rules.iter().flat_map(move |rule| rule(path, text))).collect(),
    );
    for (path, _) in LONGER {
        assert!(texts.contains_key(path), "{path} is gone: take it out of LONGER");
    }
}
