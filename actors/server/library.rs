//! The import of a recognition library: a file that is signed by its digest takes the place of the rules in force, whole or
//! not at all.
//!
//! ```text
//! DATA/libraries/recognition.toml               the rules in force; without it those built in
//! DATA/libraries/incoming/recognition.toml      looked for when a task names no file
//! DATA/libraries/incoming/recognition.toml.taken    what was imported from there last
//! DATA/libraries/incoming/recognition.toml.sha256   its digest, as `sha256sum` writes it
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use muster::config::document::DOCUMENT_BYTES_MAX;
use muster::config::library::{Library, read_library, standard_libraries};
use muster::config::{ConfigError, Document};
use muster::id::{Digest, IdError};
use muster::model::recognition::Rule;
use muster::model::software::{Application, ApplicationId};
use muster::reconcile::{Recogniser, RecogniserError};

use super::licensing::RuleFiles;

/// Longest file with a digest.
const DIGEST_BYTES_MAX: u64 = 4 << 10;

/// Why a library is not imported.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Rules are named by the configuration.
    #[error("`import.recognition_file` of server.toml names the rules: leave it empty to import others")]
    Configured,
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No digest.
    #[error("`{}` has no digest: give sha256=..., or put a file of that name and `.sha256` beside it", path.display())]
    Unsigned {
        /// The library.
        path: PathBuf,
    },
    /// The digest is none.
    #[error("the digest of the library")]
    Digest(#[from] IdError),
    /// Another file than was meant.
    #[error("`{}` has the digest {found}, and {expected} is expected: it is not the file that was meant", path.display())]
    Other {
        /// The library.
        path: PathBuf,
        /// What it has.
        found: Digest,
        /// What was said.
        expected: Digest,
    },
    /// No text.
    #[error("`{}` is no UTF-8", path.display())]
    Text {
        /// The library.
        path: PathBuf,
    },
    /// It does not read.
    #[error(transparent)]
    Content(#[from] ConfigError),
    /// Its rules do not hold together.
    #[error(transparent)]
    Rules(#[from] RecogniserError),
}

/// What an import changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibraryChange {
    /// Applications that are new, are described otherwise, and are gone.
    pub applications: [usize; 3],
    /// Rules that are new, decide otherwise, and are gone; by their names.
    pub rules: [usize; 3],
}

impl LibraryChange {
    fn between(old: &Library, new: &Library) -> LibraryChange {
        fn compare<K: Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> [usize; 3] {
            let added = new.keys().filter(|key| !old.contains_key(key)).count();
            let changed = new.iter().filter(|(key, value)| old.get(key).is_some_and(|before| before != *value)).count();
            let removed = old.keys().filter(|key| !new.contains_key(key)).count();
            [added, changed, removed]
        }
        let applications = |library: &Library| -> BTreeMap<ApplicationId, Application> {
            library.applications().iter().map(|application| (application.id.clone(), application.clone())).collect()
        };
        let rules = |library: &Library| -> BTreeMap<String, Rule> {
            library.rules().iter().map(|rule| (rule.id.as_str().to_owned(), rule.clone())).collect()
        };
        LibraryChange {
            applications: compare(&applications(old), &applications(new)),
            rules: compare(&rules(old), &rules(new)),
        }
    }

    /// Whether nothing changed.
    pub fn is_none(&self) -> bool {
        *self == LibraryChange::default()
    }
}

impl std::fmt::Display for LibraryChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [added, changed, removed] = self.applications;
        write!(f, "applications: {added} added, {changed} changed, {removed} removed; ")?;
        let [added, changed, removed] = self.rules;
        write!(f, "rules: {added} added, {changed} changed, {removed} removed")
    }
}

/// Imports `file`, or what has come in; `None` when nothing has.
pub(super) fn import_library(
    files: &RuleFiles,
    data: &Path,
    file: Option<&Path>,
    digest: Option<Digest>,
) -> Result<Option<LibraryChange>, LibraryError> {
    if files.recognition.is_some() {
        return Err(LibraryError::Configured);
    }
    let incoming = data.join("libraries/incoming/recognition.toml");
    let path = match file {
        Some(file) => PathBuf::from(file),
        None if incoming.exists() => incoming.clone(),
        None => return Ok(None),
    };
    let bytes = read(&path, DOCUMENT_BYTES_MAX as u64)?;
    let expected: Digest = match digest {
        Some(digest) => digest,
        None => beside(&path)?.parse()?,
    };
    let found = Digest::of(&bytes);
    if found != expected {
        return Err(LibraryError::Other { path, found, expected });
    }
    let text = String::from_utf8(bytes).map_err(|_| LibraryError::Text { path: path.clone() })?;
    let new = read_library(&[Document { text: &text, file: &path.display().to_string() }])?;
    Recogniser::new(new.rules().iter().cloned())?;
    let in_force = files.imported.clone();
    let old = match in_force.exists() {
        true => {
            let old = String::from_utf8_lossy(&read(&in_force, u64::MAX)?).into_owned();
            // One that an older version took and this one does not understand is replaced whole.
            read_library(&[Document { text: &old, file: "the rules in force" }]).unwrap_or_default()
        }
        false => read_library(&standard_libraries())?,
    };
    let change = LibraryChange::between(&old, &new);
    if !change.is_none() {
        replace(&in_force, text.as_bytes())?;
    }
    if path == incoming {
        // Taken once: a later import of another file must not be undone by it.
        let failed = |source| LibraryError::Write { path: path.clone(), source };
        fs::rename(&path, path.with_extension("toml.taken")).map_err(failed)?;
    }
    Ok(Some(change))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, LibraryError> {
    let failed = |source| LibraryError::Read { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, why)));
    }
    Ok(bytes)
}

/// The digest in the file beside a library, which is its first word.
fn beside(path: &Path) -> Result<String, LibraryError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    let signed = PathBuf::from(name);
    if !signed.exists() {
        return Err(LibraryError::Unsigned { path: path.to_path_buf() });
    }
    let text = read(&signed, DIGEST_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&text).split_whitespace().next().unwrap_or_default().to_owned())
}

/// Puts `bytes` in the place of a file: a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LibraryError> {
    let replaced = || {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    };
    replaced().map_err(|source| LibraryError::Write { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::model::software::{Title, TitleId};

    const FIRST: &str = "[[application]]\nid = \"one\"\npublisher = \"P\"\nproduct = \"One\"\n\
                         rules = [{ name = \"one\" }, { name = \"uno\" }]\n";

    #[test]
    fn what_installers_report_is_recognised_as_one_application() {
        let library = read_library(&standard_libraries()).unwrap();
        let recogniser = Recogniser::new(library.rules().iter().cloned()).unwrap();
        let examples = include_str!("../../tests/golden/recognition/examples.txt").lines();
        for example in examples.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = example.split('|').map(str::trim).collect();
            let [name, version, publisher, evidence, expected] = fields[..] else { panic!("{example}") };
            let title = Title::new(name, version, publisher, evidence);
            let recognised = recogniser.recognise_all([(TitleId(1), &title)]);
            let applications: Vec<&str> = recognised.applications(TitleId(1)).map(|(id, _)| id.as_str()).collect();
            let found = match (&applications[..], recognised.ignored().len()) {
                ([], 0) => "unrecognised".to_owned(),
                ([], _) => "ignored".to_owned(),
                (several, _) => several.join(" and "),
            };
            assert_eq!(found, expected, "{example}");
        }
    }

    #[test]
    fn a_library_is_taken_whole_when_its_digest_is_right_and_tells_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let files = RuleFiles { imported: data.join("libraries/recognition.toml"), ..RuleFiles::default() };
        let import = |file: Option<&Path>, digest: Option<Digest>| {
            import_library(&files, data, file, digest).map_err(|error| crate::errors::Chain(&error).to_string())
        };
        assert_eq!(import(None, None), Ok(None), "nothing has come in");
        let incoming = data.join("libraries/incoming/recognition.toml");
        fs::create_dir_all(incoming.parent().unwrap()).unwrap();
        fs::write(&incoming, FIRST).unwrap();
        assert!(import(None, None).unwrap_err().contains("has no digest"));
        let signed = data.join("libraries/incoming/recognition.toml.sha256");
        fs::write(&signed, format!("{}  recognition.toml\n", Digest::of(b"other"))).unwrap();
        assert!(import(None, None).unwrap_err().contains("it is not the file that was meant"));
        assert!(!files.imported.exists(), "nothing was taken");
        fs::write(&signed, format!("{}  recognition.toml\n", Digest::of(FIRST.as_bytes()))).unwrap();
        let change = import(None, None).unwrap().unwrap();
        assert_eq!((change.applications[0], change.rules[0]), (1, 2));
        assert!(change.applications[2] > 10, "those built in are gone: {change}");
        assert_eq!(fs::read_to_string(&files.imported).unwrap(), FIRST);
        assert_eq!(import(None, None), Ok(None), "it was taken");
        fs::rename(incoming.with_extension("toml.taken"), &incoming).unwrap();
        assert!(import(None, None).unwrap().unwrap().is_none(), "the same again changes nothing");

        let second =
            FIRST.replace("\"One\"", "\"First\"").replace(", { name = \"uno\" }", "").replace("\"one\" }", "\"ein\" }");
        let other = data.join("second.toml");
        fs::write(&other, &second).unwrap();
        let change = import(Some(&other), Some(Digest::of(second.as_bytes()))).unwrap().unwrap();
        assert_eq!(change, LibraryChange { applications: [0, 1, 0], rules: [0, 1, 1] });
        assert_eq!(
            change.to_string(),
            "applications: 0 added, 1 changed, 0 removed; rules: 0 added, 1 changed, 1 removed"
        );
        let broken = "[[application]]\nid = 1\n";
        fs::write(&other, broken).unwrap();
        let error = import(Some(&other), Some(Digest::of(broken.as_bytes()))).unwrap_err();
        assert!(error.contains("second.toml:2"), "{error}");
        assert_eq!(fs::read_to_string(&files.imported).unwrap(), second, "what was in force stays");
        let files = RuleFiles { recognition: Some(other), ..files.clone() };
        assert!(matches!(import_library(&files, data, None, None), Err(LibraryError::Configured)));
    }
}
