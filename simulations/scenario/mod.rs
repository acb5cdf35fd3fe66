//! What is simulated: a fleet, its hierarchy, the network between, and what goes wrong.
//!
//! ```toml
//! [fleet]
//! agents = 100_000
//! days = 2
//!
//! [[fault]]
//! kind = "outage"
//! of = "leaf"
//! every_secs = 86_400
//! for_secs = [3_600, 7_200]
//! ```
//!
//! A fault strikes at random moments (`every_secs`) or at a stated one (`at_secs`), a whole level or one node (`leaf 3`).
//! Everything but the faults has a default, so an empty file is a quiet fleet. Unknown keys are refused.

mod fault;
mod kind;
mod packages;
mod parts;
mod template;
mod window;

use muster::config::{ConfigError, Document};
use muster::schedule::AgentSchedule;
use muster::time::{DAY_MS, Timestamp};
use serde::Deserialize;
use toml::Spanned;

pub use fault::{Fault, Target, When};
pub use kind::FaultKind;
pub use packages::Packages;
pub use parts::{Agents, Beacons, Hierarchy, Network, Range, Server};
pub use template::{Part, Source, Template, split};
pub use window::Window;

use crate::configured::{BeaconRules, Configured, ServerRules};
use crate::world::PackageId;
use fault::FaultFile;
use template::{OsFile, SourceFile, ZoneFile};

/// Most agents of one run; each takes some hundred bytes.
pub const AGENTS_MAX: u32 = 20_000_000;
/// Longest run: sequence numbers and hourly plots are bounded by it.
pub const DAYS_MAX: u32 = 3_660;

/// The end of the year 9998, up to which every clock here reads.
const LAST_MS: i64 = 253_370_764_800_000;

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Agents.
    pub agents: u32,
    /// Days from the start to the end.
    pub days: u32,
    /// The moment at which the simulation starts, midnight of some day.
    pub start: Timestamp,
    /// Agents that are installed at all, ascending; `None` for every one.
    pub only_agents: Option<Vec<u32>>,
    /// Whether nodes store true bytes in their deployed logs, on simulated disks; else only sizes are simulated.
    pub is_full: bool,
    /// What agents do.
    pub fleet: Agents,
    /// What their machines are.
    pub template: Template,
    /// When they do it: the operator's setting.
    pub schedule: AgentSchedule,
    /// What is installed on the machines; `None` for nothing, and sizes by themselves.
    pub packages: Option<Packages>,
    /// Who uploads where.
    pub hierarchy: Hierarchy,
    /// What lies between them.
    pub network: Network,
    /// How beacons are.
    pub beacons: Beacons,
    /// How the server is.
    pub server: Server,
    /// What an operator's own files say: it counts in place of the sections above.
    pub configured: Configured,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// After this moment nothing goes wrong any more, and everything held has to arrive.
    pub heal: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScenarioFile {
    fleet: FleetFile,
    agents: Spanned<Agents>,
    packages: Option<Spanned<Packages>>,
    schedule: Option<Spanned<AgentSchedule>>,
    hierarchy: Spanned<Hierarchy>,
    network: Spanned<Network>,
    beacons: Spanned<Beacons>,
    server: Spanned<Server>,
    fault: Vec<Spanned<FaultFile>>,
}

fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

impl Default for ScenarioFile {
    fn default() -> ScenarioFile {
        ScenarioFile {
            fleet: FleetFile::default(),
            agents: nowhere(Agents::default()),
            packages: None,
            schedule: None,
            hierarchy: nowhere(Hierarchy::default()),
            network: nowhere(Network::default()),
            beacons: nowhere(Beacons::default()),
            server: nowhere(Server::default()),
            fault: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FleetFile {
    agents: Spanned<u32>,
    days: Spanned<u32>,
    /// Quiet days at the end, of `days`.
    quiet_days: Spanned<u32>,
    start: Spanned<String>,
    /// All others of `agents` keep their places in the hierarchy and are never installed.
    only_agents: Option<Spanned<Vec<u32>>>,
    os: Vec<Spanned<OsFile>>,
    zone: Vec<Spanned<ZoneFile>>,
    source: Vec<Spanned<SourceFile>>,
}

impl Default for FleetFile {
    fn default() -> FleetFile {
        FleetFile {
            agents: nowhere(1_000),
            days: nowhere(3),
            quiet_days: nowhere(1),
            start: nowhere("2026-01-05T00:00:00Z".into()),
            only_agents: None,
            os: Vec::new(),
            zone: Vec::new(),
            source: Vec::new(),
        }
    }
}

/// What the command line says in place of the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides<'c> {
    /// Agents.
    pub agents: Option<u32>,
    /// Days.
    pub days: Option<u32>,
    /// See [`Scenario::is_full`].
    pub is_full: bool,
    /// See [`Scenario::configured`].
    pub configured: Option<&'c Configured>,
}

impl Scenario {
    /// Reads a scenario. Errors name file, line and what to write instead.
    pub fn read(file: &Document<'_>, overrides: Overrides<'_>) -> Result<Scenario, ConfigError> {
        let ScenarioFile { fleet, agents: fleet_of, packages, schedule, hierarchy, network, beacons, server, fault } =
            file.read()?;
        let FleetFile { agents, days, quiet_days, start, only_agents, os, zone, source } = fleet;
        let number = |value: &Spanned<u32>, given: Option<u32>, most: u32, what: &str| match given {
            // The file is not to blame for what the command line says.
            Some(given) if (1..=most).contains(&given) => Ok(given),
            Some(given) => {
                Err(file.error(None, format!("--{what} {given}: write 1 to {most}, no more can be simulated")))
            }
            None if (1..=most).contains(value.get_ref()) => Ok(*value.get_ref()),
            None => Err(file.error_at(value, format!("is {}, write 1 to {most} {what}", value.get_ref()))),
        };
        let agents = number(&agents, overrides.agents, AGENTS_MAX, "agents")?;
        let days = number(&days, overrides.days, DAYS_MAX, "days")?;
        // A later end than the clock can show is a slip, too.
        let fits = |at: &Timestamp| (0..=LAST_MS - i64::from(days) * DAY_MS).contains(&at.0) && at.0 % DAY_MS == 0;
        let Some(start) = Timestamp::from_rfc3339(start.get_ref()).filter(fits) else {
            let problem =
                "is no midnight after 1970 whose run ends before the year 9999, write it as \"2026-01-05T00:00:00Z\"";
            return Err(file.error_at(&start, problem));
        };
        let only_agents = match only_agents {
            Some(only) if !only.get_ref().iter().is_sorted_by(|one, next| one < next) => {
                return Err(file.error_at(&only, "is not ascending, write each number once"));
            }
            Some(only) if only.get_ref().last().is_none_or(|last| *last >= agents) => {
                return Err(file.error_at(&only, format!("names no agent that is there, write numbers below {agents}")));
            }
            only => only.map(Spanned::into_inner),
        };
        let template = Template::read(file, agents, &os, &zone, &source)?;
        let quiet = (*quiet_days.get_ref()).min(days);
        let mut configured = overrides.configured.cloned().unwrap_or_default();
        if !configured.beacons.is_empty() && beacons.get_ref().disk_bytes == 0 {
            let told = "not simulated: `disk` of the beacons' files, write how large their disks are as `disk_bytes` of [beacons]";
            configured.not_simulated.push(told.into());
        }
        let schedule = match schedule {
            Some(schedule) => {
                schedule.get_ref().check().map_err(|error| file.error_at(&schedule, error.to_string()))?;
                schedule.into_inner()
            }
            None => AgentSchedule::default(),
        };
        let schedule = configured.schedule.clone().unwrap_or(schedule);
        let wrong = |problem: Option<String>, place: std::ops::Range<usize>| match problem {
            Some(problem) => Err(file.error(Some(place), problem)),
            None => Ok(()),
        };
        wrong(fleet_of.get_ref().problem(days), fleet_of.span())?;
        let own = configured.hierarchy.as_ref().map(|own| (own.middles, own.leaves));
        wrong(hierarchy.get_ref().problem(agents, own.is_some()), hierarchy.span())?;
        if let Some(packages) = &packages {
            wrong(packages.get_ref().problem(), packages.span())?;
        }
        wrong(network.get_ref().problem(), network.span())?;
        wrong(beacons.get_ref().problem(), beacons.span())?;
        wrong(server.get_ref().problem(), server.span())?;
        let fleet = fleet_of.into_inner();
        let mut faults =
            fault.iter().map(|fault| Fault::read(file, fault)).collect::<Result<Vec<Fault>, ConfigError>>()?;
        for (fault, written) in faults.iter().zip(&fault) {
            let of = hierarchy.get_ref();
            let (number, there) = match fault.of {
                Target::OneLeaf(number) => (number, own.map_or(of.leaves(agents), |(_, leaves)| leaves)),
                Target::OneMiddle(number) => (number, own.map_or(of.middles(agents), |(middles, _)| middles)),
                Target::OneAgent(number) => (number, agents),
                _ => continue,
            };
            if number >= there {
                let problem = format!("there is no {} among {there}, they are counted from 0", fault.of);
                return Err(file.error_at(written.get_ref().of(), problem));
            }
        }
        faults.extend(Fault::nights(&fleet));
        Ok(Scenario {
            agents,
            days,
            start,
            only_agents,
            is_full: overrides.is_full,
            fleet,
            template,
            packages: packages.map(Spanned::into_inner),
            schedule,
            hierarchy: hierarchy.into_inner(),
            network: network.into_inner(),
            beacons: beacons.into_inner(),
            server: server.into_inner(),
            configured,
            faults,
            heal: start.plus_ms(i64::from(days - quiet) * DAY_MS),
        })
    }

    /// Bytes of a package of an agent of `machine`: of its name alone, so that nobody has to remember them.
    pub fn bytes_of(&self, seed: u64, machine: u32, id: PackageId) -> u32 {
        match &self.packages {
            Some(packages) => packages.bytes(packages.count(seed, machine)),
            None => self.fleet.bytes_of(seed, id),
        }
    }

    /// Says on standard error what of the operator's files is not simulated, and which faults never strike.
    pub fn tell(&self) {
        self.configured.tell();
        for (nth, fault) in (1..).zip(&self.faults) {
            if let Some(why) = self.why_never(fault) {
                let kind = fault.kind.as_str();
                eprintln!("muster-sim: fault[{nth}], {kind} of {}, never strikes: {why}", fault.of);
            }
        }
    }

    fn why_never(&self, fault: &Fault) -> Option<&'static str> {
        let is_behind = match fault.when {
            When::At(ms) => self.start.plus_ms(ms) >= self.heal,
            When::Every(_) => self.heal <= self.start,
        };
        if is_behind {
            Some("it begins after the last day that is not quiet; see `days` and `quiet_days` of [fleet]")
        } else if fault.of == Target::Middle && self.beacons().0 == 0 {
            Some("there is no beacon in the middle; see `leaves_per_middle` of [hierarchy]")
        } else if fault.of == Target::Laptop && self.fleet.laptops == 0.0 {
            Some("no agent is a laptop's; see `laptops` of [agents]")
        } else {
            None
        }
    }

    /// Whether a machine is there at all.
    pub fn is_installed(&self, machine: u32) -> bool {
        self.only_agents.as_ref().is_none_or(|only| only.binary_search(&machine).is_ok())
    }

    /// Middle and leaf beacons.
    pub fn beacons(&self) -> (u32, u32) {
        match &self.configured.hierarchy {
            Some(own) => (own.middles, own.leaves),
            None => (self.hierarchy.middles(self.agents), self.hierarchy.leaves(self.agents)),
        }
    }

    /// How a beacon is set, by its place among the middle ones and, behind them, the leaves.
    pub fn beacon_rules(&self, place: usize) -> BeaconRules {
        let configured = &self.configured.beacons;
        configured.get(place).or(configured.first()).copied().unwrap_or_else(|| self.beacons.rules())
    }

    /// How the server is set.
    pub fn server_rules(&self) -> ServerRules {
        self.configured.server.unwrap_or_else(|| self.server.rules())
    }

    /// Whether agents die and live again, so that what they remember matters.
    pub fn do_agents_restart(&self) -> bool {
        let is_agents = |fault: &Fault| matches!(fault.of, Target::Agent | Target::Laptop | Target::OneAgent(_));
        self.faults.iter().any(|fault| fault.kind.kills() && is_agents(fault))
    }

    /// The end of the simulation.
    pub fn end(&self) -> Timestamp {
        self.start.plus_ms(i64::from(self.days) * DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scenario, String> {
        Scenario::read(&Document { text, file: "s.toml" }, Overrides::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_that_never_strikes_is_told_with_the_reason() {
        let fault = |of: &str, when: &str| format!("[[fault]]\nkind = 'outage'\nof = '{of}'\n{when}\nfor_secs = 60\n");
        for (head, fault, part) in [
            ("", fault("leaf", "at_secs = 172_800"), Some("`quiet_days`")),
            ("[fleet]\ndays = 1\n", fault("leaf", "every_secs = 3_600"), Some("`quiet_days`")),
            (
                "[hierarchy]\nleaves_per_middle = 0\n",
                fault("middle", "every_secs = 3_600"),
                Some("`leaves_per_middle`"),
            ),
            ("", fault("laptop", "every_secs = 3_600"), Some("`laptops`")),
            ("[agents]\nlaptops = 0.5\n", fault("laptop", "every_secs = 3_600"), None),
            ("", fault("leaf", "at_secs = 172_799"), None),
        ] {
            let scenario = read(&format!("{head}{fault}")).unwrap();
            let why = scenario.why_never(&scenario.faults[0]);
            assert!(part.map_or(why.is_none(), |part| why.is_some_and(|why| why.contains(part))), "{fault}: {why:?}");
        }
    }

    #[test]
    fn an_empty_file_is_a_quiet_fleet() {
        let scenario = read("").unwrap();
        assert_eq!((scenario.agents, scenario.days, scenario.faults.len()), (1_000, 3, 0));
        assert_eq!(scenario.end().ms_since(scenario.heal), DAY_MS);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let text = "[fleet]\nagents = 5\ndays = 6\n";
        let file = Document { text, file: "s.toml" };
        let over = |agents, days| Scenario::read(&file, Overrides { agents, days, ..Overrides::default() });
        let scenario = over(Some(7), None).unwrap();
        assert_eq!((scenario.agents, scenario.days), (7, 6));
        let error = over(Some(0), None).unwrap_err().to_string();
        assert_eq!(error, "s.toml: --agents 0: write 1 to 20000000, no more can be simulated");
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_write() {
        for (text, wanted) in [
            ("[fleet]\nagents = 0", "s.toml:2: `fleet.agents`: is 0, write 1 to 20000000 agents"),
            ("[fleet]\ndays = 100_000", "s.toml:2: `fleet.days`: is 100000, write 1 to 3660 days"),
            (
                "[fleet]\nstart = \"2026-01-05T07:00:00Z\"",
                "s.toml:2: `fleet.start`: is no midnight after 1970 whose run ends before the year 9999, write it as \"2026-01-05T00:00:00Z\"",
            ),
            (
                "[fleet]\nstart = \"9998-12-30T00:00:00Z\"",
                "s.toml:2: `fleet.start`: is no midnight after 1970 whose run ends before the year 9999, write it as \"2026-01-05T00:00:00Z\"",
            ),
            ("[hierarchy]\nagents_per_leaf = 0", "s.toml:1: `hierarchy`: `agents_per_leaf` is 0, write at least 1"),
            (
                "[fleet]\ndays = 10\n[agents]\njoins_per_day = 0.2",
                "s.toml:3: `agents`: `joins_per_day` is 0.2, more than all machines in 10 days: write at most 0.1000",
            ),
            ("[agents]\nclones = 2", "s.toml:1: `agents`: `clones` is 2, write a part of 1 such as 0.004"),
            ("[packages]\ntitles = 0", "s.toml:1: `packages`: `titles` is 0, write 1 to 1000000"),
            (
                "[network]\ndelay_ms = [0, 5]",
                "s.toml:1: `network`: `delay_ms` begins at 0, nothing crosses in less than 1 ms",
            ),
            (
                "[network]\nlost_requests = 1.5",
                "s.toml:1: `network`: `lost_requests` is 1.5, write a part of 1 such as 0.004",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), wanted, "{text}");
        }
        assert!(read("[hierarchi]").unwrap_err().contains("did you mean `hierarchy`?"));
    }
}
