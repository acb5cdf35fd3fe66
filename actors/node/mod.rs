//! What every node has: a data folder of its own, an identity, two logs with their writer threads.

pub mod folder;
pub mod logs;
pub mod unsettled;

pub use folder::{FolderError, NodeFolder};
pub use logs::{LogThreads, Logs, LogsError};
pub use unsettled::Unsettled;
