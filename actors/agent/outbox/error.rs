//! Why the outbox does not do what it is asked.

use std::io;
use std::path::PathBuf;

use muster::formats::wire::BODY_BYTES_MAX;

/// Why the outbox did not do it. The queue is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A folder cannot be used.
    #[error("cannot use the agent's folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written and synced.
    #[error("cannot store `{name}`: make room or mend the rights of the data folder, the report is collected again")]
    Write {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A queued file cannot be read.
    #[error("cannot read the queued file `{name}`")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A queued file is not the published one.
    #[error("the queued file `{name}` is not the one that was published")]
    Damaged {
        /// The file.
        name: String,
    },
    /// No receiver takes so much.
    #[error("a report of {bytes} bytes is too large, receivers take {BODY_BYTES_MAX}")]
    TooLarge {
        /// Its size when compressed.
        bytes: u64,
    },
    /// It left the queue already.
    #[error("the package is not queued any more")]
    Gone,
    /// The actor that asks has been built anew since.
    #[error("an earlier life of the agent asks, it is not heard any more")]
    Outdated,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] rand::rngs::SysError),
}
