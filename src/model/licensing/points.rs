//! Points of processors: value units, core factors, processor points, as rules over what a device is.
//!
//! Source: reconcile-files reference, sections 3 (`points_rules.csv`) and 6.1.

use crate::model::day::Day;
use crate::model::decimal::Decimal;
use crate::model::estate::{Class, Device};
use crate::model::pattern::Pattern;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointsRule {
    /// Its number in the set: the lowest that matches counts.
    pub number: u64,
    /// Asked of vendor, family, model, operating system and place; `None`: not compared.
    pub patterns: [Option<Pattern>; 5],
    /// Occupied sockets at least.
    pub sockets_min: Option<u64>,
    /// Occupied sockets at most.
    pub sockets_max: Option<u64>,
    /// Devices bought before this day only.
    pub bought_before: Option<Day>,
    /// Points of a core or processor.
    pub points: Decimal,
}

/// Rules of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointsSet {
    /// Its name.
    pub name: Box<str>,
    /// Ascending by number.
    pub rules: Vec<PointsRule>,
}

/// What the rules say of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Points of the first rule that matches.
    pub known: Option<Decimal>,
    /// A rule before it would match if one knew when the device was bought.
    pub lacks_date: bool,
}

impl PointsRule {
    /// Whether its texts match, and devices of this class may have its points.
    pub fn is_for(&self, class: &Class) -> bool {
        self.patterns
            .iter()
            .zip(&class.texts)
            .all(|(pattern, text)| pattern.as_ref().is_none_or(|pattern| pattern.matches(text)))
    }

    /// Whether the number of sockets fits. A number that is not known fits no bound.
    fn has_sockets(&self, processors: u64) -> bool {
        let is_known = processors > 0;
        self.sockets_min.is_none_or(|least| is_known && least <= processors)
            && self.sockets_max.is_none_or(|most| is_known && processors <= most)
    }
}

impl PointsSet {
    /// Places of the rules for a class, ascending.
    pub fn rules_for(&self, class: &Class) -> Vec<u32> {
        (0..).zip(&self.rules).filter(|(_, rule)| rule.is_for(class)).map(|(place, _)| place).collect()
    }

    /// What `rules`, those for the device's class, say of it.
    pub fn points(&self, rules: &[u32], device: &Device) -> Points {
        let mut found = Points::default();
        for &place in rules {
            let rule = &self.rules[place as usize];
            if !rule.has_sockets(device.processors) {
                continue;
            }
            match (rule.bought_before, device.bought) {
                (Some(before), Some(bought)) if bought >= before => {}
                (Some(_), None) => found.lacks_date = true,
                _ => return Points { known: Some(rule.points), ..found },
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_counts_and_a_missing_day_is_told() {
        let rule =
            |number, family: &str, sockets: (Option<u64>, Option<u64>), before: Option<&str>, points: u64| PointsRule {
                number,
                patterns: [None, Some(Pattern::new(family).unwrap()), None, None, None],
                sockets_min: sockets.0,
                sockets_max: sockets.1,
                bought_before: before.map(|day| day.parse().unwrap()),
                points: points.into(),
            };
        let set = PointsSet {
            name: "s".into(),
            rules: vec![
                rule(1, "itanium%", (None, None), Some("2010-12-01"), 1),
                rule(2, "xeon%", (Some(3), None), None, 2),
                rule(3, "xeon%", (None, Some(2)), None, 3),
                rule(4, "%", (Some(9), Some(9)), None, 4),
            ],
        };
        let points = |family: &str, processors, bought: Option<&str>| {
            let class = Class { texts: ["", family, "", "", ""].map(Into::into) };
            let device = Device { processors, bought: bought.map(|day| day.parse().unwrap()), ..Device::default() };
            set.points(&set.rules_for(&class), &device)
        };
        let known = |points: u64| Points { known: Some(points.into()), lacks_date: false };
        let nothing = Points::default();
        assert_eq!(points("itanium 2", 1, Some("2010-11-30")), known(1));
        assert_eq!(points("itanium 2", 1, Some("2010-12-01")), nothing);
        assert_eq!(points("itanium 2", 1, None), Points { lacks_date: true, ..nothing });
        assert_eq!(points("itanium 2", 9, None), Points { lacks_date: true, ..known(4) });
        assert_eq!(points("xeon", 4, None), known(2));
        assert_eq!(points("xeon", 2, None), known(3));
        assert_eq!(points("xeon", 0, None), nothing);
    }
}
