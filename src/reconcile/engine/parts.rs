//! Which units of a licence an installation that it took is a part of.
//!
//! Source: reconcile-files reference, section 8, `consumption.csv`: what the unit of each type is.

use super::account::{Account, Persons};
use super::context::{Context, Person};
use super::meter::{Billed, HostRule};
use super::taken::TakenRow;
use crate::model::estate::Number;
use crate::model::licensing::{Licence, Metric};
use crate::model::reconciliation::UnitId;

/// See the module's head.
#[derive(Debug)]
pub struct Parts<'p, 'c> {
    context: &'p Context<'c>,
    licence: &'c Licence,
    unit: Unit<'c>,
    persons: Persons,
}

/// What a type counts.
#[derive(Debug)]
enum Unit<'c> {
    Device,
    Host(HostRule),
    Server,
    User,
    Person(Box<Account<'c>>),
}

impl<'p, 'c> Parts<'p, 'c> {
    /// Of the licence with this number.
    pub fn of(context: &'p Context<'c>, number: Number) -> Parts<'p, 'c> {
        let licence = &context.licensing.licences[number as usize];
        let unit = match licence.metric {
            Some(Metric::USER | Metric::NAMED_USER) => Unit::Person(Box::new(Account::open(context, number))),
            Some(Metric::ORACLE_PROCESSOR) => Unit::Server,
            Some(Metric::ORACLE_NAMED_USER_PLUS) => Unit::User,
            Some(metric) if metric.is_charged() => Unit::Host(HostRule::new(metric, &licence.settings)),
            _ => Unit::Device,
        };
        Parts { context, licence, unit, persons: Persons::default() }
    }

    /// The units that an installation may be a part of: a machine is named with all that is charged for it.
    pub fn units(&mut self, row: &TakenRow, out: &mut Vec<UnitId>) {
        let context = self.context;
        out.clear();
        match &self.unit {
            Unit::Device => out.push(UnitId::Device(row.device)),
            Unit::Host(rule) => {
                out.push(UnitId::Device(row.device));
                out.extend(rule.unit(context, row.device).ok().map(UnitId::Device));
            }
            Unit::Server => {
                out.push(UnitId::Device(row.device));
                for billed in Billed::of(context, &self.licence.settings, row.device).unwrap_or_default() {
                    out.extend([billed.device, billed.server(context)].map(UnitId::Device));
                }
            }
            Unit::User => {
                let used = context.estate.usage.of(row.application, row.device);
                out.extend(used.iter().map(|used| UnitId::User(used.user)));
            }
            Unit::Person(account) => {
                // Nobody in scope is nobody.
                let _ = account.persons(context, row.application, row.device, &mut self.persons);
                out.extend(self.persons.all.iter().map(|&person| match context.person(person) {
                    Person::User(user) => UnitId::User(user),
                    Person::Device(device) => UnitId::Device(device),
                }));
            }
        }
        out.sort_unstable();
        out.dedup();
    }
}
