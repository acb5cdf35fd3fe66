//! What a type looks at on a device, as texts that can be compared between two estates.

use crate::model::decimal::Decimal;
use crate::model::estate::{Device, Estate, Kind, Number, Partition, Slot};
use crate::model::licensing::{Licence, Metric};

/// The column of `devices.csv`, and how it is read back.
pub type Fact = (&'static str, fn(&Estate, Number) -> String);

/// A number; blank when it is not known.
fn known(number: Decimal) -> String {
    if number.is_positive() { number.to_string() } else { String::new() }
}

fn user(estate: &Estate, user: Option<Slot>) -> String {
    user.map_or_else(String::new, |user| estate.user_ids.name(user.get()).to_owned())
}

fn class(estate: &Estate, device: &Device, place: usize) -> String {
    let class = estate.classes.get(device.class as usize);
    class.map_or_else(String::new, |class| class.texts[place].to_string())
}

fn kind(estate: &Estate, device: Number) -> String {
    match estate.device(device).kind {
        Kind::Physical => "physical".into(),
        Kind::Vm => "vm".into(),
    }
}

fn host(estate: &Estate, device: Number) -> String {
    estate.device(device).host.map_or_else(String::new, |host| estate.device_ids.name(host.get()).to_owned())
}

fn partition(estate: &Estate, device: Number) -> String {
    let partition = match estate.device(device).partition {
        Partition::Soft => "soft",
        Partition::Hard => "hard",
        Partition::Capped => "capped",
        Partition::Uncapped => "uncapped",
    };
    partition.into()
}

const KIND: Fact = ("kind", kind);
const HOST: Fact = ("host", host);
const ASSIGNED: Fact = ("assigned_user", |estate, device| user(estate, estate.device(device).assigned_user));
const CALCULATED: Fact = ("calculated_user", |estate, device| user(estate, estate.device(device).calculated_user));
const REGION: Fact = ("region", |estate, device| estate.texts.text(estate.device(device).region).to_owned());
const ROLE: Fact = ("role", |estate, device| estate.texts.text(estate.device(device).role).to_owned());
const CHASSIS: Fact =
    ("chassis", |estate, device| if estate.device(device).is_portable { "portable".into() } else { "fixed".into() });
const GROUP: Fact = ("group", |estate, device| {
    let group = estate.device(device).group;
    group.map_or_else(String::new, |group| estate.groups.ids().name(group.get()).to_owned())
});

/// What hardware weighs.
const HARDWARE: [Fact; 12] = [
    ("processors", |estate, device| known(estate.device(device).processors.into())),
    ("cores", |estate, device| known(estate.device(device).cores)),
    ("threads", |estate, device| known(estate.device(device).threads)),
    ("vendor", |estate, device| class(estate, estate.device(device), 0)),
    ("family", |estate, device| class(estate, estate.device(device), 1)),
    ("model", |estate, device| class(estate, estate.device(device), 2)),
    ("os", |estate, device| class(estate, estate.device(device), 3)),
    ("hosted_in", |estate, device| class(estate, estate.device(device), 4)),
    ("bought", |estate, device| estate.device(device).bought.map_or_else(String::new, |day| day.to_string())),
    ("cluster", |estate, device| estate.texts.text(estate.device(device).cluster).to_owned()),
    KIND,
    HOST,
];

/// What a partition has of its host.
const SHARE: [Fact; 3] = [
    ("partition", partition),
    ("entitled_capacity", |estate, device| known(estate.share(device).entitled_capacity)),
    ("pool_cores", |estate, device| known(estate.share(device).pool_cores)),
];

/// What a licence looks at on a device.
pub fn of(licence: &Licence) -> Vec<Fact> {
    let (settings, mut facts) = (&licence.settings, Vec::new());
    let Some(metric) = licence.metric else { return facts };
    let weighs = matches!(
        metric,
        Metric::CORE_POINTS | Metric::PROCESSOR_POINTS | Metric::PROCESSOR | Metric::RESOURCE_VALUE_UNIT
    );
    if weighs || metric.is_charged() {
        facts.extend(HARDWARE);
    } else if settings.vm_use.is_some() {
        facts.extend([KIND, HOST]);
    }
    if matches!(metric, Metric::ORACLE_PROCESSOR | Metric::ORACLE_NAMED_USER_PLUS) {
        facts.extend(SHARE);
    }
    if metric == Metric::PROCESSOR_VALUE_UNIT {
        facts.push(REGION);
    }
    if metric.counts_persons() || settings.second_use {
        facts.extend([ASSIGNED, CALCULATED]);
    }
    if settings.second_use {
        facts.push(CHASSIS);
    }
    if settings.scope.is_some() {
        facts.push(GROUP);
    }
    if !licence.exempt_roles.is_empty() {
        facts.push(ROLE);
    }
    facts
}
