//! What every licence looks things up in.

use hashbrown::HashMap;

use super::links::{Cycle, Links};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::{Device, Estate, Groups, Kind, Number, Slot, Used, on_device};
use crate::model::licensing::{Licensing, Points};
use crate::model::reconciliation::Reason;

/// Points of a core that no rule knows. Source: reconcile-files reference, section 6.2; reconcile reference, 5.2.
pub const UNKNOWN_POINTS: u64 = 120;

/// An estate, its licences and the day.
#[derive(Debug)]
pub struct Context<'c> {
    /// What is there.
    pub estate: &'c Estate,
    /// What may be used.
    pub licensing: &'c Licensing,
    /// What covers what.
    pub links: Links,
    /// The day of entitlements and peaks.
    pub as_of: Day,
    /// For each set of points and each class of devices the rules whose texts match.
    rules: Vec<Vec<Box<[u32]>>>,
    /// Physical devices of each cluster, ascending.
    clusters: HashMap<Number, Vec<Number>>,
}

impl<'c> Context<'c> {
    /// Prepares what is looked up often.
    pub fn new(estate: &'c Estate, licensing: &'c Licensing, as_of: Day) -> Result<Context<'c>, Cycle> {
        let for_class = |set: &crate::model::licensing::PointsSet| {
            estate.classes.iter().map(|class| set.rules_for(class).into()).collect()
        };
        let rules = licensing.points.iter().map(for_class).collect();
        let mut clusters: HashMap<Number, Vec<Number>> = HashMap::new();
        for (number, device) in (0..).zip(&estate.devices) {
            if device.is_clustered() && device.kind == Kind::Physical {
                clusters.entry(device.cluster).or_default().push(number);
            }
        }
        Ok(Context { links: Links::new(estate, licensing, as_of)?, estate, licensing, as_of, rules, clusters })
    }

    /// A device.
    pub fn device(&self, number: Number) -> &'c Device {
        self.estate.device(number)
    }

    /// What the rules of a set say of a device; nothing when the licence names no set.
    pub fn points(&self, set: Option<Slot>, device: Number) -> Points {
        let Some(set) = set.map(|set| set.get() as usize) else { return Points::default() };
        let device = self.device(device);
        self.licensing.points[set].points(&self.rules[set][device.class as usize], device)
    }

    /// Points that have to be known.
    pub fn needed_points(&self, set: Option<Slot>, device: Number) -> Result<Decimal, Reason> {
        self.points(set, device).known.ok_or(Reason::NoPointsRule)
    }

    /// The device that licences charge for `device`.
    pub fn charged(&self, device: Number) -> Result<Number, Reason> {
        self.estate.charged(device).ok_or(Reason::HostMissing)
    }

    /// Physical devices of a cluster, ascending.
    pub fn in_cluster(&self, cluster: Number) -> &[Number] {
        self.clusters.get(&cluster).map_or(&[], Vec::as_slice)
    }

    /// Use of an application on a device.
    pub fn used(&self, of_application: &'c [Used], device: Number) -> &'c [Used] {
        on_device(of_application, device)
    }

    /// Whether somebody of `group` is in `scope`; everybody is where there is none.
    pub fn is_in_scope(&self, group: Option<Slot>, scope: Option<Slot>) -> bool {
        let groups: &Groups = &self.estate.groups;
        scope.is_none_or(|scope| group.is_some_and(|group| groups.is_within(group.get(), scope.get())))
    }

    /// How many persons there may be: users, and behind them devices that stand for one.
    pub fn persons_bound(&self) -> usize {
        self.estate.users.len() + self.estate.devices.len()
    }

    /// The person that a device stands for when nobody is known.
    pub fn device_person(&self, device: Number) -> Number {
        self.estate.users.len() as Number + device
    }

    /// The user, or the device, that a person is.
    pub fn person(&self, person: Number) -> Person {
        let users = self.estate.users.len() as Number;
        if person < users { Person::User(person) } else { Person::Device(person - users) }
    }
}

/// Who counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// A user.
    User(Number),
    /// A device that nobody is known to use.
    Device(Number),
}
