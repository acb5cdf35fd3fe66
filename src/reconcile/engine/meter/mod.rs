//! The figure of a licence while it takes installations: today's, without what counts without inventory.
//!
//! A meter is told of installations that are counted: not exempt, not of a suite that is taken too, not supplementary.
//!
//! Source: reconcile-files reference, section 6.

mod capacity;
mod devices;
mod hosts;
mod named_users;
mod persons;
mod servers;

use hashbrown::HashSet;

use super::context::Context;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Licence, Metric};
use crate::model::reconciliation::Reason;

pub use capacity::Capacity;
pub use devices::{Devices, Weight};
pub use hosts::{HostRule, Hosts, OnHost};
pub use named_users::NamedUsers;
pub use persons::Persons;
pub use servers::{Billed, Servers, factor};

/// An installation that is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'o> {
    /// The application.
    pub application: Number,
    /// Where it is.
    pub device: Number,
    /// Who counts for it, where persons are counted.
    pub persons: &'o [Number],
    /// Devices that count for the licence by their allocation alone, for now.
    pub alone: &'o HashSet<Number>,
}

/// See the module's head.
#[derive(Debug)]
pub enum Meter {
    /// The figure is the same whatever is taken.
    Fixed(Decimal),
    /// Types 2, 3, 5, 15, 18 and 30.
    Devices(Devices),
    /// Types 4 and 13.
    Persons(Persons),
    /// Type 31.
    Capacity(Capacity),
    /// Types 22, 25, 33, 41 and 43.
    Hosts(Hosts),
    /// Type 16.
    Servers(Servers),
    /// Type 17.
    NamedUsers(NamedUsers),
}

impl Meter {
    /// The meter of a licence.
    pub fn new(context: &Context<'_>, number: Number, licence: &Licence) -> Meter {
        let settings = &licence.settings;
        let Some(metric) = licence.metric.filter(|_| licence.bad_data.is_none()) else {
            return Meter::Fixed(Decimal::ZERO);
        };
        match metric {
            Metric::DEVICE
            | Metric::NODE_LOCKED
            | Metric::CONCURRENT_USER
            | Metric::CORE_POINTS
            | Metric::PROCESSOR_POINTS
            | Metric::PROCESSOR => Meter::Devices(Devices::new(context, metric, settings)),
            Metric::USER | Metric::NAMED_USER => Meter::Persons(Persons::new(context, number, licence)),
            Metric::RESOURCE_VALUE_UNIT => Meter::Capacity(Capacity::new(context, settings)),
            Metric::SERVER_PROCESSOR
            | Metric::PROCESSOR_VALUE_UNIT
            | Metric::SERVER_CORE
            | Metric::MANAGEMENT_CORE
            | Metric::VIRTUAL_PROCESSOR_CORE => Meter::Hosts(Hosts::new(context, metric, settings)),
            Metric::ORACLE_PROCESSOR => Meter::Servers(Servers::new(context, settings)),
            Metric::ORACLE_NAMED_USER_PLUS => Meter::NamedUsers(NamedUsers::new(context, settings)),
            Metric::CUSTOM => Meter::Fixed(settings.quantity.unwrap_or_default()),
            _ => Meter::Fixed(Decimal::ZERO),
        }
    }

    /// Why an installation on `device` cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        match self {
            Meter::Fixed(_) | Meter::Persons(_) => None,
            Meter::Devices(devices) => devices.weight(context, device).err(),
            Meter::Capacity(capacity) => capacity.missing(context, device),
            Meter::Hosts(hosts) => hosts.missing(context, device),
            Meter::Servers(servers) => servers.missing(context, device),
            Meter::NamedUsers(users) => users.missing(context, device),
        }
    }

    /// The figure if this installation were taken too. Only asked of types with a limit that is asked for.
    pub fn figure_with(&self, context: &Context<'_>, offered: &Offered<'_>) -> Decimal {
        match self {
            Meter::Fixed(figure) => *figure,
            Meter::Devices(devices) => devices.figure_with(context, offered),
            Meter::Persons(persons) => persons.figure_with(offered),
            Meter::Capacity(capacity) => capacity.figure_with(context, offered.device),
            Meter::Hosts(hosts) => hosts.figure_with(context, offered.device),
            Meter::Servers(servers) => servers.figure_with(context, offered.device),
            // Only allocated devices are taken, and they are never refused for want of rights.
            Meter::NamedUsers(users) => users.figure(context),
        }
    }

    /// Takes an installation.
    pub fn take(&mut self, context: &Context<'_>, offered: &Offered<'_>) {
        match self {
            Meter::Fixed(_) => {}
            Meter::Devices(devices) => devices.take(context, offered),
            Meter::Persons(persons) => persons.take(offered),
            Meter::Capacity(capacity) => capacity.take(context, offered.device),
            Meter::Hosts(hosts) => hosts.take(context, offered.device),
            Meter::Servers(servers) => servers.take(context, offered.device),
            Meter::NamedUsers(users) => users.take(offered),
        }
    }

    /// Today's figure of what was taken.
    pub fn figure(&self, context: &Context<'_>) -> Decimal {
        match self {
            Meter::Fixed(figure) => *figure,
            Meter::Devices(devices) => devices.figure(),
            Meter::Persons(persons) => persons.figure(),
            Meter::Capacity(capacity) => capacity.figure(),
            Meter::Hosts(hosts) => hosts.figure(),
            Meter::Servers(servers) => servers.figure(),
            Meter::NamedUsers(users) => users.figure(context),
        }
    }
}
