//! Packages in custody of this server that have no final state yet.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use muster::id::TenantId;
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;

use super::books::Books;
use super::reading::Reading;
use crate::log::{Handle, Held, PackageIndex};

/// Packages that are looked at together.
const PAGE: usize = 1_000;

/// Every package taken before this one has a final state, and a final state is never taken back.
#[derive(Default)]
pub struct SettledTo(AtomicU64);

impl SettledTo {
    /// Calls `each` for every package of any tenant without a final state, in order of custody, until it breaks. What was found
    /// settled is not looked at again by later calls, so a call costs what waits and what is new.
    pub fn each_unsettled(
        &self,
        packages: &PackageIndex,
        books: &Books,
        mut each: impl FnMut(Held, TenantId, PackageKey) -> ControlFlow<()>,
    ) {
        let mut after = self.0.load(Ordering::Relaxed).checked_sub(1).map(Handle);
        let mut all_settled = true;
        loop {
            let page = packages.after(after, PAGE);
            let Some(last) = page.last() else { return };
            after = Some(last.handle);
            for held in page {
                let unsettled = Reading::key(&held).filter(|(tenant, key)| {
                    let fact = FactKey::Package(tenant.clone(), key.clone());
                    !books.facts.contains(&fact.encode())
                });
                match unsettled {
                    Some((tenant, key)) => {
                        all_settled = false;
                        if each(held, tenant, key).is_break() {
                            return;
                        }
                    }
                    None if all_settled => {
                        self.0.fetch_max(held.handle.0 + 1, Ordering::Relaxed);
                    }
                    None => {}
                }
            }
        }
    }
}
