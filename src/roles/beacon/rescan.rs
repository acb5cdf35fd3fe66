//! The daily look through everything that is held: what this life has lost sight of is queued again.
//!
//! Source: `agent-beacon-batch` reference, section 9.2, daily catch-up.

use std::collections::BTreeSet;

use super::BeaconCore;
use super::vocabulary::{BeaconIntent, PackageNumber, Waiting};
use crate::roles::Sink;

impl BeaconCore {
    /// Takes a page of what is held; asks for the next one until there is none.
    pub(super) fn rescanned(
        &mut self,
        after: Option<PackageNumber>,
        through: Option<PackageNumber>,
        mut packages: Vec<Waiting>,
        out: &mut impl Sink<BeaconIntent>,
    ) {
        let Some(through) = through else { return };
        let is_of_page = |package: &PackageNumber| Some(*package) > after && *package <= through;
        let waiting = self.backlog.packages();
        let tried = self.deferred.iter().map(|(_, package)| *package);
        let sending = self.sending.values().map(|sent| sent.package);
        let known: BTreeSet<PackageNumber> = waiting.chain(tried).chain(sending).filter(is_of_page).collect();
        packages.retain(|waiting| !known.contains(&waiting.package));
        self.take(packages);
        out.intend(BeaconIntent::Rescan { after: Some(through) });
    }
}
