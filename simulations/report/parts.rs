//! What a fleet was made of: operating systems, zones, comings and goings, titles, and the operator's files.

use serde_json::{Value, json};

use super::plots::short;
use crate::scenario::Part;
use crate::world::Stage;

/// The fields `fleet` and `configuration` of `report.json`; null for what the scenario does not say.
pub fn json(stage: &Stage) -> (Value, Value) {
    let (scenario, totals) = (&stage.scenario, stage.book.totals());
    let list = |parts: &[Part]| -> Vec<Value> {
        parts.iter().map(|part| json!({ "name": part.name, "agents": part.agents })).collect()
    };
    let machines = &stage.layout.machines;
    let fleet = json!({
        "os": list(&scenario.template.systems),
        "zones": list(&scenario.template.zones),
        "reinstalled": machines.agents() - scenario.agents,
        "copied_disks": machines.copies(),
        "gone_with_machine": totals.gone,
        "devices_shown": stage.record.shown.map(|shown| shown.0),
        "titles_shown": stage.record.shown.map(|shown| shown.1),
    });
    let configured = &scenario.configured;
    let configuration = json!({
        "files": configured.files,
        "not_simulated": configured.not_simulated,
        "beacons": configured.hierarchy.as_ref().map(|own| &own.names),
    });
    (fleet, configuration)
}

/// Sentences of the same.
pub fn words(stage: &Stage) -> Vec<String> {
    let (scenario, mut said) = (&stage.scenario, Vec::new());
    let list = |parts: &[Part]| -> String {
        let part = |part: &Part| format!("{} {}", short(f64::from(part.agents)), part.name);
        parts.iter().map(part).collect::<Vec<String>>().join(", ")
    };
    let template = &scenario.template;
    for (what, parts) in [("Operating systems", &template.systems), ("Zones", &template.zones)] {
        if !parts.is_empty() {
            said.push(format!("{what}: {}.", list(parts)));
        }
    }
    let (machines, gone) = (&stage.layout.machines, stage.book.totals().gone);
    if machines.agents() > scenario.agents || gone > 0 {
        said.push(format!(
            "{} machines were installed anew; {} packages were gone with a disk before anybody else had them.",
            short(f64::from(machines.agents() - scenario.agents)),
            short(gone as f64),
        ));
    }
    if machines.copies() > 0 {
        said.push(format!(
            "{} machines run from a copied disk and report under another one's id: of two packages with one number the \
             server imports the first and sets the other one aside, so such machines are missing in its devices. Nothing \
             is claimed of them but that the newest imported number counts.",
            short(machines.copies() as f64),
        ));
    }
    if let Some((devices, titles)) = stage.record.shown {
        said.push(format!("The server shows {devices} devices with {titles} different titles, as the fleet has them."));
    }
    let configured = &scenario.configured;
    if !configured.files.is_empty() {
        said.push(format!("Set by {}.", configured.files.join(", ")));
    }
    said.extend(configured.not_simulated.iter().cloned());
    said
}
