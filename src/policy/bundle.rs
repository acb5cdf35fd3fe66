//! The files that agents may download, as one bundle with a revision. A beacon keeps what its parent gave it and cannot
//! change it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, shorten};

/// Most files of one bundle.
pub const FILES_MAX: usize = 1_000;
/// Most bytes of all files of one bundle.
pub const BUNDLE_BYTES_MAX: usize = 4 << 20;
/// Most bytes of a file's path.
const PATH_BYTES_MAX: usize = 200;

/// Why a bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Too many files or bytes.
    #[error("a policy bundle has at most {FILES_MAX} files and {BUNDLE_BYTES_MAX} bytes")]
    Large,
    /// A path that is none below a download folder.
    #[error("`{0}` is no path of a policy file: folder/name, without `..`")]
    Path(String),
    /// The revision is not that of these files.
    #[error("the policy bundle names revision `{named}`, its files have `{found}`")]
    Revision {
        /// What it says.
        named: String,
        /// What it is.
        found: String,
    },
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyBundle {
    revision: String,
    files: BTreeMap<String, String>,
}

impl PolicyBundle {
    /// A bundle of `files`: path (`Policies/default.npl`) to text.
    pub fn new(files: BTreeMap<String, String>) -> Result<PolicyBundle, BundleError> {
        let bundle = PolicyBundle { revision: revision(&files), files };
        bundle.check()?;
        Ok(bundle)
    }

    /// Checks a bundle that came from outside.
    pub fn check(&self) -> Result<(), BundleError> {
        let bytes: usize = self.files.iter().map(|(path, text)| path.len() + text.len()).sum();
        if self.files.len() > FILES_MAX || bytes > BUNDLE_BYTES_MAX {
            return Err(BundleError::Large);
        }
        for path in self.files.keys() {
            let parts: Vec<&str> = path.split('/').collect();
            let plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
            if parts.len() != 2 || path.len() > PATH_BYTES_MAX || !parts.iter().all(plain) {
                return Err(BundleError::Path(shorten(path)));
            }
        }
        let found = revision(&self.files);
        if found != self.revision {
            return Err(BundleError::Revision { named: shorten(&self.revision), found });
        }
        Ok(())
    }

    /// Its revision, the ETag of the bundle.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }
}

fn revision(files: &BTreeMap<String, String>) -> String {
    // Lengths in front, so that no two bundles give the same bytes.
    let mut bytes = Vec::new();
    for text in files.iter().flat_map(|(path, text)| [path, text]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    Digest::of(&bytes).to_string()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
    }

    #[test]
    fn a_bundle_is_its_files_and_cannot_be_changed_on_the_way() {
        let bundle = PolicyBundle::new(files(&[("Policies/a.npl", "<a/>")])).unwrap();
        assert_eq!(bundle.file("Policies/a.npl"), Some("<a/>"));
        let json = serde_json::to_string(&bundle).unwrap();
        assert_eq!(serde_json::from_str::<PolicyBundle>(&json).unwrap(), bundle);
        let changed: PolicyBundle = serde_json::from_str(&json.replace("<a/>", "<b/>")).unwrap();
        assert!(matches!(changed.check(), Err(BundleError::Revision { .. })));
        assert_ne!(PolicyBundle::new(files(&[("Policies/a.np", "l<a/>")])).unwrap().revision(), bundle.revision());
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["a", "/a", "a/", "../a", "a/..", "a/b/c", "a/.b", "a\\b/c"] {
            assert!(matches!(PolicyBundle::new(files(&[(path, "")])), Err(BundleError::Path(_))), "{path}");
        }
    }
}
