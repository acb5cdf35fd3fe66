//! Reads a held package: its bytes checked against their digest, inflated and parsed within the limits of the contract.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use muster::formats::disco::Disco;
use muster::formats::gzip::Inflate;
use muster::formats::mmi::read_mmi_gz;
use muster::formats::ndi::read_ndi_gz_titles;
use muster::id::{Digest, Guid, TenantId};
use muster::model::business;
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
    /// Whose it is, its envelope, and what its bytes say.
    Package(TenantId, Envelope, Content),
    /// What this version does not read.
    NoReader(TenantId, Envelope),
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
        let Some((tenant, key)) = Reading::key(&held) else { return Read::Gone };
        let record = match self.packages.read(handle) {
            None => return Read::Gone,
            Some(Ok(record)) => record,
            Some(Err(ReadError::Disk { segment, source })) => {
                warn!(segment, error = %source, "a held package cannot be read now");
                return Read::Failed;
            }
            Some(Err(error)) => {
                error!(package = %key.digest, error = %Chain(&error), "a held package is damaged on this node's disk");
                return self.damaged(&held, tenant, key, "its bytes on the server's disk are damaged");
            }
        };
        let Ok(envelope) = stored::unpack::<Envelope>(&record.head) else {
            return self.damaged(&held, tenant, key, "its envelope does not read");
        };
        if Digest::of(&record.body) != envelope.digest || envelope.key() != key {
            let why = "its bytes are not the ones that were received";
            return Read::Package(tenant, envelope, Content::Bad(why.into()));
        }
        let reader = match envelope.kind {
            Kind::Inventories => inventory,
            Kind::IntermediateData if has_ending(&envelope, ".ndi.gz") => inventory,
            Kind::IntermediateData if has_ending(&envelope, ".csv.gz") => business_file,
            Kind::UsageData => usage,
            Kind::Discovery => discovery,
            Kind::Logs => log,
            Kind::ActivityStatus | Kind::ActiveDirectory | Kind::VdiAccess | Kind::IntermediateData => {
                return Read::NoReader(tenant, envelope);
            }
        };
        // A fault of ours in a reader must cost one package, not the server.
        let content = catch_unwind(AssertUnwindSafe(|| reader(&record.body))).unwrap_or_else(|_| {
            error!(package = %key.digest, "reading this package panicked: please report it with the package");
            Content::Bad("this version of muster cannot read it, which is a fault of muster".into())
        });
        match content.has_reader() {
            true => Read::Package(tenant, envelope, content),
            false => Read::NoReader(tenant, envelope),
        }
    }

    fn damaged(&self, held: &Held, tenant: TenantId, key: PackageKey, why: &str) -> Read {
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
        Read::Package(tenant, envelope, Content::Bad(why.into()))
    }
}

/// What a file of another tool holds is for its name to say.
fn has_ending(envelope: &Envelope, ending: &str) -> bool {
    envelope.file_name.to_ascii_lowercase().ends_with(ending)
}

/// What an inventory package says.
fn inventory(body: &[u8]) -> Content {
    match within_budget(body, read_ndi_gz_titles) {
        Ok(file) => match Inventory::of(&file) {
            Ok(inventory) => Content::Inventory(Box::new(inventory)),
            Err(error) => Content::Bad(error.to_string()),
        },
        Err(why) => Content::Bad(why),
    }
}

/// What a usage package says.
fn usage(body: &[u8]) -> Content {
    within_budget(body, read_mmi_gz).map_or_else(Content::Bad, |file| Content::Usage(Box::new(file)))
}

/// What a discovery package says.
fn discovery(body: &[u8]) -> Content {
    let read = |bytes: CpuBudget<'_>| Disco::read(bytes);
    within_budget(body, read).map_or_else(Content::Bad, |file| Content::Discovery(Box::new(file)))
}

/// What a business file says; one bad row is enough, since to take a part of it is for whoever sends it to decide.
fn business_file(body: &[u8]) -> Content {
    let read = |bytes: CpuBudget<'_>| {
        business::check(BufReader::new(Inflate::new(bytes))).map(|head| (head, Vec::<String>::new()))
    };
    within_budget(body, read).map_or_else(Content::Bad, Content::Business)
}

/// A log is kept as it came: that it is whole and within the limits is all that is asked of it.
fn log(body: &[u8]) -> Content {
    let whole =
        |bytes: CpuBudget<'_>| io::copy(&mut Inflate::new(bytes), &mut io::sink()).map(|_| ((), Vec::<String>::new()));
    within_budget(body, whole).map_or_else(Content::Bad, |()| Content::Log)
}

/// What `read` makes of `body`, or why it makes nothing of it.
fn within_budget<'b, T, F: Display, E: Error>(
    body: &'b [u8],
    read: impl FnOnce(CpuBudget<'b>) -> Result<(T, Vec<F>), E>,
) -> Result<T, String> {
    let spent = Rc::new(Cell::new(false));
    let budget =
        CpuBudget { inner: body, left: LOOK_EVERY_BYTES, until: cpu_secs() + CPU_SECS_MAX, spent: spent.clone() };
    let read = read(budget);
    if spent.get() {
        return Err(format!("reading it takes more than {CPU_SECS_MAX} s of CPU time"));
    }
    let (file, findings) = read.map_err(|error| Chain(&error).to_string())?;
    for finding in &findings {
        tracing::debug!(%finding, "a part of a package was left out or cut");
    }
    Ok(file)
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
    fn bad_usage_and_discovery_are_told_with_their_reasons() {
        let readers: [fn(&[u8]) -> Content; 2] = [usage, discovery];
        for (reader, body, part) in [
            (0, gzip::compress(b"<USAGE"), "usage XML is refused"),
            (0, b"<USAGE/>".to_vec(), "usage gzip is refused"),
            (0, gzip::compress(b"<Policy/>"), "the root element is `Policy`"),
            (0, gzip::compress(b"<USAGE VERSION=\"1.00\"/>"), "no `MD` names the machine"),
            (1, b"<Discovery".to_vec(), "discovery XML is refused"),
            (1, gzip::compress(b"<Discovery/>"), "discovery XML is refused"),
            (1, b"<Policy/>".to_vec(), "the root element is `Policy`"),
        ] {
            let Content::Bad(why) = readers[reader](&body) else { panic!("{part}") };
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_business_file_is_told_by_its_rows_and_a_bad_one_with_its_line() {
        let good = business_file(&gzip::compress(b"contract,end\nC-1,2026-12-31\n"));
        let head = business::BusinessHead { kind: business::BusinessKind::Contracts, rows: 1 };
        assert_eq!(good, Content::Business(head));
        for (body, part) in [
            (gzip::compress(b"contract,end\nC-1,\nC-2,soon\n"), "line 3, column `end`: `soon` is no day"),
            (gzip::compress(b"Contract No;Name\n"), "delimiter"),
            (b"\x1f\x8bnonsense".to_vec(), "cannot read the table: gzip member 1 is damaged"),
        ] {
            let Content::Bad(why) = business_file(&body) else { panic!("{part}") };
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
