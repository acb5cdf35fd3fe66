//! The nodes of one machine, started from the server down, so that everybody finds the one above.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use muster::config::ConfigError;
use muster::config::agent::{AgentConfig, AgentFile, AgentSection, InventorySection};
use muster::config::node::{DiskSection, LimitsSection};
use muster::config::server::ServerConfig;
use muster::export::ExportSettings;
use muster::id::{DeviceId, TenantId};
use muster::model::device::RecordKey;
use muster::model::fact::FactKey;
use muster::model::staged::StagedRecord;
use muster::model::tenant::TenantState;
use muster::roles::server::AGENT_SOURCE;
use muster::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

use crate::agent::run::{AgentError, RunningAgent, start as start_agent};
use crate::beacon::{BeaconError, BeaconOptions, RunningBeacon, start as start_beacon};
use crate::clock::SharedClock;
use crate::intake::IntakeLimits;
use crate::log::{OnFatal, Reserve};
use crate::server::api::device::device;
use crate::server::exporter::{Credentials, Target};
use crate::server::fleet::{Fleet, FleetError};
use crate::server::prepared::{ExportTarget, Prepared, SERVICENOW_ENDPOINT};
use crate::server::run::{RunningServer, ServerError, start_prepared as start_server};
use crate::servicenow::{Faults, RunningStandIn, StandIn, StandInError, StandInOptions};

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Folder of all nodes.
    pub data: PathBuf,
    /// Upload listener of the server.
    pub listen: SocketAddr,
    /// Upload listeners of the parent and the child beacon.
    pub beacons: [SocketAddr; 2],
    /// Operator listener of the server.
    pub operator: SocketAddr,
    /// The stand-in.
    pub servicenow: SocketAddr,
}

/// Why the chain does not start, or cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The stand-in.
    #[error("ServiceNow stand-in")]
    StandIn(#[from] StandInError),
    /// The server.
    #[error("server")]
    Server(#[from] ServerError),
    /// A beacon.
    #[error("{which} beacon")]
    Beacon {
        /// Which one.
        which: &'static str,
        /// Why.
        source: BeaconError,
    },
    /// The agent.
    #[error("agent")]
    Agent(#[from] AgentError),
    /// The agent's settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the server holds.
    #[error("cannot ask the server")]
    Fleet(#[from] FleetError),
}

/// How far this host's report has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Not yet at the server.
    Travelling,
    /// Staged, but no device shows it.
    Staged,
    /// On its device, but not exported.
    Imported(DeviceId),
    /// On its device and exported: the device as the API shows it.
    Exported(Box<Value>),
}

/// The running chain.
pub struct Chain {
    /// The stand-in.
    pub stand_in: RunningStandIn,
    /// The server.
    pub server: RunningServer,
    /// The parent beacon.
    pub parent: RunningBeacon,
    /// The child beacon.
    pub child: RunningBeacon,
    /// The agent.
    pub agent: RunningAgent,
    started: Timestamp,
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn server_config(places: &Places) -> ServerConfig {
    ServerConfig {
        data: places.data.join("server"),
        name: "server".into(),
        listen: places.listen,
        operator: places.operator,
        allow_plain: false,
        tenant: tenant(),
        workers: 1,
        tasks_file: None,
        loaders: 1,
        import_on_arrival: true,
        primary_source: AGENT_SOURCE.into(),
        matchers_file: None,
        recognition_file: None,
        runs_kept: muster::config::server::RUNS_KEPT,
        sources_file: None,
        missing_after_ms: muster::time::DAY_MS,
        servicenow: None,
        limits: LimitsSection::default(),
        disk: DiskSection::default(),
    }
}

fn export_target(stand_in: &RunningStandIn) -> ExportTarget {
    let credentials = Credentials::Password { user: stand_in.user.clone(), password: stand_in.password.clone() };
    let (url, endpoint) = (stand_in.url(), SERVICENOW_ENDPOINT.into());
    // The stand-in imports in milliseconds; an instance takes minutes.
    let settings = ExportSettings { status_poll: Duration::from_millis(100), ..ExportSettings::default() };
    ExportTarget { target: Target { url, endpoint, credentials, client: None }, settings }
}

async fn beacon(
    which: &'static str,
    data: &Path,
    listen: SocketAddr,
    parent: SocketAddr,
    is_for_agents: bool,
    clock: SharedClock,
    on_fatal: OnFatal,
) -> Result<RunningBeacon, UpError> {
    let options = BeaconOptions {
        data: data.join(which),
        name: which.into(),
        listen,
        allow_plain: false,
        tenant: tenant(),
        parents: vec![format!("http://{parent}")],
        cycle_ms: muster::time::MINUTE_MS,
        relay_on_arrival: true,
        policy_every_ms: muster::time::MINUTE_MS,
        status_every_ms: muster::time::MINUTE_MS,
        limits: IntakeLimits::default(),
        reserve: Reserve::UPLOADS,
        workers: 1,
        for_agents: is_for_agents,
        endpoint: String::new(),
        site: String::new(),
    };
    start_beacon(options, clock, on_fatal).await.map_err(|source| UpError::Beacon { which, source })
}

fn agent_config(places: &Places, beacon: SocketAddr) -> Result<AgentConfig, ConfigError> {
    let file = AgentFile {
        agent: AgentSection {
            data: places.data.join("agent"),
            servers: vec![format!("http://{beacon}")],
            ..AgentSection::default()
        },
        inventory: InventorySection { collect_at_start: true, ..InventorySection::default() },
        ..AgentFile::default()
    };
    AgentConfig::checked(file, "the agent of `muster up`")
}

impl Chain {
    /// Starts every node on this arbiter.
    pub async fn start(places: &Places, clock: SharedClock, on_fatal: OnFatal) -> Result<Chain, UpError> {
        let started = clock.now();
        let stand_in = StandIn::start(StandInOptions {
            listen: places.servicenow,
            data: places.data.join("servicenow"),
            user: "admin".into(),
            password: None,
            client: None,
            faults: Faults::default(),
            clock: clock.clone(),
        })?;
        let config = server_config(places);
        let prepared = Prepared::of(&config)?.exporting_to(export_target(&stand_in));
        let server = start_server(&config, prepared, clock.clone(), on_fatal.clone()).await?;
        let [parent_at, child_at] = places.beacons;
        let begin = |which, at, parent, is_for_agents| {
            beacon(which, &places.data, at, parent, is_for_agents, clock.clone(), on_fatal.clone())
        };
        // The agent is told of the child only, so that its reports pass both.
        let parent = begin("parent", parent_at, server.upload, false).await?;
        let child = begin("child", child_at, parent.address, true).await?;
        let agent = start_agent(agent_config(places, child.address)?, clock, on_fatal).await?;
        Ok(Chain { stand_in, server, parent, child, agent, started })
    }

    /// How far the report has come that this host's agent made since the start. May wait for the disk.
    pub fn seen(&self) -> Result<Seen, UpError> {
        let books = &self.server.books;
        let fleet = Fleet::of(books);
        let record = RecordKey { source: AGENT_SOURCE.into(), external_id: self.agent.agent.to_string().into() };
        let staged: Option<StagedRecord> = fleet.fact(&FactKey::Record(books.tenant.clone(), record.clone()))?;
        let Some(staged) = staged.filter(|staged| staged.effective() >= self.started) else {
            return Ok(Seen::Travelling);
        };
        let state: TenantState = fleet.fact(&FactKey::Tenant(books.tenant.clone()))?.unwrap_or_default();
        let Some(id) = self.device_of(&record, &staged)? else { return Ok(Seen::Staged) };
        let is_done = state.imported == state.staged
            && state.reconciled == state.devices
            && state.exported == state.devices
            && !books.view.is_behind();
        match device(&self.server.api, id)? {
            Some(value) if is_done => Ok(Seen::Exported(Box::new(value))),
            _ => Ok(Seen::Imported(id)),
        }
    }

    /// The device that shows `staged`.
    fn device_of(&self, record: &RecordKey, staged: &StagedRecord) -> Result<Option<DeviceId>, FleetError> {
        let date = staged.computer(record).inventory_date;
        let (fleet, mut after) = (Fleet::of(&self.server.books), None);
        loop {
            let page = fleet.devices(after, 500)?;
            let Some(last) = page.last() else { return Ok(None) };
            after = Some(last.device.id);
            let found = page.iter().find(|fact| {
                fact.device.inventory_date >= date
                    && fact.device.bindings.iter().any(|binding| binding.record == *record)
            });
            if let Some(fact) = found {
                return Ok(Some(fact.device.id));
            }
        }
    }

    /// Ends every node, the lowest first.
    pub async fn stop(self) {
        self.agent.stop().await;
        self.child.stop().await;
        self.parent.stop().await;
        self.server.stop().await;
        let stand_in = self.stand_in;
        let _ = tokio::task::spawn_blocking(move || stand_in.stop()).await;
    }
}
