//! `muster-sim custody`: puts packages into the custody of a node that does not run, through the node's own log, so that
//! its start with many of them can be seen. Each has an origin of its own, as in a fleet.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use muster::formats::wire::UploadHead;
use muster::formats::wire::upload_name;
use muster::id::{Guid, TenantId};
use muster::model::stored;
use muster::rng::{RngStream, mix};
use muster::time::Timestamp;
use muster::upload::admission;
use muster_actors::clock::{Clock, WallClock};
use muster_actors::command::Failure;
use muster_actors::log::{Disk, FolderDisk, GROUP_BYTES, LogError, Packages, Reserve, SEGMENT_BYTES};
use muster_actors::node::{FolderError, Logs, LogsError, NodeFolder};
use serde_json::json;

use crate::bodies::{Bodies, SIZE_MIN};

/// Packages of one group, as many as a node takes into one.
const GROUP: u64 = 256;

/// Options of `muster-sim custody`.
#[derive(Debug, clap::Args)]
pub struct CustodyArgs {
    /// The data folder of a beacon or server that does not run; made when it is missing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many to put there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    packages: u64,
    /// Bytes of each.
    #[arg(long, value_name = "BYTES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(SIZE_MIN as i64..=32 << 20))]
    size: u32,
    /// Whose packages they are.
    #[arg(long, default_value = "default")]
    tenant: String,
}

/// Why the packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// `--tenant`.
    #[error("--tenant `{0}`: a tenant has 1 to 40 letters, digits, `-` or `_`")]
    Tenant(String),
    /// `--data`.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The node's logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The package log's folder.
    #[error("cannot open the folder `{}`", path.display())]
    Packages {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The package log.
    #[error("cannot write the package log in `{}`", path.display())]
    Log {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: LogError,
    },
}

impl From<CustodyError> for Failure {
    fn from(error: CustodyError) -> Failure {
        match error {
            CustodyError::Tenant(_) | CustodyError::Folder(_) => Failure::usage(&error),
            _ => Failure::work(&error),
        }
    }
}

/// Puts them there, and prints one JSON line.
pub fn run(args: CustodyArgs) -> Result<(), Failure> {
    let held = take(&args)?;
    println!("{}", json!({ "packages": args.packages, "held": held.0, "bytes": held.1 }));
    Ok(())
}

fn take(args: &CustodyArgs) -> Result<(usize, u64), CustodyError> {
    let tenant: TenantId = args.tenant.parse().map_err(|_| CustodyError::Tenant(args.tenant.clone()))?;
    let folder = Arc::new(NodeFolder::open(&args.data)?);
    let node = identity(folder.clone())?;
    let path = folder.path().join("packages");
    let disk = FolderDisk::open(&path).map_err(|source| CustodyError::Packages { path: path.clone(), source })?;
    let now = WallClock.now();
    let seed = mix(now.0 as u64, std::process::id().into());
    fill(Arc::new(disk), SEGMENT_BYTES, seed, Given { node, tenant, now }, args.packages, args.size as usize)
        .map_err(|source| CustodyError::Log { path, source })
}

/// The node's own, made by its logs when it never ran.
fn identity(folder: Arc<NodeFolder>) -> Result<Guid, CustodyError> {
    let no_reserve = Reserve { bytes: 0, percent: 0 };
    let (logs, threads) =
        Logs::open(folder, Arc::new(WallClock), no_reserve, muster_actors::command::exit_when_fatal())?;
    let node = logs.node;
    drop(logs);
    threads.join();
    Ok(node)
}

/// Who takes the packages, whose they are, and when.
pub struct Given {
    /// The holder.
    pub node: Guid,
    /// Whose they are.
    pub tenant: TenantId,
    /// When they came.
    pub now: Timestamp,
}

/// Holds `packages` bodies of `size` bytes in the log on `disk`; gives how many it holds then and their bytes.
pub fn fill(
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    seed: u64,
    given: Given,
    packages: u64,
    size: usize,
) -> Result<(usize, u64), LogError> {
    let (mut log, _) = Packages::open(disk, segment_bytes, seed)?;
    let (mut bodies, mut agents) = (Bodies::new(size, seed), RngStream::new(seed, 1, 0));
    let file = "root%20on%20web07%20at%2020250314T031522%20(Full).ndi.gz";
    let name = upload_name("Inventories", file).expect("a name as agents give it");
    for number in 1..=packages {
        let body = bodies.make();
        let head = UploadHead {
            agent: Some(Guid::from_random(agents.bytes())),
            stream: Some("Inventories/root/Full".into()),
            sequence: Some((7, 1)),
            ..UploadHead::default()
        };
        let envelope = admission::envelope(head, name.clone(), size as u64, body.digest, given.now, given.node);
        let key = envelope.key().encode(&given.tenant);
        log.hold(given.now, key.into(), Bytes::from(stored::pack(&envelope)), body.whole())?;
        if number.is_multiple_of(GROUP) || log.pending_bytes() as usize >= GROUP_BYTES || number == packages {
            log.sync()?;
        }
    }
    Ok(log.index().totals())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn given() -> Given {
        Given { node: Guid::NIL, tenant: "default".parse().unwrap(), now: Timestamp(1_700_000_000_000) }
    }

    #[test]
    fn a_start_reads_no_bodies_of_sealed_segments() {
        let (disk, segment_bytes) = (SimDisk::default(), 256 << 10);
        let (held, bytes) = fill(Arc::new(disk.clone()), segment_bytes, 7, given(), 2_000, 2_000).unwrap();
        let before = disk.read_bytes();
        let (packages, recovery) = Packages::open(Arc::new(disk.clone()), segment_bytes, 8).unwrap();
        assert_eq!(packages.index().totals(), (held, bytes));
        assert_eq!(held, 2_000);
        assert_eq!(recovery.scanned, 1, "{recovery:?}");
        let last = disk.files().last_key_value().unwrap().1.len() as u64;
        let read = disk.read_bytes() - before - last;
        // Footers: about 110 bytes for each package, a key of 77 among them.
        assert!(read < held as u64 * 150, "{read} bytes were read beside the {last} of the last segment, of {bytes}");
    }

    #[test]
    fn a_node_starts_with_what_was_put_into_its_custody() {
        let data = tempfile::tempdir().unwrap();
        let args = |packages| CustodyArgs { data: data.path().into(), packages, size: 64, tenant: "default".into() };
        assert_eq!(take(&args(30)).unwrap(), (30, 30 * 64));
        assert_eq!(take(&args(12)).unwrap(), (42, 42 * 64));
        let no_reserve = Reserve { bytes: 0, percent: 0 };
        let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
        let (logs, _threads) =
            Logs::open(NodeFolder::open(data.path()).unwrap(), Arc::new(WallClock), no_reserve, no_fatal).unwrap();
        assert_eq!(logs.package_index.totals().0, 42);
        let tenant = CustodyArgs { tenant: "a b".into(), ..args(1) };
        assert_eq!(Failure::from(take(&tenant).unwrap_err()).exit, 2);
    }
}
