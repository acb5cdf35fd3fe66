//! The recognition rules: those built in, those imported, or those that the configuration names.

use std::path::{Path, PathBuf};

use muster::config::library::{Library, read_library, standard_libraries};
use muster::config::{ConfigError, Document};
use tracing::error;

/// Where recognition rules are written down; they are read at each reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFiles {
    /// Recognition rules instead of those built in.
    pub recognition: Option<PathBuf>,
    /// Where recognition rules stand that were imported, once they were.
    pub imported: PathBuf,
}

/// Why rules do not read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read.
    #[error("cannot read `{}` ({option})", path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl RuleFiles {
    /// The file of the recognition rules; `None`: those built in.
    pub fn rules(&self) -> Option<&Path> {
        let imported = Some(self.imported.as_path()).filter(|path| path.exists());
        self.recognition.as_deref().or(imported)
    }

    /// Reads the files.
    pub fn read(&self) -> Result<Library, RulesError> {
        let text = |path: &Path, option| {
            std::fs::read_to_string(path).map_err(|source| {
                let path = path.to_path_buf();
                RulesError::File { option, path, source }
            })
        };
        Ok(match self.rules() {
            Some(path) => {
                let text = text(path, "import.recognition_file")?;
                match read_library(&[Document { text: &text, file: &path.display().to_string() }]) {
                    Ok(library) => library,
                    Err(error) if self.recognition.is_some() => return Err(error.into()),
                    // Another version took it, and this one must start all the same.
                    Err(error) => {
                        error!(%error, "the imported rules do not read, those built in are in force");
                        read_library(&standard_libraries())?
                    }
                }
            }
            None => read_library(&standard_libraries())?,
        })
    }
}
