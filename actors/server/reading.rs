//! Reads a held package: its bytes checked against their digest, inflated and parsed within the limits of the contract.

use std::cell::Cell;
use std::io::{self, BufRead};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use muster::formats::ndi::{NdiError, read_ndi_gz};
use muster::id::{Digest, Guid, TenantId};
use muster::model::inventory::Inventory;
use muster::model::package::{Envelope, Hop, Kind, PackageKey};
use muster::model::stored;
use muster::roles::server::Content;
use rustix::time::{ClockId, clock_gettime};
use tracing::{error, warn};

use crate::errors::Chain;
use crate::log::{Handle, Held, PackageIndex, ReadError};

/// CPU time that one package may take. Source: delivery contract, section 7, import work.
const CPU_SECS_MAX: i64 = 10;
/// Compressed bytes between two looks at the CPU clock.
const LOOK_EVERY_BYTES: usize = 16 << 10;

/// Reads the packages of one node.
#[derive(Clone)]
pub struct Reading {
    /// What is held.
    pub packages: PackageIndex,
    /// This node, for packages whose envelope is lost.
    pub node: Guid,
}

/// What a package turned out to be.
#[derive(Debug)]
pub enum Read {
    /// Its envelope, and what its bytes say.
    Package(Envelope, Content),
    /// A kind that this version does not read.
    NoReader(Envelope),
    /// It is held no longer.
    Gone,
    /// The disk failed; it may answer later.
    Failed,
}

impl Reading {
    /// The tenant and key of a held package.
    pub fn key(held: &Held) -> Option<(TenantId, PackageKey)> {
        PackageKey::decode(&held.key)
    }

    /// The held package with this handle.
    pub fn held(&self, handle: Handle) -> Option<Held> {
        let before = handle.0.checked_sub(1).map(Handle);
        self.packages.after(before, 1).into_iter().find(|held| held.handle == handle)
    }

    /// Reads a package. Blocks on the disk and on the parser.
    pub fn read(&self, handle: Handle) -> Read {
        let Some(held) = self.held(handle) else { return Read::Gone };
        let Some((_, key)) = Reading::key(&held) else { return Read::Gone };
        let record = match self.packages.read(handle) {
            None => return Read::Gone,
            Some(Ok(record)) => record,
            Some(Err(ReadError::Disk { segment, source })) => {
                warn!(segment, error = %source, "a held package cannot be read now");
                return Read::Failed;
            }
            Some(Err(error)) => {
                error!(package = %key.digest, error = %Chain(&error), "a held package is damaged on this node's disk");
                return self.damaged(&held, key, "its bytes on the server's disk are damaged");
            }
        };
        let Ok(envelope) = stored::unpack::<Envelope>(&record.head) else {
            return self.damaged(&held, key, "its envelope does not read");
        };
        if Digest::of(&record.body) != envelope.digest || envelope.key() != key {
            return Read::Package(envelope, Content::Bad("its bytes are not the ones that were received".into()));
        }
        if envelope.kind != Kind::Inventories {
            return Read::NoReader(envelope);
        }
        // A fault of ours in a reader must cost one package, not the server.
        let content = catch_unwind(AssertUnwindSafe(|| inventory(&record.body))).unwrap_or_else(|_| {
            error!(package = %key.digest, "reading this package panicked: please report it with the package");
            Content::Bad("this version of muster cannot read it, which is a fault of muster".into())
        });
        Read::Package(envelope, content)
    }

    fn damaged(&self, held: &Held, key: PackageKey, why: &str) -> Read {
        let PackageKey { origin, kind, digest } = key;
        let envelope = Envelope {
            origin,
            kind,
            stream: None,
            file_name: "".into(),
            size: u64::from(held.body_bytes),
            digest,
            sequence: None,
            collected_at: None,
            first_received: held.time,
            unproven: true,
            hops: vec![Hop { node: self.node, received: held.time }],
        };
        Read::Package(envelope, Content::Bad(why.into()))
    }
}

/// What an inventory package says.
fn inventory(body: &[u8]) -> Content {
    let spent = Rc::new(Cell::new(false));
    let budget =
        CpuBudget { inner: body, left: LOOK_EVERY_BYTES, until: cpu_secs() + CPU_SECS_MAX, spent: spent.clone() };
    let read = read_ndi_gz(budget);
    if spent.get() {
        return Content::Bad(format!("reading it takes more than {CPU_SECS_MAX} s of CPU time"));
    }
    let (file, findings) = match read {
        Ok(read) => read,
        Err(error) => return Content::Bad(reason(&error)),
    };
    for finding in &findings {
        tracing::debug!(%finding, "a part of an inventory was left out or cut");
    }
    match Inventory::of(&file) {
        Ok(inventory) => Content::Inventory(Box::new(inventory)),
        Err(error) => Content::Bad(error.to_string()),
    }
}

fn reason(error: &NdiError) -> String {
    Chain(error).to_string()
}

/// Seconds of CPU this thread has used.
fn cpu_secs() -> i64 {
    clock_gettime(ClockId::ThreadCPUTime).tv_sec
}

/// Ends a reading that takes too long.
struct CpuBudget<'b> {
    inner: &'b [u8],
    left: usize,
    until: i64,
    spent: Rc<Cell<bool>>,
}

impl BufRead for CpuBudget<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            if cpu_secs() > self.until {
                self.spent.set(true);
                return Err(io::Error::other("the CPU time for one package is used up"));
            }
            self.left = LOOK_EVERY_BYTES;
        }
        Ok(&self.inner[..self.inner.len().min(self.left)])
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes;
        self.inner = &self.inner[bytes..];
    }
}

impl io::Read for CpuBudget<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let bytes = available.len().min(into.len());
        into[..bytes].copy_from_slice(&available[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::formats::gzip;

    #[test]
    fn bad_content_is_told_with_its_reason() {
        for (body, part) in [
            (gzip::compress(b"<Inventory"), "inventory XML is refused"),
            (b"\x1f\x8bnonsense".to_vec(), "inventory gzip is refused"),
            (gzip::compress(b"<Policy/>"), "the root element is `Policy`"),
            (gzip::compress(b""), "inventory XML is refused"),
        ] {
            let Content::Bad(why) = inventory(&body) else { panic!("{part}") };
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn the_budget_passes_all_bytes_and_ends_when_it_is_spent() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let budget = |until| CpuBudget { inner: &bytes, left: LOOK_EVERY_BYTES, until, spent: Rc::default() };
        let mut out = Vec::new();
        io::Read::read_to_end(&mut budget(i64::MAX), &mut out).unwrap();
        assert_eq!(out, bytes);
        let mut spent = budget(-1);
        assert!(io::Read::read_to_end(&mut spent, &mut Vec::new()).is_err());
        assert!(spent.spent.get());
    }
}
