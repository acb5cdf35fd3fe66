//! Values that an operator says name no machine: from then on they are placeholders.

use muster::matching::fillers::FILLER_BYTES_MAX;
use muster::matching::normalise::{Placeholders, folded};
use muster::model::fact::FactKey;
use muster::model::tenant::TenantState;
use muster::time::Timestamp;

use super::books::{Books, News, TurnError};
use super::rules::demoted;
use crate::clock::SharedClock;

/// Values that can be demoted of a tenant.
const DEMOTED_MAX: usize = 10_000;

/// Why a value is not demoted.
#[derive(Debug, thiserror::Error)]
pub enum FillerError {
    /// No value.
    #[error("the value is empty: write what the records say")]
    Empty,
    /// Too long.
    #[error("the value has more than {FILLER_BYTES_MAX} bytes")]
    TooLong,
    /// Too many of them.
    #[error("{DEMOTED_MAX} values are demoted already: restore some first")]
    TooMany,
    /// The books were not written.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Demoted {
    /// The value, folded.
    pub value: String,
    /// Whether it was otherwise before.
    pub is_change: bool,
    /// The counters afterwards.
    pub state: TenantState,
}

/// Demotes a value, or restores one that was; `placeholders` are those of the configuration. When that changes something,
/// the next import takes all records anew.
pub async fn demote(
    books: &Books,
    placeholders: &Placeholders,
    clock: &SharedClock,
    value: &str,
    is_demoted: bool,
) -> Result<Demoted, FillerError> {
    let value = folded(value);
    if value.is_empty() {
        return Err(FillerError::Empty);
    }
    if value.len() > FILLER_BYTES_MAX {
        return Err(FillerError::TooLong);
    }
    let is_built_in = placeholders.holds(&value);
    let (tenant, now, facts) = (books.tenant.clone(), clock.now(), books.facts.clone());
    let done = books.turn(move |draft| {
        let key = FactKey::Filler(tenant.clone(), value.as_str().into());
        let state_key = FactKey::Tenant(tenant.clone());
        let mut state: TenantState = draft.read(&state_key)?.unwrap_or_default();
        // One of the configuration's says nothing as it is.
        let is_change = draft.read::<Timestamp>(&key)?.is_some() != is_demoted && !(is_demoted && is_built_in);
        if is_change {
            if !is_demoted {
                draft.remove(&key);
            } else if demoted(&facts, &tenant).len() >= DEMOTED_MAX {
                return Ok((Err(FillerError::TooMany), News::default()));
            } else {
                draft.write(&key, &now);
            }
            // As if something had been staged: there is something to import.
            state.note_staged(false);
            draft.write(&state_key, &state);
        }
        Ok((Ok(Demoted { value, is_change, state }), News::default()))
    });
    done.await?
}
