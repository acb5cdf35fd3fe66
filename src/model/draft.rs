//! A commit being made: facts as they are, with what the commit will change in front.
//!
//! Several decisions of one commit see each other's writes, and what was read is what the log holds: nothing remembered
//! is trusted.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fact::FactKey;
use super::stored::{self, StoredError};

/// Why a fact cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DraftError<E> {
    /// The log does not give it.
    #[error("cannot read a fact")]
    Read(#[source] E),
    /// The log gives something else.
    #[error("a fact does not read")]
    Stored(#[source] StoredError),
}

/// See the module's head. `look` reads a committed value by its encoded key.
pub struct Draft<L> {
    look: L,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<L, V, E> Draft<L>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    /// A commit that changes nothing yet.
    pub fn new(look: L) -> Draft<L> {
        Draft { look, writes: BTreeMap::new() }
    }

    /// The value of `key`, as it will be.
    pub fn read<T: DeserializeOwned>(&self, key: &FactKey) -> Result<Option<T>, DraftError<E>> {
        let key = key.encode();
        match self.writes.get(&key) {
            Some(Some(value)) => stored::unpack(value).map(Some).map_err(DraftError::Stored),
            Some(None) => Ok(None),
            None => match (self.look)(&key).map_err(DraftError::Read)? {
                Some(value) => stored::unpack(value.as_ref()).map(Some).map_err(DraftError::Stored),
                None => Ok(None),
            },
        }
    }

    /// Gives `key` the value `value`.
    pub fn write<T: Serialize>(&mut self, key: &FactKey, value: &T) {
        self.writes.insert(key.encode(), Some(stored::pack(value)));
    }

    /// Takes `key` away.
    pub fn remove(&mut self, key: &FactKey) {
        self.writes.insert(key.encode(), None);
    }

    /// How many keys are changed.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What is to be committed, ascending by key.
    pub fn into_writes(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.writes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str) -> FactKey {
        FactKey::Setting(name.into())
    }

    #[test]
    fn a_draft_reads_what_it_wrote_and_else_what_is_true() {
        let look = |key: &[u8]| Ok::<_, ()>((key == setting("a").encode()).then(|| stored::pack(&1u32)));
        let mut draft = Draft::new(look);
        assert_eq!((draft.read(&setting("a")).unwrap(), draft.read::<u32>(&setting("b")).unwrap()), (Some(1), None));
        draft.write(&setting("a"), &5u32);
        draft.write(&setting("b"), &6u32);
        assert_eq!((draft.read(&setting("a")).unwrap(), draft.read(&setting("b")).unwrap()), (Some(5), Some(6u32)));
        draft.remove(&setting("a"));
        assert_eq!(draft.read::<u32>(&setting("a")).unwrap(), None);
        let writes: Vec<_> = draft.into_writes().map(|(key, value)| (key, value.is_some())).collect();
        assert_eq!(writes, [(setting("a").encode(), false), (setting("b").encode(), true)]);
    }

    #[test]
    fn a_fact_that_does_not_read_is_an_error_and_not_an_absence() {
        let draft = Draft::new(|_: &[u8]| Ok::<_, ()>(Some(vec![99, 1])));
        assert!(matches!(draft.read::<u32>(&setting("a")), Err(DraftError::Stored(StoredError::Version(99)))));
        let broken = Draft::new(|_: &[u8]| Err::<Option<Vec<u8>>, _>("disk"));
        assert!(matches!(broken.read::<u32>(&setting("a")), Err(DraftError::Read("disk"))));
    }
}
