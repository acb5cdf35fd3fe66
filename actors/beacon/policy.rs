//! Policies of a parent that are kept out: counted for the status, and told once for each cause.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use muster::policy::beacon_policy::PolicyError;
use muster::roles::beacon::{Asked, Parent};
use tracing::warn;

/// Causes that are remembered; more than parents ever give.
const TOLD_MAX: usize = 1_000;

/// Why a policy is kept out, for telling once: its words may differ from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// It ended early, or does not end.
    NotWhole,
    /// It is not the JSON that is read here.
    NotRead,
    /// It has another digest than it says.
    Digest,
    /// What it says cannot be.
    Content,
}

impl From<&PolicyError> for Cause {
    fn from(error: &PolicyError) -> Cause {
        match error {
            PolicyError::Large(_) => Cause::NotWhole,
            PolicyError::Json(_) => Cause::NotRead,
            PolicyError::Digest { .. } => Cause::Digest,
            PolicyError::MadeAt(_) | PolicyError::Content(_) => Cause::Content,
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct RefusedPolicies {
    count: AtomicU64,
    told: Mutex<BTreeSet<(Parent, Cause)>>,
}

impl RefusedPolicies {
    /// Policies that were refused since the start.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The policy of `parent` is kept out. The parent is there and answers, so that counts as no silence: whether it
    /// takes packages is another question.
    pub(super) fn refuse(&self, parent: &Parent, cause: Cause, why: String) -> (Asked, String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.is_news(parent, cause) {
            warn!(%parent, error = why, "the parent's policy is kept out, the last good one stays in use");
        }
        (Asked::Busy { retry_after_ms: None }, why)
    }

    fn is_news(&self, parent: &Parent, cause: Cause) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert((parent.clone(), cause))
    }

    /// The parent has a good one: what comes later is news again.
    pub(super) fn is_good(&self, parent: &Parent) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(of, _)| of != parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_news_once_until_the_parent_has_a_good_policy() {
        let (refused, [a, b]) = (RefusedPolicies::default(), ["http://a", "http://b"].map(|name| Parent(name.into())));
        let news = |parent: &Parent, cause| refused.is_news(parent, cause);
        assert_eq!([news(&a, Cause::Digest), news(&a, Cause::Digest), news(&a, Cause::NotRead)], [true, false, true]);
        assert!(news(&b, Cause::Digest));
        refused.is_good(&a);
        assert_eq!([refused.is_news(&a, Cause::Digest), refused.is_news(&b, Cause::Digest)], [true, false]);
    }
}
