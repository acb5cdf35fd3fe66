//! Reading the files of section 3.

use std::collections::{BTreeMap, BTreeSet};

use super::estate::Estate;
use super::licences::{Allocation, Entitlement, Licence, LinkRow, Peak, Sets};
use super::links::Link;
use super::number::Number;
use super::schemas;
use super::tables::{Record, read};
use super::warnings::Warnings;

type Files = BTreeMap<String, String>;

/// One row of points_rules.csv.
#[derive(Debug)]
pub struct PointsRule {
    pub rule: Number,
    /// Column to pattern: vendor, family, model, os, hosted_in.
    pub patterns: BTreeMap<&'static str, String>,
    pub sockets_min: Option<Number>,
    pub sockets_max: Option<Number>,
    pub bought_before: Option<i64>,
    pub points: Number,
}

/// One row of steps.csv.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// `None` is no end.
    pub up_to: Option<Number>,
    pub rate: Number,
}

/// points_rules.csv by set, rules ascending. "A bad cell there is exit 2" (section 3).
pub fn read_points(files: &Files) -> Result<BTreeMap<String, Vec<PointsRule>>, String> {
    let mut sets: BTreeMap<String, Vec<PointsRule>> = BTreeMap::new();
    for row in read(files, &schemas::POINTS_RULES, false)? {
        let columns = ["vendor", "family", "model", "os", "hosted_in"];
        let rule = PointsRule {
            rule: row.integer("rule", 0)?.unwrap_or(Number::ZERO),
            patterns: columns.iter().map(|column| (*column, row.text(column).to_string())).collect(),
            sockets_min: row.integer("sockets_min", 0)?,
            sockets_max: row.integer("sockets_max", 0)?,
            bought_before: row.date("bought_before")?,
            points: row.number("points")?.unwrap_or(Number::ZERO),
        };
        sets.entry(row.text("set").to_string()).or_default().push(rule);
    }
    for rules in sets.values_mut() {
        rules.sort_by_key(|rule| rule.rule);
    }
    Ok(sets)
}

/// steps.csv by set, "in ascending up_to, blank last" (section 6.1); equal ones by rate.
pub fn read_steps(files: &Files) -> Result<BTreeMap<String, Vec<Step>>, String> {
    let mut sets: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for row in read(files, &schemas::STEPS, false)? {
        let step = Step { up_to: row.number("up_to")?, rate: row.number("rate")?.unwrap_or(Number::ZERO) };
        sets.entry(row.text("set").to_string()).or_default().push(step);
    }
    for steps in sets.values_mut() {
        steps.sort_by_key(|step| (step.up_to.is_none(), step.up_to, step.rate));
    }
    Ok(sets)
}

/// The files that belong to licences, by licence.
pub fn read_licences(
    files: &Files,
    estate: &Estate,
    sets: &Sets,
    warnings: &mut Warnings,
) -> Result<BTreeMap<String, Licence>, String> {
    let mut licences = BTreeMap::new();
    for row in read(files, &schemas::LICENSES, true)? {
        let licence = Licence::new(&row, sets);
        licences.insert(licence.license.clone(), licence);
    }
    for row in read(files, &schemas::LICENSE_APPLICATIONS, false)? {
        let known = estate.knows_application(row.text("application"), warnings);
        if let Some(licence) = named(&row, &mut licences, warnings) {
            let link = Link {
                priority: licence.spoils.or_blank(row.integer("priority", 0), None),
                supplementary: licence.spoils.or_blank(row.word("role", &["primary", "supplementary"]), "primary")
                    == "supplementary",
                ratio: licence.spoils.or_blank(row.number("ratio"), None),
            };
            if known {
                let application = row.text("application").to_string();
                licence.rows.push(LinkRow { application, link, line: row.line });
            }
        }
    }
    for row in read(files, &schemas::ENTITLEMENTS, false)? {
        if let Some(licence) = named(&row, &mut licences, warnings) {
            let quantity = licence.spoils.or_blank(row.number_or_unlimited("quantity"), None);
            let entitlement = Entitlement {
                quantity: quantity.unwrap_or(Some(Number::ZERO)),
                effective: licence.spoils.or_blank(row.date("effective"), None),
                expiry: licence.spoils.or_blank(row.date("expiry"), None),
                retired: licence.spoils.or_blank(row.yes("retired"), false),
            };
            licence.entitlements.push(entitlement);
        }
    }
    read_allocations(files, &mut licences, warnings)?;
    for row in read(files, &schemas::EXEMPT_ROLES, false)? {
        if let Some(licence) = named(&row, &mut licences, warnings) {
            // "reason (1 to 14, blank = 9)"
            let reason = licence.spoils.or_blank(row.choice("reason", 14), None).unwrap_or(9);
            licence.exempt_roles.insert(row.text("role").to_string(), reason);
        }
    }
    for row in read(files, &schemas::PEAKS, false)? {
        if let Some(licence) = named(&row, &mut licences, warnings) {
            let peak = licence.spoils.or_blank(row.number("peak"), None);
            let since = licence.spoils.or_blank(row.date("since"), None);
            if let (Some(peak), Some(since)) = (peak, since) {
                licence.peaks.push(Peak { region: row.text("region").to_string(), peak, since });
            }
        }
    }
    Ok(licences)
}

/// "An allocation with both or neither of device and user is bad data (column device) and dropped" (section 1); what is
/// dropped has no key.
fn read_allocations(
    files: &Files,
    licences: &mut BTreeMap<String, Licence>,
    warnings: &mut Warnings,
) -> Result<(), String> {
    let mut keys = BTreeSet::new();
    for row in read(files, &schemas::ALLOCATIONS, false)? {
        let [license, device, user] = ["license", "device", "user"].map(|column| row.text(column).to_string());
        let one = device.is_empty() != user.is_empty();
        if one && !keys.insert([license, device.clone(), user.clone()]) {
            return Err(row.second());
        }
        if let Some(licence) = named(&row, licences, warnings) {
            let allocation = Allocation {
                device,
                user,
                kind: licence.spoils.or_blank(row.word("kind", &["allocated", "awaiting", "permanent"]), "allocated"),
                exemption: licence.spoils.or_blank(row.choice("exemption", 14), None),
            };
            if one {
                licence.allocations.push(allocation);
            } else {
                licence.spoils.add(row.spoilt("device"));
            }
        }
    }
    Ok(())
}

/// The licence of a row; "a row naming an unknown ... licence is dropped, with a warning" (section 1).
fn named<'a>(
    row: &Record,
    licences: &'a mut BTreeMap<String, Licence>,
    warnings: &mut Warnings,
) -> Option<&'a mut Licence> {
    let licence = licences.get_mut(row.text("license"));
    if licence.is_none() {
        warnings.add("unknown_license", "", row.text("license"));
    }
    licence
}
