//! The beginnings of the digests of an epoch's last numbers: what of them tells two packages of one number apart. Each
//! stands at its number's remainder.

use serde::{Deserialize, Serialize};

use crate::id::Digest;

/// Numbers of an epoch, up to its highest, whose digests are remembered: a machine that was set back to an older state
/// repeats its last numbers, and that is no repeated delivery.
pub const RECENT_MAX: u64 = 16;

/// See the module's head; nothing is kept before the first one. Stored as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
pub struct Recent(Option<Box<[u32; RECENT_MAX as usize]>>);

impl From<Vec<u32>> for Recent {
    fn from(list: Vec<u32>) -> Recent {
        let mut all = [0; RECENT_MAX as usize];
        all.iter_mut().zip(&list).for_each(|(begin, known)| *begin = *known);
        Recent((all != [0; RECENT_MAX as usize]).then(|| Box::new(all)))
    }
}

impl From<Recent> for Vec<u32> {
    fn from(recent: Recent) -> Vec<u32> {
        let mut list = recent.0.map_or(Vec::new(), |all| all.to_vec());
        list.truncate(list.iter().rposition(|begin| *begin != 0).map_or(0, |last| last + 1));
        list
    }
}

impl Recent {
    /// That of `number`; 0 where none is known.
    pub fn of(&self, number: u64) -> u32 {
        self.0.as_ref().map_or(0, |all| all[(number % RECENT_MAX) as usize])
    }

    /// Notes that of `number`; 0 forgets it.
    pub fn note(&mut self, number: u64, begin: u32) {
        if self.0.is_some() || begin != 0 {
            self.0.get_or_insert_default()[(number % RECENT_MAX) as usize] = begin;
        }
    }
}

/// What of a digest tells two packages of one number apart; never 0.
pub fn beginning(digest: Digest) -> u32 {
    let [a, b, c, d, ..] = digest.0;
    u32::from_be_bytes([a, b, c, d]).max(1)
}
