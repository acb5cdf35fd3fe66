//! An operator's own files as scenario: what they say is simulated, so that a change is tried before it is rolled out.
//!
//! The files are read by the deployed readers, with their errors. What the simulator does not act upon is told: silence
//! would say that it was tried. Several beacon files make a hierarchy by their parents (`hierarchy`); one holds for
//! every beacon of the scenario's.

mod hierarchy;

use std::path::{Path, PathBuf};

use muster::config::agent::AgentConfig;
use muster::config::beacon::BeaconConfig;
use muster::config::server::ServerConfig;
use muster::config::{ConfigError, Document, parse_toml};
use muster::model::task::{TaskType, Trigger};
use muster::roles::agent::AgentSettings;
use muster::schedule::AgentSchedule;
use muster::time::{HOUR_MS, MINUTE_MS};
use muster::upload::rates::Rates;
use muster_actors::command::Failure;
use muster_actors::log::Reserve;
use muster_actors::server::prepared::tasks;
use toml::{Table, Value};

use crate::files::text_of;

pub use hierarchy::OwnHierarchy;

/// Options that are acted upon, as `section.option`.
const OF_SERVER: [&str; 5] =
    ["server.listen", "server.loaders", "server.tasks_file", "import.on_arrival", "servicenow.url"];
const OF_BEACON: [&str; 11] = [
    "relay.interval_secs",
    "relay.on_arrival",
    "relay.policy_interval_secs",
    "relay.status_interval_secs",
    "limits.uploads_per_hour",
    "limits.upload_burst",
    "limits.bytes_per_day",
    "spool.packages_max",
    "spool.bytes_max",
    "disk.reserve_bytes",
    "disk.reserve_percent",
];
/// Those that make a hierarchy of several files.
const OF_HIERARCHY: [&str; 5] =
    ["beacon.listen", "beacon.parents", "beacon.for_agents", "beacon.endpoint", "beacon.name"];
const OF_AGENT: [&str; 5] = [
    "agent.clocks_ahead_minutes",
    "inventory.interval_secs",
    "inventory.collect_at_start",
    "policy.interval_secs",
    "upload.catch_up_hour",
];

/// Options that name an operator's files.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConfiguredArgs {
    /// An operator's server.toml: its import, loaders and export are simulated
    #[arg(long, value_name = "F")]
    server_config: Option<PathBuf>,
    /// An operator's beacon.toml: its relay, limits and spool; several make the hierarchy by their parents
    #[arg(long, value_name = "F")]
    beacon_config: Vec<PathBuf>,
    /// An operator's agent.toml: what agents go by until they have a policy, and their clocks
    #[arg(long, value_name = "F")]
    agent_config: Option<PathBuf>,
    /// The setting `agent-schedule` as the server's operator API gives it: what the policy tells agents
    #[arg(long, value_name = "F")]
    agent_schedule: Option<PathBuf>,
}

impl ConfiguredArgs {
    /// Whether a file is named.
    pub fn is_some(&self) -> bool {
        let ConfiguredArgs { server_config, beacon_config, agent_config, agent_schedule } = self;
        !beacon_config.is_empty() || [server_config, agent_config, agent_schedule].into_iter().any(Option::is_some)
    }

    /// The same options again, as a command line has them; with a space before each.
    pub fn again(&self) -> String {
        let ConfiguredArgs { server_config, beacon_config, agent_config, agent_schedule } = self;
        let one = |option: &str, file: &PathBuf| format!(" --{option} {}", file.display());
        let mut options: String = beacon_config.iter().map(|file| one("beacon-config", file)).collect();
        for (option, file) in
            [("server-config", server_config), ("agent-config", agent_config), ("agent-schedule", agent_schedule)]
        {
            options.extend(file.iter().map(|file| one(option, file)));
        }
        options
    }
}

/// How one beacon is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconRules {
    /// Length of a relay cycle, in milliseconds.
    pub cycle_ms: i64,
    /// Whether it relays at once.
    pub relay_on_arrival: bool,
    /// From one policy question to the next, in milliseconds.
    pub policy_every_ms: i64,
    /// From one status report to the next, in milliseconds.
    pub status_every_ms: i64,
    /// Most packages that it holds; 0 for no limit.
    pub spool_packages: u64,
    /// Most bytes of them; 0 for no limit.
    pub spool_bytes: u64,
    /// What an agent may send it.
    pub rates: Rates,
    /// Room on its disk that uploads leave.
    pub reserve: Reserve,
}

impl BeaconRules {
    fn of(file: &BeaconConfig) -> BeaconRules {
        BeaconRules {
            cycle_ms: file.cycle_ms,
            relay_on_arrival: file.relay_on_arrival,
            policy_every_ms: file.policy_every_ms,
            status_every_ms: file.status_every_ms,
            spool_packages: file.spool_packages_max,
            spool_bytes: file.spool_bytes_max,
            rates: Rates {
                uploads_per_hour: file.limits.uploads_per_hour,
                burst: file.limits.upload_burst,
                bytes_per_day: file.limits.bytes_per_day,
            },
            reserve: Reserve { bytes: file.disk.reserve_bytes, percent: file.disk.reserve_percent },
        }
    }
}

/// How the server is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerRules {
    /// Batches that are loaded at once.
    pub loaders: usize,
    /// When it imports.
    pub import: Trigger,
    /// Whether to import at once.
    pub import_on_arrival: bool,
    /// Whether there is a target of exports.
    pub exports: bool,
}

/// What an operator's files say; nothing without files.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// Of the server.
    pub server: Option<ServerRules>,
    /// Of each beacon, in the order of `hierarchy`; one without it holds for all.
    pub beacons: Vec<BeaconRules>,
    /// Of agents without a policy; servers are those of the simulated hierarchy.
    pub agent: Option<AgentSettings>,
    /// What the policy tells agents.
    pub schedule: Option<AgentSchedule>,
    /// Of several beacon files.
    pub hierarchy: Option<OwnHierarchy>,
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Of each file: what is not simulated of it.
    pub not_simulated: Vec<String>,
}

impl Configured {
    /// Reads the files that a command names. Errors are those of the deployed readers: file, line and what to write.
    pub fn read(args: &ConfiguredArgs) -> Result<Configured, Failure> {
        let mut configured = Configured::default();
        let mut listen = None;
        if let Some(path) = &args.server_config {
            let (text, name) = (text_of(path, "a file that is there")?, path.display().to_string());
            let file = ServerConfig::parse(&text, &name, []).map_err(refused)?;
            // Without a schedule nothing but arrivals makes an import.
            let import = tasks(&file)
                .map_err(|error| Failure::usage(&error))?
                .trigger(TaskType::InventoryImport)
                .unwrap_or(Trigger::every(i64::MAX));
            configured.server = Some(ServerRules {
                loaders: file.loaders,
                import,
                import_on_arrival: file.import_on_arrival,
                exports: file.servicenow.is_some(),
            });
            listen = Some(file.listen);
            configured.note(&name, &text, |option| OF_SERVER.contains(&option)).map_err(refused)?;
        }
        let several = args.beacon_config.len() > 1;
        let mut beacons = Vec::new();
        for path in &args.beacon_config {
            let (text, name) = (text_of(path, "a file that is there")?, path.display().to_string());
            let file = BeaconConfig::parse(&text, &name, []).map_err(refused)?;
            let is_acted_upon =
                |option: &str| OF_BEACON.contains(&option) || (several && OF_HIERARCHY.contains(&option));
            configured.note(&name, &text, is_acted_upon).map_err(refused)?;
            beacons.push((name, text, file));
        }
        configured.beacons = if several {
            let (hierarchy, order) = OwnHierarchy::of(&beacons, listen).map_err(refused)?;
            configured.hierarchy = Some(hierarchy);
            order.into_iter().map(|place| BeaconRules::of(&beacons[place].2)).collect()
        } else {
            beacons.iter().map(|(_, _, file)| BeaconRules::of(file)).collect()
        };
        if let Some(path) = &args.agent_config {
            let (text, name) = (text_of(path, "a file that is there")?, path.display().to_string());
            let file = AgentConfig::parse(&text, &name, []).map_err(refused)?;
            configured.agent = Some(AgentSettings {
                servers: file.servers(),
                allow_plain: true,
                collect_at_start: file.collect_at_start,
                inventory_every_ms: file.inventory_interval.as_millis() as i64,
                policy_every_ms: file.policy_interval.as_millis() as i64,
                catch_up_from_ms: i64::from(file.catch_up_hour) * HOUR_MS,
                clocks_ahead_ms: i64::from(file.clocks_ahead_minutes) * MINUTE_MS,
            });
            configured.note(&name, &text, |option| OF_AGENT.contains(&option)).map_err(refused)?;
        }
        if let Some(path) = &args.agent_schedule {
            configured.schedule = Some(schedule_of(path)?);
            configured.files.push(path.display().to_string());
        }
        Ok(configured)
    }

    /// Says on standard error what of the files is not simulated, once.
    pub fn tell(&self) {
        self.not_simulated.iter().for_each(|line| eprintln!("muster-sim: {line}"));
    }

    fn note(&mut self, name: &str, text: &str, is_acted_upon: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        let table: Table = parse_toml(text, name)?;
        let options = table.iter().flat_map(|(section, options)| match options {
            Value::Table(options) => {
                options.keys().map(|option| format!("{section}.{option}")).collect::<Vec<String>>()
            }
            _ => vec![section.clone()],
        });
        let others: Vec<String> = options.filter(|option| !is_acted_upon(option)).collect();
        if !others.is_empty() {
            self.not_simulated.push(format!("{name}: not simulated: {}", others.join(", ")));
        }
        self.files.push(name.to_owned());
        Ok(())
    }
}

fn refused(error: ConfigError) -> Failure {
    Failure { text: error.to_string(), exit: 2 }
}

/// The setting as the operator API gives it.
fn schedule_of(path: &Path) -> Result<AgentSchedule, Failure> {
    let text = text_of(path, "a file that is there")?;
    let wrong = |problem: String| Failure { text: format!("{}: {problem}", path.display()), exit: 2 };
    // A list would be taken for a schedule with every option left out.
    let schedule = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
    let schedule: AgentSchedule = schedule
        .and_then(|fields| serde_json::from_value(fields.into()))
        .map_err(|error| wrong(format!("{error}; write what GET /api/v1/settings shows as `agent-schedule`")))?;
    schedule.check().map_err(|error| wrong(error.to_string()))?;
    Ok(schedule)
}

/// The error at an option of a beacon's file, with its line.
fn error_at(file: &str, text: &str, section: &str, option: &str, problem: String) -> ConfigError {
    let document = Document { text, file };
    let place = document.read::<toml::Table>().ok().and_then(|_| span_of(text, section, option));
    let mut error = document.error(place, problem);
    error.key = format!("{section}.{option}");
    error
}

fn span_of(text: &str, section: &str, option: &str) -> Option<std::ops::Range<usize>> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let toml::de::DeValue::Table(options) = table.get_ref().get(section)?.get_ref() else { return None };
    Some(options.get(option)?.span())
}

#[cfg(test)]
mod tests;
