//! What is written (section 8).

use std::collections::{BTreeMap, BTreeSet};

use super::assign::{Assignment, Outcome};
use super::consumption;
use super::licences::Licence;
use super::links::candidates;
use super::number::Number;
use super::result::{LicenceResult, result};
use super::world::World;
use super::{csv, date};

/// All eight files.
pub fn write(world: &World, assignment: &Assignment) -> BTreeMap<String, String> {
    let results: BTreeMap<&String, LicenceResult> =
        world.licences.iter().map(|(id, licence)| (id, result(world, licence, assignment))).collect();
    let outcomes = final_outcomes(assignment, &results);
    let mut files = BTreeMap::new();
    let mut add = |file: &str, columns: &[&str], rows: BTreeSet<Vec<String>>| {
        let mut text = csv::line(columns);
        rows.iter().for_each(|row| text += &csv::line(row));
        files.insert(file.to_string(), text);
    };
    add("license_result.csv", &LICENSE_RESULT, license_results(world, &results, &outcomes));
    add(
        "consumption.csv",
        &["license", "unit", "id", "raw", "consumed", "reason", "exemption"],
        world
            .licences
            .values()
            .flat_map(|licence| consumption::rows(world, licence, &results[&licence.license]))
            .collect(),
    );
    add(
        "assessment.csv",
        &["device", "application", "license", "outcome", "reason"],
        assignment.assessments.iter().map(|row| row.to_vec()).collect(),
    );
    add("outcomes.csv", &["device", "application", "outcome", "license", "reason"], outcome_rows(&outcomes));
    add("unlicensed.csv", &["device", "application", "reason"], unlicensed_rows(world, &outcomes));
    add("unrecognised.csv", &UNRECOGNISED, unrecognised_rows(world));
    add("warnings.csv", &["code", "license", "subject"], warning_rows(world, &results));
    add("peaks.csv", &["license", "region", "peak", "since"], peak_rows(&results));
    files
}

const LICENSE_RESULT: [&str; 14] = [
    "license",
    "type",
    "raw",
    "consumed",
    "today",
    "exempt",
    "total",
    "available",
    "savings",
    "true_up_due",
    "status_id",
    "status",
    "manual_status",
    "missing",
];

const UNRECOGNISED: [&str; 10] =
    ["kind", "name", "version", "publisher", "type", "company", "description", "size", "path", "devices"];

type Outcomes = BTreeMap<(String, String), Outcome>;

/// Section 5's outcomes, and "10 for second use".
fn final_outcomes(assignment: &Assignment, results: &BTreeMap<&String, LicenceResult>) -> Outcomes {
    let mut outcomes = assignment.outcomes.clone();
    for ((_, device), outcome) in &mut outcomes {
        if let Outcome::Taken { license, exemption, .. } = outcome
            && exemption.is_none()
            && results[license].figure.free.get(device) == Some(&"second_use")
        {
            *exemption = Some(10);
        }
    }
    outcomes
}

fn license_results(
    world: &World,
    results: &BTreeMap<&String, LicenceResult>,
    outcomes: &Outcomes,
) -> BTreeSet<Vec<String>> {
    world.licences.values().map(|licence| license_result(licence, &results[&licence.license], outcomes)).collect()
}

fn license_result(licence: &Licence, result: &LicenceResult, outcomes: &Outcomes) -> Vec<String> {
    let exempt = outcomes.values().filter(
        |outcome| matches!(outcome, Outcome::Taken { license, exemption: Some(_), .. } if *license == licence.license),
    );
    let exempt = exempt.count() + result.access.exempt.len();
    let known = licence.in_engine() || licence.kind == 0;
    let total = result.total;
    // "available = total - consumed (or `unlimited`)"; "Types outside the engine: consumed, today, available blank."
    let available = match (result.consumed, total) {
        (Some(consumed), Some(total)) if known => total.minus(consumed).to_string(),
        (Some(_), None) if known => "unlimited".to_string(),
        _ => String::new(),
    };
    // "savings = raw - consumed, type 2 only"
    let savings = match result.consumed {
        Some(consumed) if licence.kind == 2 => Number::whole(result.raw).minus(consumed).to_string(),
        _ => String::new(),
    };
    // "true_up_due = max(0, consumed - total) with true_up and a limited total, else blank"
    let true_up_due = match (result.consumed, total) {
        (Some(consumed), Some(total)) if licence.true_up => consumed.minus(total).max(Number::ZERO).to_string(),
        _ => String::new(),
    };
    let number = |number: Option<Number>| number.map_or(String::new(), |number| number.to_string());
    vec![
        licence.license.clone(),
        if licence.kind == 0 { String::new() } else { licence.kind.to_string() },
        result.raw.to_string(),
        number(result.consumed),
        number(result.consumed.map(|_| result.today)),
        exempt.to_string(),
        total.map_or("unlimited".to_string(), |total| total.to_string()),
        available,
        savings,
        true_up_due,
        result.status.0.to_string(),
        result.status.1.to_string(),
        licence.manual_status.clone(),
        result.missing.to_string(),
    ]
}

/// "consumed: licence and the reason above; exempt: licence and the number of the exemption (10 for second use)".
fn outcome_rows(outcomes: &Outcomes) -> BTreeSet<Vec<String>> {
    let row = |((application, device), outcome): (&(String, String), &Outcome)| {
        let (word, license, reason) = match outcome {
            Outcome::Taken { license, exemption: Some(number), .. } => ("exempt", license.as_str(), number.to_string()),
            Outcome::Taken { license, reason, .. } => ("consumed", license.as_str(), (*reason).to_string()),
            Outcome::Unlicensed => ("unlicensed", "", String::new()),
            Outcome::NotLicensable => ("not licensable", "", String::new()),
        };
        vec![device.clone(), application.clone(), word.to_string(), license.to_string(), reason]
    };
    outcomes.iter().map(row).collect()
}

/// "reason (`no_license` no linked licence, else `rejected`)".
fn unlicensed_rows(world: &World, outcomes: &Outcomes) -> BTreeSet<Vec<String>> {
    let unlicensed = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Unlicensed);
    unlicensed
        .map(|((application, device), _)| {
            let linked = candidates(&world.licences, application, world.as_of);
            let reason = if linked.is_empty() { "no_license" } else { "rejected" };
            vec![device.clone(), application.clone(), reason.to_string()]
        })
        .collect()
}

fn unrecognised_rows(world: &World) -> BTreeSet<Vec<String>> {
    world
        .recognised
        .unrecognised
        .values()
        .map(|(texts, devices)| {
            let mut row = texts.clone();
            row.push(devices.len().to_string());
            row
        })
        .collect()
}

fn warning_rows(world: &World, results: &BTreeMap<&String, LicenceResult>) -> BTreeSet<Vec<String>> {
    let mut warnings = world.warnings.clone();
    for (license, result) in results {
        result.warnings.iter().for_each(|(code, subject)| warnings.add(code, license, subject));
    }
    warnings.rows.iter().map(|row| row.to_vec()).collect()
}

/// "type 25 only, to be fed to the next run".
fn peak_rows(results: &BTreeMap<&String, LicenceResult>) -> BTreeSet<Vec<String>> {
    let mut rows = BTreeSet::new();
    for (license, result) in results {
        for (region, (peak, since)) in &result.peaks {
            rows.insert(vec![(*license).clone(), region.clone(), peak.to_string(), date::text(*since)]);
        }
    }
    rows
}
