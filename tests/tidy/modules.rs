//! Every Rust file belongs to a crate: a file no `mod` leads to is never compiled, however wrong it is.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{blanked, tokens};

/// Files of one folder that are the root of a crate.
const ROOTS: [&str; 6] =
    ["src/lib.rs", "actors/lib.rs", "actors/main.rs", "simulations/lib.rs", "simulations/main.rs", "tests/main.rs"];

fn is_root(path: &str) -> bool {
    ROOTS.contains(&path)
        || path.ends_with("/build.rs")
        // A benchmark is one file, or a folder with a `main.rs`.
        || (path.starts_with("benches/") && (path.matches('/').count() == 1 || path.ends_with("/main.rs")))
}

/// Files that no root reaches, and `mod` declarations that lead nowhere.
fn unreachable(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut reached: BTreeSet<&str> = sources.keys().map(String::as_str).filter(|path| is_root(path)).collect();
    let mut open: Vec<&str> = reached.iter().copied().collect();
    while let Some(path) = open.pop() {
        for module in declared(&sources[path]) {
            let at = format!("{}{module}", folder_of_children(path));
            let files = [format!("{at}.rs"), format!("{at}/mod.rs")];
            match files.iter().find_map(|file| sources.get_key_value(file)) {
                Some((file, _)) if reached.insert(file) => open.push(file),
                Some(_) => {}
                None => findings.push(format!("{path}: `mod {module}` leads to no file")),
            }
        }
    }
    let lost = sources.keys().filter(|path| !reached.contains(path.as_str()));
    findings.extend(lost.map(|path| format!("{path}: no `mod` leads here")));
    findings
}

/// Where the files of modules declared in `path` stand.
fn folder_of_children(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    match name {
        "mod.rs" => format!("{folder}/"),
        _ if is_root(path) => format!("{folder}/"),
        _ => format!("{folder}/{}/", name.trim_end_matches(".rs")),
    }
}

/// Modules declared with a file of their own: `a`, or `a/b` for one declared inside an inline module `a`.
fn declared(text: &str) -> Vec<String> {
    let tokens = tokens(&blanked(text));
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    for at in 0..tokens.len() {
        match word(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, ends)| *ends <= depth);
            }
            "mod" if word(at + 2) == "{" => inline.push((word(at + 1).to_string(), depth + 1)),
            "mod" if word(at + 2) == ";" => {
                let around = inline.iter().map(|(name, _)| format!("{name}/"));
                found.push(around.collect::<String>() + word(at + 1));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn a_file_no_mod_leads_to_is_found() {
    let check = |files: &[(&str, &str)], wanted: &[&str]| {
        let sources = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
        assert_eq!(unreachable(&sources), wanted);
    };
    check(
        &[
            ("src/lib.rs", "pub mod a; pub mod b;"),
            ("src/a.rs", "#[cfg(test)]\nmod tests;"),
            ("src/a/tests.rs", ""),
            ("src/b/mod.rs", "mod c { mod d; }"),
            ("src/b/c/d.rs", ""),
            ("benches/ndi.rs", ""),
            ("benches/day/main.rs", "mod machines;"),
            ("benches/day/machines.rs", ""),
        ],
        &[],
    );
    check(
        &[("src/lib.rs", "// mod a;\nmod gone;"), ("src/a.rs", "")],
        &["src/lib.rs: `mod gone` leads to no file", "src/a.rs: no `mod` leads here"],
    );
}

#[test]
fn the_project_compiles_every_file_it_has() {
    super::assert_none(unreachable(&super::sources()));
}
