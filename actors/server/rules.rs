//! The rules by which records are matched now: those of the configuration, and what operators have said since.

use std::collections::BTreeSet;

use muster::id::TenantId;
use muster::model::fact::{FactKey, FactKind};
use muster::roles::server::ImportRules;

use crate::log::{FactIndex, Position};

/// `rules` with the records that were taken apart and the values that were demoted.
pub fn in_force(facts: &FactIndex, tenant: &TenantId, rules: &ImportRules) -> ImportRules {
    let apart = keys(facts, tenant, FactKind::Apart).filter_map(|key| match key {
        FactKey::Apart(_, a, b) => Some((a, b)),
        _ => None,
    });
    ImportRules {
        forbidden: apart.collect(),
        placeholders: rules.placeholders.with(demoted(facts, tenant)),
        ..rules.clone()
    }
}

/// The values that operators have demoted, folded.
pub fn demoted(facts: &FactIndex, tenant: &TenantId) -> BTreeSet<String> {
    let value = |key| match key {
        FactKey::Filler(_, value) => Some(value.to_string()),
        _ => None,
    };
    keys(facts, tenant, FactKind::Filler).filter_map(value).collect()
}

fn keys(facts: &FactIndex, tenant: &TenantId, kind: FactKind) -> impl Iterator<Item = FactKey> {
    let keys = facts.put_since(&kind.prefix(Some(tenant)), Position::default());
    keys.into_iter().filter_map(|key| FactKey::decode(&key))
}
