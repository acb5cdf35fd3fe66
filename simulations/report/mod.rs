//! What a run came to: `report.json`, and `report.html` to look at.

mod capacity;
mod page;
mod parts;
mod plots;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Stage, Totals};

/// Moments of a spool in `report.json`; the page draws every look.
const SPOOL_MAX: usize = 2_000;

/// What is known of a run beside its world.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// What kept the time.
    pub driver: &'static str,
    /// How long it took.
    pub wall: Duration,
    /// Timers, arrivals, answers, ends of effects.
    pub events: u64,
    /// Hash of what happened.
    pub digest: u64,
    /// Packages at agents and in spools at the end.
    pub waiting: (u64, u64),
}

/// See the module's head.
pub struct Report {
    json: Value,
    html: Result<String, String>,
}

/// Most memory this process had, in bytes. Linux only.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1_024)
}

/// What came of all packages: the fields of `/ledger/summary`, and what only a simulation knows.
pub fn ledger(stage: &Stage, waiting: (u64, u64)) -> Value {
    let totals = stage.book.totals();
    let Totals {
        published,
        receipted,
        superseded,
        refused,
        gone,
        imported,
        stale,
        expired,
        quarantined,
        duplicate_deliveries,
        given_up_in_custody,
    } = totals;
    let (queued, in_spools) = waiting;
    json!({
        "published": published,
        "in_custody": receipted.saturating_sub(totals.ended()),
        "imported": imported,
        "stale": stale,
        "quarantined": stage.record.quarantined + quarantined,
        "expired": expired,
        "refused": refused,
        "superseded": superseded,
        "gone_with_machine": gone,
        "superseded_in_custody": given_up_in_custody,
        "queued": queued,
        "in_spools": in_spools,
        "missing": 0,
        "duplicate_deliveries": duplicate_deliveries,
    })
}

/// Writes a file that has its name only when it is whole.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("part");
    let written = std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, path));
    written.map_err(|error| {
        // What there is of it helps nobody, and takes room that is short perhaps.
        drop(std::fs::remove_file(&unfinished));
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

impl Report {
    /// The report of a run whose world has come to its end.
    pub fn of(run: &Run, stage: &Stage) -> Report {
        let (scenario, record) = (&stage.scenario, &stage.record);
        let wall_s = run.wall.as_secs_f64();
        let at_s = |at: muster::time::Timestamp| at.ms_since(scenario.start) / 1_000;
        let group = record.spool.len().div_ceil(SPOOL_MAX).max(1);
        let spool = record.spool.iter().step_by(group).flat_map(|(at, levels)| {
            ["leaf", "middle"].iter().zip(levels).map(move |(level, spool)| {
                json!({ "level": level, "at_s": at_s(*at), "packages": spool.packages, "bytes": spool.bytes, "most": spool.most })
            })
        });
        let faults = record.struck.iter().map(|struck| {
            let level = stage.layout.level(struck.node).as_str();
            let target = format!("{level} {}", struck.node.0);
            json!({ "at_s": at_s(struck.at), "kind": struck.kind.as_str(), "target": target, "for_s": struck.for_ms / 1_000 })
        });
        let (sent, first) =
            record.hours.iter().fold((0, 0), |(sent, first), hour| (sent + hour.sent, first + hour.first));
        let times = &record.time_to_server_ms;
        // Nothing arrived: there is no time to tell.
        let secs = |ms: u64| (!times.is_empty()).then_some(ms as f64 / 1_000.0);
        let quantile = |part: f64| secs(times.value_at_quantile(part));
        let (fleet, configuration) = parts::json(stage);
        let json = json!({
            "seed": run.seed,
            "agents": scenario.agents,
            "days": scenario.days,
            "driver": run.driver,
            "digest": format!("{:016x}", run.digest),
            "events": run.events,
            "events_per_s": (run.events as f64 / wall_s.max(0.001)).round(),
            "wall_s": (wall_s * 1_000.0).round() / 1_000.0,
            "peak_rss_bytes": peak_rss_bytes(),
            "fleet": fleet,
            "configuration": configuration,
            "ledger": ledger(stage, run.waiting),
            "invariants": stage.book.checks.to_json(),
            "spool": spool.collect::<Vec<Value>>(),
            "arrivals_per_minute": record.arrivals,
            "time_to_server_s": { "p50": quantile(0.5), "p90": quantile(0.9), "p99": quantile(0.99), "max": secs(times.max()) },
            "amplification": (sent as f64 / (first as f64).max(1.0) * 10_000.0).round() / 10_000.0,
            "faults": faults.collect::<Vec<Value>>(),
            "capacity": capacity::words(stage),
            "faults_struck": record.struck_count,
            "probes": record.probes().map(|(name, hits)| json!({ "name": name, "hits": hits })).collect::<Vec<Value>>(),
        });
        Report { json, html: page::page(run, stage).map_err(|error| error.to_string()) }
    }

    /// Writes both files into `folder`.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        write(&folder.join("report.json"), &format!("{:#}\n", self.json))?;
        let html =
            self.html.as_ref().map_err(|why| std::io::Error::other(format!("the page cannot be drawn: {why}")))?;
        write(&folder.join("report.html"), html)
    }

    /// One line: all but what fills pages.
    pub fn summary(&self) -> Value {
        let mut json = self.json.clone();
        if let Some(fields) = json.as_object_mut() {
            for long in ["spool", "faults", "arrivals_per_minute", "capacity"] {
                fields.remove(long);
            }
            let violated = |one: &Value| one["violations"] != 0;
            let broken: Vec<Value> =
                fields["invariants"].as_array().into_iter().flatten().filter(|one| violated(one)).cloned().collect();
            let checked =
                fields["invariants"].as_array().into_iter().flatten().filter(|one| !one["checked"].is_null()).count();
            fields["invariants"] = json!({ "checked": checked, "broken": broken });
        }
        json
    }
}
