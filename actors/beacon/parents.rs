//! Which parents a beacon uses: its configuration's, and those that policy names for it.

use std::sync::{Arc, Mutex, PoisonError};

use muster::id::Guid;
use muster::policy::BeaconPolicy;
use muster::roles::beacon::{Parent, ParentsError, parents_in_force};
use tracing::{info, warn};

/// See the module's head.
pub struct ParentRules {
    /// Base addresses in the configured order; never empty.
    configured: Vec<String>,
    /// Addresses of this beacon itself.
    own: Vec<String>,
    /// Whether a parent beyond loopback may be reached in plain.
    allow_plain: bool,
    /// What was worked out last, so that it is told once.
    last: Mutex<Option<WorkedOut>>,
}

/// A list, and what was wrong with that of policy.
type WorkedOut = (Arc<[Parent]>, Option<ParentsError>);

impl ParentRules {
    /// Rules for a beacon that is reached at the addresses `own`.
    pub fn new(configured: Vec<String>, own: Vec<String>, allow_plain: bool) -> ParentRules {
        ParentRules { configured, own, allow_plain, last: Mutex::default() }
    }

    /// The parents in force under `policy` for `node`, in order; the configured ones are always among them.
    pub fn in_force(&self, policy: Option<&BeaconPolicy>, node: Guid) -> Arc<[Parent]> {
        let wanted = policy.and_then(|policy| policy.content.parents.get(&node)).map(Vec::as_slice).unwrap_or_default();
        let (list, error) = parents_in_force(&self.configured, wanted, &self.own, self.allow_plain);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.as_ref().is_none_or(|(before, told)| (before, told) != (&list, &error));
        if is_new {
            if let Some(error) = &error {
                warn!(%error, "the parents that policy names are not used, the configured ones count");
            }
            if last.is_some() || !wanted.is_empty() {
                let parents: Vec<&str> = list.iter().map(|parent| &*parent.0).collect();
                info!(parents = parents.join(" "), "parents in force");
            }
            *last = Some((list.clone(), error));
        }
        list
    }
}
