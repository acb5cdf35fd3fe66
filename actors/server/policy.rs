//! The policy of a server's agents and beacons: kept as facts, made anew when a setting or a beacon has changed.

use std::sync::Arc;

use actix_web::web::Data;
use muster::id::TenantId;
use muster::model::draft::Draft;
use muster::model::fact::FactKey;
use muster::policy::BeaconPolicy;
use muster::roles::server::{PolicySettings, SettingError, SettingName};
use muster::time::Timestamp;
use serde_json::Value;
use tracing::{info, warn};

use super::books::{Books, Look, News, TurnError};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::{Downloads, Statuses};

/// Why the policy or a setting stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The setting is not taken.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The facts do not answer.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// A stored setting is not one for this version: its default could open what the operator had closed.
    #[error("the policy stays as it is until the stored setting `{}` is set anew: this version does not take it", .0.as_str())]
    Stored(SettingName, #[source] SettingError),
    /// Making the files of a policy ended in a panic.
    #[error("the policy was not worked out")]
    Work(#[from] tokio::task::JoinError),
}

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct PolicyKeeper {
    books: Books,
    statuses: Arc<Statuses>,
    downloads: Data<Downloads>,
    clock: SharedClock,
    /// When this server began to listen: a beacon that it has not heard since is not silent.
    started: Timestamp,
}

impl PolicyKeeper {
    /// The keeper of the policy in `books`, which hands it out by `downloads`.
    pub fn new(books: Books, statuses: Arc<Statuses>, downloads: Data<Downloads>, clock: SharedClock) -> PolicyKeeper {
        let started = clock.now();
        PolicyKeeper { books, statuses, downloads, clock, started }
    }

    /// When this server began to listen.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The settings in force.
    pub fn settings(&self) -> Result<PolicySettings, TurnError> {
        Ok(settings(&self.books.draft(), &self.books.tenant)?.0)
    }

    /// Puts `value` in the place of the setting `name`, durably, and makes the policy that follows. Gives the setting as
    /// it is now and the revision that carries it.
    pub async fn set(&self, name: SettingName, value: Value) -> Result<(Value, u64), PolicyError> {
        let tenant = self.books.tenant.clone();
        let set = self.books.turn(move |draft| {
            let (mut settings, _) = settings(draft, &tenant)?;
            if let Err(error) = settings.set(name, value) {
                return Ok((Err(error), News::default()));
            }
            let value = settings.get(name);
            draft.write(&key(&tenant, name.as_str()), &value.to_string());
            Ok((Ok(value), News::default()))
        });
        let value = set.await??;
        info!(setting = name.as_str(), "a setting was changed");
        Ok((value, self.renew().await?))
    }

    /// Makes the policy anew where something has changed, and hands it out. Gives the revision in force. The one before
    /// is handed out where no new one can be made.
    pub async fn renew(&self) -> Result<u64, PolicyError> {
        let (heard, tenant, started, now) =
            (self.statuses.heard(), self.books.tenant.clone(), self.started, self.clock.now());
        let renewed = self.books.turn(move |draft| {
            let last: Option<BeaconPolicy> = draft.read(&key(&tenant, POLICY))?;
            let next = match settings(draft, &tenant)? {
                (settings, None) => settings
                    .content(&heard, last.as_ref(), started, now)
                    .and_then(|content| Ok(BeaconPolicy::next(last.as_ref(), content, now)?))
                    .map_err(PolicyError::Setting),
                (_, Some((name, error))) => Err(PolicyError::Stored(name, error)),
            };
            if let Ok(Some(next)) = &next {
                draft.write(&key(&tenant, POLICY), next);
            }
            Ok(((next, last), News::default()))
        });
        let (next, last) = renewed.await?;
        let (next, failure) = match next {
            Ok(next) => (next, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(next) = &next {
            info!(revision = next.revision, "a new policy is in force");
        }
        let mut revision = 0;
        if let Some(policy) = next.or(last) {
            revision = policy.revision;
            self.hand_out(policy).await?;
        }
        failure.map_or(Ok(revision), Err)
    }

    async fn hand_out(&self, policy: BeaconPolicy) -> Result<(), PolicyError> {
        if self.downloads.revision() == policy.revision {
            return Ok(());
        }
        // A server hands its own schedule on unchanged: it is the beacon of agents that have no other.
        let (downloads, schedule) = (self.downloads.clone(), policy.content.schedule.clone());
        // A file for each class of agents: too much for a thread that serves others meanwhile.
        Ok(tokio::task::spawn_blocking(move || downloads.give(policy, &schedule)).await?)
    }

    /// [`PolicyKeeper::renew`], with its failure told to the operator only.
    pub async fn renew_or_warn(&self) {
        if let Err(error) = self.renew().await {
            warn!(error = %Chain(&error), "the policy is not made anew, tried again in a minute");
        }
    }
}

/// Name of the fact that holds the policy in force.
const POLICY: &str = "policy";

fn key(tenant: &TenantId, name: &str) -> FactKey {
    FactKey::Setting(format!("{tenant}/{name}").into())
}

/// The stored settings, and the first that this version does not take; its default stands in its place.
fn settings(
    draft: &Draft<Look>,
    tenant: &TenantId,
) -> Result<(PolicySettings, Option<(SettingName, SettingError)>), TurnError> {
    let (mut settings, mut not_taken) = (PolicySettings::default(), None);
    for name in SettingName::ALL {
        let Some(text) = draft.read::<String>(&key(tenant, name.as_str()))? else { continue };
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if let Err(error) = settings.set(name, value) {
            warn!(setting = name.as_str(), error = %Chain(&error), "a stored setting is not taken");
            not_taken.get_or_insert((name, error));
        }
    }
    Ok((settings, not_taken))
}
