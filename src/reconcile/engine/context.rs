//! What every licence looks things up in.

use std::cell::OnceCell;

use hashbrown::HashMap;

use super::links::{Cycle, Links};
use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::{Device, Estate, Groups, Kind, Number, Slot};
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
    /// What is looked at for every installation, four bytes a device each, so that it stays near the processor.
    columns: Columns,
}

/// See [`Context::columns`].
#[derive(Debug, Default)]
struct Columns {
    /// Which hardware it is; devices of one profile weigh the same for every licence.
    profiles: Vec<Number>,
    /// A device of each profile.
    examples: Vec<Number>,
    /// Who uses it, else the device as a person.
    persons: Vec<Number>,
    /// The device that is charged for it; the largest number where that is not known.
    charged: Vec<Number>,
    /// Its region, as a text.
    regions: Vec<Number>,
}

/// Where no device is.
const NOWHERE: Number = Number::MAX;

impl Columns {
    fn of(estate: &Estate) -> Columns {
        let users = estate.users.len() as Number;
        let numbers = || 0..estate.devices.len() as Number;
        let persons = || numbers().map(|device| estate.device(device).user().unwrap_or(users + device)).collect();
        let charged = || {
            let ends = ends(estate);
            let is_guest = |device| estate.device(device).is_guest();
            numbers().map(|device| if is_guest(device) { ends[device as usize] } else { device }).collect()
        };
        let regions = || estate.devices.iter().map(|at| at.region).collect();
        let ((profiles, examples), (persons, charged, regions)) =
            rayon::join(|| Columns::profiles(estate), || (persons(), charged(), regions()));
        Columns { profiles, examples, persons, charged, regions }
    }

    fn profiles(estate: &Estate) -> (Vec<Number>, Vec<Number>) {
        let mut known: HashMap<_, Number> = HashMap::new();
        let mut examples = Vec::new();
        let profile = |(number, at): (Number, &Device)| {
            let hardware = (at.class, at.processors, at.cores, at.threads, at.bought, at.kind == Kind::Vm, at.in_cloud);
            *known.entry(hardware).or_insert_with(|| {
                examples.push(number);
                examples.len() as Number - 1
            })
        };
        let profiles = (0..).zip(&estate.devices).map(profile).collect();
        (profiles, examples)
    }
}

/// What each device stands on in the end: itself, or what its hosts lead to. Each host is followed once, however deep
/// machines are nested. Hosts have no cycles.
fn ends(estate: &Estate) -> Vec<Number> {
    /// Not followed yet; no device has this number.
    const UNKNOWN: Number = NOWHERE - 1;
    let mut ends = vec![UNKNOWN; estate.devices.len()];
    let mut way = Vec::new();
    for start in 0..estate.devices.len() as Number {
        let mut at = start;
        let end = loop {
            if ends[at as usize] != UNKNOWN {
                break ends[at as usize];
            }
            way.push(at);
            let device = estate.device(at);
            match (device.kind, device.host) {
                (Kind::Physical, _) => break at,
                (Kind::Vm, Some(host)) => at = host.get(),
                (Kind::Vm, None) => break NOWHERE,
            }
        };
        way.drain(..).for_each(|device| ends[device as usize] = end);
    }
    ends
}

/// Something that is the same for all devices of a profile, computed when the first of them comes.
#[derive(Debug)]
pub struct ByProfile<T>(Vec<OnceCell<T>>);

/// Profiles that are kept for each licence; an estate of more kinds of hardware computes anew.
const PROFILES_KEPT: usize = 1 << 16;

impl<T: Copy> ByProfile<T> {
    /// Nothing computed yet.
    pub fn new(context: &Context<'_>) -> ByProfile<T> {
        let count = Some(context.columns.examples.len()).filter(|&count| count <= PROFILES_KEPT);
        ByProfile((0..count.unwrap_or(0)).map(|_| OnceCell::new()).collect())
    }

    /// The value for the profile of `device`; `compute` looks at hardware only.
    pub fn get(&self, context: &Context<'_>, device: Number, compute: impl FnOnce() -> T) -> T {
        match self.0.get(context.columns.profiles[device as usize] as usize) {
            Some(known) => *known.get_or_init(compute),
            None => compute(),
        }
    }
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
        let links = Links::new(estate, licensing, as_of)?;
        Ok(Context { links, estate, licensing, as_of, rules, clusters, columns: Columns::of(estate) })
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
        let charged = self.columns.charged[device as usize];
        if charged == NOWHERE { Err(Reason::HostMissing) } else { Ok(charged) }
    }

    /// The region of a device.
    pub fn region(&self, device: Number) -> Number {
        self.columns.regions[device as usize]
    }

    /// Physical devices of a cluster, ascending.
    pub fn in_cluster(&self, cluster: Number) -> &[Number] {
        self.clusters.get(&cluster).map_or(&[], Vec::as_slice)
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

    /// Who uses a device: the assigned user, else the calculated one, else the device stands for a person.
    pub fn user_person(&self, device: Number) -> Number {
        self.columns.persons[device as usize]
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
