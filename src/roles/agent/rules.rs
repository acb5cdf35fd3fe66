//! What an agent goes by: its policy where there is one, else its own configuration.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::address::address_parts;
use crate::formats::client_configuration::ClientConfiguration;
use crate::formats::failover::{Failover, Protocol, Server, is_loopback_host};
use crate::formats::inventory_settings::InventorySettings;
use crate::formats::nds::{CatchUp, Command, Event, Nds, Repeat, Trigger, TriggerKind};
use crate::id::{Digest, Guid};
use crate::policy::Reach;
use crate::policy::apply::Content;
use crate::rng::RngStream;
use crate::schedule::Timetable;
use crate::time::{DAY_MS, Timestamp};
use crate::upload::selector::{Device, Measures, Order, order};

/// From one question for policy to the next there are at most two days, whatever a schedule says.
const POLICY_WITHIN_MS: i64 = 2 * DAY_MS;
/// Most servers that an agent looks at: those of its policy, then those of its configuration.
pub const SERVERS_MAX: usize = 600;

/// What an agent does when an event of its schedule is due. Source: `agent-beacon-batch` reference, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Take stock of this host.
    Collect,
    /// Ask for policy.
    AskPolicy,
    /// Send what is queued.
    CatchUp,
}

impl Task {
    /// What `event` runs; `None` for a component that is none of ours.
    pub fn of(event: &Event) -> Option<Task> {
        match event.command.component.as_str() {
            "Tracker" => Some(Task::Collect),
            "PolicyClient" => Some(Task::AskPolicy),
            "Uploader" => Some(Task::CatchUp),
            _ => None,
        }
    }
}

/// A server as an agent reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentServer {
    /// Its id: that of the beacon, or one made of the address for a configured one.
    pub id: Guid,
    /// Base address of uploads, with the directory: `http://host:port/ManageSoftRL`.
    pub upload: String,
    /// Base address of downloads.
    pub download: String,
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// See the module's head. Shared: agents with equal policies and configurations may hold the same.
#[derive(Debug)]
pub struct AgentRules {
    /// Tells one list of servers from the one before it.
    pub number: u32,
    /// When it does what.
    pub timetable: Arc<Timetable>,
    /// Longest time from one question for policy to the next, whatever the schedule says: in two periods of the agent's
    /// own file there is one, so a longer one is not made shorter than somebody chose.
    pub policy_within_ms: i64,
    /// The list of its policy, with only those servers that it may talk to.
    pub failover: Option<Failover>,
    /// What else its policy tells it to do.
    pub configuration: ClientConfiguration,
    /// What it may look for beyond the ordinary; `None` when it was told nothing of that.
    pub inventory_settings: Option<InventorySettings>,
    /// All servers by their places: the uploads of `failover`, then the configured ones that are not among them.
    pub servers: Vec<AgentServer>,
    /// Entries of the list that are not used: they would carry reports in plain beyond this host, or to this very host.
    pub refused: usize,
    /// Every place in the order of the list, as long as nothing is known to order them by. Shared by all agents.
    pub unordered: Arc<[u16]>,
    /// The order where each server's own priority decides it alone: the same for every device, so made once.
    pub fixed: Option<FixedOrder>,
}

/// An order that hangs on nothing but the list.
#[derive(Clone, Debug)]
pub struct FixedOrder {
    /// The order of the policy's list.
    pub order: Arc<Order>,
    /// The places to ask: those of the order, then the configured ones.
    pub places: Arc<[u16]>,
}

/// What an agent is set to by its own file, as far as it goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// Base addresses of its bootstrap servers in order: 1 to 64.
    pub servers: Arc<[String]>,
    /// Whether plain HTTP beyond this host is accepted, also where policy names it.
    pub allow_plain: bool,
    /// Collect at every start (one machine), not only when nothing was ever collected.
    pub collect_at_start: bool,
    /// Without a schedule of a policy: from one inventory to the next, in milliseconds.
    pub inventory_every_ms: i64,
    /// Without one: the length of a period in which policy is asked once.
    pub policy_every_ms: i64,
    /// Without one: where in the day the catch-up's one-hour window begins.
    pub catch_up_from_ms: i64,
    /// How far the clocks by which it reads every schedule are ahead of UTC; negative for behind.
    pub clocks_ahead_ms: i64,
}

impl AgentSettings {
    /// Which servers it may talk to when others name them.
    pub fn reach(&self) -> Reach {
        let own = |address: &String| address_parts(address).is_some_and(|parts| is_loopback_host(parts.host));
        Reach { allow_plain: self.allow_plain, is_at_home: self.servers.iter().any(own) }
    }
}

impl AgentRules {
    /// The rules of an agent with these settings and these contents of a policy.
    pub fn new(number: u32, settings: &AgentSettings, contents: Vec<Content>) -> AgentRules {
        let (mut schedule, mut failover, mut inventory_settings) = (None, None, None);
        let mut configuration = ClientConfiguration::default();
        for content in contents {
            match content {
                Content::Schedule(nds) => schedule = Some(nds),
                Content::Failover(list) => failover = Some(list),
                Content::Configuration(told) => configuration = told,
                Content::InventorySettings(told) => inventory_settings = Some(told),
                Content::Unused => {}
            }
        }
        if let (Some(list), Some(calls)) = (&mut failover, &configuration.selector) {
            list.selector = calls.clone();
        }
        let mut refused = 0;
        if let Some(list) = &mut failover {
            let reach = settings.reach();
            let before = list.uploads.len();
            list.uploads.retain(|server| reach.may_use(server));
            list.downloads.retain(|server| reach.may_use(server));
            refused = before - list.uploads.len();
            // The agent's own file keeps its place behind the longest list.
            list.uploads.truncate(SERVERS_MAX - settings.servers.len().min(SERVERS_MAX));
        }
        let failover = failover.filter(|list| !list.uploads.is_empty());
        let mut servers: Vec<AgentServer> = (failover.iter().flat_map(|list| &list.uploads))
            .map(|server| of_policy(server, failover.as_ref().map_or(&[][..], |list| &list.downloads)))
            .collect();
        for address in settings.servers.iter() {
            let configured = of_configuration(address);
            if !servers.iter().any(|known| known.upload == configured.upload) {
                servers.push(configured);
            }
        }
        servers.truncate(SERVERS_MAX);
        let timetable =
            Arc::new(Timetable::new(with_policy_question(schedule, own_schedule(settings)), settings.clocks_ahead_ms));
        let policy_within_ms = POLICY_WITHIN_MS.max(settings.policy_every_ms.saturating_mul(2));
        let mut rules = AgentRules {
            number,
            timetable,
            policy_within_ms,
            failover,
            configuration,
            inventory_settings,
            unordered: (0..servers.len() as u16).collect(),
            servers,
            refused,
            fixed: None,
        };
        rules.fixed = rules.fixed_order();
        rules
    }

    fn fixed_order(&self) -> Option<FixedOrder> {
        let list = self.failover.as_ref().filter(|list| list.uploads.iter().all(|server| !server.auto_priority))?;
        // No call of the selector moves a server with a priority of its own, so none of these is looked at.
        let (device, measures, mut none) = (Device::default(), Measures::default(), RngStream::new(0, 0, 0));
        let order = order(list, &list.uploads, &device, &measures, &mut none).ok()?;
        let places = order.choices.iter().map(|choice| choice.server).chain(self.bootstrap()).collect();
        Some(FixedOrder { order: Arc::new(order), places })
    }

    /// Whether an event of its schedule waits for a connection or a logon.
    pub fn looks_around(&self) -> bool {
        let is_signal = |trigger: &Trigger| matches!(trigger.kind, TriggerKind::OnConnect | TriggerKind::Logon);
        self.timetable.events().iter().any(|event| event.triggers.iter().any(is_signal))
    }

    /// Whether the policy's list names this server.
    pub fn is_of_policy(&self, id: Guid) -> bool {
        self.failover.as_ref().is_some_and(|list| list.uploads.iter().any(|server| server.id == id))
    }

    /// Places of the configured servers that are no part of the policy's list, in order: the last resort.
    pub fn bootstrap(&self) -> impl Iterator<Item = u16> {
        let first = self.failover.as_ref().map_or(0, |list| list.uploads.len());
        (first..self.servers.len()).map(|place| place as u16)
    }
}

fn base(server: &Server) -> String {
    let scheme = match server.protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
    };
    let host = match server.host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => server.host.clone(),
    };
    format!("{scheme}://{host}:{}/{}", server.port, server.directory)
}

fn of_policy(server: &Server, downloads: &[Server]) -> AgentServer {
    let own = downloads.iter().find(|download| download.id == server.id);
    let download = match own {
        Some(own) => base(own),
        // A list of uploads only: the beacon's usual place.
        None => base(&Server { directory: "ManageSoftDL".into(), ..server.clone() }),
    };
    AgentServer { id: server.id, upload: base(server), download, host: server.host.clone(), port: server.port }
}

fn of_configuration(address: &str) -> AgentServer {
    let address = address.trim_end_matches('/');
    let (host, port) = address_parts(address).map_or((address, 0), |parts| (parts.host, parts.port));
    let digest = Digest::of(address.as_bytes()).0;
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    AgentServer {
        id: Guid::from_random(id),
        upload: format!("{address}/ManageSoftRL"),
        download: format!("{address}/ManageSoftDL"),
        host: host.into(),
        port,
    }
}

/// The schedule of the policy, or `own` without one. A schedule that never asks for policy could never be corrected: it
/// gets the question of the agent's own.
fn with_policy_question(schedule: Option<Nds>, mut own: Nds) -> Nds {
    let Some(mut schedule) = schedule else { return own };
    let is_timed = |trigger: &Trigger| {
        matches!(trigger.kind, TriggerKind::Daily { .. } | TriggerKind::Weekly { .. } | TriggerKind::Monthly { .. })
    };
    let asks = |event: &Event| Task::of(event) == Some(Task::AskPolicy) && event.triggers.iter().any(is_timed);
    if !schedule.events.iter().any(asks) {
        own.events.retain(asks);
        schedule.events.retain(|event| own.events.iter().all(|own| own.id != event.id));
        schedule.events.extend(own.events);
    }
    schedule
}

/// The schedule of an agent that has none from a policy: the three events of every schedule, by its own file.
fn own_schedule(settings: &AgentSettings) -> Nds {
    let event = |number: u8, name: &str, component: &str, action: &str, catch_up, trigger| Event {
        name: name.into(),
        // Those of every standard schedule, so that what was run by this one is not run again by that of a policy.
        id: format!("11111111-0000-4000-8000-{number:012}").parse().unwrap_or_default(),
        needs_network: false,
        catch_up,
        idle_secs: 0,
        command: Command { component: component.into(), action: action.into(), param: String::new() },
        triggers: vec![trigger],
    };
    let secs = |ms: i64| u32::try_from(ms / 1_000).unwrap_or(u32::MAX).max(1);
    let periodic = |every_ms: i64| {
        let every = secs(every_ms);
        let days = every.div_ceil(86_400).max(1);
        Trigger {
            kind: TriggerKind::Daily { every_days: days },
            start: Some(Timestamp(0)),
            repeat: (every % 86_400 != 0).then(|| Repeat { every_secs: every, for_secs: days.saturating_mul(86_400) }),
            window_secs: every,
        }
    };
    let at = Timestamp(settings.catch_up_from_ms.rem_euclid(DAY_MS) / 1_000 * 1_000);
    let daily =
        Trigger { kind: TriggerKind::Daily { every_days: 1 }, start: Some(at), repeat: None, window_secs: 3_600 };
    Nds {
        schema: 60,
        name: "configuration".into(),
        made_at: Timestamp(0),
        events: vec![
            event(1, "Generate Inventory", "Tracker", "Report", CatchUp::Always, periodic(settings.inventory_every_ms)),
            event(
                2,
                "Update Machine Policy",
                "PolicyClient",
                "Apply",
                CatchUp::Never,
                periodic(settings.policy_every_ms),
            ),
            event(3, "Upload Client Files", "Uploader", "Upload", CatchUp::OnStartup, daily),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::failover::Priority;
    use crate::time::HOUR_MS;

    fn settings(servers: &[&str], allow_plain: bool) -> AgentSettings {
        AgentSettings {
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            allow_plain,
            collect_at_start: false,
            inventory_every_ms: DAY_MS,
            policy_every_ms: 12 * HOUR_MS,
            catch_up_from_ms: 11 * HOUR_MS,
            clocks_ahead_ms: 0,
        }
    }

    fn failover(hosts: &[&str]) -> Content {
        let entry = |(number, host): (u8, &&str)| {
            let id = Guid::from_random([number; 16]);
            format!(
                "[ManageSoft\\Common\\UploadSettings\\{{{id}}}]\nProtocol=http\nHost={host}\nPort=7082\nDirectory=RL\n"
            )
        };
        let text: String = (1..).zip(hosts).map(entry).collect();
        Content::Failover(Failover::read(text.as_bytes()).unwrap().0)
    }

    fn uploads(rules: &AgentRules) -> Vec<&str> {
        rules.servers.iter().map(|server| server.upload.as_str()).collect()
    }

    #[test]
    fn the_servers_of_the_policy_come_first_and_the_configured_ones_are_the_last_resort() {
        let settings = settings(&["http://boot:7081/", "http://b2:7082"], true);
        let alone = AgentRules::new(1, &settings, vec![]);
        assert_eq!(uploads(&alone), ["http://boot:7081/ManageSoftRL", "http://b2:7082/ManageSoftRL"]);
        assert_eq!(alone.bootstrap().collect::<Vec<_>>(), [0, 1]);
        let rules = AgentRules::new(2, &settings, vec![failover(&["b1", "fe80::1"])]);
        assert_eq!(uploads(&rules)[..2], ["http://b1:7082/RL", "http://[fe80::1]:7082/RL"]);
        assert_eq!(rules.servers[0].download, "http://b1:7082/ManageSoftDL");
        assert_eq!(rules.bootstrap().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((rules.servers[2].host.as_str(), rules.servers[2].port), ("boot", 7081));
    }

    #[test]
    fn a_configured_server_that_the_policy_names_too_is_one() {
        let listed = "[ManageSoft\\Common\\UploadSettings\\{0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001}]\nProtocol=http\n\
                      Host=b1\nPort=7082\nDirectory=ManageSoftRL\n";
        let list = Content::Failover(Failover::read(listed.as_bytes()).unwrap().0);
        let rules = AgentRules::new(1, &settings(&["http://b1:7082"], true), vec![list]);
        assert_eq!((rules.servers.len(), rules.bootstrap().count()), (1, 0));
    }

    #[test]
    fn policy_cannot_make_an_agent_send_in_plain() {
        let rules =
            AgentRules::new(1, &settings(&["http://127.0.0.1:7081"], false), vec![failover(&["b1", "127.0.0.1"])]);
        assert_eq!(uploads(&rules), ["http://127.0.0.1:7082/RL", "http://127.0.0.1:7081/ManageSoftRL"]);
        assert_eq!(rules.refused, 1);
        // Nor to whoever listens on its own host.
        let home = AgentRules::new(1, &settings(&["https://server"], true), vec![failover(&["127.0.0.1", "b1"])]);
        assert_eq!((uploads(&home)[0], home.refused), ("http://b1:7082/RL", 1));
        let none = AgentRules::new(1, &settings(&["https://server"], false), vec![failover(&["b1"])]);
        assert_eq!((uploads(&none), none.failover.is_none()), (vec!["https://server/ManageSoftRL"], true));
        assert_eq!(none.servers[0].port, 443);
    }

    #[test]
    fn an_order_is_fixed_where_every_server_of_the_list_says_its_own_priority() {
        let listed = |automatic: usize| {
            let Content::Failover(mut list) = failover(&["b1", "b2", "b3"]) else { unreachable!() };
            for (place, server) in list.uploads.iter_mut().enumerate() {
                server.auto_priority = place < automatic;
                server.priority = Some(Priority::Number(9 - place as u32));
            }
            AgentRules::new(1, &settings(&["http://boot:7081"], true), vec![Content::Failover(list)])
        };
        assert_eq!(&*listed(0).fixed.unwrap().places, [2, 1, 0, 3]);
        assert!(listed(1).fixed.is_none(), "one that the selector may move");
        assert!(AgentRules::new(1, &settings(&["http://boot:7081"], true), vec![]).fixed.is_none());
    }

    #[test]
    fn the_own_schedule_has_the_three_tasks_and_every_period_is_covered() {
        for (inventory_every_ms, policy_every_ms) in
            [(60_000, 60_000), (DAY_MS, 12 * HOUR_MS), (7 * DAY_MS, 36 * HOUR_MS)]
        {
            let settings = AgentSettings { inventory_every_ms, policy_every_ms, ..settings(&["http://b"], true) };
            let rules = AgentRules::new(1, &settings, vec![]);
            let tasks: Vec<Option<Task>> = rules.timetable.events().iter().map(Task::of).collect();
            assert_eq!(tasks, [Some(Task::Collect), Some(Task::AskPolicy), Some(Task::CatchUp)]);
            let mut text = Vec::new();
            rules.timetable.nds().write(&mut text).unwrap();
            assert_eq!(&Nds::read(text.as_slice()).unwrap(), rules.timetable.nds(), "it is a schedule like any other");
        }
    }
}
