//! What a server tells its beacons and agents to do: an operator's settings and the beacons that are there, as one policy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client_settings::{ClientSettings, SELECTOR};
use super::setting_ids::check_ids;
use crate::config::address::{AddressParts, address_parts, base_address};
use crate::formats::client_configuration::{ClientConfiguration, ClientConfigurationFinding};
use crate::formats::failover::{Failover, Protocol, Server};
use crate::formats::inventory_settings::{InventorySettings, InventorySettingsError};
use crate::formats::nds::Nds;
use crate::id::Guid;
use crate::model::beacon_status::BeaconStatus;
use crate::policy::beacon_policy::{Content, ContentError};
use crate::policy::failover::{Direction, Endpoint, LIMIT_AGE, failover_list};
use crate::policy::{BeaconPolicy, InventoryGroup};
use crate::schedule::{AgentSchedule, ScheduleError, standard_schedule};
use crate::time::Timestamp;
use crate::upload::selector::SelectorFinding;

/// Shortest time after which a silent beacon leaves the list: it reports once a minute.
const LIMIT_SECS_MIN: u64 = 180;
/// Longest time after which a silent beacon leaves the failover list: 90 days.
const LIMIT_SECS_MAX: u64 = 90 * 86_400;

/// Why a setting is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Not of the form of this setting.
    #[error("it does not read")]
    Form(#[source] serde_json::Error),
    /// Something else than this setting is.
    #[error("it has to be a JSON {0}")]
    Kind(&'static str),
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The client configuration.
    #[error("{0}")]
    Configuration(ClientConfigurationFinding),
    /// The inventory settings.
    #[error("`xml` does not read")]
    InventorySettings(#[source] InventorySettingsError),
    /// A selector.
    #[error("`selector` is `{0}`: write algorithm calls separated by `;`, like {SELECTOR}")]
    Selector(String),
    /// A selector with a call that no agent can follow.
    #[error("`selector`: {0}; write calls like {SELECTOR}")]
    Algorithm(SelectorFinding),
    /// Something else in the place of an id.
    #[error("`{field}` names `{met}`, which is not {wanted}")]
    Id {
        /// Where.
        field: &'static str,
        /// What stands there, shortened.
        met: String,
        /// Whose id is wanted, and where it is found.
        wanted: &'static str,
    },
    /// A mode that would leave no agent with a policy.
    #[error(
        "`on` without `targets` would leave no agent with a policy: name the agents that get one, or set `on` to false"
    )]
    NoTargets,
    /// A technology of home directories.
    #[error("`home_technologies` names `{0}`, which is not known here")]
    Technology(String),
    /// A parent's address.
    #[error("`parents` of beacon {beacon}: {problem}")]
    Parent {
        /// The beacon.
        beacon: Guid,
        /// What is wrong.
        problem: String,
    },
    /// A limit that is none.
    #[error("`failover_limit_secs` is {0}: it can be 0 (never), or {LIMIT_SECS_MIN} to {LIMIT_SECS_MAX}")]
    Limit(u64),
    /// Nothing that agents could go by comes of it.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// What agents may look for beyond the ordinary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InventorySettingsText {
    /// The `InventorySettings.xml`; empty for none.
    pub xml: String,
}

/// Whether only some agents get a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MigrationMode {
    /// Whether it is on.
    pub on: bool,
    /// The agents that get a policy while it is on.
    pub targets: BTreeSet<Guid>,
}

/// What beacons are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BeaconSettings {
    /// Seconds after which a silent beacon leaves the failover list; 0 for never.
    pub failover_limit_secs: u64,
    /// The beacons that agents may be told of; `None` for every one that reports.
    pub approved: Option<BTreeSet<Guid>>,
    /// Parents that beacons are to use from now on, base addresses in order. One that is not here keeps its own.
    pub parents: BTreeMap<Guid, Vec<String>>,
}

impl Default for BeaconSettings {
    fn default() -> BeaconSettings {
        BeaconSettings { failover_limit_secs: LIMIT_AGE.as_secs(), approved: None, parents: BTreeMap::new() }
    }
}

/// Everything an operator sets for agents and beacons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// When agents do what.
    pub agent_schedule: AgentSchedule,
    /// What else they do.
    pub client_configuration: ClientSettings,
    /// What they may look for.
    pub inventory_settings: InventorySettingsText,
    /// Which of them may use only some beacons.
    pub inventory_groups: Vec<InventoryGroup>,
    /// Whether only some get a policy.
    pub migration_mode: MigrationMode,
    /// What beacons are told.
    pub beacons: BeaconSettings,
}

/// The settings by their names in addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingName {
    /// [`PolicySettings::agent_schedule`].
    AgentSchedule,
    /// [`PolicySettings::client_configuration`].
    ClientConfiguration,
    /// [`PolicySettings::inventory_settings`].
    InventorySettings,
    /// [`PolicySettings::inventory_groups`].
    InventoryGroups,
    /// [`PolicySettings::migration_mode`].
    MigrationMode,
    /// [`PolicySettings::beacons`].
    Beacons,
}

impl SettingName {
    /// Every setting.
    pub const ALL: [SettingName; 6] = [
        SettingName::AgentSchedule,
        SettingName::ClientConfiguration,
        SettingName::InventorySettings,
        SettingName::InventoryGroups,
        SettingName::MigrationMode,
        SettingName::Beacons,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            SettingName::AgentSchedule => "agent-schedule",
            SettingName::ClientConfiguration => "client-configuration",
            SettingName::InventorySettings => "inventory-settings",
            SettingName::InventoryGroups => "inventory-groups",
            SettingName::MigrationMode => "migration-mode",
            SettingName::Beacons => "beacons",
        }
    }

    /// The setting of this name.
    pub fn of(name: &str) -> Option<SettingName> {
        SettingName::ALL.into_iter().find(|setting| setting.as_str() == name)
    }
}

fn form<T: DeserializeOwned>(value: Value) -> Result<T, SettingError> {
    serde_json::from_value(value).map_err(SettingError::Form)
}

impl PolicySettings {
    /// Puts `value` in the place of the setting `name`, when the whole still makes a policy.
    pub fn set(&mut self, name: SettingName, value: Value) -> Result<(), SettingError> {
        // An array would else be read as the fields of an object, in their order.
        match name {
            SettingName::InventoryGroups if !value.is_array() => return Err(SettingError::Kind("array")),
            SettingName::InventoryGroups => {}
            _ if !value.is_object() => return Err(SettingError::Kind("object")),
            _ => {}
        }
        check_ids(name, &value)?;
        let mut changed = self.clone();
        match name {
            SettingName::AgentSchedule => changed.agent_schedule = form(value)?,
            SettingName::ClientConfiguration => changed.client_configuration = form(value)?,
            SettingName::InventorySettings => changed.inventory_settings = form(value)?,
            SettingName::InventoryGroups => changed.inventory_groups = form(value)?,
            SettingName::MigrationMode => changed.migration_mode = form(value)?,
            SettingName::Beacons => changed.beacons = form(value)?,
        }
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// The value of the setting `name`.
    pub fn get(&self, name: SettingName) -> Value {
        let value = match name {
            SettingName::AgentSchedule => serde_json::to_value(&self.agent_schedule),
            SettingName::ClientConfiguration => serde_json::to_value(&self.client_configuration),
            SettingName::InventorySettings => serde_json::to_value(&self.inventory_settings),
            SettingName::InventoryGroups => serde_json::to_value(&self.inventory_groups),
            SettingName::MigrationMode => serde_json::to_value(&self.migration_mode),
            SettingName::Beacons => serde_json::to_value(&self.beacons),
        };
        value.expect("settings are JSON")
    }

    fn check(&self) -> Result<(), SettingError> {
        self.agent_schedule.check()?;
        self.client_configuration.selector()?;
        if self.migration_mode.on && self.migration_mode.targets.is_empty() {
            return Err(SettingError::NoTargets);
        }
        let xml = &self.inventory_settings.xml;
        if !xml.is_empty() {
            InventorySettings::read(xml.as_bytes()).map_err(SettingError::InventorySettings)?;
        }
        let limit = self.beacons.failover_limit_secs;
        if limit != 0 && !(LIMIT_SECS_MIN..=LIMIT_SECS_MAX).contains(&limit) {
            return Err(SettingError::Limit(self.beacons.failover_limit_secs));
        }
        for (beacon, parents) in &self.beacons.parents {
            for parent in parents {
                // Whether plain is accepted is for the beacon itself to say.
                base_address(parent, true).map_err(|problem| SettingError::Parent { beacon: *beacon, problem })?;
            }
        }
        self.content(&[], None, Timestamp(0), Timestamp(0))?.check()?;
        Ok(())
    }

    /// What the policy is to be at `now`. `heard` are the beacons' newest statuses with the server's time of each,
    /// `last` is the policy in force, and `started` when this server began to listen: a beacon that it has not heard
    /// yet is not silent.
    pub fn content(
        &self,
        heard: &[(Timestamp, BeaconStatus)],
        last: Option<&BeaconPolicy>,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<Content, SettingError> {
        let last = last.map(|policy| &policy.content);
        let configuration = self.client_configuration.configuration()?;
        let usual = configuration == ClientConfiguration::default();
        let targets = self.migration_mode.on.then(|| self.migration_mode.targets.clone());
        Ok(Content {
            schedule: self.schedule(last, now),
            configuration: if usual { String::new() } else { configuration.write() },
            inventory_settings: self.inventory_settings.xml.clone(),
            failover: self.failover(heard, last, started, now)?,
            groups: self.inventory_groups.clone(),
            targets,
            parents: self.beacons.parents.clone(),
        })
    }

    /// The schedule; that of the last policy as long as it says the same.
    fn schedule(&self, last: Option<&Content>, now: Timestamp) -> String {
        let made_at = |at: Timestamp| {
            let mut out = Vec::new();
            standard_schedule(&self.agent_schedule, at).write(&mut out).expect("a Vec takes every write");
            String::from_utf8(out).expect("XML of ours is UTF-8")
        };
        let before = last.and_then(|last| Some(made_at(Nds::read(last.schedule.as_bytes()).ok()?.made_at)));
        before.filter(|before| last.is_some_and(|last| last.schedule == *before)).unwrap_or_else(|| made_at(now))
    }

    fn failover(
        &self,
        heard: &[(Timestamp, BeaconStatus)],
        last: Option<&Content>,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<String, SettingError> {
        let mut endpoints: Vec<Endpoint> = heard.iter().filter_map(|(at, status)| endpoint(*at, status)).collect();
        let before = last.and_then(|last| Failover::read(last.failover.as_bytes()).ok()).map(|(list, _)| list);
        if let Some(before) = &before {
            let is_new = |server: &&Server| !heard.iter().any(|(_, status)| status.id == server.id);
            let unheard = before.uploads.iter().filter(is_new);
            endpoints.extend(unheard.map(|upload| {
                let download = before.downloads.iter().find(|download| download.id == upload.id);
                Endpoint {
                    beacon: upload.id,
                    heard_at: started,
                    protocol: upload.protocol,
                    host: upload.host.clone(),
                    port: upload.port,
                    download_path: download.map_or("ManageSoftDL", |download| &download.directory).into(),
                    upload_path: upload.directory.clone(),
                    credentials_required: false,
                    site: upload.site.clone(),
                }
            }));
        }
        if let Some(approved) = &self.beacons.approved {
            endpoints.retain(|endpoint| approved.contains(&endpoint.beacon));
        }
        let limit = Duration::from_secs(self.beacons.failover_limit_secs);
        // Which of them an agent may use is worked out from its groups, where it asks.
        let of_groups = self.inventory_groups.iter().flat_map(|group| group.beacons.iter().copied()).collect();
        let list = |direction| failover_list(&endpoints, limit, now, &of_groups, direction);
        let uploads = list(Direction::Uploads);
        if uploads.is_empty() {
            // None was heard: agents are better off with the beacons they know, except those that were taken away.
            return Ok(match (&self.beacons.approved, before) {
                (Some(approved), Some(mut before)) => {
                    before.uploads.retain(|server| approved.contains(&server.id));
                    before.downloads.retain(|server| approved.contains(&server.id));
                    if before.uploads.is_empty() { String::new() } else { before.write() }
                }
                _ => last.map(|last| last.failover.clone()).unwrap_or_default(),
            });
        }
        let (selector, downloads) = (self.client_configuration.selector()?, list(Direction::Downloads));
        Ok(Failover { selector, highest_priority: 1, lowest_priority: 100, downloads, uploads }.write())
    }
}

/// How agents reach the beacon that reported; `None` when they are not to use it, or its address is none.
fn endpoint(heard_at: Timestamp, status: &BeaconStatus) -> Option<Endpoint> {
    let told = status.endpoint.as_ref()?;
    let AddressParts { is_tls, host, port, path } = address_parts(&told.address)?;
    let below = |directory: &str| if path.is_empty() { directory.into() } else { format!("{path}/{directory}") };
    Some(Endpoint {
        beacon: status.id,
        heard_at,
        protocol: if is_tls { Protocol::Https } else { Protocol::Http },
        host: host.into(),
        port,
        download_path: below("ManageSoftDL"),
        upload_path: below("ManageSoftRL"),
        credentials_required: told.needs_credentials,
        site: told.site.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::beacon_status;
    use crate::time::{MINUTE_MS, SECOND_MS};

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn guid(number: u8) -> Guid {
        Guid::from_random([number; 16])
    }

    fn status(number: u8, address: &str) -> BeaconStatus {
        BeaconStatus {
            id: guid(number),
            name: "b".into(),
            parent: String::new(),
            version: String::new(),
            at: NOW,
            queue: Default::default(),
            policy_revision: 0,
            policies_refused: 0,
            endpoint: Some(beacon_status::Endpoint {
                address: address.into(),
                site: "hq".into(),
                needs_credentials: false,
            }),
            aside: Vec::new(),
        }
    }

    fn hosts(content: &Content) -> Vec<String> {
        let Ok((list, findings)) = Failover::read(content.failover.as_bytes()) else { return Vec::new() };
        assert_eq!((findings, list.downloads.len()), (vec![], list.uploads.len()));
        list.uploads.iter().map(|server| format!("{}:{}/{}", server.host, server.port, server.directory)).collect()
    }

    #[test]
    fn nothing_set_and_nothing_changed_is_the_same_policy_whenever_it_is_made() {
        let settings = PolicySettings::default();
        let first = settings.content(&[], None, NOW, NOW).unwrap();
        first.check().unwrap();
        assert_eq!((first.failover.as_str(), first.configuration.as_str(), &first.targets), ("", "", &None));
        let policy = BeaconPolicy::new(1, NOW, first.clone()).unwrap();
        let later = NOW.plus_ms(40 * 86_400 * SECOND_MS);
        assert_eq!(settings.content(&[], Some(&policy), NOW, later).unwrap(), first);
        let mut changed = settings.clone();
        changed.set(SettingName::AgentSchedule, json!({ "inventory_start_secs": 7_200 })).unwrap();
        assert_ne!(changed.content(&[], Some(&policy), NOW, later).unwrap().schedule, first.schedule);
    }

    #[test]
    fn beacons_that_were_heard_are_listed_and_silent_ones_leave_but_never_the_last() {
        let settings = PolicySettings::default();
        let heard = [(NOW, status(1, "http://b1.lab:7081")), (NOW, status(2, "https://[fe80::2]/muster"))];
        let both = settings.content(&heard, None, NOW, NOW).unwrap();
        assert_eq!(hosts(&both), ["b1.lab:7081/ManageSoftRL", "fe80::2:443/muster/ManageSoftRL"]);
        let policy = BeaconPolicy::new(1, NOW, both.clone()).unwrap();
        let minutes = |count: i64| NOW.plus_ms(count * MINUTE_MS);
        // The second goes silent.
        let heard = [(minutes(15), status(1, "http://b1.lab:7081")), (NOW, status(2, "https://[fe80::2]/muster"))];
        assert_eq!(hosts(&settings.content(&heard, Some(&policy), NOW, minutes(14)).unwrap()).len(), 2);
        assert_eq!(hosts(&settings.content(&heard, Some(&policy), NOW, minutes(16)).unwrap()).len(), 1);
        // All go silent: their agents keep what they know.
        let silent = [(NOW, status(1, "http://b1.lab:7081"))];
        assert_eq!(settings.content(&silent, Some(&policy), NOW, minutes(99)).unwrap().failover, both.failover);
        // A server that has just begun to listen has not heard anybody yet.
        let started = minutes(600);
        let first = [(started, status(1, "http://b1.lab:7081"))];
        assert_eq!(hosts(&settings.content(&first, Some(&policy), started, minutes(601)).unwrap()).len(), 2);
        assert_eq!(
            hosts(&settings.content(&first, Some(&policy), started, minutes(616)).unwrap()),
            hosts(&both),
            "but the last ones stay"
        );
        let mut forever = settings.clone();
        forever.set(SettingName::Beacons, json!({ "failover_limit_secs": 0 })).unwrap();
        assert_eq!(hosts(&forever.content(&heard, Some(&policy), NOW, minutes(99)).unwrap()).len(), 2);
    }

    #[test]
    fn agents_are_told_of_approved_beacons_only_once_the_operator_names_them() {
        let mut settings = PolicySettings::default();
        let heard = [(NOW, status(1, "http://b1.lab:7081")), (NOW, status(2, "http://stranger.lab:7081"))];
        let both = settings.content(&heard, None, NOW, NOW).unwrap();
        assert_eq!(hosts(&both).len(), 2);
        let policy = BeaconPolicy::new(1, NOW, both).unwrap();
        settings.set(SettingName::Beacons, json!({ "approved": [guid(1)] })).unwrap();
        let of = |heard: &[(Timestamp, BeaconStatus)]| {
            hosts(&settings.content(heard, Some(&policy), NOW, NOW.plus_ms(MINUTE_MS)).unwrap())
        };
        assert_eq!(of(&heard), ["b1.lab:7081/ManageSoftRL"]);
        // Neither does one that is not approved stay because nobody else is there.
        assert_eq!(of(&heard[1..]), ["b1.lab:7081/ManageSoftRL"]);
        settings.set(SettingName::Beacons, json!({ "approved": [guid(3)] })).unwrap();
        let content = settings.content(&heard, Some(&policy), NOW, NOW).unwrap();
        assert_eq!(content.failover, "", "agents keep the list they have");
    }

    #[test]
    fn a_beacon_without_a_usable_address_is_not_listed() {
        let mut none = status(1, "b1.lab");
        let settings = PolicySettings::default();
        assert_eq!(hosts(&settings.content(&[(NOW, none.clone())], None, NOW, NOW).unwrap()), [""; 0]);
        none.endpoint = None;
        assert_eq!(hosts(&settings.content(&[(NOW, none)], None, NOW, NOW).unwrap()), [""; 0]);
        let mut closed = status(1, "http://b1.lab");
        closed.endpoint.as_mut().unwrap().needs_credentials = true;
        assert_eq!(hosts(&settings.content(&[(NOW, closed)], None, NOW, NOW).unwrap()), [""; 0]);
    }

    #[test]
    fn a_setting_is_taken_whole_or_refused_with_what_is_wrong() {
        let mut settings = PolicySettings::default();
        let agent = guid(9);
        for (name, value) in [
            (SettingName::AgentSchedule, json!({ "inventory": { "weekly": { "days": 1 } } })),
            (SettingName::AgentSchedule, json!({ "inventory": { "once": { "on": "2026-12-01" } } })),
            (SettingName::ClientConfiguration, json!({ "usage_enabled": true, "selector": "MgsPing" })),
            (SettingName::InventorySettings, json!({ "xml": "<InventorySettings Version=\"1\"/>" })),
            (SettingName::InventoryGroups, json!([{ "name": "a", "agents": [agent], "beacons": [] }])),
            (SettingName::MigrationMode, json!({ "on": true, "targets": [agent] })),
            (SettingName::Beacons, json!({ "parents": { agent.to_string(): ["http://p.lab:7081"] } })),
        ] {
            settings.set(name, value.clone()).unwrap();
            let kept = settings.get(name);
            let mut again = PolicySettings::default();
            again.set(name, kept.clone()).unwrap();
            assert_eq!(again.get(name), kept, "{name:?}");
        }
        let before = settings.clone();
        for (name, value, wanted) in [
            (SettingName::AgentSchedule, json!({ "inventory_strat_secs": 1 }), "does not read"),
            (SettingName::AgentSchedule, json!({ "inventory_start_secs": 90_000 }), "inventory_start_secs"),
            (SettingName::ClientConfiguration, json!({ "usage_sample_secs": 0 }), "SamplePeriod"),
            (SettingName::ClientConfiguration, json!({ "selector": "Mgs(" }), "`Mgs(`"),
            (SettingName::ClientConfiguration, json!({ "selector": "MgsPing;Foo" }), "call 2, Foo: no such algorithm"),
            (SettingName::ClientConfiguration, json!({ "selector": "MgsPing(x)" }), "argument 1 is `x`"),
            (SettingName::ClientConfiguration, json!({ "home_technologies": ["warez"] }), "`warez`"),
            (SettingName::InventorySettings, json!({ "xml": "<x/>" }), "`xml`"),
            (SettingName::InventoryGroups, json!([{ "name": "a" }, { "name": "a" }]), "`a`"),
            (SettingName::MigrationMode, json!({ "on": "yes" }), "does not read"),
            (SettingName::MigrationMode, json!({ "on": true }), "no agent with a policy"),
            (SettingName::MigrationMode, json!({ "targets": ["web1"] }), "`targets` names `web1`"),
            (SettingName::AgentSchedule, json!({ "inventory": { "once": { "on": "1.12." } } }), "does not read"),
            (SettingName::InventoryGroups, json!([{ "name": "b", "agents": ["web1"] }]), "the id of an agent"),
            (SettingName::InventoryGroups, json!([{ "name": "b", "beacons": ["b1"] }]), "`muster beacons` lists ids"),
            (
                SettingName::Beacons,
                json!({ "approved": ["b1"] }),
                "`approved` names `b1`, which is not the id of a beacon",
            ),
            (SettingName::Beacons, json!({ "parents": { "b1": [] } }), "`muster beacons` lists ids"),
            (SettingName::MigrationMode, json!([true, []]), "JSON object"),
            (SettingName::InventoryGroups, json!({}), "JSON array"),
            (SettingName::Beacons, json!({ "parents": { agent.to_string(): ["p.lab"] } }), "p.lab"),
            (SettingName::Beacons, json!({ "failover_limit_secs": 10_000_000_000u64 }), "failover_limit_secs"),
        ] {
            let error = settings.set(name, value.clone()).unwrap_err();
            assert!(error.to_string().contains(wanted), "{value}: {error}");
            assert_eq!(settings, before);
        }
        assert!(SettingName::ALL.iter().all(|name| SettingName::of(name.as_str()) == Some(*name)));
    }

    #[test]
    fn a_day_reads_as_it_is_documented_and_as_it_was_stored_before() {
        let on = |on: Value| {
            let mut settings = PolicySettings::default();
            settings.set(SettingName::AgentSchedule, json!({ "inventory": { "once": { "on": on } } })).unwrap();
            settings.get(SettingName::AgentSchedule)["inventory"]["once"]["on"].clone()
        };
        assert_eq!([on(json!("2026-12-01")), on(json!(20_261_201))], [json!("2026-12-01"), json!("2026-12-01")]);
    }

    #[test]
    fn what_is_set_reaches_the_content() {
        let mut settings = PolicySettings::default();
        settings.set(SettingName::ClientConfiguration, json!({ "usage_enabled": true })).unwrap();
        settings.set(SettingName::MigrationMode, json!({ "on": true, "targets": [guid(9)] })).unwrap();
        let content = settings.content(&[], None, NOW, NOW).unwrap();
        let (configuration, findings) = ClientConfiguration::read(content.configuration.as_bytes()).unwrap();
        assert_eq!((configuration.is_usage_metered, findings.len()), (true, 0));
        assert_eq!(content.targets, Some([guid(9)].into()));
    }
}
