//! The answer in words: what the hierarchy of a run has to hold and to carry.

use muster::time::{DAY_MS, MINUTE_MS};

use super::plots::{duration, short};
use crate::scenario::FaultKind;
use crate::world::{Level, Load, NodeId, Stage};

/// Sentences for an operator who plans.
pub fn words(stage: &Stage) -> Vec<String> {
    let (scenario, layout, record) = (&stage.scenario, &stage.layout, &stage.record);
    let days = f64::from(scenario.days);
    let mut said = Vec::new();
    for level in [Level::Leaf, Level::Middle] {
        let loads: Vec<&Load> = record
            .loads
            .iter()
            .zip(1..)
            .filter(|(_, node)| layout.level(NodeId(*node)) == level)
            .map(|(load, _)| load)
            .collect();
        if loads.is_empty() {
            continue;
        }
        let most = |of: fn(&Load) -> u64| loads.iter().map(|load| of(load)).max().unwrap_or(0) as f64;
        let bytes_a_day = most(|load| load.bytes) / days;
        said.push(format!(
            "The fullest of {} {} beacons held {} packages ({}) at once: so much disk it needs beside its reserve.",
            loads.len(),
            level.as_str(),
            short(most(|load| load.most_held)),
            bytes(most(|load| load.most_held_bytes)),
        ));
        said.push(format!(
            "The busiest {} beacon answers {} requests a second in its worst minute and {} on average, and takes in {} a day: {} kbit/s on average.",
            level.as_str(),
            short(most(|load| u64::from(load.most_in_a_minute)) / 60.0),
            short(most(|load| load.requests) / (days * DAY_MS as f64 / 1_000.0)),
            bytes(bytes_a_day),
            short(bytes_a_day * 8.0 / 86_400.0 / 1_000.0),
        ));
    }
    said.extend(drain(stage));
    let peak = record.arrivals.iter().max().copied().unwrap_or(0);
    let all: u64 = record.arrivals.iter().map(|minute| u64::from(*minute)).sum();
    said.push(format!(
        "The server takes {} packages a minute on average and {} in its worst minute.",
        short(all as f64 / record.arrivals.len().max(1) as f64),
        short(f64::from(peak)),
    ));
    let times = &record.time_to_server_ms;
    if times.is_empty() {
        said.push("Nothing arrived at the server.".into());
        return said;
    }
    said.push(format!(
        "Of {} packages that arrived at the server half were there {} after they were collected, 99 of 100 after {}, the last one after {}.",
        short(times.len() as f64),
        duration(times.value_at_quantile(0.5) as f64 / 1_000.0),
        duration(times.value_at_quantile(0.99) as f64 / 1_000.0),
        duration(times.max() as f64 / 1_000.0),
    ));
    said
}

/// `5.75 MB`.
fn bytes(count: f64) -> String {
    let text = short(count);
    match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => format!("{} {}B", &text[..at], &text[at..]),
        None => format!("{text} bytes"),
    }
}

/// How long after an outage above the leaves their spools are as they were before: the longest outage that was long enough
/// to fill them.
fn drain(stage: &Stage) -> Option<String> {
    let record = &stage.record;
    let looks = &record.spool;
    let is_above = |node: NodeId| matches!(stage.layout.level(node), Level::Middle | Level::Server);
    let outages = record.struck.iter().filter(|struck| struck.kind == FaultKind::Outage && is_above(struck.node));
    let longest = outages.max_by_key(|struck| struck.for_ms)?;
    let ended = longest.at.plus_ms(longest.for_ms);
    let look_at = |at| looks.partition_point(|(look, _)| *look < at);
    let before = looks.get(look_at(longest.at).checked_sub(1)?)?.1[0].packages;
    let peak = looks[look_at(longest.at)..look_at(ended)].iter().map(|(_, levels)| levels[0].packages).max()?;
    let drained = looks[look_at(ended)..]
        .iter()
        .find(|(_, levels)| levels[0].packages <= before + (peak.saturating_sub(before)) / 20)?;
    let took = drained.0.ms_since(ended);
    let outage = duration(longest.for_ms as f64 / 1_000.0);
    let name = stage.layout.level(longest.node).as_str();
    (peak > before).then(|| {
        let took = if took <= MINUTE_MS { "within a minute".into() } else { format!("after {}", duration(took as f64 / 1_000.0)) };
        format!("After the longest outage of a {name} node ({outage}) the leaves, which held {} packages then, were as before {took}.", short(peak as f64))
    })
}
