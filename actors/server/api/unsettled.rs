//! Packages in custody of this server that have no final state yet.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use muster::model::fact::FactKey;
use muster::model::package::PackageKey;

use super::Api;
use crate::log::{Handle, Held};
use crate::server::reading::Reading;

/// Packages that are looked at together.
const PAGE: usize = 1_000;

/// Every package taken before this one has a final state, and a final state is never taken back.
#[derive(Default)]
pub struct SettledTo(AtomicU64);

impl Api {
    /// Calls `each` for every package without a final state, in order of custody, until it breaks. What was found
    /// settled is not looked at again by later calls, so a call costs what waits and what is new.
    pub(super) fn each_unsettled(&self, mut each: impl FnMut(Held, PackageKey) -> ControlFlow<()>) {
        let settled_to = &self.kept.settled_to.0;
        let mut after = settled_to.load(Ordering::Relaxed).checked_sub(1).map(Handle);
        let mut all_settled = true;
        loop {
            let page = self.logs.package_index.after(after, PAGE);
            let Some(last) = page.last() else { return };
            after = Some(last.handle);
            for held in page {
                let key = Reading::key(&held).filter(|(tenant, _)| *tenant == self.books.tenant);
                let unsettled = key.filter(|(tenant, key)| {
                    let fact = FactKey::Package(tenant.clone(), key.clone());
                    !self.books.facts.contains(&fact.encode())
                });
                match unsettled {
                    Some((_, key)) => {
                        all_settled = false;
                        if each(held, key).is_break() {
                            return;
                        }
                    }
                    None if all_settled => {
                        settled_to.fetch_max(held.handle.0 + 1, Ordering::Relaxed);
                    }
                    None => {}
                }
            }
        }
    }
}
