//! Types 39 and 40: whoever reaches a server product (section 6.1).

use std::collections::{BTreeMap, BTreeSet};

use super::figure::Unit;
use super::licences::Licence;
use super::persons::{device_exemption, user_exemption};
use super::world::World;

/// Who counts and who does not.
#[derive(Debug, Default)]
pub struct Access {
    /// Applications reached by the devices or users in scope, exempt ones included.
    pub reached: BTreeMap<Unit, BTreeSet<String>>,
    /// Those that count.
    pub counted: BTreeSet<Unit>,
    /// Those in reach that do not, for an exemption.
    pub exempt: BTreeSet<Unit>,
}

/// "39 / 40: distinct devices / users in access rows of linked applications, in scope, not exempt, plus every allocation
/// without exemption. Each licence counts for itself".
pub fn access(world: &World, licence: &Licence) -> Access {
    let mut access = Access::default();
    for (application, device, user) in &world.estate.access {
        if !licence.links.contains_key(application) {
            continue;
        }
        let (unit, group) = match licence.kind {
            39 if !device.is_empty() => (Unit::device(device), world.device(device).group.as_str()),
            40 if !user.is_empty() => {
                (Unit::user(user), world.estate.users.get(user).map_or("", |user| user.group.as_str()))
            }
            _ => continue,
        };
        if world.estate.in_scope(group, &licence.scope) {
            access.reached.entry(unit).or_default().insert(application.clone());
        }
    }
    for row in licence.allocations.iter().filter(|row| row.exemption.is_none()) {
        if licence.kind == 39 && !row.device.is_empty() {
            access.counted.insert(Unit::device(&row.device));
        }
        if licence.kind == 40 && !row.user.is_empty() {
            access.counted.insert(Unit::user(&row.user));
        }
    }
    for unit in access.reached.keys() {
        let exemption = match licence.kind {
            39 => device_exemption(world, licence, &unit.id),
            _ => user_exemption(licence, unit),
        };
        if exemption.is_none() {
            access.counted.insert(unit.clone());
        } else if !access.counted.contains(unit) {
            access.exempt.insert(unit.clone());
        }
    }
    access
}

impl Access {
    /// "raw there = (device or user, application) pairs reached, plus allocations without access" (section 8).
    pub fn raw(&self) -> usize {
        let pairs: usize = self.reached.values().map(BTreeSet::len).sum();
        pairs + self.counted.iter().filter(|unit| !self.reached.contains_key(*unit)).count()
    }
}
