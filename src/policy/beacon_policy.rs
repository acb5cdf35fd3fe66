//! The policy as a server gives it to its beacons: one document with a revision. A beacon hands it on as it is; what
//! single agents get of it is worked out by [`HandOut`](super::HandOut). Its digest shows damage, not malice: policies are
//! not signed yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::formats::client_configuration::{ClientConfiguration, ClientConfigurationError};
use crate::formats::failover::{Failover, FailoverError};
use crate::formats::inventory_settings::{InventorySettings, InventorySettingsError};
use crate::formats::nds::{Nds, NdsError};
use crate::id::{Digest, Guid, shorten};
use crate::time::Timestamp;

/// Most bytes of a policy as it travels.
pub const POLICY_BYTES_MAX: usize = 16 << 20;
/// Begin of the year 10000, which the dates of HTTP have no form for, in milliseconds.
const MADE_AT_END_MS: i64 = 253_402_300_800_000;
/// Most inventory groups.
pub const GROUPS_MAX: usize = 200;
/// Most different sets of groups that agents may be in: each has a failover list of its own.
pub const CLASSES_MAX: usize = 1_000;
/// Most parents of one beacon.
const PARENTS_MAX: usize = 64;

/// Why a content is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The schedule does not read.
    #[error("the schedule does not read")]
    Schedule(#[source] NdsError),
    /// The failover list does not read.
    #[error("the failover list does not read")]
    Failover(#[source] FailoverError),
    /// The settings of agents do not read.
    #[error("the client configuration does not read")]
    Configuration(#[source] ClientConfigurationError),
    /// The settings of collections do not read.
    #[error("the inventory settings do not read")]
    InventorySettings(#[source] InventorySettingsError),
    /// Too many groups.
    #[error("{0} inventory groups, at most {GROUPS_MAX} are taken")]
    Groups(usize),
    /// Too many ways to combine them.
    #[error("agents stand in {0} different sets of inventory groups, at most {CLASSES_MAX} are taken")]
    Classes(usize),
    /// Two groups of one name.
    #[error("two inventory groups are called `{0}`")]
    GroupTwice(String),
    /// Too many parents of one beacon.
    #[error("beacon {0} has more than {PARENTS_MAX} parents")]
    Parents(Guid),
}

/// Why a policy that came from outside is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Too long.
    #[error("the policy has {0} bytes, at most {POLICY_BYTES_MAX} are read")]
    Large(usize),
    /// Not the JSON that is read here.
    #[error("the policy does not read")]
    Json(#[source] serde_json::Error),
    /// Changed on the way.
    #[error("the policy names digest `{named}`, what came has `{found}`")]
    Digest {
        /// What it says.
        named: String,
        /// What it is.
        found: String,
    },
    /// A time that no date stands for.
    #[error("the policy was made at {0} ms, which is no date from 1970 to 9999")]
    MadeAt(i64),
    /// Its content.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Agents that may only use some beacons. Source: `agent-beacon-batch` reference, section 3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryGroup {
    /// Its name.
    pub name: String,
    /// The agents in it.
    #[serde(default)]
    pub agents: BTreeSet<Guid>,
    /// The beacons they may use.
    #[serde(default)]
    pub beacons: BTreeSet<Guid>,
}

/// What is in a policy, without its revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The `.nds`; each beacon puts the catch-up at a time of its own.
    pub schedule: String,
    /// The settings of the agent, INI. Empty for none.
    pub configuration: String,
    /// The `InventorySettings.xml`. Empty for none.
    pub inventory_settings: String,
    /// The failover settings with every beacon an agent may use, INI. Empty while none was heard.
    pub failover: String,
    /// Which agents may use only some of them.
    pub groups: Vec<InventoryGroup>,
    /// In migration mode the agents that get a policy, else `None`: all.
    pub targets: Option<BTreeSet<Guid>>,
    /// Parents that beacons are to use from now on, base addresses in order; one that is not here keeps its own.
    pub parents: BTreeMap<Guid, Vec<String>>,
}

impl Content {
    /// Checks everything that agents and beacons rely on.
    pub fn check(&self) -> Result<(), ContentError> {
        Nds::read(self.schedule.as_bytes()).map_err(ContentError::Schedule)?;
        if !self.failover.is_empty() {
            Failover::read(self.failover.as_bytes()).map_err(ContentError::Failover)?;
        }
        ClientConfiguration::read(self.configuration.as_bytes()).map_err(ContentError::Configuration)?;
        if !self.inventory_settings.is_empty() {
            let read = InventorySettings::read(self.inventory_settings.as_bytes());
            read.map_err(ContentError::InventorySettings)?;
        }
        if self.groups.len() > GROUPS_MAX {
            return Err(ContentError::Groups(self.groups.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.groups.iter().find(|group| !names.insert(&group.name)) {
            return Err(ContentError::GroupTwice(shorten(&twice.name)));
        }
        let classes = self.classes().len();
        if classes > CLASSES_MAX {
            return Err(ContentError::Classes(classes));
        }
        match self.parents.iter().find(|(_, parents)| parents.len() > PARENTS_MAX) {
            Some((beacon, _)) => Err(ContentError::Parents(*beacon)),
            None => Ok(()),
        }
    }

    /// The beacons that the agents of each set of groups may use, by that set: numbers of groups, ascending. An agent
    /// in several groups may use the union; the empty set, of agents in none, is not listed: they may use all.
    pub fn classes(&self) -> BTreeMap<Vec<usize>, BTreeSet<Guid>> {
        let sets: BTreeSet<Vec<usize>> = self.groups_of_agents().into_values().collect();
        let beacons = |set: &Vec<usize>| set.iter().flat_map(|at| self.groups[*at].beacons.iter().copied()).collect();
        sets.into_iter().map(|set| (set.clone(), beacons(&set))).collect()
    }

    /// The numbers of the groups that each agent stands in, ascending. One in none is not listed.
    pub fn groups_of_agents(&self) -> BTreeMap<Guid, Vec<usize>> {
        let mut of_agents: BTreeMap<Guid, Vec<usize>> = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            for agent in &group.agents {
                of_agents.entry(*agent).or_default().push(at);
            }
        }
        of_agents
    }
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconPolicy {
    /// Never goes down, at no agent and no beacon.
    pub revision: u64,
    /// When this content was made.
    pub made_at: Timestamp,
    /// What is in it.
    pub content: Content,
    digest: String,
}

impl BeaconPolicy {
    /// A policy with this content.
    pub fn new(revision: u64, made_at: Timestamp, content: Content) -> Result<BeaconPolicy, ContentError> {
        content.check()?;
        let digest = digest(revision, made_at, &content);
        Ok(BeaconPolicy { revision, made_at, content, digest })
    }

    /// The policy that follows `last` when `content` is to be in force; `None` when that is so already.
    ///
    /// Revisions are seconds of the day they were made on where that is more than one up: a server that had to begin
    /// anew must not be below what its agents have seen.
    pub fn next(
        last: Option<&BeaconPolicy>,
        content: Content,
        now: Timestamp,
    ) -> Result<Option<BeaconPolicy>, ContentError> {
        if last.is_some_and(|last| last.content == content) {
            return Ok(None);
        }
        let by_time = u64::try_from(now.0.div_euclid(1_000)).unwrap_or(0);
        let revision = last.map_or(1, |last| last.revision.saturating_add(1)).max(by_time);
        BeaconPolicy::new(revision, now, content).map(Some)
    }

    /// Reads a policy that came from a parent or was kept in a file, and checks it.
    pub fn read(json: &[u8]) -> Result<BeaconPolicy, PolicyError> {
        if json.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::Large(json.len()));
        }
        let policy: BeaconPolicy = serde_json::from_slice(json).map_err(PolicyError::Json)?;
        let found = digest(policy.revision, policy.made_at, &policy.content);
        if found != policy.digest {
            return Err(PolicyError::Digest { named: shorten(&policy.digest), found });
        }
        if !(0..MADE_AT_END_MS).contains(&policy.made_at.0) {
            return Err(PolicyError::MadeAt(policy.made_at.0));
        }
        policy.content.check()?;
        Ok(policy)
    }

    /// Prints the policy; equal policies give equal bytes.
    pub fn write(&self) -> Vec<u8> {
        // Writing into memory fails only for maps whose keys are no text; ours are.
        serde_json::to_vec(self).expect("a policy is JSON")
    }

    /// The ETag among beacons.
    pub fn etag(&self) -> String {
        format!("r{}-{}", self.revision, self.digest)
    }
}

fn digest(revision: u64, made_at: Timestamp, content: &Content) -> String {
    let content = serde_json::to_vec(content).expect("a content is JSON");
    let head = format!("{revision} {} ", made_at.0);
    Digest::of(&[head.as_bytes(), &content].concat()).to_string()[..16].to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn guid(number: u8) -> Guid {
        Guid::from_random([number; 16])
    }

    pub fn content() -> Content {
        let schedule = "<Schedule SCHEDSCHEMA=\"60\" NAME=\"s\" TIMEDATESTAMP=\"19700101T000000Z\"><Event NAME=\"Generate Inventory\" \
                        ID=\"{11111111-0000-4000-8000-000000000001}\"><LogicalCommand COMPONENT=\"Tracker\" \
                        ACTION=\"Collect\"/><Trigger TYPE=\"OnStartup\"/></Event></Schedule>";
        Content { schedule: schedule.into(), ..Content::default() }
    }

    pub fn group(name: &str, agents: &[u8], beacons: &[u8]) -> InventoryGroup {
        let all = |numbers: &[u8]| numbers.iter().map(|number| guid(*number)).collect();
        InventoryGroup { name: name.into(), agents: all(agents), beacons: all(beacons) }
    }

    #[test]
    fn a_policy_that_was_damaged_on_the_way_is_not_taken() {
        let policy = BeaconPolicy::new(7, Timestamp(5), content()).unwrap();
        let json = policy.write();
        assert_eq!(BeaconPolicy::read(&json).unwrap(), policy);
        let text = String::from_utf8(json).unwrap();
        for (from, to) in [("\"revision\":7", "\"revision\":8"), ("\"made_at\":5", "\"made_at\":6"), ("NAME=", "NAMÉ=")]
        {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(matches!(BeaconPolicy::read(changed.as_bytes()), Err(PolicyError::Digest { .. })), "{from}");
        }
        for made_at in [-1, MADE_AT_END_MS, i64::MAX] {
            let policy = BeaconPolicy::new(7, Timestamp(made_at), content()).unwrap();
            assert!(matches!(BeaconPolicy::read(&policy.write()), Err(PolicyError::MadeAt(_))), "{made_at}");
        }
        assert!(matches!(BeaconPolicy::read(b"{"), Err(PolicyError::Json(_))));
        assert!(matches!(BeaconPolicy::read(&vec![b' '; POLICY_BYTES_MAX + 1]), Err(PolicyError::Large(_))));
    }

    #[test]
    fn a_revision_goes_up_with_each_change_and_with_nothing_else() {
        let now = Timestamp(1_750_000_000_000);
        let first = BeaconPolicy::next(None, content(), now).unwrap().unwrap();
        assert_eq!(first.revision, 1_750_000_000);
        assert_eq!(BeaconPolicy::next(Some(&first), content(), now.plus_ms(9_000)).unwrap(), None);
        let other = Content { configuration: "[x]".into(), ..content() };
        // In the same second, and by a clock that stands behind.
        for later in [now, Timestamp(0), Timestamp(-5)] {
            let second = BeaconPolicy::next(Some(&first), other.clone(), later).unwrap().unwrap();
            assert_eq!(second.revision, first.revision + 1);
        }
        // A server that lost everything begins above what it gave out.
        let anew = BeaconPolicy::next(None, other, now.plus_ms(60_000)).unwrap().unwrap();
        assert!(anew.revision > first.revision);
    }

    #[test]
    fn agents_in_several_groups_may_use_the_union() {
        let groups = vec![group("a", &[1, 2], &[10]), group("b", &[2], &[11, 12]), group("c", &[], &[13])];
        let content = Content { groups, ..content() };
        let of_agents = content.groups_of_agents();
        assert_eq!((&of_agents[&guid(1)], &of_agents[&guid(2)]), (&vec![0], &vec![0, 1]));
        let classes = content.classes();
        let numbers = |set: Vec<usize>| classes[&set].clone();
        assert_eq!(numbers(vec![0]), BTreeSet::from([guid(10)]));
        assert_eq!(numbers(vec![0, 1]), BTreeSet::from([guid(10), guid(11), guid(12)]));
        assert_eq!(classes.len(), 2);
    }

    #[test]
    fn a_content_that_would_cut_a_fleet_off_is_refused() {
        type IsIt = fn(&ContentError) -> bool;
        let cases: [(Content, IsIt); 5] = [
            (Content::default(), |e| matches!(e, ContentError::Schedule(_))),
            (Content { failover: "[x]".into(), ..content() }, |e| matches!(e, ContentError::Failover(_))),
            (Content { groups: vec![group("a", &[], &[]); 2], ..content() }, |e| {
                matches!(e, ContentError::GroupTwice(_))
            }),
            (Content { groups: vec![InventoryGroup::default(); GROUPS_MAX + 1], ..content() }, |e| {
                matches!(e, ContentError::Groups(201))
            }),
            (Content { parents: BTreeMap::from([(guid(1), vec![String::new(); 65])]), ..content() }, |e| {
                matches!(e, ContentError::Parents(_))
            }),
        ];
        for (content, is_it) in cases {
            let error = BeaconPolicy::new(1, Timestamp(0), content).unwrap_err();
            assert!(is_it(&error), "{error:?}");
        }
    }
}
