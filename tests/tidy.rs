//! Rules about the sources themselves: floors, lengths, words that have no place in `src/`, links of the documents.
//!
//! Every rule is a function of (path, text), so that each is shown here to find what it looks for; the tests called
//! `the_project_...` then hold the project to it. Paths are relative to the project and use `/`.

mod code;
mod floors;
mod links;
mod modules;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the project").to_owned()
}

/// Every text file of the project by its path, without what is built, hidden or golden.
fn texts() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let root = project();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().expect("file names of the project are UTF-8").to_owned();
            if path.is_dir() {
                let is_hidden = name.starts_with('.') && name != ".ci";
                // A folder of build output says so itself, whatever its name.
                // Data of nodes that were run here: `muster-data`, `muster-chaos`.
                let is_data = name.starts_with("muster-");
                let is_built = name == "target" || path.join("CACHEDIR.TAG").exists();
                if !is_hidden && !is_data && !is_built && name != "golden" {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(path, text);
            }
        }
    }
    found
}

/// The Rust files among [`texts`].
fn sources() -> BTreeMap<String, String> {
    texts().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// Fails with one line per finding.
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_project_is_read_whole() {
    let texts = texts();
    for path in ["Cargo.toml", "src/lib.rs", "actors/main.rs", "simulations/lib.rs", "tests/tidy.rs", ".ci/run"] {
        assert!(texts.contains_key(path), "{path}");
    }
    assert!(!texts.keys().any(|path| path.starts_with("target/")));
}
