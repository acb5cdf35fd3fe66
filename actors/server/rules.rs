//! The rules by which records are matched now: those of the configuration, and what operators have said since.

use std::collections::BTreeSet;

use muster::id::TenantId;
use muster::model::fact::{FactKey, FactKind};
use muster::model::tenant::TenantState;
use muster::roles::server::ImportRules;
use tracing::info;

use super::books::{Books, News, TurnError};
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

/// Makes an import due when the last one went by other rules: other Matchers, another primary source.
pub async fn import_by_new_rules(books: &Books, rules: &ImportRules) -> Result<(), TurnError> {
    let now = in_force(&books.facts, &books.tenant, rules).fingerprint();
    let tenant = books.tenant.clone();
    let noted = books.turn(move |draft| {
        let key = FactKey::Tenant(tenant);
        let mut state: TenantState = draft.read(&key)?.unwrap_or_default();
        // Nothing was imported yet: the first import is due by itself.
        if state.import_rules != 0 && state.import_rules != now && state.staged == state.imported {
            info!("the rules by which records are matched have changed: the next import takes all records");
            state.note_staged(false);
            draft.write(&key, &state);
        }
        Ok(((), News::default()))
    });
    noted.await
}
