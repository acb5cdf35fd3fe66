//! Links of the documents lead somewhere.

use std::path::{Component, Path, PathBuf};

/// Relative links of a Markdown file whose target is not there.
fn dead_links(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    if !path.ends_with(".md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(&without_code(line)) {
            let file = target.split(['#', '?']).next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !joined(path, file).is_some_and(|file| exists(&file)) {
                findings.push(format!("{path}:{number}: `{target}` leads nowhere"));
            }
        }
    }
    findings
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Targets of `[..](target)`, `![..](target "title")`, `[..]: target`, `src="target"` and `href="target"`.
fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |from: &str, ends: &[char]| {
        let end = from.find(ends).unwrap_or(from.len());
        found.push(from[..end].trim_matches(['<', '>']).to_string());
    };
    line.match_indices("](").for_each(|(at, opening)| take(&line[at + opening.len()..], &[')', ' ']));
    for attribute in ["src=\"", "href=\""] {
        line.match_indices(attribute).for_each(|(at, opening)| take(&line[at + opening.len()..], &['"']));
    }
    if let Some((label, target)) = line.split_once("]: ")
        && label.starts_with('[')
    {
        take(target.trim(), &[' ']);
    }
    found
}

/// `target` as seen from the file `path`; `None` when it leaves the project.
fn joined(path: &str, target: &str) -> Option<String> {
    let mut whole = PathBuf::new();
    for component in Path::new(path).parent()?.join(target).components() {
        match component {
            Component::Normal(name) => whole.push(name),
            Component::CurDir => {}
            Component::ParentDir if whole.pop() => {}
            _ => return None,
        }
    }
    Some(whole.to_str()?.to_string())
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let exists = |path: &str| ["docs/a.md", "b.svg", "docs"].contains(&path);
    let check = |text: &str, wanted: &[&str]| assert_eq!(dead_links("docs/x.md", text, &exists), wanted, "{text}");
    check("[a](a.md#part), ![b](../b.svg \"title\"), [w](https://w.example/x), [p](#part), [up](../docs)", &[]);
    check("`[code](gone.md)` and\n```\n[code](gone.md)\n```\n", &[]);
    check("\n[a](gone.md)", &["docs/x.md:2: `gone.md` leads nowhere"]);
    check("<img src=\"c.svg\">", &["docs/x.md:1: `c.svg` leads nowhere"]);
    check("[ref]: gone.md", &["docs/x.md:1: `gone.md` leads nowhere"]);
    check("[out](../../etc/passwd)", &["docs/x.md:1: `../../etc/passwd` leads nowhere"]);
}

#[test]
fn the_project_has_no_dead_link() {
    let root = super::project();
    let exists = |path: &str| root.join(path).exists();
    let texts = super::texts();
    super::assert_none(texts.iter().flat_map(|(path, text)| dead_links(path, text, &exists)).collect());
}
