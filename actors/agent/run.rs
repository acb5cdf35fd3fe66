//! Puts an agent together: folder, outbox, client, supervised actors.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use muster::config::agent::AgentConfig;
use muster::id::Guid;
use muster::roles::agent::AgentSettings;
use muster::roles::meter::{Reporter, UsagePolicy};
use muster::time::{HOUR_MS, MINUTE_MS};
use tokio::sync::watch;
use tracing::info;

use super::agent::{Agent, AgentWorld, StopAgent};
use super::collector::{account_of_process, name_of_this_host};
use super::host::{CollectHost, ThisHost};
use super::limits::Limits;
use super::memory::MemoryFile;
use super::meter::state_file::StateFile;
use super::meter::{Meter, MeterWorld, StopMeter, packages_of_this_host, processes_of_this_host};
use super::outbox::{Outbox, OutboxDisks, OutboxError};
use super::own_log::OwnLog;
use super::pinger::Pinger;
use super::policy::{PolicyClient, PolicyStore};
use super::proxy::{self, ClientError};
use super::surroundings::AroundThisHost;
use super::uploader::Uploader;
use crate::clock::SharedClock;
use crate::log::OnFatal;
use crate::node::{FolderError, NodeFolder};
use crate::supervision::{Supervised, supervise};

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The folder of its policy.
    #[error("cannot open the policy's folder below `data`")]
    Policy(#[source] std::io::Error),
    /// Its HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A running agent.
pub struct RunningAgent {
    /// Who it is.
    pub agent: Guid,
    actor: Supervised<Agent>,
    meter: Supervised<Meter>,
}

/// Starts an agent for this host on this arbiter.
pub async fn start(config: AgentConfig, clock: SharedClock, on_fatal: OnFatal) -> Result<RunningAgent, AgentError> {
    let host = Arc::new(ThisHost::new(&config));
    let world = world(&config, clock, host)?;
    Ok(start_in(world, on_fatal))
}

/// The deployed world of an agent that collects `collector`.
pub fn world(
    config: &AgentConfig,
    clock: SharedClock,
    collector: Arc<dyn CollectHost>,
) -> Result<AgentWorld, AgentError> {
    let folder = Arc::new(NodeFolder::open(&config.data)?);
    let outbox = Arc::new(Mutex::new(Outbox::open(OutboxDisks::open(folder.path())?, clock.now())?));
    let client = proxy::client(config.proxy.as_ref())?;
    let store = Arc::new(PolicyStore::open(folder.path()).map_err(AgentError::Policy)?);
    let limits = Limits::default();
    let settings = Arc::new(settings(config));
    let (http, limit) = (client.http().clone(), limits.download.clone());
    let policy = PolicyClient::new(http, store.clone(), limit, settings.reach(), clock.clone());
    let name = name_of_this_host();
    let reporter = Reporter {
        machine: name.name,
        domain: name.domain,
        agent_version: env!("CARGO_PKG_VERSION").into(),
        ..Reporter::default()
    };
    let meter = MeterWorld {
        folder: folder.clone(),
        outbox: outbox.clone(),
        clock: clock.clone(),
        processes: processes_of_this_host(),
        packages: packages_of_this_host(),
        state: StateFile::new(folder.path()),
        policy: watch::Sender::new(UsagePolicy::default()),
        rules: config.usage,
        reporter: Arc::new(reporter),
        account: account_of_process().into(),
    };
    Ok(AgentWorld {
        folder,
        outbox,
        meter,
        collector,
        uploader: Arc::new(Uploader::new(client, limits.upload.clone())),
        policy: Arc::new(policy),
        store,
        limits,
        around: Arc::new(AroundThisHost::new(&config.site)),
        log: config.is_log_allowed.then(|| OwnLog::of_process().clone()),
        pinger: Arc::new(Pinger::new(clock.clone())),
        memory: MemoryFile::new(&config.data),
        clock,
        settings,
    })
}

/// Starts an agent in a given world on this arbiter.
pub fn start_in(world: AgentWorld, on_fatal: OnFatal) -> RunningAgent {
    let agent = world.outbox.lock().expect("nobody else holds the outbox yet").guid();
    let give_up: Rc<dyn Fn(&str)> = Rc::new(move |reason: &str| on_fatal(reason));
    let of_meter = world.meter.clone();
    let actor = supervise("agent", move |watch| Agent::begin(world.clone(), watch), give_up.clone());
    // After the agent, which has said by now whether there is anything to meter.
    let directory = actor.directory().clone();
    let meter = supervise("meter", move |watch| Meter::begin(of_meter.clone(), directory.clone(), watch), give_up);
    info!(%agent, "agent ready");
    RunningAgent { agent, actor, meter }
}

fn settings(config: &AgentConfig) -> AgentSettings {
    AgentSettings {
        servers: config.servers(),
        allow_plain: config.allow_plain,
        collect_at_start: config.collect_at_start,
        inventory_every_ms: config.inventory_interval.as_millis() as i64,
        policy_every_ms: config.policy_interval.as_millis() as i64,
        catch_up_from_ms: i64::from(config.catch_up_hour) * HOUR_MS,
        clocks_ahead_ms: i64::from(config.clocks_ahead_minutes) * MINUTE_MS,
    }
}

impl RunningAgent {
    /// Ends it as a crash would: what is under way is dropped, the folder holds what the next start needs.
    pub async fn stop(self) {
        let (address, meter) = (self.actor.directory().get(), self.meter.directory().get());
        // The supervisors first, so that they build no further life.
        drop((self.meter, self.actor));
        if let Some(meter) = meter {
            let _ = meter.send(StopMeter).await;
        }
        if let Some(address) = address {
            let _ = address.send(StopAgent).await;
        }
    }
}
