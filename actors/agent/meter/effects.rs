//! What the meter needs of a host.

use std::io;
use std::sync::Arc;

use muster::model::usage::Attribution;
use muster::roles::meter::Sample;

/// Lists processes. Called on a thread of its own whose priority is low.
pub trait SampleProcesses: Send + Sync {
    /// All processes now.
    fn sample(&self) -> io::Result<Sample>;

    /// Lets go what is remembered from one sample to the next: there will be none for long.
    fn forget(&self);
}

/// Tells one state of the installation data from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u64);

/// Says which package a program belongs to. Called on the same thread.
pub trait InstallationData: Send + Sync {
    /// Of what is installed now; asked before each sample.
    fn version(&self) -> Version;

    /// Reads it; seconds on a slow disk.
    fn read(&self) -> Arc<dyn Attribution>;
}

/// A host on which nothing is listed.
#[cfg(not(target_os = "linux"))]
pub(super) struct Nothing;

#[cfg(not(target_os = "linux"))]
impl SampleProcesses for Nothing {
    fn sample(&self) -> io::Result<Sample> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn forget(&self) {}
}

#[cfg(not(target_os = "linux"))]
impl InstallationData for Nothing {
    fn version(&self) -> Version {
        Version(0)
    }

    fn read(&self) -> Arc<dyn Attribution> {
        Arc::new(|_: &str| None)
    }
}
