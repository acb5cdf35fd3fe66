//! Held packages that no fact says anything of: what a beacon still has to relay, and a server to load.

use muster::id::TenantId;
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use tracing::error;

use super::Logs;
use crate::errors::Hex;
use crate::log::Handle;

/// Packages that are taken out of the index together.
const PAGE: usize = 1_000;

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Its number in this process.
    pub handle: Handle,
    /// Whose it is.
    pub tenant: TenantId,
    /// What names it.
    pub key: PackageKey,
}

impl Logs {
    /// Looks at up to `limit` packages taken after `after`, in order of custody. The youngest one looked at, which is
    /// `after` when there was none, and those without a fact.
    pub fn unsettled(&self, after: Option<Handle>, limit: usize) -> (Option<Handle>, Vec<Unsettled>) {
        let (mut seen, mut packages, mut left) = (after, Vec::new(), limit);
        while left > 0 {
            let page = self.package_index.after(seen, left.min(PAGE));
            let Some(last) = page.last() else { break };
            seen = Some(last.handle);
            left -= page.len();
            for held in page {
                let Some((tenant, key)) = PackageKey::decode(&held.key) else {
                    error!(key = %Hex(&held.key), "a held package has a key that is none");
                    continue;
                };
                if !self.fact_index.contains(&FactKey::Package(tenant.clone(), key.clone()).encode()) {
                    packages.push(Unsettled { handle: held.handle, tenant, key });
                }
            }
        }
        (seen, packages)
    }
}
