//! The invariants of the delivery contract, section 6, with their ids: one definition for every kind of run.

use serde_json::{Value, json};

/// Ids and texts of all of them.
pub const ALL: [(&str, &str); 21] = [
    ("I1", "no loss: what got a receipt is held at a node or has a final state"),
    ("I2", "exactly once: a package is imported at most once"),
    ("I3", "no false receipt: a receipt stands for synced bytes of that digest"),
    (
        "I4",
        "no early delete: a copy goes only when another node has custody, when it is superseded, or in a final state",
    ),
    ("I5", "whole only: nothing torn is ever visible, imported or forwarded"),
    ("I6", "same bytes: the digest at import is the agent's"),
    ("I7", "conservation: published is superseded, refused, queued, in custody or final"),
    ("I8", "newest wins: the current inventory of a device is the highest that was imported"),
    ("I9", "no future lock: a clock that is ahead never stops later packages"),
    ("I10", "progress: without faults every held package is final within 20 minutes for each hop"),
    ("I11", "no head-of-line blocking: bad packages delay others by an attempt each"),
    ("I12", "bounded: queues, retries and spools stay under their limits"),
    ("I13", "no storm: at most 1.10 uploads for each first one in hours without an outage"),
    ("I14", "no loop: at most 8 hops, and no node twice"),
    ("I15", "restarting changes nothing that is stored"),
    ("I16", "quarantine is complete: every refusal has key, reason, origin and time"),
    ("I17", "a full disk and a failed sync never turn into a receipt"),
    ("I18", "identity: the origin is the one of the first hop"),
    ("I19", "policy: the revision an agent follows never goes down"),
    ("I20", "export: each row once, segments in order"),
    ("I21", "determinism: the same seed gives the same trace"),
];

/// What was found of one invariant.
#[derive(Clone, Debug, Default)]
struct Found {
    checked: u64,
    violations: u64,
    first: Option<String>,
}

/// How often each was checked and broken.
#[derive(Clone, Debug, Default)]
pub struct Invariants([Found; ALL.len()]);

fn place(id: &str) -> usize {
    ALL.iter().position(|(known, _)| *known == id).expect("an id of the contract")
}

impl Invariants {
    /// `id` was checked `times` times and held.
    pub fn held(&mut self, id: &str, times: u64) {
        self.0[place(id)].checked += times;
    }

    /// `id` is checked; `broken` says what is wrong when it does not hold.
    pub fn check(&mut self, id: &str, holds: bool, broken: impl FnOnce() -> String) {
        let found = &mut self.0[place(id)];
        found.checked += 1;
        if !holds {
            found.violations += 1;
            found.first.get_or_insert_with(broken);
        }
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Invariants) {
        for (found, other) in self.0.iter_mut().zip(&other.0) {
            found.checked += other.checked;
            found.violations += other.violations;
            if found.first.is_none() {
                found.first.clone_from(&other.first);
            }
        }
    }

    /// Violations in all.
    pub fn violations(&self) -> u64 {
        self.0.iter().map(|found| found.violations).sum()
    }

    /// The first violation of each broken one.
    pub fn broken(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = ALL.iter().zip(&self.0);
        named.filter_map(|((id, _), found)| Some((*id, found.first.as_deref()?)))
    }

    /// As reports have it: `checked` is null for what this run has no part of.
    pub fn to_json(&self) -> Value {
        let row = |((id, text), found): (&(&str, &str), &Found)| {
            let checked = (found.checked > 0).then_some(found.checked);
            json!({ "id": id, "text": text, "checked": checked, "violations": found.violations, "first": found.first })
        };
        ALL.iter().zip(&self.0).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_documents_list_all_of_them() {
        let document = include_str!("../docs/operations/simulating.md");
        for (id, text) in ALL {
            assert!(document.contains(&format!("| {id} | {text} |")), "{id}");
        }
    }

    #[test]
    fn what_was_not_checked_says_so_and_what_is_broken_names_the_first() {
        let mut found = Invariants::default();
        found.held("I1", 5);
        found.check("I2", true, String::new);
        found.check("I2", false, || "one".into());
        found.check("I2", false, || "two".into());
        let json = found.to_json();
        assert_eq!((&json[0]["checked"], &json[2]["checked"]), (&json!(5), &Value::Null));
        assert_eq!(
            (&json[1]["checked"], &json[1]["violations"], &json[1]["first"]),
            (&json!(3), &json!(2), &json!("one"))
        );
        assert_eq!(found.broken().collect::<Vec<_>>(), [("I2", "one")]);
        assert_eq!(found.violations(), 2);
    }
}
