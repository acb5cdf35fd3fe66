//! Licences of all dependencies, on every platform.

use super::metadata;

/// Licences whose terms an Apache-2.0 program meets by shipping notices.
const ALLOWED: [&str; 7] = ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Packages whose licence is not in the list but was read and found fit: name, licence, why.
const REVIEWED: [(&str, &str, &str); 1] = [(
    "webpki-roots",
    "CDLA-Permissive-2.0",
    "data, not code: Mozilla's list of certificate authorities; asks only that its terms travel with the list",
)];

/// Whether `expression` (SPDX, also the old form with `/`) can be met with allowed licences alone.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at).unwrap_or(false) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut met = all_of(words, at)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at)?;
    }
    Some(met)
}

fn all_of(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut met = one(words, at)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at)?;
    }
    Some(met)
}

fn one(words: &[&str], at: &mut usize) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    match word {
        "(" => {
            let met = any_of(words, at)?;
            let closes = words.get(*at) == Some(&")");
            *at += 1;
            closes.then_some(met)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        _ => {
            // An exception only adds permissions to the licence before it.
            if words.get(*at) == Some(&"WITH") {
                *at += 2;
            }
            Some(ALLOWED.contains(&word))
        }
    }
}

#[test]
fn an_expression_is_met_by_allowed_licences_alone_or_not_at_all() {
    for (expression, met) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", true),
        ("GPL-3.0-only OR MIT AND MPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("", false),
        ("MIT OR", false),
        ("(MIT", false),
        ("MIT Apache-2.0", false),
    ] {
        assert_eq!(is_allowed(expression), met, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_the_project_can_keep() {
    let metadata = metadata();
    let mut findings = Vec::new();
    let mut reviewed_seen = 0;
    for package in metadata["packages"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or_default();
        if REVIEWED.iter().any(|(reviewed, terms, _)| *reviewed == name && *terms == licence) {
            reviewed_seen += 1;
        } else if !is_allowed(licence) {
            findings.push(format!("{name} {}: licence `{licence}`", package["version"]));
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    assert!(reviewed_seen >= REVIEWED.len(), "a package of REVIEWED is gone or changed its licence");
}
