//! What changed on a device over time: values, records that came or left, merges. The first sight of a device is no
//! change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::computer::Property;
use super::device::{Device, RecordKey};
use crate::id::DeviceId;
use crate::time::Timestamp;

/// Changes of one device that are kept; beyond them the oldest go.
pub const CHANGES_MAX: usize = 200;
/// Characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 200;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A value; `None`: not known.
    Value {
        /// Which.
        property: Property,
        /// Before.
        from: Option<Box<str>>,
        /// Since.
        to: Option<Box<str>>,
        /// Who gave the one since; of one that is not known any more, who gave it before.
        source: Box<str>,
    },
    /// A record is this device from now on.
    RecordJoined {
        /// Which.
        record: RecordKey,
        /// Order of the Matcher that joined it; `None`: it was alone.
        matcher: Option<i64>,
    },
    /// A record is another device, or gone.
    RecordLeft {
        /// Which.
        record: RecordKey,
    },
    /// It is an alias of that device from now on.
    MergedInto {
        /// Of which.
        device: DeviceId,
    },
    /// All its sources have taken it away.
    Ended,
}

/// Value of a `FactKey::History`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceHistory {
    /// The oldest first; those of one import have one time.
    changes: Vec<(Timestamp, Change)>,
    /// Changes that were dropped because there were more.
    pub dropped: u64,
}

impl DeviceHistory {
    /// The changes, the newest first.
    pub fn newest_first(&self) -> impl ExactSizeIterator<Item = &(Timestamp, Change)> {
        self.changes.iter().rev()
    }

    /// Notes what makes `before` to `after`, at `now`. The answer: whether anything did.
    pub fn note(&mut self, before: &Device, after: &Device, now: Timestamp) -> bool {
        let found = changes(before, after);
        let has_changed = !found.is_empty();
        self.changes.extend(found.into_iter().map(|change| (now, change)));
        let surplus = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..surplus);
        self.dropped += surplus as u64;
        has_changed
    }
}

fn changes(before: &Device, after: &Device) -> Vec<Change> {
    if after.has_ended() {
        return if before.has_ended() { Vec::new() } else { vec![Change::Ended] };
    }
    if let Some(device) = after.merged_into {
        return if before.merged_into == Some(device) { Vec::new() } else { vec![Change::MergedInto { device }] };
    }
    let mut changes = Vec::new();
    let cut = |text: &str| text.chars().take(VALUE_CHARS_MAX).collect::<String>().into_boxed_str();
    for property in Property::ALL {
        let (was, is) = (before.values.get(property), after.values.get(property));
        let text = |value: Option<(&str, _)>| value.map(|(text, _): (&str, &super::device::Provenance)| cut(text));
        if was.map(|(text, _)| text) == is.map(|(text, _)| text) {
            continue;
        }
        let source = is.or(was).map(|(_, giver)| (&*giver.source).into()).unwrap_or_default();
        changes.push(Change::Value { property, from: text(was), to: text(is), source });
    }
    let records = |device: &Device| -> BTreeMap<RecordKey, Option<i64>> {
        device.bindings.iter().map(|binding| (binding.record.clone(), binding.matcher)).collect()
    };
    let (were, are) = (records(before), records(after));
    let left = were.keys().filter(|record| !are.contains_key(*record));
    changes.extend(left.map(|record| Change::RecordLeft { record: record.clone() }));
    let joined = are.iter().filter(|(record, _)| !were.contains_key(*record));
    changes.extend(joined.map(|(record, matcher)| Change::RecordJoined { record: record.clone(), matcher: *matcher }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::{Binding, Provenance, StrongKeys};

    fn device(values: &[(Property, &str)], records: &[&str]) -> Device {
        let giver = Provenance { source: "agent".into(), date: 1 };
        let binding = |id: &&str| Binding {
            record: RecordKey { source: "agent".into(), external_id: (*id).into() },
            strong: StrongKeys::default(),
            matcher: Some(10),
        };
        Device {
            id: DeviceId(1),
            inventory_date: 1,
            values: values.iter().map(|(property, text)| (*property, *text, giver.clone())).collect(),
            bindings: records.iter().map(binding).collect(),
            merged_into: None,
        }
    }

    #[test]
    fn values_and_records_that_change_are_noted_and_nothing_else_is() {
        let before = device(&[(Property::ComputerName, "a"), (Property::ModelNo, "m")], &["1", "2"]);
        let after = device(&[(Property::ComputerName, "b"), (Property::UUID, "u")], &["2", "3"]);
        let mut history = DeviceHistory::default();
        assert!(!history.note(&before, &before.clone(), Timestamp(1)));
        assert!(history.note(&before, &after, Timestamp(2)));
        let shown: Vec<String> = history.newest_first().map(|(at, change)| format!("{} {change:?}", at.0)).collect();
        assert_eq!(shown.len(), 5, "{shown:#?}");
        assert!(shown[0].starts_with("2 RecordJoined") && shown[1].starts_with("2 RecordLeft"));
        assert_eq!(
            history.newest_first().last().unwrap().1,
            Change::Value {
                property: Property::ComputerName,
                from: Some("a".into()),
                to: Some("b".into()),
                source: "agent".into()
            }
        );
    }

    #[test]
    fn a_merge_and_an_end_are_one_change_each_and_the_oldest_go_first() {
        let before = device(&[(Property::ComputerName, "a")], &["1"]);
        let alias =
            Device { merged_into: Some(DeviceId(2)), bindings: vec![], values: Default::default(), ..before.clone() };
        let mut history = DeviceHistory::default();
        history.note(&before, &alias, Timestamp(1));
        history.note(&before, &before.ended(), Timestamp(2));
        let kinds: Vec<&Change> = history.newest_first().map(|(_, change)| change).collect();
        assert_eq!(kinds, [&Change::Ended, &Change::MergedInto { device: DeviceId(2) }]);
        let other = device(&[(Property::ComputerName, "b")], &["1"]);
        for at in 0..CHANGES_MAX as i64 {
            let (from, to) = if at % 2 == 0 { (&before, &other) } else { (&other, &before) };
            history.note(from, to, Timestamp(10 + at));
        }
        assert_eq!((history.newest_first().len(), history.dropped), (CHANGES_MAX, 2));
        assert_eq!(history.newest_first().last().unwrap().0, Timestamp(10));
    }
}
