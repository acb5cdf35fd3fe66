//! Which applications are installed where, as far as licences care.
//!
//! Source: reconcile-files reference, section 4 (an installation is a pair of application and device).

use hashbrown::{HashMap, HashSet};

use super::{Recognised, Unlicensed};
use crate::id::DeviceId;
use crate::model::licence::Licence;
use crate::model::software::{Application, ApplicationId, InstalledTitle, TitleId};

/// A device of the fleet and what it has.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSoftware<'a> {
    /// The device.
    pub device: DeviceId,
    /// What it is used for (`test`, `production`), as the operator says; licences may exempt a role.
    pub role: Option<&'a str>,
    /// Its titles, in any order.
    pub titles: &'a [InstalledTitle],
}

/// An application on a device. 16 bytes: a fleet has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installation {
    /// Its place in [`Installations::applications`].
    pub application: u32,
    /// The title that shows it; of several the one with the lowest number.
    pub title: TitleId,
    /// Where it is.
    pub device: DeviceId,
}

/// The installations that licences are offered, and counts of the others.
#[derive(Debug)]
pub struct Installations {
    applications: Vec<ApplicationId>,
    /// Ascending by application, then device; each pair once.
    offered: Vec<Installation>,
    /// Devices per application, by place in `applications`: those that no licence covers.
    unlicensed: Vec<u64>,
    /// The role of a device, where some licence exempts it; as its place in `exempt_roles`.
    roles: HashMap<DeviceId, u32>,
    exempt_roles: Vec<Box<str>>,
}

impl Installations {
    /// Collects from `fleet` what `licences` may cover. Applications that are not licensable are left out; one that
    /// `applications` does not know is licensable.
    pub fn collect<'f>(
        recognised: &Recognised<'_>,
        applications: &[Application],
        licences: &[&Licence],
        fleet: impl IntoIterator<Item = DeviceSoftware<'f>>,
    ) -> Installations {
        let ids = recognised.recogniser().applications();
        let not_licensable = applications.iter().filter(|application| !application.licensable);
        let not_licensable: HashSet<&ApplicationId> = not_licensable.map(|application| &application.id).collect();
        let linked: HashSet<&ApplicationId> =
            licences.iter().flat_map(|licence| &licence.links).map(|link| &link.application).collect();
        let fates: Vec<Fate> = ids
            .iter()
            .map(|id| match (not_licensable.contains(id), linked.contains(id)) {
                (true, _) => Fate::LeftOut,
                (false, true) => Fate::Offered,
                (false, false) => Fate::Counted,
            })
            .collect();
        let mut exempt_roles: Vec<Box<str>> =
            licences.iter().flat_map(|licence| &licence.exempt_roles).map(|role| role.role.clone()).collect();
        exempt_roles.sort_unstable();
        exempt_roles.dedup();

        let (mut offered, mut unlicensed, mut roles) = (Vec::new(), vec![0; ids.len()], HashMap::new());
        let mut on_device: Vec<(u32, TitleId)> = Vec::new();
        for DeviceSoftware { device, role, titles } in fleet {
            on_device.clear();
            for InstalledTitle { title, .. } in titles {
                on_device.extend(recognised.found(*title).iter().map(|found| (found.application, *title)));
            }
            on_device.sort_unstable();
            on_device.dedup_by_key(|(application, _)| *application);
            for &(application, title) in &on_device {
                match fates[application as usize] {
                    Fate::LeftOut => {}
                    Fate::Offered => offered.push(Installation { application, title, device }),
                    Fate::Counted => unlicensed[application as usize] += 1,
                }
            }
            if let Some(role) = role.and_then(|role| exempt_roles.binary_search_by(|known| (**known).cmp(role)).ok()) {
                roles.insert(device, role as u32);
            }
        }
        // The title too, so that a device given twice changes nothing either.
        offered.sort_unstable_by_key(|one| (one.application, one.device, one.title));
        offered.dedup_by_key(|one| (one.application, one.device));
        Installations { applications: ids.to_vec(), offered, unlicensed, roles, exempt_roles }
    }

    /// The applications that places mean, ascending.
    pub fn applications(&self) -> &[ApplicationId] {
        &self.applications
    }

    /// What licences are offered, ascending by application, then device.
    pub fn offered(&self) -> &[Installation] {
        &self.offered
    }

    /// The role of `device`, where some licence exempts it.
    pub fn exempt_role(&self, device: DeviceId) -> Option<&str> {
        self.roles.get(&device).map(|&role| &*self.exempt_roles[role as usize])
    }

    /// Applications that no licence covers and on how many devices they are, ascending.
    pub fn unlicensed(&self) -> impl Iterator<Item = Unlicensed> {
        let counted = self.applications.iter().zip(&self.unlicensed).filter(|(_, devices)| **devices > 0);
        counted.map(|(application, &devices)| Unlicensed { application: application.clone(), devices })
    }
}

/// What becomes of the installations of an application.
#[derive(Clone, Copy)]
enum Fate {
    LeftOut,
    Offered,
    Counted,
}
