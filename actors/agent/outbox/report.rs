//! What is to be published, and what its files are called.

use muster::formats::gzip;
use muster::formats::wire;
use muster::model::package::{Kind, Stream};
use muster::roles::meter::upload_name;
use muster::time::Timestamp;

/// Type of the second inventory.
pub const ORACLE: &str = "Oracle";

/// What is to be published.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What it is.
    pub kind: Kind,
    /// Account that collected.
    pub account: &'a str,
    /// Name of the machine.
    pub machine: &'a str,
    /// `Full`, `Hardware`, [`ORACLE`]; empty for usage, logs and discovery.
    pub kind_type: &'a str,
    /// When it was collected.
    pub collected_at: Timestamp,
    /// The file, not compressed. A discovery stays so.
    pub content: &'a [u8],
}

impl Report<'_> {
    /// The bytes of the package.
    pub fn packed(&self) -> Vec<u8> {
        match self.kind {
            Kind::Discovery => self.content.to_vec(),
            _ => gzip::compress(self.content),
        }
    }

    pub(super) fn stream(&self) -> Stream {
        Stream::new(self.kind, &name_part(self.account), self.kind_type)
    }

    /// Its name in the queue, with this stamp. Source: `agent-beacon-batch` reference, section 4.4.
    pub(super) fn file_name(&self, stamp: Timestamp) -> String {
        if self.kind == Kind::UsageData {
            return upload_name(self.machine, stamp);
        }
        if self.kind == Kind::Discovery {
            return format!("{} at {}.disco", name_part(self.machine), stamp.to_stamp());
        }
        let (account, machine) = (name_part(self.account), name_part(self.machine));
        if self.kind == Kind::Logs {
            return format!("{machine} at {}.log.gz", stamp.to_stamp());
        }
        format!("{account} on {machine} at {} ({}).ndi.gz", stamp.to_stamp(), self.kind_type)
    }

    /// The name of the copy that people read.
    pub(super) fn readable_name(&self) -> String {
        format!("{} on {}.ndi", name_part(self.account), name_part(self.machine))
    }
}

/// A part of a file name that receivers take: `..` and a leading dot are escaped too.
fn name_part(text: &str) -> String {
    let part = wire::name_part(text);
    if !part.starts_with('.') && !part.contains("..") {
        return part;
    }
    let mut escaped = part.replace('.', "=2E");
    escaped.truncate(64);
    escaped
}
