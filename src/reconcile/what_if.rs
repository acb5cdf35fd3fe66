//! What would be if: edits are made to a copy, the copy is reconciled, and what changes is told. Nothing is written.
//!
//! Cost: a reconcile, and a copy of the estate where an edit is about it; edits of licences only copy the licences.
//!
//! Source: decision 084.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use super::changes::{Changes, changes};
use super::engine::{Reconciled, assign};
use crate::id::shorten;
use crate::model::edit::{Edit, EditError, Holder, Place};
use crate::model::estate::{Access, Device, Estate, Ids, Number, Slot, Usage, Used};
use crate::model::licensing::{Allocated, Allocation, Entitlement, Licence, Licensing};

/// An estate and its licences after some edits.
#[derive(Debug)]
pub struct Edited<'e> {
    /// What is there.
    pub estate: Cow<'e, Estate>,
    /// What may be used.
    pub licensing: Licensing,
}

/// What would change in `plain` if these edits were made, in their order.
pub fn what_if(plain: &Reconciled<'_>, edits: &[Edit]) -> Result<Changes, EditError> {
    let context = plain.context();
    let edited = edited(context.estate, context.licensing, edits)?;
    let assigned = assign(&edited.estate, &edited.licensing, context.as_of);
    // Whatever is taken away, the levels of applications stay.
    let found = assigned.expect("an edit adds no link and no suite").count();
    Ok(changes(plain, &found))
}

/// An estate and its licences with edits made to them. Ids are those of the estate as it is given, whatever an earlier edit
/// took away.
pub fn edited<'e>(estate: &'e Estate, licensing: &Licensing, edits: &[Edit]) -> Result<Edited<'e>, EditError> {
    let mut draft = Draft {
        estate,
        licensing: licensing.clone(),
        gone: HashSet::new(),
        removed: HashSet::new(),
        allocated: HashMap::new(),
    };
    for (place, edit) in edits.iter().enumerate() {
        draft.make(edit).map_err(|(column, problem)| EditError { place, column, problem })?;
    }
    let Draft { licensing, gone, removed, .. } = draft;
    let mut edited = Edited { estate: Cow::Borrowed(estate), licensing };
    if !removed.is_empty() {
        edited.estate.to_mut().installations = estate
            .installations
            .mapped(|application, device| (!removed.contains(&(application, device))).then_some(device));
    }
    if !gone.is_empty() {
        edited = without(edited, &gone);
    }
    Ok(edited)
}

/// The column that is wrong, and what to mend.
type Problem = (&'static str, String);

/// Edits while they are made.
struct Draft<'e> {
    estate: &'e Estate,
    licensing: Licensing,
    /// Devices that are taken away.
    gone: HashSet<Number>,
    /// Installations that are taken away: application, device.
    removed: HashSet<(Number, Number)>,
    /// Where in the list of a licence an allocation stands, for those about which an edit is.
    allocated: HashMap<Number, HashMap<Allocated, usize>>,
}

fn known(ids: &Ids, id: &str, column: &'static str) -> Result<Number, Problem> {
    let unknown = || (column, format!("`{}` is not known: give an id that stands in the estate", shorten(id)));
    ids.find(id).ok_or_else(unknown)
}

impl Draft<'_> {
    fn make(&mut self, edit: &Edit) -> Result<(), Problem> {
        match edit {
            Edit::RemoveApplication { application, from } => self.remove(application, from),
            Edit::RemoveDevice { device } => {
                self.gone.insert(known(&self.estate.device_ids, device, "device")?);
                Ok(())
            }
            Edit::AddEntitlement { licence, quantity } => {
                let quantity = *quantity;
                let bought = Entitlement { quantity, effective: None, expiry: None, retired: false };
                self.licence(licence)?.entitlements.push(bought);
                Ok(())
            }
            Edit::Allocate { licence, to, kind, exemption } => {
                let to = match to {
                    Holder::Device(device) => Allocated::Device(known(&self.estate.device_ids, device, "device")?),
                    Holder::User(user) => Allocated::User(known(&self.estate.user_ids, user, "user")?),
                };
                let number = known(&self.licensing.ids, licence, "license")?;
                let allocations = &mut self.licensing.licences[number as usize].allocations;
                let places = self.allocated.entry(number).or_insert_with(|| {
                    allocations.iter().enumerate().map(|(place, one)| (one.to.clone(), place)).collect()
                });
                let place = *places.entry(to.clone()).or_insert(allocations.len());
                let allocation = Allocation { to, kind: *kind, exemption: *exemption };
                match allocations.get_mut(place) {
                    Some(known) => *known = allocation,
                    None => allocations.push(allocation),
                }
                Ok(())
            }
        }
    }

    fn licence(&mut self, id: &str) -> Result<&mut Licence, Problem> {
        let number = known(&self.licensing.ids, id, "license")?;
        Ok(&mut self.licensing.licences[number as usize])
    }

    fn remove(&mut self, application: &str, from: &Place) -> Result<(), Problem> {
        let (estate, name) = (self.estate, shorten(application));
        let number = known(&estate.application_ids, application, "application")?;
        let installed = estate.installations.of_application(number);
        let nowhere = || ("application", format!("`{name}` is installed nowhere"));
        match from {
            Place::On(device) => {
                let device = known(&estate.device_ids, device, "device")?;
                if installed.binary_search(&device).is_err() {
                    return Err(("device", format!("`{name}` is not installed on it")));
                }
                self.removed.insert((number, device));
            }
            _ if installed.is_empty() => return Err(nowhere()),
            Place::Everywhere => self.removed.extend(installed.iter().map(|&device| (number, device))),
            Place::Unused => {
                let used = estate.usage.of_application(number);
                // No use at all mostly means that nobody looked.
                if used.is_empty() {
                    let problem =
                        format!("nothing is known of the use of `{name}`, so nobody can say where it is not used");
                    return Err(("application", problem));
                }
                let used: HashSet<Number> = used.iter().map(|used| used.device).collect();
                let unused = installed.iter().filter(|device| !used.contains(*device));
                self.removed.extend(unused.map(|&device| (number, device)));
            }
        }
        Ok(())
    }
}

/// The same without some devices: as if their rows in `devices.csv` had never been.
fn without<'e>(edited: Edited<'e>, gone: &HashSet<Number>) -> Edited<'e> {
    let (estate, mut licensing) = (&*edited.estate, edited.licensing);
    let mut kept: Vec<Option<Number>> = Vec::with_capacity(estate.devices.len());
    let mut count = 0;
    for device in 0..estate.devices.len() as Number {
        let stays = !gone.contains(&device);
        kept.push(stays.then_some(count));
        count += Number::from(stays);
    }
    let number = |device: Number| kept[device as usize];
    let stays = |device: &Number| number(*device).is_some();
    let devices = || (0..estate.devices.len() as Number).filter(stays);
    let moved = |device: Number| {
        let at = *estate.device(device);
        Device { host: at.host.and_then(|host| number(host.get())).map(Slot::new), ..at }
    };
    let used = |used: &Used| Some(Used { device: number(used.device)?, ..*used });
    let access = |access: &Access| match access.device {
        Some(device) => Some(Access { device: Some(Slot::new(number(device.get())?)), ..*access }),
        None => Some(*access),
    };
    for allocation in licensing.licences.iter_mut().flat_map(|licence| &mut licence.allocations) {
        if let Allocated::Device(device) = allocation.to {
            let unknown = || Allocated::UnknownDevice(estate.device_ids.name(device).into());
            allocation.to = number(device).map_or_else(unknown, Allocated::Device);
        }
    }
    let smaller = Estate {
        device_ids: Ids::of(devices().map(|device| estate.device_ids.name(device))),
        devices: devices().map(moved).collect(),
        shares: estate.shares.iter().filter_map(|&(device, share)| Some((number(device)?, share))).collect(),
        installations: estate.installations.mapped(|_, device| number(device)),
        usage: Usage::new(estate.usage.rows().iter().filter_map(used).collect()),
        access: estate.access.iter().filter_map(access).collect(),
        classes: estate.classes.clone(),
        texts: estate.texts.clone(),
        user_ids: estate.user_ids.clone(),
        users: estate.users.clone(),
        groups: estate.groups.clone(),
        application_ids: estate.application_ids.clone(),
        applications: estate.applications.clone(),
        suites: estate.suites.clone(),
    };
    Edited { estate: Cow::Owned(smaller), licensing }
}

#[cfg(test)]
mod tests;
