//! The recognition rules as their files say now.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use muster::config::library::Library;
use muster::model::software::ApplicationId;
use muster::reconcile::{Recogniser, RecogniserError};
use serde_json::{Value, json};
use tracing::warn;

use super::Api;
use super::problem::Problem;
use super::remembered::Remembered;
use crate::errors::Chain;
use crate::server::licensing::RulesError;

/// A file's time of change and length; `None` for one that is missing or not named.
type Stamp = Option<(SystemTime, u64)>;

/// The rules, by the stamp of their file.
pub type Recognitions = Remembered<Stamp, Arc<Recognition>>;

/// Rules, ready to recognise.
pub struct Recognition {
    /// As read.
    pub library: Library,
    /// Indexed.
    pub recogniser: Recogniser,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// Their files.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Their index.
    #[error(transparent)]
    Recogniser(#[from] RecogniserError),
}

impl From<RecognitionError> for Problem {
    fn from(error: RecognitionError) -> Problem {
        Problem::internal("rules", Chain(&error).to_string())
    }
}

fn stamp(path: Option<&Path>) -> Stamp {
    let file = std::fs::metadata(path?).ok()?;
    Some((file.modified().ok()?, file.len()))
}

impl Api {
    /// The rules; when their files are broken now, those that were good before.
    pub(super) fn recognition(&self) -> Result<Arc<Recognition>, RecognitionError> {
        let stamp = stamp(self.files.rules());
        let read = self.kept.recognition.get(stamp, || {
            let library = self.files.read()?;
            let recogniser = Recogniser::new(library.rules().iter().cloned())?;
            Ok::<_, RecognitionError>(Arc::new(Recognition { library, recogniser }))
        });
        read.or_else(|error| match self.kept.recognition.last() {
            Some(last) => {
                warn!(error = %Chain(&error), "the rules do not read, answers go by those before");
                Ok(last)
            }
            None => Err(error),
        })
    }
}

impl Recognition {
    /// An application as every answer shows it; of one that the library has no more only the id.
    pub fn application(&self, id: &ApplicationId) -> Value {
        let application = self.library.application(id);
        json!({
            "id": id.as_str(),
            "name": application.map(|application| application.name()),
            "publisher": application.map(|application| &*application.publisher),
            "version": application.map(|application| &*application.version),
            "edition": application.map(|application| &*application.edition),
            "classification": application.map(|application| application.classification.as_str()),
            "licensable": application.map(|application| application.licensable),
        })
    }
}
