//! What agents can download from one beacon: worked out once for a revision, looked up for each request.
//!
//! ```text
//! Policies/{machine}-{uid}.npl                       by the agent, not by the name
//! Schedules/Default Machine Schedule.{osd,nds}       the same for all agents of a beacon
//! ClientConfiguration/Client Configuration.{osd,ndc}
//! InventorySettingsConfiguration/InventorySettings.{osd,xml}
//! ClientSettings/Failover Settings{ class}.{osd,ndc} one for each set of inventory groups
//! ```
//!
//! A policy is the same for all agents of one class (set of inventory groups), so a beacon makes one for each class when
//! a revision arrives, not one for each agent. Its ETag is made of revision and class and equal at all beacons, so that
//! an agent that asks another beacon still gets 304. Source: `agent-beacon-batch` reference, sections 2 and 7.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::beacon_policy::BeaconPolicy;
use crate::formats::failover::Failover;
use crate::formats::npl::{Npl, PolicyPackage, policy_guid};
use crate::formats::osd::{CatalogKind, Osd, Target, md5};
use crate::formats::wire;
use crate::id::{Digest, Guid};
use crate::time::Timestamp;

/// One file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub text: Arc<str>,
    /// Its ETag, quoted as it stands in the header.
    pub etag: Arc<str>,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct HandOut {
    revision: u64,
    made_at: Timestamp,
    /// By path below the download folder, decoded.
    files: BTreeMap<String, File>,
    /// The policy of agents that stand in no group.
    common: File,
    /// The policies of the others.
    classes: Vec<File>,
    /// Which of them.
    class_of: HashMap<Guid, u32>,
    targets: Option<BTreeSet<Guid>>,
}

/// A catalog with its target, before the policies that name it.
struct Package {
    object_id: &'static str,
    /// Path of the catalog, percent-encoded.
    href: String,
    md5: String,
}

impl HandOut {
    /// What `policy` comes to, with `schedule` in place of its own: the same with this beacon's catch-up.
    pub fn new(policy: &BeaconPolicy, schedule: &str) -> HandOut {
        let content = &policy.content;
        let mut files = BTreeMap::new();
        let mut add = |object_id, kind, folder: &str, name: &str, ending: &str, text: &str| {
            let href = |ending: &str| format!("{folder}/{}.{ending}", wire::percent_encode(name));
            let title = name.to_owned();
            let target = Target::of(&href(ending), text.as_bytes());
            let version = [1, 0, 0, u32::try_from(policy.revision).unwrap_or(u32::MAX)];
            let catalog = written(|out| Osd { name: title.clone(), kind, version, title, target }.write(out));
            let package = Package { object_id, href: href("osd"), md5: md5(catalog.as_bytes()) };
            for (ending, text) in [("osd", catalog.as_str()), (ending, text)] {
                files.insert(format!("{folder}/{name}.{ending}"), file(text, &digest(text)));
            }
            package
        };
        let mut common =
            vec![add("schedule", CatalogKind::Schedule, "Schedules", "Default Machine Schedule", "nds", schedule)];
        if !content.configuration.is_empty() {
            let kind = CatalogKind::ClientConfiguration;
            let name = "Client Configuration";
            common.push(add("config", kind, "ClientConfiguration", name, "ndc", &content.configuration));
        }
        if !content.inventory_settings.is_empty() {
            let (kind, folder) = (CatalogKind::InventorySettings, "InventorySettingsConfiguration");
            common.push(add("invsettings", kind, folder, "InventorySettings", "xml", &content.inventory_settings));
        }
        let mut failover = |class: &str, list: Option<&str>| {
            let name = format!("Failover Settings{class}");
            let list = list.filter(|list| !list.is_empty())?;
            Some(add("failover", CatalogKind::ClientSettings, "ClientSettings", &name, "ndc", list))
        };
        let of_all = failover("", Some(&content.failover));
        let whole = Failover::read(content.failover.as_bytes()).ok().map(|(list, _)| list);
        let of_classes: Vec<(Vec<usize>, String, Option<Package>)> = (content.classes().into_iter())
            .map(|(set, beacons)| {
                let list = whole.clone().and_then(|whole| restricted(whole, &beacons));
                let class = format!(" {}", &digest(list.as_deref().unwrap_or(""))[..8]);
                let package = failover(&class, list.as_deref());
                (set, class, package)
            })
            .collect();

        let policy_file = |class: &str, failover: Option<&Package>| {
            let packages: Vec<&Package> = common.iter().chain(failover).collect();
            let text = written(|out| npl(policy.revision, &packages).write(out));
            file(&text, &format!("r{}{}", policy.revision, class.replace(' ', "-")))
        };
        let number: BTreeMap<&Vec<usize>, u32> = of_classes.iter().map(|(set, ..)| set).zip(0..).collect();
        let of_agents = content.groups_of_agents();
        HandOut {
            revision: policy.revision,
            made_at: policy.made_at,
            common: policy_file("", of_all.as_ref()),
            classes: of_classes.iter().map(|(_, class, package)| policy_file(class, package.as_ref())).collect(),
            class_of: of_agents.iter().filter_map(|(agent, set)| Some((*agent, *number.get(set)?))).collect(),
            targets: content.targets.clone(),
            files,
        }
    }

    /// Its revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When its content was made, for `Last-Modified`.
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// The policy of `agent`, or of one that does not say who it is. `None` in migration mode for one that is no target.
    pub fn policy(&self, agent: Option<Guid>) -> Option<&File> {
        if let Some(targets) = &self.targets
            && !agent.is_some_and(|agent| targets.contains(&agent))
        {
            return None;
        }
        let class = agent.and_then(|agent| self.class_of.get(&agent));
        Some(class.and_then(|class| self.classes.get(*class as usize)).unwrap_or(&self.common))
    }

    /// The file at `path` (folder and name, decoded).
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }
}

/// The failover list with these beacons only; `None` when none of them is in it: their agents keep the list they have.
fn restricted(mut list: Failover, beacons: &BTreeSet<Guid>) -> Option<String> {
    list.uploads.retain(|server| beacons.contains(&server.id));
    list.downloads.retain(|server| beacons.contains(&server.id));
    (!list.uploads.is_empty()).then(|| list.write())
}

fn npl(revision: u64, packages: &[&Package]) -> Npl {
    Npl {
        applies_to: "*".into(),
        source: "muster".into(),
        revision,
        guid: policy_guid(packages.iter().map(|package| (package.object_id, package.md5.as_str()))),
        packages: packages
            .iter()
            .map(|package| PolicyPackage {
                href: package.href.clone(),
                object_id: package.object_id.into(),
                precedence: 0,
            })
            .collect(),
    }
}

fn file(text: &str, tag: &str) -> File {
    File { text: text.into(), etag: format!("\"{tag}\"").into() }
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()[..16].to_owned()
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a Vec takes every write");
    String::from_utf8(out).expect("XML of ours is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::super::beacon_policy::Content;
    use super::super::beacon_policy::tests::{content, group, guid};
    use super::*;

    const BEACONS: [u8; 3] = [10, 11, 12];

    fn failover() -> String {
        let server = |number: &u8| {
            format!(
                "[ManageSoft\\Common\\UploadSettings\\{{{}}}]\nProtocol=http\nHost=b{number}.lab\nPort=7082\n\
                 Directory=ManageSoftRL\n",
                guid(*number)
            )
        };
        BEACONS.iter().map(server).collect()
    }

    fn hand_out(content: Content) -> HandOut {
        let policy = BeaconPolicy::new(41, Timestamp(1_000), content.clone()).unwrap();
        HandOut::new(&policy, &content.schedule)
    }

    /// Follows a policy as an agent does: object ids with the texts behind them.
    fn followed(hand_out: &HandOut, agent: Option<Guid>) -> BTreeMap<String, String> {
        let decoded = |href: &str| href.replace("%20", " ");
        let policy = Npl::read(hand_out.policy(agent).unwrap().text.as_bytes()).unwrap();
        assert_eq!(policy.revision, 41);
        let mut catalogs = Vec::new();
        let mut contents = BTreeMap::new();
        for package in policy.in_order() {
            let catalog = &hand_out.file(&decoded(&package.href)).expect("a catalog").text;
            let target = Osd::read(catalog.as_bytes()).unwrap().target;
            let text = &hand_out.file(&decoded(&target.href)).expect("a target").text;
            assert_eq!((target.size, target.sha256), (text.len() as u64, Digest::of(text.as_bytes())));
            catalogs.push((package.object_id.clone(), md5(catalog.as_bytes())));
            contents.insert(package.object_id.clone(), text.to_string());
        }
        assert_eq!(policy.guid, policy_guid(catalogs.iter().map(|(id, md5)| (id.as_str(), md5.as_str()))));
        contents
    }

    #[test]
    fn every_link_of_a_policy_leads_to_what_its_digest_says() {
        let own = content().schedule.replace("NAME=\"s\"", "NAME=\"this beacon's\"");
        let full = Content {
            configuration: "[ManageSoft\\Usage]\n".into(),
            inventory_settings: "<InventorySettings Version=\"1\"/>".into(),
            failover: failover(),
            ..content()
        };
        let policy = BeaconPolicy::new(41, Timestamp(1_000), full.clone()).unwrap();
        let found = followed(&HandOut::new(&policy, &own), None);
        let wanted = [
            ("config", full.configuration),
            ("failover", full.failover),
            ("invsettings", full.inventory_settings),
            ("schedule", own),
        ];
        assert_eq!(found, wanted.map(|(id, text)| (id.to_owned(), text)).into());
        // What was not set and a list that nobody was heard for are not named, so that agents keep what they have.
        assert_eq!(followed(&hand_out(content()), None).into_keys().collect::<Vec<_>>(), ["schedule"]);
    }

    #[test]
    fn an_agent_gets_the_beacons_of_its_groups_and_others_get_all() {
        let groups = vec![group("a", &[1, 2], &[10]), group("b", &[2], &[11]), group("gone", &[3], &[99])];
        let hand_out = hand_out(Content { failover: failover(), groups, ..content() });
        let beacons = |agent| {
            let list = followed(&hand_out, agent).remove("failover")?;
            let (list, findings) = Failover::read(list.as_bytes()).unwrap();
            assert_eq!(findings, []);
            Some(list.uploads.into_iter().map(|server| server.id).collect::<Vec<_>>())
        };
        let numbers = |numbers: &[u8]| Some(numbers.iter().map(|number| guid(*number)).collect());
        assert_eq!(beacons(Some(guid(1))), numbers(&[10]));
        assert_eq!(beacons(Some(guid(2))), numbers(&[10, 11]));
        assert_eq!(beacons(Some(guid(7))), numbers(&BEACONS));
        assert_eq!(beacons(None), numbers(&BEACONS));
        assert_eq!(beacons(Some(guid(3))), None, "no list rather than an empty one");
    }

    #[test]
    fn the_tag_of_a_policy_changes_with_revision_and_class_and_not_with_the_beacon() {
        let groups = vec![group("a", &[1], &[10])];
        let content = Content { failover: failover(), groups, ..content() };
        let tags = |revision, schedule: &str| {
            let policy = BeaconPolicy::new(revision, Timestamp(0), content.clone()).unwrap();
            let hand_out = HandOut::new(&policy, schedule);
            [None, Some(guid(1))].map(|agent| hand_out.policy(agent).unwrap().etag.to_string())
        };
        let [of_all, of_group] = tags(41, &content.schedule);
        assert_eq!(of_all, "\"r41\"");
        assert_ne!(of_all, of_group);
        assert_eq!(tags(41, "another beacon's"), [of_all.clone(), of_group]);
        assert_ne!(tags(42, &content.schedule)[0], of_all);
    }

    #[test]
    fn in_migration_mode_only_targets_get_a_policy() {
        let hand_out = hand_out(Content { targets: Some(BTreeSet::from([guid(1)])), ..content() });
        assert!(hand_out.policy(Some(guid(1))).is_some());
        assert!(hand_out.policy(Some(guid(2))).is_none() && hand_out.policy(None).is_none());
    }
}
