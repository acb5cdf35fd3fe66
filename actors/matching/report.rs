//! The report of a whole import as JSON: the same for the command and the API.

use muster::matching::phase2::DuplicateReport;
use muster::matching::{ImportReport, MatcherReport};
use serde_json::{Map, Value, json};

/// The report.
pub fn json(report: &ImportReport) -> Value {
    let placeholders = report.placeholders.iter().map(|(property, count)| (property.to_string(), json!(count)));
    json!({
        "records": report.records,
        "sets": report.sets,
        "alone": report.alone,
        "matchers": report.matchers.iter().map(matcher).collect::<Vec<Value>>(),
        "placeholders": Map::from_iter(placeholders),
        "bound": report.bound,
        "created": report.created,
        "merged": report.merged,
        "multi_hits": {
            "count": report.multi_hits,
            "samples": report.multi_hit_samples.iter().map(multi_hit).collect::<Vec<Value>>(),
        },
        "clones": {
            "count": report.clones,
            "samples": report.clone_samples.iter().map(u64::to_string).collect::<Vec<String>>(),
        },
    })
}

fn matcher(by: &MatcherReport) -> Value {
    json!({
        "order": by.order,
        "name": by.name,
        "sets": by.sets,
        "records": by.records,
        "hits": by.hits,
        "conflicts": by.conflicts,
        "conflicting_records": by.conflicting_records,
    })
}

fn multi_hit(chain: &DuplicateReport) -> Value {
    json!({
        "matcher": chain.matcher,
        "devices": chain.devices.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "records": chain.groups.iter().map(u64::to_string).collect::<Vec<String>>(),
    })
}
