//! The daily look through everything that is held: what this life has lost sight of is queued again.
//!
//! Source: `agent-beacon-batch` reference, section 9.2, daily catch-up.

use std::collections::BTreeSet;

use super::BeaconCore;
use super::vocabulary::{BeaconIntent, PackageNumber, Waiting};
use crate::roles::Sink;

/// What need not be queued again: known when the look began, or told of since.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Ascending.
    at_start: Vec<PackageNumber>,
    since: BTreeSet<PackageNumber>,
}

impl Known {
    /// Notes what arrived while the look goes on.
    pub(super) fn arrived(&mut self, packages: &[Waiting]) {
        self.since.extend(packages.iter().map(|waiting| waiting.package));
    }

    fn has(&self, package: PackageNumber) -> bool {
        self.at_start.binary_search(&package).is_ok() || self.since.contains(&package)
    }
}

impl BeaconCore {
    /// Takes a page of what is held; asks for the next one until there is none. What is known is gathered once, at the first
    /// page: with millions held there are hundreds of pages.
    pub(super) fn rescanned(
        &mut self,
        after: Option<PackageNumber>,
        through: Option<PackageNumber>,
        mut packages: Vec<Waiting>,
        out: &mut impl Sink<BeaconIntent>,
    ) {
        let Some(through) = through else {
            self.rescan = None;
            return;
        };
        let known = match self.rescan.take().filter(|_| after.is_some()) {
            Some(known) => known,
            None => self.known(),
        };
        packages.retain(|waiting| !known.has(waiting.package));
        self.take(packages);
        self.rescan = Some(known);
        out.intend(BeaconIntent::Rescan { after: Some(through) });
    }

    fn known(&self) -> Known {
        let tried = self.deferred.iter().map(|(_, package)| *package);
        let sending = self.sending.values().map(|sent| sent.package);
        let mut at_start: Vec<PackageNumber> = self.backlog.packages().chain(tried).chain(sending).collect();
        at_start.sort_unstable();
        Known { at_start, since: BTreeSet::new() }
    }
}
