//! Puts an agent together: folder, outbox, client, supervised actor.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use muster::config::agent::AgentConfig;
use muster::id::Guid;
use muster::roles::agent::AgentSettings;
use muster::time::HOUR_MS;
use tracing::info;

use super::agent::{Agent, AgentWorld, StopAgent};
use super::host::{CollectHost, ThisHost, device_of_this_host};
use super::memory::MemoryFile;
use super::outbox::{Outbox, OutboxDisks, OutboxError};
use super::pinger::Pinger;
use super::policy::{PolicyClient, PolicyStore};
use super::uploader::Uploader;
use crate::clock::SharedClock;
use crate::log::OnFatal;
use crate::node::{FolderError, NodeFolder};
use crate::supervision::{Supervised, supervise};
use crate::upload_client::UploadClient;

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
    #[error("cannot make the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// A running agent.
pub struct RunningAgent {
    /// Who it is.
    pub agent: Guid,
    actor: Supervised<Agent>,
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
    let outbox = Outbox::open(OutboxDisks::open(folder.path())?, clock.now())?;
    let client = UploadClient::new().map_err(AgentError::Client)?;
    let store = Arc::new(PolicyStore::open(folder.path()).map_err(AgentError::Policy)?);
    let policy = PolicyClient::new(client.http().clone(), store.clone());
    Ok(AgentWorld {
        folder,
        outbox: Arc::new(Mutex::new(outbox)),
        collector,
        uploader: Arc::new(Uploader::new(client)),
        policy: Arc::new(policy),
        store,
        pinger: Arc::new(Pinger::new(clock.clone())),
        memory: MemoryFile::new(&config.data),
        device: Arc::new(device_of_this_host(&config.site)),
        clock,
        settings: Arc::new(settings(config)),
    })
}

/// Starts an agent in a given world on this arbiter.
pub fn start_in(world: AgentWorld, on_fatal: OnFatal) -> RunningAgent {
    let agent = world.outbox.lock().expect("nobody else holds the outbox yet").guid();
    let actor = supervise(
        "agent",
        move |watch| Agent::new(world.clone(), watch),
        Rc::new(move |reason: &str| on_fatal(reason)),
    );
    info!(%agent, "agent ready");
    RunningAgent { agent, actor }
}

fn settings(config: &AgentConfig) -> AgentSettings {
    AgentSettings {
        servers: config.servers(),
        allow_plain: config.allow_plain,
        collect_at_start: config.collect_at_start,
        inventory_every_ms: config.inventory_interval.as_millis() as i64,
        policy_every_ms: config.policy_interval.as_millis() as i64,
        catch_up_from_ms: i64::from(config.catch_up_hour) * HOUR_MS,
    }
}

impl RunningAgent {
    /// Ends it as a crash would: what is under way is dropped, the folder holds what the next start needs.
    pub async fn stop(self) {
        let address = self.actor.directory().get();
        // The supervisor first, so that it builds no further life.
        drop(self.actor);
        if let Some(address) = address {
            let _ = address.send(StopAgent).await;
        }
    }
}
