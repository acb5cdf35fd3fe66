//! How an agent takes a new policy: policy, catalogs, and of the contents only those that changed; all of it or nothing.
//!
//! ```text
//! begin(policy) -> Fetch(catalog) -> take -> Fetch(content)? -> take -> ... -> Done(Update)
//!                                                                           -> Confirm -> confirm -> Done(Update)
//! ```
//!
//! Until [`Step::Done`] nothing is replaced: a policy whose catalog is missing, whose content has another digest or does
//! not read leaves the agent with what it has. A revision never goes down, and an equal one changes nothing, whichever
//! beacon it came from.
//!
//! Catalogs may be of a later revision than the policy that named them. Where they give the policy's name, they are not.
//! Where they do not, it may as well have been named by somebody who puts the pairs into bytes otherwise than
//! [`policy_guid`]: the policy is asked for once more, and when it is the same as before, so were its catalogs.
//!
//! Source: `agent-beacon-batch` reference, sections 2 and 7; delivery contract, I19.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::believable::{Revision, begins_in_time, revision};
pub use super::content::{Content, ContentError, read_content};
use super::finding::{Findings, PolicyFinding};
use super::recipient::Recipient;
use crate::formats::npl::{Npl, NplError, policy_guid};
use crate::formats::osd::{CatalogKind, Osd, OsdError, Target, md5};
use crate::id::{Digest, Guid, shorten};

/// Most bytes of a policy or a catalog.
pub const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of one content.
pub const CONTENT_BYTES_MAX: u64 = 4 << 20;
/// Most catalogs of one policy that are followed; the product has about five.
const CATALOGS_MAX: usize = 64;
/// How often one question begins anew because the policy changed while it was followed.
const ANEW_MAX: u8 = 2;
/// Most bytes of a link.
const HREF_BYTES_MAX: usize = 300;

/// Why a policy is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Lower than the present one.
    #[error("revision {met} is older than the present one, {held}")]
    Older {
        /// What came.
        met: u64,
        /// What is in force.
        held: u64,
    },
    /// It stands for a day that is too far ahead: none could follow it.
    #[error("revision {0} stands for a day more than a year ahead")]
    Unbelievable(u64),
    /// Meant for somebody else.
    #[error("the policy applies to `{0}`, which is not this device")]
    Foreign(String),
    /// The policy does not read.
    #[error("the policy does not read")]
    Policy(#[from] NplError),
    /// Too many catalogs.
    #[error("the policy names {0} catalogs, at most {CATALOGS_MAX} are followed")]
    Catalogs(usize),
    /// It names nothing that an agent could use.
    #[error("the policy names no catalog")]
    Empty,
    /// A link that leads out of the download folder.
    #[error("`{0}` is no path below the download folder")]
    Link(String),
    /// A catalog does not read.
    #[error("catalog `{href}` does not read")]
    Catalog {
        /// Which.
        href: String,
        /// Why.
        source: OsdError,
    },
    /// Two catalogs of one kind: which one counts?
    #[error("the policy names two catalogs of type `{0}`")]
    Twice(CatalogKind),
    /// Each time the catalogs had come, there was another policy.
    #[error("the policy changed {} times while it was fetched, last to revision {met}", ANEW_MAX + 1)]
    Changing {
        /// The last one.
        met: u64,
    },
    /// A content that is not the one its catalog tells of.
    #[error("`{href}` is not what its catalog says: {met}")]
    Other {
        /// Which.
        href: String,
        /// What is different.
        met: String,
    },
    /// A content does not read.
    #[error("`{href}` does not read")]
    Content {
        /// Which.
        href: String,
        /// Why.
        source: ContentError,
    },
}

/// A content that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldContent {
    /// Digest of its bytes.
    pub sha256: Digest,
    /// How many.
    pub size: u64,
}

/// The policy that is in force, as an agent remembers it beside its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its revision; 0 before the first.
    pub revision: u64,
    /// Name of its content; nil when some of it was lost, and it is to be fetched again.
    pub guid: Guid,
    /// ETag that it came with; empty for none.
    pub etag: String,
    /// `Last-Modified` that it came with, as it stood there; empty for none.
    #[serde(default)]
    pub modified: String,
    /// Contents by kind, [`CatalogKind`] as text.
    pub contents: BTreeMap<String, HeldContent>,
}

impl Held {
    /// Whether there is one. A revision may be 0: it is of somebody who does not count them.
    pub fn is_some(&self) -> bool {
        self.revision > 0 || self.guid != Guid::NIL
    }

    /// The content of `kind` that is in force.
    pub fn content(&self, kind: CatalogKind) -> Option<&HeldContent> {
        self.contents.get(&kind.to_string())
    }
}

/// What an answer says of the version of what it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// Its ETag; empty for none.
    pub etag: String,
    /// Its `Last-Modified`; empty for none.
    pub modified: String,
}

/// A policy that was taken whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What is to be remembered.
    pub held: Held,
    /// Bytes of the contents that are new, by digest.
    pub fetched: BTreeMap<Digest, Vec<u8>>,
    /// What of it was left out.
    pub findings: Findings,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Fetch this path below the download folder, of at most so many bytes, and hand it to [`Following::take`].
    Fetch(Box<Following>, String, u64),
    /// Ask for the policy once more, and hand what is answered to [`Following::confirm`].
    Confirm(Box<Following>),
    /// The policy is whole.
    Done(Update),
    /// It is the one in force.
    Unchanged,
}

/// A policy that is being followed.
#[derive(Debug)]
pub struct Following {
    /// Object id and link of each catalog still to come.
    catalogs: VecDeque<(String, String)>,
    /// Object id and MD5 of each that came, the next one's MD5 empty.
    seen: Vec<(String, String)>,
    /// Kinds that came.
    kinds: Vec<CatalogKind>,
    /// The content that was asked for; `None` while it is a catalog.
    target: Option<(CatalogKind, Target)>,
    /// What was asked for.
    href: String,
    before: Held,
    recipient: Recipient,
    /// How often it began anew.
    anew: u8,
    update: Update,
}

/// Begins with a policy that came with `stamps` to `recipient`. An agent without a policy hands in [`Held::default`].
pub fn begin(before: &Held, policy: &[u8], stamps: Stamps, recipient: &Recipient) -> Result<Step, Refused> {
    begin_anew(before, Npl::read(policy)?, stamps, recipient, 0)
}

fn begin_anew(before: &Held, policy: Npl, stamps: Stamps, recipient: &Recipient, anew: u8) -> Result<Step, Refused> {
    if !recipient.is_meant(&policy.applies_to) {
        return Err(Refused::Foreign(shorten(&policy.applies_to)));
    }
    match revision(before.revision, policy.revision, recipient.present) {
        Revision::Older => return Err(Refused::Older { met: policy.revision, held: before.revision }),
        Revision::Unbelievable => return Err(Refused::Unbelievable(policy.revision)),
        // Without a name something of it was lost here.
        Revision::Equal if before.guid != Guid::NIL => return Ok(Step::Unchanged),
        Revision::Equal | Revision::Newer => {}
    }
    let catalogs: VecDeque<(String, String)> =
        policy.in_order().into_iter().map(|package| (package.object_id.clone(), package.href.clone())).collect();
    if catalogs.len() > CATALOGS_MAX {
        return Err(Refused::Catalogs(catalogs.len()));
    }
    if catalogs.is_empty() {
        return Err(Refused::Empty);
    }
    // A policy that names no schedule or no beacon leaves the agent with those it has, so that it is never cut off.
    let stay = [CatalogKind::Schedule, CatalogKind::ClientSettings].map(|kind| kind.to_string());
    let stays = before.contents.iter().filter(|(kind, _)| stay.contains(kind));
    let contents = stays.map(|(kind, content)| (kind.clone(), content.clone())).collect();
    let Stamps { etag, modified } = stamps;
    let held = Held { revision: policy.revision, guid: policy.guid, etag, modified, contents };
    let update = Update { held, fetched: BTreeMap::new(), findings: Findings::default() };
    let (seen, kinds, before, recipient) = (Vec::new(), Vec::new(), before.clone(), recipient.clone());
    Following { catalogs, seen, kinds, target: None, href: String::new(), before, recipient, anew, update }.next()
}

impl Following {
    /// Takes the bytes that were asked for.
    pub fn take(mut self, bytes: Vec<u8>) -> Result<Step, Refused> {
        let href = std::mem::take(&mut self.href);
        let Some((kind, target)) = self.target.take() else {
            if let Some((_, digest)) = self.seen.last_mut() {
                *digest = md5(&bytes);
            }
            let catalog = match Osd::read(bytes.as_slice()) {
                Ok(catalog) => catalog,
                // Of a later version of the product; what else the policy says is no less true.
                Err(OsdError::Kind(kind)) => {
                    self.update.findings.add(PolicyFinding::Kind { href: shorten(&href), kind });
                    return self.next();
                }
                Err(source) => return Err(Refused::Catalog { href, source }),
            };
            if self.kinds.contains(&catalog.kind) {
                return Err(Refused::Twice(catalog.kind));
            }
            self.kinds.push(catalog.kind);
            return self.catalog(catalog);
        };
        let met = Digest::of(&bytes);
        if met != target.sha256 {
            return Err(Refused::Other { href, met: format!("its digest is {met}, not {}", target.sha256) });
        }
        let (content, findings) = match read_content(kind, &bytes) {
            Ok((Content::Schedule(schedule), _)) if !begins_in_time(&schedule, self.recipient.present) => {
                return Err(Refused::Content { href, source: ContentError::Never });
            }
            Ok(read) => read,
            Err(source) => return Err(Refused::Content { href, source }),
        };
        findings.into_iter().for_each(|finding| self.update.findings.add(finding));
        if let Content::Failover(list) = &content
            && !self.recipient.reach.can_use(list)
        {
            // The one before is among what stays: see `begin`.
            self.update.findings.add(PolicyFinding::ListKept(list.uploads.len()));
            return self.next();
        }
        self.hold(kind, met, bytes.len() as u64);
        self.update.fetched.insert(met, bytes);
        self.next()
    }

    /// Takes the policy that was asked for once more; `None` when it is answered that it has not changed.
    pub fn confirm(mut self, answer: Option<(Vec<u8>, Stamps)>) -> Result<Step, Refused> {
        let Some((policy, stamps)) = answer else { return Ok(Step::Done(self.update)) };
        let policy = Npl::read(policy.as_slice())?;
        let held = &mut self.update.held;
        if (policy.revision, policy.guid) == (held.revision, held.guid) {
            (held.etag, held.modified) = (stamps.etag, stamps.modified);
            return Ok(Step::Done(self.update));
        }
        if self.anew == ANEW_MAX {
            return Err(Refused::Changing { met: policy.revision });
        }
        begin_anew(&self.before, policy, stamps, &self.recipient, self.anew + 1)
    }

    /// What the policy came with that is being followed.
    pub fn stamps(&self) -> Stamps {
        Stamps { etag: self.update.held.etag.clone(), modified: self.update.held.modified.clone() }
    }

    fn catalog(mut self, catalog: Osd) -> Result<Step, Refused> {
        let Osd { kind, target, .. } = catalog;
        let held = self.before.content(kind).filter(|held| held.sha256 == target.sha256);
        if let Some(size) = held.map(|held| held.size) {
            self.hold(kind, target.sha256, size);
            return self.next();
        }
        if target.size > CONTENT_BYTES_MAX {
            let met = format!("it has {} bytes, at most {CONTENT_BYTES_MAX} are taken", target.size);
            return Err(Refused::Other { href: shorten(&target.href), met });
        }
        let (href, size) = (target.href.clone(), target.size);
        self.target = Some((kind, target));
        self.fetch(href, size)
    }

    fn hold(&mut self, kind: CatalogKind, sha256: Digest, size: u64) {
        self.update.held.contents.insert(kind.to_string(), HeldContent { sha256, size });
    }

    fn next(mut self) -> Result<Step, Refused> {
        match self.catalogs.pop_front() {
            Some((object_id, href)) => {
                self.seen.push((object_id, String::new()));
                self.fetch(href, SMALL_BYTES_MAX)
            }
            None => {
                let found = policy_guid(self.seen.iter().map(|(id, md5)| (id.as_str(), md5.as_str())));
                let is_named = found == self.update.held.guid;
                Ok(if is_named { Step::Done(self.update) } else { Step::Confirm(Box::new(self)) })
            }
        }
    }

    fn fetch(mut self, href: String, bytes: u64) -> Result<Step, Refused> {
        if !is_below(&href) {
            return Err(Refused::Link(shorten(&href)));
        }
        self.href = href.clone();
        Ok(Step::Fetch(Box::new(self), href, bytes))
    }
}

/// Whether a link is a plain path of folder and name, percent-encoded: nothing else is ever fetched for a policy.
fn is_below(href: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
    // An encoded dot, slash or backslash would be decoded by whoever answers.
    let upper = href.to_ascii_uppercase();
    let hides = ["%2E", "%2F", "%5C", "%00"].iter().any(|hidden| upper.contains(hidden));
    let parts: Vec<&str> = href.split('/').collect();
    href.len() <= HREF_BYTES_MAX && parts.len() == 2 && parts.into_iter().all(part) && !hides
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::beacon_policy::tests::content;
    use super::super::{BeaconPolicy, HandOut};
    use super::*;
    use crate::formats::host::host_name::HostName;
    use crate::policy::{Reach, beacon_policy};
    use crate::time::Timestamp;

    const BEACON: &str = "[ManageSoft\\Common\\UploadSettings\\{0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001}]\nProtocol=http\n\
                          Host=b.lab\nPort=7082\nDirectory=ManageSoftRL\n";

    fn recipient() -> Recipient {
        let host = HostName { name: "web07".into(), domain: String::new() };
        let reach = Reach { allow_plain: true, is_at_home: false };
        Recipient { host, reach, ..Recipient::default() }
    }

    fn stamps(etag: &str) -> Stamps {
        Stamps { etag: etag.into(), modified: String::new() }
    }

    /// A beacon that may answer one path with something else, and counts what it is asked.
    struct Beacon {
        hand_out: HandOut,
        instead: Option<(&'static str, Option<Vec<u8>>)>,
        asked: Vec<String>,
    }

    impl Beacon {
        fn new(revision: u64, content: beacon_policy::Content) -> Beacon {
            let policy = BeaconPolicy::new(revision, Timestamp(0), content).unwrap();
            let hand_out = HandOut::new(&policy, &policy.content.schedule);
            Beacon { hand_out, instead: None, asked: Vec::new() }
        }

        fn get(&mut self, href: &str) -> Option<Vec<u8>> {
            self.asked.push(href.to_owned());
            match &self.instead {
                Some((path, bytes)) if *path == href => bytes.clone(),
                _ => Some(self.hand_out.file(&href.replace("%20", " "))?.text.as_bytes().to_vec()),
            }
        }

        /// What an agent with `held` makes of it; `None` when it stays with that.
        fn poll(&mut self, held: &Held) -> Result<Option<Update>, Refused> {
            let policy = self.hand_out.policy(None).unwrap().clone();
            let mut step = begin(held, policy.text.as_bytes(), stamps(&policy.etag), &recipient())?;
            loop {
                step = match step {
                    Step::Fetch(following, href, _) => match self.get(&href) {
                        Some(bytes) => following.take(bytes)?,
                        None => return Ok(None),
                    },
                    Step::Confirm(following) => following.confirm(None)?,
                    Step::Done(update) => return Ok(Some(update)),
                    Step::Unchanged => return Ok(None),
                };
            }
        }
    }

    fn with_all() -> beacon_policy::Content {
        beacon_policy::Content {
            failover: BEACON.into(),
            configuration: "[a]\n".into(),
            inventory_settings: "<InventorySettings Version=\"1\"/>".into(),
            ..content()
        }
    }

    #[test]
    fn only_what_changed_is_downloaded() {
        let mut first = Beacon::new(1, with_all());
        let update = first.poll(&Held::default()).unwrap().unwrap();
        assert_eq!((first.asked.len(), update.fetched.len(), update.held.revision), (8, 4, 1));
        assert_eq!(first.poll(&update.held).unwrap(), None, "an equal revision changes nothing");
        let mut damaged = Held { guid: Guid::NIL, ..update.held.clone() };
        damaged.contents.retain(|kind, _| kind != "Schedule");
        let healed = first.poll(&damaged).unwrap().unwrap();
        assert_eq!((healed.fetched.len(), &healed.held), (1, &update.held), "what was lost is fetched again");
        let mut second = Beacon::new(2, beacon_policy::Content { configuration: "[b]\n".into(), ..with_all() });
        let next = second.poll(&update.held).unwrap().unwrap();
        assert_eq!((second.asked.len(), next.fetched.len(), next.held.revision), (5, 1, 2));
        assert_eq!(next.fetched.values().next().unwrap(), b"[b]\n");
        let kept = update.held.contents.iter().filter(|(kind, content)| next.held.contents[*kind] == **content);
        assert_eq!(kept.count(), 3);
    }

    #[test]
    fn a_revision_never_goes_down() {
        let held = Beacon::new(7, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let refused = Beacon::new(6, with_all()).poll(&held);
        assert!(matches!(refused, Err(Refused::Older { met: 6, held: 7 })), "{refused:?}");
    }

    #[test]
    fn a_policy_that_is_not_whole_replaces_nothing() {
        let held = Beacon::new(1, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let (osd, ndc) = ("ClientSettings/Failover%20Settings.osd", "ClientSettings/Failover%20Settings.ndc");
        let other = BEACON.replace("7082", "7083");
        type IsIt = fn(&Result<Option<Update>, Refused>) -> bool;
        let cases: [(&str, Option<&str>, IsIt); 5] = [
            (osd, None, |got| matches!(got, Ok(None))),
            (osd, Some("<SOFTPKG"), |got| matches!(got, Err(Refused::Catalog { .. }))),
            (ndc, None, |got| matches!(got, Ok(None))),
            (ndc, Some(BEACON), |got| matches!(got, Err(Refused::Other { .. }))),
            (ndc, Some(""), |got| matches!(got, Err(Refused::Other { .. }))),
        ];
        for (path, bytes, is_it) in cases {
            let mut beacon = Beacon::new(2, beacon_policy::Content { failover: other.clone(), ..with_all() });
            beacon.instead = Some((path, bytes.map(|text| text.as_bytes().to_vec())));
            let got = beacon.poll(&held);
            assert!(is_it(&got), "{path}: {got:?}");
        }
    }

    #[test]
    fn a_content_that_does_not_read_is_refused_although_its_digest_is_right() {
        let bytes = b"[ManageSoft\\Common\\UploadSettings\\{x}]\n";
        let target = Target::of("ClientSettings/x.ndc", bytes);
        let catalog =
            Osd { name: "x".into(), kind: CatalogKind::ClientSettings, version: [1; 4], title: "".into(), target };
        let mut osd = Vec::new();
        catalog.write(&mut osd).unwrap();
        let mut beacon = Beacon::new(2, with_all());
        beacon.instead = Some(("ClientSettings/Failover%20Settings.osd", Some(osd)));
        let policy = beacon.hand_out.policy(None).unwrap().clone();
        let mut step = begin(&Held::default(), policy.text.as_bytes(), Stamps::default(), &recipient()).unwrap();
        let refused = loop {
            let Step::Fetch(following, href, _) = step else { panic!("{step:?}") };
            let answer = if href == "ClientSettings/x.ndc" { bytes.to_vec() } else { beacon.get(&href).unwrap() };
            match following.take(answer) {
                Ok(next) => step = next,
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, Refused::Content { source: ContentError::Failover(_), .. }), "{refused:?}");
    }

    /// Follows revision 2 of a beacon that has gone on to 3 when its catalogs are asked for, up to the second question.
    fn mixed() -> (Box<Following>, Beacon) {
        let mut later = Beacon::new(3, beacon_policy::Content { configuration: "[b]\n".into(), ..with_all() });
        let policy = Beacon::new(2, with_all()).hand_out.policy(None).unwrap().clone();
        let mut step = begin(&Held::default(), policy.text.as_bytes(), stamps("old"), &recipient()).unwrap();
        loop {
            step = match step {
                Step::Fetch(following, href, _) => following.take(later.get(&href).unwrap()).unwrap(),
                Step::Confirm(following) => return (following, later),
                other => panic!("{other:?}"),
            };
        }
    }

    #[test]
    fn catalogs_of_another_revision_are_not_mixed_in() {
        let (following, mut later) = mixed();
        assert_eq!(following.stamps(), stamps("old"));
        let now = later.hand_out.policy(None).unwrap().text.as_bytes().to_vec();
        let mut step = following.confirm(Some((now, stamps("new")))).unwrap();
        let update = loop {
            step = match step {
                Step::Fetch(following, href, _) => following.take(later.get(&href).unwrap()).unwrap(),
                Step::Done(update) => break update,
                other => panic!("{other:?}"),
            };
        };
        assert_eq!((update.held.revision, update.held.etag.as_str()), (3, "new"));
        assert_eq!(later.poll(&update.held).unwrap(), None, "it is the later one in every part");
    }

    #[test]
    fn a_policy_that_another_beacon_names_by_a_guid_of_its_own_is_taken_once_it_is_the_same_twice() {
        // What makes the name is open: whoever names policies otherwise is understood too.
        let text =
            String::from_utf8(Beacon::new(2, with_all()).hand_out.policy(None).unwrap().text.as_bytes().to_vec());
        let (head, rest) = text.as_deref().unwrap().split_once("GUID=\"{").unwrap();
        let foreign = format!("{head}GUID=\"{{0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001{}", &rest[36..]);
        let follow = || {
            let mut beacon = Beacon::new(2, with_all());
            let mut step = begin(&Held::default(), foreign.as_bytes(), stamps("a"), &recipient()).unwrap();
            loop {
                step = match step {
                    Step::Fetch(following, href, _) => following.take(beacon.get(&href).unwrap()).unwrap(),
                    Step::Confirm(following) => return following,
                    other => panic!("{other:?}"),
                };
            }
        };
        let Ok(Step::Done(update)) = follow().confirm(None) else { panic!("answered 304") };
        assert_eq!((update.held.etag.as_str(), update.held.contents.len()), ("a", 4));
        let again = Some((foreign.clone().into_bytes(), stamps("b")));
        let Ok(Step::Done(same)) = follow().confirm(again) else { panic!("answered with the same") };
        assert_eq!((same.held.guid, same.held.etag.as_str()), (update.held.guid, "b"));
        assert!(matches!(begin(&same.held, foreign.as_bytes(), stamps("c"), &recipient()), Ok(Step::Unchanged)));
    }

    #[test]
    fn a_policy_that_is_another_one_each_time_is_given_up() {
        let (mut following, _) = mixed();
        let mut anew = 0;
        let refused = loop {
            // A revision more for each question, whose catalogs give no name that fits.
            let policy = Beacon::new(4 + anew, with_all()).hand_out.policy(None).unwrap().text.as_bytes().to_vec();
            let mut other = Beacon::new(100 + anew, with_all());
            let mut step = match following.confirm(Some((policy, Stamps::default()))) {
                Ok(step) => step,
                Err(refused) => break refused,
            };
            anew += 1;
            following = loop {
                step = match step {
                    Step::Fetch(following, href, _) => following.take(other.get(&href).unwrap()).unwrap(),
                    Step::Confirm(following) => break following,
                    other => panic!("{other:?}"),
                };
            };
        };
        assert!(matches!(refused, Refused::Changing { .. }), "{refused:?}");
        assert_eq!(anew, u64::from(ANEW_MAX));
    }

    #[test]
    fn a_revision_that_none_could_follow_and_a_policy_of_another_device_are_refused() {
        let held = Beacon::new(7, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let refused = Beacon::new(u64::MAX, with_all()).poll(&held);
        assert!(matches!(refused, Err(Refused::Unbelievable(u64::MAX))), "{refused:?}");
        // One that is in force all the same, of a time when nobody looked, is not the last one.
        let locked = Held { revision: u64::MAX, ..held.clone() };
        assert_eq!(Beacon::new(8, with_all()).poll(&locked).unwrap().unwrap().held.revision, 8);
        let text = |applies_to: &str| {
            let text = Beacon::new(8, with_all()).hand_out.policy(None).unwrap().text.to_string();
            text.replacen("AppliesTo=\"*\"", &format!("AppliesTo=\"{applies_to}\""), 1)
        };
        let taken = |applies_to| begin(&held, text(applies_to).as_bytes(), Stamps::default(), &recipient());
        assert!(matches!(taken("web08"), Err(Refused::Foreign(name)) if name == "web08"));
        assert!(matches!(taken("WEB07"), Ok(Step::Fetch(..))) && matches!(taken(""), Ok(Step::Fetch(..))));
    }

    #[test]
    fn a_schedule_that_begins_in_the_year_9999_is_refused() {
        let held = Beacon::new(1, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let event = "<Event NAME=\"Update Machine Policy\" ID=\"{11111111-0000-4000-8000-000000000002}\">\
                     <LogicalCommand COMPONENT=\"PolicyClient\" ACTION=\"Apply\"/><Trigger TYPE=\"Daily\" \
                     DATESTART=\"99991229\" TIMESTART=\"000000\"/></Event>";
        let schedule =
            format!("<Schedule SCHEDSCHEMA=\"60\" NAME=\"s\" TIMEDATESTAMP=\"20250314T000000Z\">{event}</Schedule>");
        let poll = |schedule: String| Beacon::new(2, beacon_policy::Content { schedule, ..with_all() }).poll(&held);
        let refused = poll(schedule.clone());
        assert!(matches!(refused, Err(Refused::Content { source: ContentError::Never, .. })), "{refused:?}");
        assert!(poll(schedule.replace("99991229", "19700101")).is_ok());
    }

    #[test]
    fn a_list_that_this_agent_cannot_use_never_replaces_the_one_it_has() {
        let held = Beacon::new(1, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let home = BEACON.replace("b.lab", "127.0.0.1");
        let downloads = BEACON.replace("UploadSettings", "DownloadSettings");
        let kept_out = format!("{BEACON}AutoPriority=False\nPriority=invalid\n");
        for failover in [home, downloads, kept_out] {
            let content = beacon_policy::Content { failover, configuration: "[c]\n".into(), ..with_all() };
            let next = Beacon::new(2, content).poll(&held).unwrap().unwrap();
            assert!(next.findings.kept[0].is_refusal(), "{:?}", next.findings);
            assert_eq!(next.held.content(CatalogKind::ClientSettings), held.content(CatalogKind::ClientSettings));
            // All else of it is in force.
            assert_eq!((next.held.revision, next.fetched.len()), (2, 1));
        }
    }

    #[test]
    fn what_is_partly_bad_or_of_an_unknown_kind_is_told_and_costs_nothing_else() {
        let failover = format!("{BEACON}[ManageSoft\\Common\\DownloadSettings\\{{x}}]\nProtocol=http\n");
        let configuration = "[ManageSoft\\Usage Agent\\CurrentVersion]\nEnabled=perhaps\n".to_owned();
        let mut beacon = Beacon::new(1, beacon_policy::Content { failover, configuration, ..with_all() });
        let osd =
            beacon.hand_out.file("InventorySettingsConfiguration/InventorySettings.osd").unwrap().text.to_string();
        let osd = osd.replace("TYPE=\"InventorySettings\"", "TYPE=\"FontUpgrade\"");
        beacon.instead = Some(("InventorySettingsConfiguration/InventorySettings.osd", Some(osd.into_bytes())));
        let update = beacon.poll(&Held::default()).unwrap().unwrap();
        let told: Vec<String> = update.findings.kept.iter().map(ToString::to_string).collect();
        assert_eq!((told.len(), update.findings.count, update.held.contents.len()), (3, 3, 3), "{told:?}");
        assert!(told.iter().any(|told| told.contains("FontUpgrade")), "{told:?}");
        assert!(told.iter().any(|told| told.contains("`Enabled` is `perhaps`")), "{told:?}");
        assert!(!update.findings.kept.iter().any(PolicyFinding::is_refusal));
    }

    #[test]
    fn a_policy_without_schedule_or_beacons_leaves_those_an_agent_has() {
        let held = Beacon::new(1, with_all()).poll(&Held::default()).unwrap().unwrap().held;
        let next = Beacon::new(2, content()).poll(&held).unwrap().unwrap().held;
        assert_eq!(next.content(CatalogKind::ClientSettings), held.content(CatalogKind::ClientSettings));
        // Settings that were taken away are gone.
        assert_eq!(next.content(CatalogKind::ClientConfiguration), None);
        let mut policy = Vec::new();
        Npl { revision: 3, ..Npl::default() }.write(&mut policy).unwrap();
        assert!(matches!(begin(&held, &policy, Stamps::default(), &recipient()), Err(Refused::Empty)));
    }

    #[test]
    fn links_that_lead_elsewhere_are_not_followed() {
        for href in ["Schedules/a%20b.osd", "ClientSettings/Failover%20Settings%201f.osd"] {
            assert!(is_below(href), "{href}");
        }
        for href in [
            "http://evil/x",
            "//evil/x",
            "/a/b",
            "a",
            "a/b/c",
            "../a",
            "a/..",
            "a/.b",
            "a/%2e%2e",
            "a/b%2Fc",
            "a/b?c",
            "a/b#c",
            "a\\b/c",
            "a/%5c",
            "",
            "a/",
        ] {
            assert!(!is_below(href), "{href}");
        }
        assert!(!is_below(&format!("a/{}", "b".repeat(HREF_BYTES_MAX))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(policy in prop::collection::vec(any::<u8>(), 0..200), catalog: Vec<u8>) {
            drop(begin(&Held::default(), &policy, stamps("x"), &recipient()));
            let policy = Beacon::new(1, with_all()).hand_out.policy(None).unwrap().clone();
            let Ok(Step::Fetch(following, ..)) = begin(&Held::default(), policy.text.as_bytes(), Stamps::default(), &recipient()) else { panic!() };
            drop(following.take(catalog));
        }
    }
}
