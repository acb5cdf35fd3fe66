//! What a reconcile of a server found, as it is kept.

use serde::{Deserialize, Serialize};

use super::position::Position;
use crate::id::Digest;
use crate::model::day::Day;
use crate::model::software::ApplicationId;
use crate::time::Timestamp;

/// Warnings that are kept of one run; all of them are in its folder.
pub const WARNINGS_MAX: usize = 1_000;

/// An application and on how many devices it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The application.
    pub application: ApplicationId,
    /// Devices.
    pub devices: u64,
    /// Of these, those on which no licence took it, though one would have to.
    pub unlicensed: u64,
}

/// The position of one licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicencePosition {
    /// Id of the licence.
    pub license: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The operator's word for its status; blank: none.
    pub manual_status: Box<str>,
    /// Why that is its status.
    pub why: Box<str>,
    /// The figures.
    pub position: Position,
}

/// Something that is to be said of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWarning {
    /// Its code.
    pub code: Box<str>,
    /// The licence that it is about.
    pub license: Option<Box<str>>,
    /// What it is about.
    pub subject: Box<str>,
}

/// Value of a `FactKey::Run`: immutable once it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number within its tenant, from 1 on.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The day that entitlements were judged by.
    pub as_of: Day,
    /// Devices of the fleet.
    pub devices: u64,
    /// Pairs of application and device.
    pub installations: u64,
    /// Distinct titles of the fleet.
    pub titles: u64,
    /// Of these, those that no rule knows.
    pub unrecognised: u64,
    /// Of these, those that rules ignore: parts of other products.
    pub ignored: u64,
    /// Every application that is installed, ascending.
    pub installed: Vec<Installed>,
    /// The position of every licence, ascending.
    pub positions: Vec<LicencePosition>,
    /// The first [`WARNINGS_MAX`] warnings.
    pub warnings: Vec<RunWarning>,
    /// How many there are.
    pub warned: u64,
    /// Digest of the manifest of the run's folder, from which it can be calculated again.
    pub manifest: Digest,
}
