//! `muster-sim fleet`: a fleet in virtual time, and its report.

mod progress;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use muster::config::Document;
use muster::time::{HOUR_MS, Timestamp};
use muster_actors::command::Failure;

use crate::configured::{Configured, ConfiguredArgs};
use crate::drive::calendar::Calendar;
use crate::drive::regions::Regions;
use crate::drive::{Closed, actors};
use crate::files::{make_out, text_of};
use crate::output::{Stopped, print};
use crate::report::{Report, Run};
use crate::scenario::{Overrides, Scenario};
use progress::Progress;

/// Options of `muster-sim fleet`.
#[derive(Clone, Debug, clap::Args)]
pub struct FleetArgs {
    /// Agents, in place of the scenario's
    #[arg(long, value_name = "N")]
    agents: Option<u32>,
    /// Days, in place of the scenario's
    #[arg(long, value_name = "D")]
    days: Option<u32>,
    /// Everything random comes from it
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// What keeps the time
    #[arg(long, value_enum, default_value_t = Driver::Calendar)]
    driver: Driver,
    /// Only sizes, or true bytes in the deployed logs on simulated disks
    #[arg(long, value_enum, default_value_t = Contents::Sizes)]
    content: Contents,
    /// What is simulated; without one a quiet fleet
    #[arg(long, value_name = "F")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    configured: ConfiguredArgs,
    /// Where `report.json` and `report.html` are written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What packages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contents {
    /// Sizes.
    Sizes,
    /// Bytes that are stored, read and settled as deployed.
    Full,
}

/// What keeps the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// The bare cores on a calendar queue.
    Calendar,
    /// The deployed actors on a paused clock.
    Actors,
}

impl Driver {
    fn as_str(self) -> &'static str {
        match self {
            Driver::Calendar => "calendar",
            Driver::Actors => "actors",
        }
    }
}

/// The text of the scenario that a command names; none is an empty one.
pub fn scenario_text(file: Option<&Path>) -> Result<String, Failure> {
    let Some(file) = file else { return Ok(String::new()) };
    text_of(file, "a scenario file")
}

/// Reads the scenario that a command names.
pub fn scenario_of(file: Option<&Path>, overrides: Overrides<'_>) -> Result<Scenario, Failure> {
    let text = scenario_text(file)?;
    let name = file.map_or("the scenario".into(), |file| file.display().to_string());
    let scenario = Scenario::read(&Document { text: &text, file: &name }, overrides);
    scenario.map_err(|error| Failure { text: error.to_string(), exit: 2 })
}

/// Simulates, writes the report, prints it as one line.
pub fn run(args: FleetArgs) -> Result<(), Failure> {
    let FleetArgs { agents, days, seed, driver, content, scenario, configured, out } = args;
    let configured = Configured::read(&configured)?;
    let is_full = content == Contents::Full;
    let scenario =
        Arc::new(scenario_of(scenario.as_deref(), Overrides { agents, days, is_full, configured: Some(&configured) })?);
    scenario.tell();
    out.as_deref().map(make_out).transpose()?;
    let began = Instant::now();
    let progress = Progress::new(&scenario);
    let closed = drive(driver, seed, scenario, move |at| progress.reached(at))
        .map_err(|error| Failure { text: error.to_string(), exit: 1 })?;
    let Closed { digest, waiting, events, stage } = &closed;
    let run = Run {
        seed,
        driver: driver.as_str(),
        wall: began.elapsed(),
        events: *events,
        digest: *digest,
        waiting: *waiting,
    };
    let report = Report::of(&run, stage);
    if let Some(out) = &out {
        report.write(out).map_err(|error| Failure { text: format!("--out {}: {error}", out.display()), exit: 1 })?;
    }
    Stopped::end(print(&report.summary().to_string()))?;
    let checks = &stage.book.checks;
    if checks.violations() == 0 {
        return Ok(());
    }
    let broken: Vec<String> = checks.broken().map(|(id, first)| format!("{id}: {first}")).collect();
    Err(Failure { text: format!("{} violations: {}", checks.violations(), broken.join("; ")), exit: 1 })
}

/// Runs a scenario to its end by a driver.
pub fn drive(
    driver: Driver,
    seed: u64,
    scenario: Arc<Scenario>,
    mut reached: impl FnMut(Timestamp) + 'static,
) -> std::io::Result<Closed> {
    if driver == Driver::Actors {
        return actors::run(seed, scenario, reached);
    }
    let (mut at, end) = (scenario.start, scenario.end());
    if let Some(mut regions) = Regions::new(seed, &scenario) {
        while at < end {
            at = regions.turn();
            reached(at);
        }
        return Ok(regions.close());
    }
    let mut fleet: Calendar = Calendar::new(seed, scenario);
    while at < end {
        at = at.plus_ms(HOUR_MS).min(end);
        fleet.run(at, None);
        reached(at);
    }
    Ok(fleet.close())
}
