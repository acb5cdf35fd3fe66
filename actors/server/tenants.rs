//! The tenants of a server as they are registered: a view of the facts for everyone who asks whose something is.

use std::sync::{Arc, PoisonError, RwLock};

use muster::id::TenantId;
use muster::model::fact::{FactKey, FactKind};
use muster::model::stored;
use muster::model::task::GroupName;
use muster::model::tenants::{Registration, TenantChange, TenantRefusal, Tenants};
use muster::time::Timestamp;
use tokio::sync::Mutex;
use tracing::{error, info};

use super::books::{Books, News, TurnError};
use crate::errors::{Chain, Hex};
use crate::log::FactIndex;

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] TenantRefusal),
    /// The books were not written.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct TenantRegister {
    tenants: Arc<RwLock<Arc<Tenants>>>,
    /// A change is decided by what is shown: one at a time.
    changing: Arc<Mutex<()>>,
}

impl TenantRegister {
    /// What is registered in `facts`, beside the server's own tenant.
    pub fn read(facts: &FactIndex, own: TenantId) -> TenantRegister {
        let mut tenants = Tenants::one(own);
        let mut unread = Vec::new();
        let damaged = facts.each(&FactKind::Registration.prefix(None), |key, _, value| {
            let Some(FactKey::Registration(tenant)) = FactKey::decode(key) else { return };
            match stored::unpack::<Registration>(&value) {
                Ok(registration) => tenants.put(tenant, registration),
                Err(error) => unread.push((tenant, Chain(&error).to_string())),
            }
        });
        for (key, error) in damaged {
            if let Some(FactKey::Registration(tenant)) = FactKey::decode(&key) {
                unread.push((tenant, Chain(&error).to_string()));
            } else {
                error!(key = %Hex(&key), error = %Chain(&error), "a fact of a tenant cannot be read");
            }
        }
        for (tenant, error) in unread {
            error!(%tenant, error, "what is registered of a tenant does not read: register its beacons anew");
            // Its data stays within reach.
            tenants.put(tenant, Registration::new(GroupName::default_group(), Timestamp::default()));
        }
        TenantRegister { tenants: Arc::new(RwLock::new(Arc::new(tenants))), changing: Arc::default() }
    }

    /// All of them as they are now.
    pub fn now(&self) -> Arc<Tenants> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Registers a tenant, or changes one; durable when it returns. Gives what is registered now, and whether the tenant
    /// is new.
    pub async fn change(
        &self,
        books: &Books,
        change: TenantChange,
        now: Timestamp,
    ) -> Result<(Registration, bool), TenantError> {
        let (own, books) = (self.clone(), books.clone());
        // Of its own: what is registered is shown, also when whoever asked is gone.
        let made = tokio::spawn(async move { own.make(&books, change, now).await });
        made.await.unwrap_or(Err(TenantError::Turn(TurnError::Panicked)))
    }

    async fn make(
        &self,
        books: &Books,
        change: TenantChange,
        now: Timestamp,
    ) -> Result<(Registration, bool), TenantError> {
        let _changing = self.changing.lock().await;
        let tenants = self.now();
        let next = tenants.changed(&change, now)?;
        let tenant = change.tenant;
        let is_new = tenants.get(&tenant).is_none();
        let (written, key) = (next.clone(), FactKey::Registration(tenant.clone()));
        let committed = books.turn(move |draft| {
            draft.write(&key, &written);
            Ok(((), News::default()))
        });
        committed.await?;
        info!(%tenant, group = %next.group, beacons = next.beacons.len(), "a tenant was registered");
        let mut shown = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut shown).put(tenant, next.clone());
        Ok((next, is_new))
    }
}
