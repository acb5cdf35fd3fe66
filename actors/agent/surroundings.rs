//! Looks at the host for what events of a schedule may wait for: networks and sessions.
//!
//! Sessions are those that systemd or elogind tells in `/run/systemd/sessions`, one small file each, as far as they are of
//! people. A host without these has no logons. Nothing is kept of a session but its name.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use muster::roles::agent::Surroundings;
use muster::upload::selector::Device;

use super::host::{addresses_of_this_host, device_of_this_host};

/// Where sessions are told.
const SESSIONS: &str = "/run/systemd/sessions";
/// Most sessions that are looked at.
const SESSIONS_MAX: usize = 1_000;
/// Most bytes of one that are read.
const SESSION_BYTES_MAX: u64 = 4 << 10;
/// What a session of a person says of itself; others are greeters, and what systemd runs for an account.
const OF_A_PERSON: &str = "CLASS=user";

/// Looks at the host. Called on a thread of its own, at most once a minute.
pub trait LookAround: Send + Sync {
    /// What is there now.
    fn look(&self) -> Surroundings;
    /// What is known of the host, to choose servers by.
    fn device(&self) -> Device;
}

/// The host this process runs on.
pub struct AroundThisHost {
    sessions: PathBuf,
    site: String,
}

impl AroundThisHost {
    /// With the site label of its configuration.
    pub fn new(site: &str) -> AroundThisHost {
        AroundThisHost { sessions: SESSIONS.into(), site: site.to_owned() }
    }
}

impl LookAround for AroundThisHost {
    fn look(&self) -> Surroundings {
        Surroundings { addresses: addresses_of_this_host(), sessions: sessions(&self.sessions) }
    }

    fn device(&self) -> Device {
        device_of_this_host(&self.site)
    }
}

/// Names of the sessions of people in `folder`; none when it is not there.
fn sessions(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let named = entries.flatten().take(SESSIONS_MAX).filter_map(|entry| entry.file_name().into_string().ok());
    // Beside each stands a pipe, which a reader would wait at.
    named.filter(|name| !name.contains('.') && is_of_a_person(&folder.join(name))).collect()
}

fn is_of_a_person(path: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SESSION_BYTES_MAX).read_to_string(&mut text));
    // One that ends meanwhile is none.
    read.is_ok() && text.lines().any(|line| line == OF_A_PERSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_people_are_told_and_what_stands_beside_them_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sessions(&folder.path().join("none")).is_empty());
        for (name, class) in [("3", "user"), ("c1", "greeter"), ("7", "user-early"), ("4", "manager"), ("12", "user")] {
            let text = format!("# This is private data. Do not parse.\nUID=1000\nCLASS={class}\nTYPE=tty\n");
            fs::write(folder.path().join(name), text).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("3.ref"), rustix::fs::Mode::RUSR).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("5"), rustix::fs::Mode::RUSR).unwrap();
        fs::write(folder.path().join("6"), [0xff; 10_000]).unwrap();
        assert_eq!(sessions(folder.path()), BTreeSet::from(["12".to_owned(), "3".to_owned()]));
    }
}
