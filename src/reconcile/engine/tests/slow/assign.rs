//! Which licence takes an installation (section 5).

use std::collections::{BTreeMap, BTreeSet};

use super::figure::{Taken, figure, missing};
use super::licences::Licence;
use super::links::{Link, candidates};
use super::number::Number;
use super::persons;
use super::world::World;

/// What becomes of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By a licence, perhaps exempt.
    Taken { license: String, reason: &'static str, exemption: Option<usize> },
    /// No licence takes it.
    Unlicensed,
    /// `licensable` = no.
    NotLicensable,
}

/// The result of section 5.
#[derive(Debug, Default)]
pub struct Assignment {
    /// By application and device.
    pub outcomes: BTreeMap<(String, String), Outcome>,
    /// Rows of assessment.csv: device, application, license, outcome, reason.
    pub assessments: BTreeSet<[String; 5]>,
    /// License, device, reason.
    pub rejections: BTreeSet<(String, String, &'static str)>,
}

/// "Installations are offered in the order (level, application id, device id), first all that are allocated, then all others"
/// (section 5.1).
pub fn assign(world: &World) -> Assignment {
    let mut order: Vec<&(String, String)> = world.installations.iter().collect();
    order.sort_by_key(|(application, device)| (world.levels[application], application, device));
    let is_allocated = |(application, device): &(String, String)| !allocated_to(world, application, device).is_empty();
    let mut assignment = Assignment::default();
    for allocated_pass in [true, false] {
        for installation in order.iter().filter(|installation| is_allocated(installation) == allocated_pass) {
            let (application, device) = installation;
            let outcome = assignment.offer(world, application, device);
            assignment.outcomes.insert((application.clone(), device.clone()), outcome);
        }
    }
    assignment
}

/// The licences an installation is allocated to (section 5.2).
fn allocated_to(world: &World, application: &str, device: &str) -> BTreeSet<String> {
    let licences = world.licences.values();
    let allocated = licences.filter(|licence| persons::allocated(world, licence, application, device));
    allocated.map(|licence| licence.license.clone()).collect()
}

impl Assignment {
    /// The installations a licence has taken so far.
    pub fn taken_by(&self, license: &str) -> Vec<Taken> {
        let mut taken = Vec::new();
        for ((application, device), outcome) in &self.outcomes {
            if let Outcome::Taken { license: taker, exemption, .. } = outcome
                && taker == license
            {
                taken.push(Taken { application: application.clone(), device: device.clone(), exemption: *exemption });
            }
        }
        taken
    }

    /// One installation (section 5.3).
    fn offer(&mut self, world: &World, application: &str, device: &str) -> Outcome {
        let linked = candidates(&world.licences, application, world.as_of);
        // "An installation that is not licensable ... is offered to nobody."
        if !world.estate.applications[application].licensable {
            linked.iter().for_each(|license| self.assess(device, application, license, "not assessed", ""));
            return Outcome::NotLicensable;
        }
        let allocated = allocated_to(world, application, device);
        if allocated.is_empty()
            && let Some(outcome) = self.with_suite(world, application, device)
        {
            let taker = match &outcome {
                Outcome::Taken { license, .. } => Some(license.clone()),
                _ => None,
            };
            for license in linked.iter().filter(|license| Some(*license) != taker.as_ref()) {
                self.assess(device, application, license, "not assessed", "");
            }
            if let Some(license) = taker {
                self.assess(device, application, &license, "consumed", "suite");
            }
            return outcome;
        }
        self.offer_to(world, application, device, &linked, &allocated)
    }

    /// "A member of a suite that is installed on the same device goes, unless it is allocated, with the suite's installation
    /// (lowest suite id if several have been taken) to the same licence and outcome." With a suite nobody took it stays
    /// unlicensed.
    fn with_suite(&self, world: &World, member: &str, device: &str) -> Option<Outcome> {
        let suites = world.estate.suites_of(member);
        let installed: Vec<&Outcome> =
            suites.iter().filter_map(|suite| self.outcomes.get(&(suite.clone(), device.to_string()))).collect();
        let taken = installed.iter().find(|outcome| matches!(outcome, Outcome::Taken { .. }));
        let outcome = taken.or(installed.first())?;
        Some(match (*outcome).clone() {
            Outcome::Taken { license, exemption, .. } => Outcome::Taken { license, reason: "suite", exemption },
            other => other,
        })
    }

    /// "Every other installation is offered to its candidates in order; the first that does not reject it takes it."
    fn offer_to(
        &mut self,
        world: &World,
        application: &str,
        device: &str,
        linked: &[String],
        allocated: &BTreeSet<String>,
    ) -> Outcome {
        let mut taker: Option<String> = None;
        let mut rejections: Vec<(&String, &'static str)> = Vec::new();
        let mut not_assessed: Vec<&String> = Vec::new();
        for license in linked {
            let elsewhere = !allocated.is_empty() && !allocated.contains(license);
            if elsewhere {
                rejections.push((license, "allocated_elsewhere"));
            } else if taker.is_some() {
                not_assessed.push(license);
            } else {
                let licence = &world.licences[license];
                let link = &licence.links[application];
                match self.rejection(world, licence, link, application, device, !allocated.is_empty()) {
                    Some(reason) => rejections.push((license, reason)),
                    None => taker = Some(license.clone()),
                }
            }
        }
        // "When every candidate rejects and at least one only because it is `full`, the first of those takes it after all"
        let first_full = rejections.iter().find(|(_, reason)| *reason == "full").map(|(license, _)| (*license).clone());
        let overflow = taker.is_none() && first_full.is_some();
        let taker = taker.or(first_full);
        for (license, reason) in rejections.iter().filter(|(license, _)| Some(*license) != taker.as_ref()) {
            self.assess(device, application, license, "rejected", reason);
            self.rejections.insert(((*license).clone(), device.to_string(), reason));
        }
        not_assessed.iter().for_each(|license| self.assess(device, application, license, "not assessed", ""));
        let Some(license) = taker else { return Outcome::Unlicensed };
        let licence = &world.licences[&license];
        // "`allocated`, `suite`, `supplementary`, `overflow` or `priority` (the first that fits)" (section 8)
        let reason = if !allocated.is_empty() {
            "allocated"
        } else if licence.links[application].supplementary {
            "supplementary"
        } else if overflow {
            "overflow"
        } else {
            "priority"
        };
        self.assess(device, application, &license, "consumed", reason);
        let exemption = persons::exemption(world, licence, application, device);
        Outcome::Taken { license, reason, exemption }
    }

    fn assess(&mut self, device: &str, application: &str, license: &str, outcome: &str, reason: &str) {
        self.assessments.insert([device, application, license, outcome, reason].map(ToString::to_string));
    }

    /// "Reasons, the first that applies" (section 5.3); `allocated_elsewhere` came before.
    fn rejection(
        &self,
        world: &World,
        licence: &Licence,
        link: &Link,
        application: &str,
        device: &str,
        allocated: bool,
    ) -> Option<&'static str> {
        if licence.bad_data().is_some() {
            return Some("bad_data");
        }
        if out_of_scope(world, licence, application, device) {
            return Some("out_of_scope");
        }
        let not_allocated = match licence.kind {
            3 | 17 => licence.device_row(device).is_none(),
            13 => persons::persons(world, licence, application, device).is_empty(),
            _ => false,
        };
        if not_allocated {
            return Some("not_allocated");
        }
        if link.supplementary {
            match link.ratio {
                None if !self.primary_on(licence, device) => return Some("primary_missing"),
                Some(ratio) if self.ratio_used_up(licence, application, ratio) => return Some("ratio_used_up"),
                _ => {}
            }
        }
        let exemption = persons::exemption(world, licence, application, device);
        if exemption.is_none()
            && !link.supplementary
            && let Some(reason) = missing(world, licence, device)
        {
            return Some(reason);
        }
        let one = Taken { application: application.to_string(), device: device.to_string(), exemption };
        (!allocated && self.full(world, licence, one)).then_some("full")
    }

    /// The primary installations a licence has taken.
    fn primaries(&self, licence: &Licence) -> Vec<Taken> {
        let mut taken = self.taken_by(&licence.license);
        taken.retain(|taken| licence.links.get(&taken.application).is_some_and(|link| !link.supplementary));
        taken
    }

    fn primary_on(&self, licence: &Licence, device: &str) -> bool {
        self.primaries(licence).iter().any(|primary| primary.device == device)
    }

    /// "already floor(r x devices with a non-exempt primary taken) installations of this application are taken (on any
    /// devices)".
    fn ratio_used_up(&self, licence: &Licence, application: &str, ratio: Number) -> bool {
        let primaries = self.primaries(licence);
        let devices: BTreeSet<&String> =
            primaries.iter().filter(|primary| primary.exemption.is_none()).map(|primary| &primary.device).collect();
        let allowed = ratio.times(Number::whole(devices.len())).floor();
        let taken = self.taken_by(&licence.license);
        Number::whole(taken.iter().filter(|taken| taken.application == application).count()) >= allowed
    }

    /// "the licence has a limit, and f(taken and this one) > Total and > f(taken)". "No limit: total unlimited, true-up, types
    /// 1, 5, 12, 29 and those outside the engine."
    fn full(&self, world: &World, licence: &Licence, one: Taken) -> bool {
        let Some(total) = licence.total(world.as_of) else { return false };
        if licence.true_up || !licence.in_engine() || matches!(licence.kind, 1 | 5 | 12 | 29) {
            return false;
        }
        let mut taken = self.taken_by(&licence.license);
        let before = figure(world, licence, &taken).today;
        taken.push(one);
        let after = figure(world, licence, &taken).today;
        after > total && after > before
    }
}

/// "device (types 4, 13: every person) outside the scope".
fn out_of_scope(world: &World, licence: &Licence, application: &str, device: &str) -> bool {
    if matches!(licence.kind, 4 | 13) {
        !licence.scope.is_empty() && persons::in_scope(world, licence, application, device).is_empty()
    } else {
        !world.estate.in_scope(&world.device(device).group, &licence.scope)
    }
}
