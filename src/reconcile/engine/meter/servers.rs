//! Licences counted by the cores, or sockets, of servers, where soft partitions do not limit.
//!
//! Source: reconcile-files reference, section 6.3, type 16.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::super::context::Context;
use crate::model::decimal::Decimal;
use crate::model::estate::{Number, Partition};
use crate::model::licensing::Settings;
use crate::model::reconciliation::{Reason, WarningCode};

/// What is paid for an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Billed {
    /// The server, or the partition.
    pub device: Number,
    /// It is a part of its host.
    pub is_partition: bool,
}

impl Billed {
    /// What is paid for an installation on `device`, the device that is charged first.
    pub fn of(context: &Context<'_>, settings: &Settings, device: Number) -> Result<Vec<Billed>, Reason> {
        let at = context.device(device);
        if !at.is_guest() {
            return Ok(vec![Billed { device, is_partition: false }]);
        }
        let by_sockets = settings.standard_edition.is_some();
        let is_soft = at.partition == Partition::Soft;
        if !is_soft && !by_sockets {
            return Ok(vec![Billed { device, is_partition: true }]);
        }
        let server = context.charged(device)?;
        let mut billed = vec![Billed { device: server, is_partition: false }];
        let charged = context.device(server);
        if is_soft && charged.is_clustered() && !settings.soft_level_host {
            let others = context.in_cluster(charged.cluster).iter().filter(|&&other| other != server);
            billed.extend(others.map(|&device| Billed { device, is_partition: false }));
        }
        Ok(billed)
    }

    /// The server: of a partition the device that is charged, where it is known.
    pub fn server(self, context: &Context<'_>) -> Number {
        if self.is_partition { context.charged(self.device).unwrap_or(self.device) } else { self.device }
    }

    /// Its cores; `None`: not known.
    pub fn cores(self, context: &Context<'_>) -> Option<Decimal> {
        let at = context.device(self.device);
        let known = |cores: Decimal| Some(cores).filter(|cores| cores.is_positive());
        let own = known(at.cores);
        if !self.is_partition {
            return own;
        }
        let share = context.estate.share(self.device);
        let of_host = || at.host.and_then(|host| known(context.device(host.get()).cores));
        let limit = known(share.pool_cores).or_else(of_host);
        let cores = match at.partition {
            Partition::Capped => known(share.entitled_capacity).or(own)?,
            Partition::Soft | Partition::Hard | Partition::Uncapped => own?,
        };
        Some(limit.map_or(cores, |limit| cores.min(limit)))
    }
}

/// The factor of a server's cores, and what is to be said of it.
pub fn factor(context: &Context<'_>, settings: &Settings, billed: Billed) -> (Decimal, Option<WarningCode>) {
    let points = context.points(settings.points, billed.server(context));
    match points.known {
        // Whether the rule before the one that matches is right, only the date would say.
        _ if points.lacks_date => (Decimal::ONE, Some(WarningCode::PurchaseDateMissing)),
        Some(factor) => (factor, None),
        None => (Decimal::ONE, Some(WarningCode::UnknownProcessor)),
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Servers {
    settings: Settings,
    whole: HashSet<Number>,
    /// Partitions that are paid for, by the server that is charged; not those on servers that are paid whole.
    partitions: HashMap<Number, Vec<Number>>,
    /// Partitions that are paid for.
    parts: HashSet<Number>,
    sockets: u64,
    /// Cores by their factor.
    cores: BTreeMap<Decimal, Decimal>,
}

/// What an installation changes.
#[derive(Debug, Default)]
struct Change {
    whole: Vec<Number>,
    part: Option<Billed>,
    sockets: u64,
    cores: Vec<(Decimal, Decimal)>,
}

impl Servers {
    /// Nothing counted yet.
    pub fn new(_: &Context<'_>, settings: &Settings) -> Servers {
        Servers {
            settings: settings.clone(),
            whole: HashSet::new(),
            partitions: HashMap::new(),
            parts: HashSet::new(),
            sockets: 0,
            cores: BTreeMap::new(),
        }
    }

    /// Why an installation on `device` cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        let billed = match Billed::of(context, &self.settings, device) {
            Ok(billed) => billed,
            Err(reason) => return Some(reason),
        };
        let Some(edition) = self.settings.standard_edition else {
            let is_missing = billed.iter().any(|billed| billed.cores(context).is_none());
            return is_missing.then_some(Reason::CoreCountMissing);
        };
        let sockets = || billed.iter().map(|billed| context.device(billed.device).processors);
        if sockets().any(|count| count == 0) {
            Some(Reason::ProcessorCountMissing)
        } else {
            sockets().any(|count| count > edition.sockets_max()).then_some(Reason::TooManySockets)
        }
    }

    fn change(&self, context: &Context<'_>, device: Number) -> Change {
        let mut change = Change::default();
        // Asked for before: an installation without a host is not taken.
        for billed in Billed::of(context, &self.settings, device).unwrap_or_default() {
            let server = billed.server(context);
            if self.whole.contains(&server) || self.parts.contains(&billed.device) {
                continue;
            }
            change.cores.push(self.priced(context, billed));
            if billed.is_partition {
                change.part = Some(billed);
                continue;
            }
            change.whole.push(server);
            change.sockets += context.device(server).processors;
            for &part in self.partitions.get(&server).into_iter().flatten() {
                let (factor, cores) = self.priced(context, Billed { device: part, is_partition: true });
                change.cores.push((factor, Decimal::ZERO - cores));
            }
        }
        change
    }

    fn priced(&self, context: &Context<'_>, billed: Billed) -> (Decimal, Decimal) {
        (factor(context, &self.settings, billed).0, billed.cores(context).unwrap_or_default())
    }

    fn total(&self, change: &Change) -> Decimal {
        if self.settings.standard_edition.is_some() {
            return (self.sockets + change.sockets).into();
        }
        let mut cores = self.cores.clone();
        for &(factor, more) in &change.cores {
            *cores.entry(factor).or_default() += more;
        }
        cores.into_iter().map(|(factor, cores)| cores.times(factor).ceil()).sum()
    }

    /// The figure if an installation on `device` were taken too.
    pub fn figure_with(&self, context: &Context<'_>, device: Number) -> Decimal {
        self.total(&self.change(context, device))
    }

    /// Takes an installation.
    pub fn take(&mut self, context: &Context<'_>, device: Number) {
        let change = self.change(context, device);
        for &(factor, more) in &change.cores {
            *self.cores.entry(factor).or_default() += more;
        }
        self.sockets += change.sockets;
        for server in change.whole {
            self.partitions.remove(&server).into_iter().flatten().for_each(|part| {
                self.parts.remove(&part);
            });
            self.whole.insert(server);
        }
        if let Some(part) = change.part {
            self.parts.insert(part.device);
            self.partitions.entry(part.server(context)).or_default().push(part.device);
        }
    }

    /// Today's figure.
    pub fn figure(&self) -> Decimal {
        self.total(&Change::default())
    }
}
