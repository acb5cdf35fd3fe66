//! `report.html`: one file with everything in it, to look at.

use std::error::Error;

use askama::Template;

use super::plots::{self, duration, short};
use super::{Run, capacity, parts};
use crate::invariants::ALL;
use crate::world::Stage;

/// Title of the plot that has no days, so no shades for faults.
const TIMES: &str = "Time to the server";
/// Title of the heat map, which has a legend of its own.
const HEAT: &str = "Requests to beacons, by the hour";

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    subtitle: String,
    tiles: Vec<(&'static str, String)>,
    words: Vec<String>,
    plots: Vec<(&'static str, String)>,
    /// Id, text, times checked, violations, the first of them, class.
    invariants: Vec<(String, String, String, String, String, &'static str)>,
    probes: Vec<(&'static str, String)>,
    /// What the darkest blue of the heat map stands for.
    darkest: String,
}

/// The page of a run.
pub fn page(run: &Run, stage: &Stage) -> Result<String, Box<dyn Error>> {
    let (scenario, totals) = (&stage.scenario, stage.book.totals());
    let json = stage.book.checks.to_json();
    let invariants = ALL.iter().zip(json.as_array().into_iter().flatten()).map(|((id, text), found)| {
        let count = |field: &str| found[field].as_u64();
        let checked = count("checked").map_or("not in this run".into(), |count| count.to_string());
        let violations = count("violations").unwrap_or(0);
        let class = if violations > 0 { "bad" } else { "good" };
        let broken = if count("checked").is_some() { violations.to_string() } else { String::new() };
        let first = found["first"].as_str().unwrap_or("").to_owned();
        ((*id).to_owned(), (*text).to_owned(), checked, broken, first, class)
    });
    let (sent, first) =
        stage.record.hours.iter().fold((0, 0), |(sent, first), hour| (sent + hour.sent, first + hour.first));
    let tiles = vec![
        ("published", short(totals.published as f64)),
        ("imported", short(totals.imported as f64)),
        ("superseded", short(totals.superseded as f64)),
        ("overtaken", short(totals.stale as f64)),
        ("at agents at the end", short(run.waiting.0 as f64)),
        ("at beacons at the end", short(run.waiting.1 as f64)),
        ("set aside", short((stage.record.quarantined + totals.quarantined) as f64)),
        ("delivered again", short(totals.duplicate_deliveries as f64)),
        ("uploads for each first one", format!("{:.3}", sent as f64 / (first as f64).max(1.0))),
        ("faults", short(stage.record.struck_count as f64)),
        ("violations", stage.book.checks.violations().to_string()),
    ];
    let beacons = stage.layout.beacons();
    let (heat, darkest) = plots::heat(stage)?;
    let page = Page {
        title: format!("{} agents, {} days", short(f64::from(scenario.agents)), scenario.days),
        subtitle: format!(
            "{beacons} beacons, seed {}, driver {}, digest {:016x}: {} events in {}, {} a second",
            run.seed,
            run.driver,
            run.digest,
            short(run.events as f64),
            duration(run.wall.as_secs_f64()),
            short(run.events as f64 / run.wall.as_secs_f64().max(0.001)),
        ),
        tiles,
        words: capacity::words(stage).into_iter().chain(parts::words(stage)).collect(),
        plots: vec![
            ("Held by beacons", plots::spool(stage)?),
            ("Arrivals at the server", plots::arrivals(stage)?),
            (TIMES, plots::quantiles(stage)?),
            ("Retries", plots::amplification(stage)?),
            (HEAT, heat),
        ],
        invariants: invariants.collect(),
        darkest: short(darkest),
        probes: stage.record.probes().map(|(name, hits)| (name, hits.to_string())).collect(),
    };
    Ok(page.render()?)
}
