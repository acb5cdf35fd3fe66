//! Everything that was read, and what follows from it before the first licence takes anything.

use std::collections::{BTreeMap, BTreeSet};

use super::estate::{Device, Estate};
use super::licence_rows::{PointsRule, Step, read_licences, read_points, read_steps};
use super::licences::{Licence, Sets};
use super::links;
use super::number::Number;
use super::recognise::{Recognised, recognise};
use super::text::matches;
use super::warnings::Warnings;

/// The input of sections 5 to 8.
#[derive(Debug)]
pub struct World {
    /// Day number.
    pub as_of: i64,
    /// Section 2.
    pub estate: Estate,
    /// What recognition found.
    pub recognised: Recognised,
    /// "An installation is a pair (application, device)" (section 4).
    pub installations: BTreeSet<(String, String)>,
    /// Section 3.
    pub licences: BTreeMap<String, Licence>,
    /// By application.
    pub levels: BTreeMap<String, usize>,
    /// By set.
    pub points: BTreeMap<String, Vec<PointsRule>>,
    /// By set.
    pub steps: BTreeMap<String, Vec<Step>>,
    /// Those of reading.
    pub warnings: Warnings,
}

impl World {
    /// Sections 1 to 4, and the links and levels of 5.1.
    pub fn read(files: &BTreeMap<String, String>, as_of: i64) -> Result<World, String> {
        let mut warnings = Warnings::default();
        let estate = Estate::read(files, &mut warnings)?;
        let (points, steps) = (read_points(files)?, read_steps(files)?);
        let sets = Sets { points: points.keys().cloned().collect(), steps: steps.keys().cloned().collect() };
        let mut licences = read_licences(files, &estate, &sets, &mut warnings)?;
        for licence in licences.values_mut() {
            licence.links = links::links(&estate, licence);
        }
        let levels = links::levels(&estate, &licences)?;
        let recognised = recognise(&estate);
        let installations = estate.installations.union(&recognised.installations).cloned().collect();
        Ok(World { as_of, estate, recognised, installations, licences, levels, points, steps, warnings })
    }

    /// A device that is known to be in devices.csv.
    pub fn device(&self, device: &str) -> &Device {
        &self.estate.devices[device]
    }

    /// The points rules of a licence, ascending; none without a set.
    fn rules(&self, licence: &Licence) -> &[PointsRule] {
        self.points.get(&licence.points_set).map_or(&[], Vec::as_slice)
    }

    /// "x points of the first rule (ascending number) that matches" (section 6.1).
    pub fn points(&self, licence: &Licence, device: &Device) -> Option<Number> {
        let matching = self.rules(licence).iter().find(|rule| fits(rule, device) && dated(rule, device));
        matching.map(|rule| rule.points)
    }

    /// "*Factor*: points rules on the server ...; no rule: 1, warning `unknown_processor`; a rule that fails only because
    /// `bought` is blank: 1, warning `purchase_date_missing`" (section 6.3). The first rule that does either decides.
    pub fn factor(&self, licence: &Licence, device: &Device) -> (Number, Option<&'static str>) {
        for rule in self.rules(licence).iter().filter(|rule| fits(rule, device)) {
            if dated(rule, device) {
                return (rule.points, None);
            }
            if device.bought.is_none() {
                return (Number::whole(1), Some("purchase_date_missing"));
            }
        }
        (Number::whole(1), Some("unknown_processor"))
    }
}

/// "each non-blank pattern (as in section 4) matches vendor, family, model, os, hosted_in of the device, its processors lie
/// in sockets_min..sockets_max (blank processors match only blank bounds)" (section 6.1).
fn fits(rule: &PointsRule, device: &Device) -> bool {
    let text = |column: &str| match column {
        "vendor" => &device.vendor,
        "family" => &device.family,
        "model" => &device.model,
        "os" => &device.os,
        _ => &device.hosted_in,
    };
    let patterns = rule.patterns.iter().all(|(column, pattern)| pattern.is_empty() || matches(pattern, text(column)));
    let sockets = match device.processors {
        Some(processors) => {
            rule.sockets_min.is_none_or(|least| least <= processors)
                && rule.sockets_max.is_none_or(|most| processors <= most)
        }
        None => rule.sockets_min.is_none() && rule.sockets_max.is_none(),
    };
    patterns && sockets
}

/// "and bought < bought_before (blank bought: no match)".
fn dated(rule: &PointsRule, device: &Device) -> bool {
    match (rule.bought_before, device.bought) {
        (None, _) => true,
        (Some(before), Some(bought)) => bought < before,
        (Some(_), None) => false,
    }
}
