//! As much of Rust's grammar as the rules need: code without comments and strings, tokens, and the paths it names.

/// `text` with comments and the insides of literals blanked out; every other character stays on its line.
pub fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let blank = |out: &mut String, from: usize, to: usize| {
        out.extend(chars[from..to].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
    };
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |p| at + p)
            }
            '/' if chars.get(at + 1) == Some(&'*') => end_of_comment(&chars, at),
            '"' => end_of_string(&chars, at),
            'r' | 'b' | 'c' if !at.checked_sub(1).is_some_and(|before| is_word(chars[before])) => {
                match end_of_prefixed(&chars, at) {
                    Some(end) => end,
                    None => at,
                }
            }
            '\'' => end_of_char(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end > at {
            blank(&mut out, at, end);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn end_of_comment(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    chars.len().min(at + 1)
}

/// The end of `r"..."`, `r#"..."#`, `b"..."`, `br"..."`, `b'.'` and their kin, if one begins at `from`.
fn end_of_prefixed(chars: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    let mut raw = false;
    while let Some(c @ ('r' | 'b' | 'c')) = chars.get(at) {
        raw |= *c == 'r';
        at += 1;
        if at - from > 2 {
            return None;
        }
    }
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    match chars.get(at + hashes)? {
        '"' if raw => {
            let mut close = at + hashes + 1;
            while close < chars.len() {
                let closes =
                    chars[close] == '"' && chars[close + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
                if closes {
                    return Some(close + 1 + hashes);
                }
                close += 1;
            }
            Some(chars.len())
        }
        '"' if hashes == 0 => Some(end_of_string(chars, at)),
        '\'' if hashes == 0 => end_of_char(chars, at),
        _ => None,
    }
}

/// The end of a character literal; `None` for a lifetime.
fn end_of_char(chars: &[char], from: usize) -> Option<usize> {
    if chars.get(from + 1) == Some(&'\\') {
        let close = chars[from + 3..].iter().position(|&c| c == '\'')?;
        return Some(from + 3 + close + 1);
    }
    (chars.get(from + 2) == Some(&'\'')).then_some(from + 3)
}

/// A token and the line it stands on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A word, `::`, or one character of punctuation.
    pub text: String,
    /// From 1.
    pub line: usize,
}

/// The tokens of blanked code.
pub fn tokens(code: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = if is_word(c) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                c.len_utf8()
            };
            if !c.is_whitespace() {
                found.push(Token { text: rest[..length].to_string(), line });
            }
            rest = &rest[length..];
        }
    }
    found
}

/// The module a file of a crate is: `["matching", "tests"]` for `src/matching/tests/mod.rs` below `src/`.
pub fn module_of(path_in_crate: &str) -> Vec<String> {
    let path = path_in_crate.trim_end_matches(".rs");
    let mut parts: Vec<String> = path.split('/').map(str::to_string).collect();
    if parts.last().is_some_and(|last| last == "mod") || (parts.len() == 1 && ["lib", "main"].contains(&&*parts[0])) {
        parts.pop();
    }
    parts
}

/// A path named in code, whole: `crate::a::b` wherever `super`, `self` or nested braces hid it, or `std::fs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Segments; the first is `crate` or a crate's name.
    pub segments: Vec<String>,
    /// Line of its first word.
    pub line: usize,
}

/// Every path in `text`, the file of `module`, that begins with `crate`, `self`, `super` or one of `crates`.
pub fn named_paths(module: &[String], text: &str, crates: &[&str]) -> Vec<Named> {
    let tokens = tokens(&blanked(text));
    let mut found = Vec::new();
    // Inline modules around the current token, with the brace depth at which each ends.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    while at < tokens.len() {
        match word(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, ends)| *ends <= depth);
            }
            "mod" if word(at + 2) == "{" => inline.push((word(at + 1).to_string(), depth + 1)),
            first if is_root(first, crates) && !(at > 0 && ["::", "."].contains(&word(at - 1))) => {
                let follows = ["::", "as"].contains(&word(at + 1));
                // `self` alone is a value, `pub(crate)` and `pub(super)` are visibilities.
                if follows || (first == "crate" && word(at + 1) != ")") || crates.contains(&first) {
                    let here: Vec<String> =
                        module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                    let mut tree = Tree { tokens: &tokens, at, line: tokens[at].line, found: &mut found };
                    let base = match first {
                        "self" | "super" | "crate" => None,
                        name => Some(vec![name.to_string()]),
                    };
                    tree.read(base.unwrap_or_else(|| root(&here)), true);
                    at = tree.at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn root(module: &[String]) -> Vec<String> {
    std::iter::once("crate".to_string()).chain(module.iter().cloned()).collect()
}

fn is_root(word: &str, crates: &[&str]) -> bool {
    ["crate", "self", "super"].contains(&word) || crates.contains(&word)
}

struct Tree<'a> {
    tokens: &'a [Token],
    at: usize,
    line: usize,
    found: &'a mut Vec<Named>,
}

impl Tree<'_> {
    fn word(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text.as_str())
    }

    /// Reads one path or tree of a `use`, relative to `base`.
    fn read(&mut self, mut base: Vec<String>, is_first: bool) {
        let mut first = is_first;
        loop {
            match self.word() {
                "{" => {
                    self.at += 1;
                    while !["}", ""].contains(&self.word()) {
                        if self.word() == "," {
                            self.at += 1;
                        } else {
                            self.read(base.clone(), false);
                        }
                    }
                    self.at += 1;
                    return;
                }
                "crate" => base = vec!["crate".to_string()],
                "self" => {}
                "super" => {
                    base.pop();
                }
                // The name of an external crate is in `base` already.
                word if first && base == [word] => {}
                word if word == "*" || word.starts_with(is_word) => base.push(word.to_string()),
                // Turbofish, or anything else that ends a path; never stand still.
                _ => {
                    self.at += usize::from(base.is_empty());
                    break;
                }
            }
            first = false;
            self.at += 1;
            if self.word() != "::" {
                break;
            }
            self.at += 1;
        }
        self.found.push(Named { segments: base, line: self.line });
        // `as name` and whatever else stands before the next member of a group belongs to no path.
        if !is_first {
            while ![",", "}", ""].contains(&self.word()) {
                self.at += 1;
            }
        }
    }
}

#[test]
fn comments_and_literals_are_no_code_and_lines_keep_their_numbers() {
    let text =
        "a // use crate::x\n/* b /* c */ d */ e \"f \\\" g\nh\" i r#\"j \" k\"# 'l' '\\n' '\\'' b'm' &'n o rb c\"p\" q";
    let words: Vec<String> = tokens(&blanked(text)).into_iter().map(|t| format!("{}{}", t.text, t.line)).collect();
    assert_eq!(words.join(" "), "a1 e2 i3 &3 '3 n3 o3 rb3 q3");
    assert_eq!(blanked(text).lines().count(), text.lines().count());
}

#[test]
fn a_file_is_the_module_its_path_says() {
    for (path, module) in [("lib.rs", ""), ("id.rs", "id"), ("a/mod.rs", "a"), ("a/tests.rs", "a/tests")] {
        assert_eq!(module_of(path).join("/"), module);
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let module = ["upload".to_string(), "ledger".to_string()];
    let check = |text: &str, wanted: &str| {
        let found = named_paths(&module, text, &["std", "rand"]);
        let found: Vec<String> =
            found.iter().map(|path| format!("{}@{}", path.segments.join("::"), path.line)).collect();
        assert_eq!(found.join(" "), wanted, "{text}");
    };
    check("use crate::model::device::Device;", "crate::model::device::Device@1");
    check("use crate::{id::{self, Guid as G}, time::*};", "crate::id@1 crate::id::Guid@1 crate::time::*@1");
    check("use super::super::roles::Core;", "crate::roles::Core@1");
    check("use super::{rates, super::{roles, x}};", "crate::upload::rates@1 crate::roles@1 crate::x@1");
    check("mod tests {\n use super::*;\n}\nuse super::rates;", "crate::upload::ledger::*@2 crate::upload::rates@4");
    check("mod a { mod b { fn c() { super::super::super::d::e() } } }", "crate::upload::d::e@1");
    check(
        "fn f(&self) { self.x(); crate::roles::run(1); self::y() }",
        "crate::roles::run@1 crate::upload::ledger::y@1",
    );
    check("pub(crate) fn f() {} pub(super) fn g() {}", "");
    check("use crate as muster;", "crate@1");
    check("use std::{fs, net::{IpAddr, TcpStream}};", "std::fs@1 std::net::IpAddr@1 std::net::TcpStream@1");
    check("let x = std::fs::read(p); let y = a::std::b;", "std::fs::read@1");
    check("// use crate::roles;\nlet s = \"crate::roles\";", "");
    check("let v = crate::id::Guid::<u8>::new();", "crate::id::Guid@1");
    check("use {crate::a, super::b};", "crate::a@1 crate::upload::b@1");
}
