//! Puts a beacon together: folder, logs, listener, supervised actor.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::web::Data;
use muster::id::{Guid, TenantId};
use muster::model::beacon_status::Endpoint;
use muster::roles::beacon::BeaconSettings;
use tracing::{info, warn};

use super::aside::give_up_rotten;
use super::beacon::{Beacon, BeaconWorld, StopRelaying};
use super::outages::Outages;
use super::parents::ParentRules;
use super::relay::HttpRelay;
use super::upward::{HttpUpward, hand_on, restore_policy};
use crate::clock::SharedClock;
use crate::hierarchy::{Downloads, Gaps, KeepReports, Statuses, downloads, gaps, statuses};
use crate::intake::{self, Gate, Intake, IntakeLimits, ListenError, Listener};
use crate::log::{OnFatal, Reserve};
use crate::node::{FolderError, LogThreads, Logs, LogsError, NodeFolder};
use crate::supervision::{Supervised, supervise};
use crate::upload_client::UploadClient;

/// What a beacon is started with.
#[derive(Clone, Debug)]
pub struct BeaconOptions {
    /// Its data folder.
    pub data: PathBuf,
    /// Its name in reports.
    pub name: String,
    /// Where agents and beacons below upload; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether to listen beyond loopback without TLS.
    pub allow_plain: bool,
    /// Whose packages it carries.
    pub tenant: TenantId,
    /// Base addresses of its parents in order; never empty.
    pub parents: Vec<String>,
    /// Length of a relay cycle in milliseconds.
    pub cycle_ms: i64,
    /// Whether to relay at once when something arrives.
    pub relay_on_arrival: bool,
    /// From one policy question to the next, in milliseconds.
    pub policy_every_ms: i64,
    /// From one status report to the next, in milliseconds.
    pub status_every_ms: i64,
    /// Limits of its listener.
    pub limits: IntakeLimits,
    /// Room that uploads must leave.
    pub reserve: Reserve,
    /// Threads of its listener.
    pub workers: usize,
    /// Whether agents are told of it.
    pub for_agents: bool,
    /// Base address that agents are told; empty for that of the listener.
    pub endpoint: String,
    /// Its site, compared with that of agents.
    pub site: String,
}

/// Why a beacon does not start.
#[derive(Debug, thiserror::Error)]
pub enum BeaconError {
    /// Its data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// Its listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its listener's threads.
    #[error("cannot start the upload listener")]
    Serve(#[source] std::io::Error),
    /// Its HTTP client.
    #[error("cannot make the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// A running beacon.
pub struct RunningBeacon {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who it is.
    pub node: Guid,
    /// The logs, for those in the same process.
    pub logs: Logs,
    listener: Listener,
    pub(super) beacon: Supervised<Beacon>,
    threads: LogThreads,
}

/// Starts a beacon on this arbiter.
pub async fn start(
    options: BeaconOptions,
    clock: SharedClock,
    on_fatal: OnFatal,
) -> Result<RunningBeacon, BeaconError> {
    let socket = intake::bind(options.listen, "listen", options.allow_plain)?;
    let folder = NodeFolder::open(&options.data)?;
    let path = folder.path().to_path_buf();
    let (logs, threads) = Logs::open(folder, clock.clone(), options.reserve, on_fatal.clone())?;
    let client = UploadClient::new().map_err(BeaconError::Client)?;
    let (given, below) = (Data::new(Downloads::of(logs.node)), Data::new(Statuses::new(logs.node, clock.clone())));
    let gap_reports = Data::new(Gaps::new(logs.node));
    if let Some(policy) = restore_policy(&path) {
        hand_on(&given, policy, logs.node);
    }
    let endpoint = endpoint(&options, &socket);
    let own = own_addresses(&options, &socket);
    let parents = Arc::new(ParentRules::new(options.parents.clone(), own, options.allow_plain));
    let in_force = parents.in_force(given.policy().as_ref(), logs.node);
    let outages: Arc<Outages> = Arc::default();
    let upward = HttpUpward {
        node: logs.node,
        tenant: options.tenant.clone(),
        name: options.name.clone(),
        folder: path,
        logs: logs.clone(),
        clock: clock.clone(),
        parents,
        client: client.http().clone(),
        downloads: given.clone(),
        statuses: below.clone(),
        gaps: gap_reports.clone(),
        endpoint,
        refused_policies: Arc::default(),
        outages: outages.clone(),
        gaps_turn: Arc::default(),
        told: Arc::default(),
    };
    let settings = BeaconSettings {
        parents: in_force,
        cycle_ms: options.cycle_ms,
        relay_on_arrival: options.relay_on_arrival,
        policy_every_ms: options.policy_every_ms,
        status_every_ms: options.status_every_ms,
    };
    let world = BeaconWorld {
        logs: logs.clone(),
        tenant: options.tenant.clone(),
        clock: clock.clone(),
        relay: Arc::new(HttpRelay::new(logs.clone(), clock.clone(), client, outages)),
        upward: Arc::new(upward),
        settings: Arc::new(settings),
    };
    let give_up = Rc::new(move |reason: &str| on_fatal(reason));
    let beacon = supervise("beacon", move |watch| Beacon::begin(world.clone(), watch), give_up);
    let gate = Arc::new(Gate::new(options.limits, logs.rng("gate", clock.now())));
    let (own_logs, own_tenant, turn) = (logs.clone(), options.tenant.clone(), Arc::default());
    let arrived = intake::hint(beacon.directory().clone());
    let tenant = options.tenant;
    let whose = Box::new(move |_| tenant.clone());
    let mut intake = Intake::new(&logs, whose, gate.clone(), clock, arrived);
    intake.hands_on = true;
    intake.give_up = Some(Box::new(move |key| {
        Box::pin(give_up_rotten(own_logs.clone(), Arc::clone(&turn), own_tenant.clone(), key))
    }));
    let intake = Arc::new(intake);
    let routes = Arc::new(move |config: &mut actix_web::web::ServiceConfig| {
        intake::routes(config, intake.clone());
        downloads(config, given.clone(), gap_reports.clone());
        statuses(config, below.clone());
        gaps(config, gap_reports.clone(), Arc::new(KeepReports(gap_reports.clone())));
    });
    let listener = intake::serve(socket, Some(gate), options.workers, routes).map_err(BeaconError::Serve)?;
    info!(node = %logs.node, address = %listener.address, held = logs.package_index.totals().0, "beacon ready");
    Ok(RunningBeacon { address: listener.address, node: logs.node, logs, listener, beacon, threads })
}

/// What is told of a beacon for agents that listens at every address and names none.
pub(super) const NOT_TOLD: &str =
    "agents are not told of this beacon: `listen` is no address that they reach, set `endpoint`";

/// How agents reach a beacon with these options.
fn endpoint(options: &BeaconOptions, socket: &std::net::TcpListener) -> Option<Endpoint> {
    let listens_at = socket.local_addr().ok().filter(|address| !address.ip().is_unspecified());
    let address = match (options.endpoint.as_str(), listens_at) {
        ("", Some(listens_at)) => format!("http://{listens_at}"),
        ("", None) => {
            if options.for_agents {
                warn!("{NOT_TOLD}");
            }
            return None;
        }
        (endpoint, _) => endpoint.to_owned(),
    };
    options.for_agents.then(|| Endpoint { address, site: options.site.clone(), needs_credentials: false })
}

/// Addresses of this beacon itself, as far as they are known: it is never its own parent.
fn own_addresses(options: &BeaconOptions, socket: &std::net::TcpListener) -> Vec<String> {
    let mut own = vec![options.endpoint.clone()];
    if let Ok(address) = socket.local_addr() {
        own.push(format!("http://{address}"));
        if address.ip().is_unspecified() {
            own.extend(["127.0.0.1", "[::1]", "localhost"].map(|host| format!("http://{host}:{}", address.port())));
        }
    }
    own.retain(|address| !address.is_empty());
    own
}

impl RunningBeacon {
    /// Ends it: no new uploads, answers under way get their time, the logs close.
    pub async fn stop(self) {
        let RunningBeacon { listener, beacon, threads, logs, .. } = self;
        if let Some(address) = beacon.directory().get() {
            let _ = address.send(StopRelaying).await;
        }
        listener.stop(true).await;
        drop((beacon, logs));
        // The actor and its effects hold writers until their last future has ended; a log needs no farewell.
        drop(threads);
    }
}
