//! What a directory service says of the network: sites, subnets, domains, users. One CSV file is the whole of one kind.
//!
//! ```text
//! sites     site, description                              Berlin,headquarters
//! subnets   subnet (CIDR), site, description               10.1.0.0/16,Berlin,
//! domains   domain (DNS name), flat_name                   lab.example,LAB
//! users     user, domain, name, mail                       kim,LAB,Kim Doe,kim@lab.example
//! ```

mod cidr;
mod read;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::business::Column;
use crate::time::Timestamp;

pub use cidr::Cidr;
pub use read::DirectoryReader;

/// Bytes of the entries of one part, about: a part is one commit.
pub const PART_BYTES: usize = 48 << 10;

/// What a file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DirectoryKind {
    /// Places that are well connected within.
    Sites,
    /// Networks, and the site that each belongs to.
    Subnets,
    /// Domains: their names in DNS, and their flat names.
    Domains,
    /// Accounts of people.
    Users,
}

const fn column(name: &'static str, is_required: bool) -> Column {
    Column { name, is_required }
}

const SITES: [Column; 2] = [column("site", true), column("description", false)];
const SUBNETS: [Column; 3] = [column("subnet", true), column("site", true), column("description", false)];
const DOMAINS: [Column; 2] = [column("domain", true), column("flat_name", true)];
const USERS: [Column; 4] = [column("user", true), column("domain", true), column("name", false), column("mail", false)];

impl DirectoryKind {
    /// Every kind.
    pub const ALL: [DirectoryKind; 4] =
        [DirectoryKind::Sites, DirectoryKind::Subnets, DirectoryKind::Domains, DirectoryKind::Users];

    /// The word in parameters and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            DirectoryKind::Sites => "sites",
            DirectoryKind::Subnets => "subnets",
            DirectoryKind::Domains => "domains",
            DirectoryKind::Users => "users",
        }
    }

    /// The columns of a file.
    pub fn columns(self) -> &'static [Column] {
        match self {
            DirectoryKind::Sites => &SITES,
            DirectoryKind::Subnets => &SUBNETS,
            DirectoryKind::Domains => &DOMAINS,
            DirectoryKind::Users => &USERS,
        }
    }
}

impl fmt::Display for DirectoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DirectoryKind {
    type Err = ();
    fn from_str(text: &str) -> Result<DirectoryKind, ()> {
        DirectoryKind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// What tells it from others of its kind: folded, a subnet in its usual form.
    pub key: Box<str>,
    /// Its texts, in the order of the columns.
    pub cells: Vec<Box<str>>,
}

impl DirectoryEntry {
    /// Bytes it takes, about.
    pub fn bytes(&self) -> usize {
        16 + self.key.len() + self.cells.iter().map(|cell| 8 + cell.len()).sum::<usize>()
    }
}

/// Value of a `FactKey::Directory`: which entries of a kind are in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryState {
    /// Number of the file; its parts bear it.
    pub generation: u32,
    /// Parts it has, numbered from 0; their entries ascend by key.
    pub parts: u32,
    /// Entries.
    pub rows: u32,
    /// When it was taken.
    pub taken: Timestamp,
}

/// Key of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryPart {
    /// Of which kind.
    pub kind: DirectoryKind,
    /// Of which file.
    pub generation: u32,
    /// Its number.
    pub number: u32,
}

/// What a file changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryCounts {
    /// Entries that were not there.
    pub added: u64,
    /// Entries that say something else.
    pub changed: u64,
    /// Entries that are no more.
    pub removed: u64,
}

impl DirectoryCounts {
    /// Compares entries with those before; both ascend by key.
    pub fn between(before: &[DirectoryEntry], after: &[DirectoryEntry]) -> DirectoryCounts {
        let mut counts = DirectoryCounts::default();
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => old.key.cmp(&new.key),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return counts,
            };
            match order {
                std::cmp::Ordering::Less => {
                    old.next();
                    counts.removed += 1;
                }
                std::cmp::Ordering::Greater => {
                    new.next();
                    counts.added += 1;
                }
                std::cmp::Ordering::Equal => counts.changed += u64::from(old.next() != new.next()),
            }
        }
    }

    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        *self == DirectoryCounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_changes_is_counted_by_key() {
        let list = |entries: &[(&str, &str)]| -> Vec<DirectoryEntry> {
            let entry = |(key, cell): &(&str, &str)| DirectoryEntry { key: (*key).into(), cells: vec![(*cell).into()] };
            entries.iter().map(entry).collect()
        };
        let before = list(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let after = list(&[("b", "9"), ("c", "3"), ("d", "4"), ("e", "5")]);
        let counts = DirectoryCounts::between(&before, &after);
        assert_eq!(counts, DirectoryCounts { added: 2, changed: 1, removed: 1 });
        assert!(DirectoryCounts::between(&after, &after).is_none());
        assert_eq!(DirectoryCounts::between(&[], &after).added, 4);
    }

    #[test]
    fn kinds_read_back_in_any_case() {
        for kind in DirectoryKind::ALL {
            assert_eq!(kind.as_str().to_uppercase().parse(), Ok(kind));
            assert!(kind.columns()[0].is_required);
        }
        assert!("site".parse::<DirectoryKind>().is_err());
    }
}
