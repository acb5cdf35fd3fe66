//! Licences counted by named users of databases, with a minimum for what the databases run on.
//!
//! Source: reconcile-files reference, section 6.3, type 17.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::super::context::Context;
use super::{Billed, Offered, Servers};
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{MinimumPer, Settings};
use crate::model::reconciliation::Reason;

/// Virtual processors of a machine in a cloud that count as one server. Source: reconcile reference, section 5.4.
const CLOUD_VCPUS: u64 = 8;

/// See the module's head.
#[derive(Debug)]
pub struct NamedUsers {
    settings: Settings,
    /// What is counted: application, device.
    taken: Vec<(Number, Number)>,
}

impl NamedUsers {
    /// Nothing counted yet.
    pub fn new(_: &Context<'_>, settings: &Settings) -> NamedUsers {
        NamedUsers { settings: settings.clone(), taken: Vec::new() }
    }

    fn per(&self) -> Option<MinimumPer> {
        self.settings.minimum.map(|minimum| minimum.per)
    }

    /// Why an installation on `device` cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        let billed = match Billed::of(context, &self.settings, device) {
            Ok(billed) => billed,
            Err(reason) => return Some(reason),
        };
        let at = context.device(device);
        if self.per() == Some(MinimumPer::Server) && at.is_cloud_vm() && !at.capacity().is_positive() {
            return Some(Reason::CoreCountMissing);
        }
        let by_sockets = self.settings.standard_edition.is_some();
        if by_sockets || self.per() == Some(MinimumPer::Processor) {
            return Servers::new(context, &self.settings).missing(context, device);
        }
        let sockets = |billed: &Billed| context.device(billed.server(context)).processors;
        let is_missing = self.per() == Some(MinimumPer::Socket) && billed.iter().any(|billed| sockets(billed) == 0);
        is_missing.then_some(Reason::ProcessorCountMissing)
    }

    /// Takes an installation.
    pub fn take(&mut self, offered: &Offered<'_>) {
        self.taken.push((offered.application, offered.device));
    }

    /// Users that count, each with its largest quantity.
    pub fn users(&self, context: &Context<'_>) -> BTreeMap<Number, Decimal> {
        let mut users = BTreeMap::new();
        for &(application, device) in &self.taken {
            merge_users(context, application, device, &mut users);
        }
        users
    }

    /// Today's figure.
    pub fn figure(&self, context: &Context<'_>) -> Decimal {
        let users: Decimal = self.users(context).into_values().sum();
        let Some(minimum) = self.settings.minimum.filter(|_| !self.taken.is_empty()) else { return users };
        let billed = || {
            self.taken.iter().flat_map(|&(_, device)| Billed::of(context, &self.settings, device).unwrap_or_default())
        };
        let least = match minimum.per {
            MinimumPer::License => Decimal::from(minimum.users),
            MinimumPer::Processor => {
                let mut servers = Servers::new(context, &self.settings);
                self.taken.iter().for_each(|&(_, device)| servers.take(context, device));
                // The figure is a whole number.
                servers.figure().times(minimum.users)
            }
            MinimumPer::Socket => {
                let servers: BTreeSet<Number> = billed().map(|billed| billed.server(context)).collect();
                let sockets = servers.into_iter().map(|server| context.device(server).processors);
                Decimal::from(minimum.users).times(sockets.fold(0, u64::saturating_add))
            }
            MinimumPer::Server => return users.max(self.by_server(context, minimum.users)),
        };
        users.max(least)
    }

    /// The sum over servers of their users, at least the minimum of each.
    fn by_server(&self, context: &Context<'_>, minimum: u64) -> Decimal {
        let mut servers: HashMap<Number, BTreeMap<Number, Decimal>> = HashMap::new();
        for &(application, device) in &self.taken {
            let billed = Billed::of(context, &self.settings, device).unwrap_or_default();
            for (place, billed) in billed.into_iter().enumerate() {
                let users = servers.entry(billed.server(context)).or_default();
                if place == 0 {
                    merge_users(context, application, device, users);
                }
            }
        }
        let least = |server: Number| {
            let at = context.device(server);
            if at.is_cloud_vm() { at.capacity().shares(CLOUD_VCPUS).times(minimum) } else { minimum.into() }
        };
        // A sum does not depend on the order of its parts.
        servers.into_iter().map(|(server, users)| least(server).max(users.into_values().sum())).sum()
    }
}

/// Adds the users of an installation, each with its largest quantity; standard accounts are nobody.
fn merge_users(context: &Context<'_>, application: Number, device: Number, users: &mut BTreeMap<Number, Decimal>) {
    for used in context.estate.usage.of(application, device) {
        if !context.estate.users[used.user as usize].builtin {
            let quantity = users.entry(used.user).or_default();
            *quantity = (*quantity).max(used.quantity);
        }
    }
}
