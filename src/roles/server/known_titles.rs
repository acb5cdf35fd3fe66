//! Numbers of titles that the view holds, at hand: a report mostly lists what other machines reported before it, and a look
//! at the store for each of its thousand titles costs more than all the rest of its load.

use hashbrown::HashMap;

use crate::id::TenantId;
use crate::model::software::{Title, TitleId};

/// Titles that are kept at hand: with their texts some 20 MB.
const TITLES_MAX: usize = 100_000;

/// See the module's head. A part of what the view holds, and right only as long as every write that [`apply`] asked for is
/// in its store: whoever loses one, or changes the store, begins with a new one.
///
/// [`apply`]: super::apply
#[derive(Clone, Debug, Default)]
pub struct KnownTitles(HashMap<TenantId, HashMap<Title, TitleId>>);

impl KnownTitles {
    /// Those of `tenant`, with room for `more`: all are forgotten when they would be too many. Only a report with more
    /// titles than are kept goes beyond, until the next one.
    pub(super) fn with_room(&mut self, tenant: &TenantId, more: usize) -> &mut HashMap<Title, TitleId> {
        let held: usize = self.0.values().map(HashMap::len).sum();
        if held + more > TITLES_MAX {
            self.0.clear();
        }
        self.0.entry(tenant.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_and_tenants_know_their_own_titles_only() {
        let mut known = KnownTitles::default();
        let (a, b): (TenantId, TenantId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let title = |name: &str| Title::new(name, "1", "", "deb");
        known.with_room(&a, 1).insert(title("x"), TitleId(1));
        assert!(known.with_room(&b, 1).is_empty());
        known.with_room(&b, 1).insert(title("x"), TitleId(9));
        assert_eq!(known.with_room(&a, TITLES_MAX - 2).get(&title("x")), Some(&TitleId(1)));
        assert!(known.with_room(&a, TITLES_MAX - 1).is_empty());
        assert!(known.with_room(&b, TITLES_MAX + 1).is_empty());
    }
}
