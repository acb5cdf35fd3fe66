//! The policy in force, on disk.
//!
//! ```text
//! DATA/policy/policy.json    which one: revision, name, ETag, digest and size of each content
//! DATA/policy/SHA256         its contents, each by its digest
//! ```
//!
//! *Write*: new contents first, then `policy.json`, each by temporary file, sync, rename: a crash leaves the policy before
//! or the one after, whole. Contents that no policy names are removed last. *Recover*: a content that is missing or is
//! not what its digest says is left out and the policy is asked for again; the others stay in force.

use std::io;
use std::path::Path;
use std::sync::Arc;

use muster::formats::osd::CatalogKind;
use muster::id::{Digest, Guid};
use muster::policy::apply::{CONTENT_BYTES_MAX, Content, Held, Update, read_content};
use tracing::warn;

use crate::errors::Chain;
use crate::log::{Disk, FolderDisk, read_file, replace_file};

const POLICY: &str = "policy.json";
/// Longest `policy.json` that is read.
const POLICY_BYTES_MAX: u64 = 1 << 20;

/// See the module's head.
pub struct PolicyStore {
    disk: Arc<dyn Disk>,
}

/// What is in force: what is remembered of it, and its contents as they read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// What is remembered.
    pub held: Held,
    /// Each content that reads.
    pub contents: Vec<Content>,
}

impl PolicyStore {
    /// The store below `data`; the folder is made when it is missing.
    pub fn open(data: &Path) -> io::Result<PolicyStore> {
        Ok(PolicyStore { disk: Arc::new(FolderDisk::open(&data.join("policy"))?) })
    }

    /// What is remembered of the policy in force; the default before the first, or when it does not read. An error of
    /// the disk is one: whoever took it for no policy could go back to an older one.
    pub fn held(&self) -> io::Result<Held> {
        let Some(json) = read_file(&*self.disk, POLICY, POLICY_BYTES_MAX)? else { return Ok(Held::default()) };
        Ok(serde_json::from_slice(&json).unwrap_or_else(|error| {
            warn!(%error, "the policy on disk does not read, a new one is asked for");
            Held::default()
        }))
    }

    /// What is in force. Nothing when there is no policy yet or it cannot be read.
    pub fn load(&self) -> InForce {
        let mut held = self.held().unwrap_or_else(|error| {
            warn!(%error, "the policy on disk cannot be read now, the agent's own configuration counts");
            Held::default()
        });
        let mut contents = Vec::new();
        let mut lost = Vec::new();
        for (name, content) in &held.contents {
            match self.content(name, &content.sha256) {
                Ok(content) => contents.push(content),
                Err(why) => {
                    warn!(content = name, why, "part of the policy on disk is lost, it is asked for again");
                    lost.push(name.clone());
                }
            }
        }
        if !lost.is_empty() {
            held.contents.retain(|name, _| !lost.contains(name));
            (held.guid, held.etag, held.modified) = (Guid::NIL, String::new(), String::new());
        }
        InForce { held, contents }
    }

    fn content(&self, kind: &str, sha256: &Digest) -> Result<Content, String> {
        let kind: CatalogKind = kind.parse().map_err(|error| Chain(&error).to_string())?;
        let bytes =
            read_file(&*self.disk, &sha256.to_string(), CONTENT_BYTES_MAX).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or("its file is gone")?;
        if Digest::of(&bytes) != *sha256 {
            return Err("its file was changed".into());
        }
        // What of it was left out was told when it came.
        read_content(kind, &bytes).map(|(content, _)| content).map_err(|error| Chain(&error).to_string())
    }

    /// Puts `update` in force, durably.
    pub fn put(&self, update: &Update) -> io::Result<()> {
        for (sha256, bytes) in &update.fetched {
            replace_file(&*self.disk, &sha256.to_string(), bytes)?;
        }
        replace_file(&*self.disk, POLICY, &serde_json::to_vec_pretty(&update.held)?)?;
        let named = |name: &String| {
            name == POLICY || update.held.contents.values().any(|content| content.sha256.to_string() == *name)
        };
        // What cannot be removed now is removed by the next policy.
        for name in self.disk.list()?.into_iter().filter(|name| !named(name)) {
            if let Err(error) = self.disk.remove(&name) {
                warn!(name, %error, "an old part of the policy is not removed");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use muster::policy::Findings;
    use muster::policy::apply::HeldContent;

    use super::*;

    const SCHEDULES: [&str; 2] = [
        "<Schedule SCHEDSCHEMA=\"60\" NAME=\"a\" TIMEDATESTAMP=\"20250314T000000Z\"/>",
        "<Schedule SCHEDSCHEMA=\"60\" NAME=\"b\" TIMEDATESTAMP=\"20250314T000000Z\"/>",
    ];

    fn update(revision: u64) -> Update {
        let text = SCHEDULES[revision as usize - 1].as_bytes();
        let sha256 = Digest::of(text);
        let content = HeldContent { sha256, size: text.len() as u64 };
        Update {
            held: Held {
                revision,
                guid: Guid::from_random([revision as u8; 16]),
                etag: format!("\"r{revision}\""),
                modified: String::new(),
                contents: BTreeMap::from([("Schedule".to_owned(), content)]),
            },
            fetched: BTreeMap::from([(sha256, text.to_vec())]),
            findings: Findings::default(),
        }
    }

    fn name(in_force: &InForce) -> String {
        match &in_force.contents[..] {
            [Content::Schedule(schedule)] => schedule.name.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_policy_is_there_after_a_start_and_leaves_nothing_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = PolicyStore::open(folder.path()).unwrap();
        assert_eq!(store.load(), InForce::default());
        for revision in [1, 2] {
            store.put(&update(revision)).unwrap();
            let loaded = PolicyStore::open(folder.path()).unwrap().load();
            assert_eq!(
                (&loaded.held, name(&loaded).as_str()),
                (&update(revision).held, ["a", "b"][revision as usize - 1])
            );
            assert_eq!(fs::read_dir(folder.path().join("policy")).unwrap().count(), 2);
        }
    }

    #[test]
    fn what_is_damaged_is_left_out_and_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = PolicyStore::open(folder.path()).unwrap();
        store.put(&update(1)).unwrap();
        let content = folder.path().join("policy").join(Digest::of(SCHEDULES[0].as_bytes()).to_string());
        type Damage = fn(&Path);
        let damages: [Damage; 2] =
            [|path| fs::write(path, SCHEDULES[1]).unwrap(), |path| fs::remove_file(path).unwrap()];
        for damage in damages {
            damage(&content);
            let InForce { held, contents } = store.load();
            assert_eq!((held.revision, held.guid, held.etag.as_str(), contents.len()), (1, Guid::NIL, "", 0));
        }
        fs::write(folder.path().join("policy").join(POLICY), "{").unwrap();
        assert_eq!(store.load(), InForce::default());
    }
}
