//! The log is the truth: bodies and facts, appended, synced, recovered. Everything else is an effect or a view.

mod disk;
mod facts;
mod folder_disk;
mod group;
#[expect(clippy::module_inception, reason = "the folder holds the log and what stands around it")]
mod log;
mod packages;
mod reader;
mod writer;

pub use disk::{Disk, DiskFile, Space, read_file, replace_file};
pub use facts::{COMMIT_RECORDS_MAX, FactIndex, FactWrite, Facts, Position};
pub use folder_disk::FolderDisk;
pub use group::{Answer, Group, Job};
pub use log::{Compacted, GROUP_BYTES, Listed, Log, LogError, LogOptions, Place, Recovery, SEGMENT_BYTES, Write};
pub use packages::{Handle, Held, PackageIndex, Packages, Taken};
pub use reader::{LogReader, ReadError, ReadRecord};
pub use writer::{
    FactWriter, Journal, OnFatal, PackageRequest, PackageWriter, Reserve, WriteError, Writer, WriterStats,
};
