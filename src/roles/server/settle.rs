//! How one package ends: judged by the ledger of its stream, then by its content, and staged when it is the newest.
//!
//! The ledger, the package's final state, the staged record and the tenant's counters change in one commit, so a package
//! is imported at most once. Source: delivery contract, sections 2, 4 and 5.

use std::sync::LazyLock;

use super::beside::{self, Beside, record_key, source_of, third_party_key};
use crate::formats::disco::{Disco, DiscoSource};
use crate::formats::mmi::Mmi;
use crate::id::TenantId;
use crate::matching::{Normalised, Placeholders};
use crate::model::business::{BusinessHead, BusinessKind};
use crate::model::device::{RecordKey, StrongKeys};
use crate::model::draft::{Draft, DraftError};
use crate::model::fact::FactKey;
use crate::model::inventory::Inventory;
use crate::model::package::{Envelope, Kind, Stream};
use crate::model::settlement::{ClockFlag, FinalState, Settlement};
use crate::model::software::TitleList;
use crate::model::staged::{StagedRecord, StagedReport};
use crate::model::tenant::TenantState;
use crate::time::Timestamp;
use crate::upload::ledger::{Arrival, StreamLedger, effective_date};

/// What reading a package's bytes gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An inventory.
    Inventory(Box<Inventory>),
    /// A usage file.
    Usage(Box<Mmi>),
    /// A discovery file.
    Discovery(Box<Disco>),
    /// A business file, every row of which is good.
    Business(BusinessHead),
    /// A log of an agent: whole, and kept as it came for whoever wants to read it. Nothing is staged of it.
    Log,
    /// Bytes that are not what they say, and why.
    Bad(String),
}

impl Content {
    /// Whether this version knows what to do with it. A scan of a network or of a directory speaks of other machines
    /// than the one it comes from; it waits for a version that finds their devices, as a kind without a reader does.
    pub fn has_reader(&self) -> bool {
        !matches!(self, Content::Discovery(file) if file.source != DiscoSource::Agent)
    }
}

/// A report that was staged: what the view is to show of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The record it belongs to.
    pub record: RecordKey,
    /// Its stream.
    pub stream: Stream,
    /// Installed titles.
    pub software: TitleList,
    /// A stream of the record that had to go for it.
    pub evicted: Option<Stream>,
}

/// How a package ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its final state.
    pub state: FinalState,
    /// What was staged, when it was imported.
    pub staged: Option<Staged>,
    /// Why, for those that were not imported.
    pub reason: Option<String>,
}

/// Settles one package of `tenant` in `draft`. `None`: it had a final state before, nothing is changed.
pub fn settle<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    mut envelope: Envelope,
    content: Content,
    now: Timestamp,
) -> Result<Option<Ended>, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let package_key = FactKey::Package(tenant.clone(), envelope.key());
    if draft.read::<Settlement>(&package_key)?.is_some() {
        return Ok(None);
    }
    let said = envelope.collected_at;
    // A sender that does not say when it collected has written it into the file.
    envelope.collected_at = said.or(match &content {
        Content::Inventory(inventory) => inventory.collected_at,
        Content::Discovery(file) => file.collected_at,
        Content::Usage(_) | Content::Business(_) | Content::Log | Content::Bad(_) => None,
    });
    let (effective, mut clock) = effective_date(envelope.collected_at, envelope.first_received);
    let stream = envelope.stream.clone().unwrap_or_else(|| Stream::new(envelope.kind, "", ""));
    let source = (envelope.kind == Kind::IntermediateData).then(|| source_of(&stream)).transpose();
    let content = match (&source, content) {
        (Err(why), _) => Content::Bad(why.clone()),
        (Ok(_), Content::Business(head)) => of_stream(head, &stream),
        (Ok(_), content) => content,
    };
    let ledger_key = FactKey::Ledger(tenant.clone(), envelope.origin.clone(), stream.clone());
    let mut ledger: StreamLedger = draft.read(&ledger_key)?.unwrap_or_default();

    let (mut state, mut reason, content) = match (ledger.assess(&envelope, now), content) {
        (Arrival::Duplicate, _) => (FinalState::Stale, Some("its sequence was settled before".into()), None),
        (Arrival::Expired, Content::Bad(why)) => (FinalState::Expired, Some(why), None),
        (Arrival::Expired, _) => (FinalState::Expired, Some("older than 30 days when it was read".into()), None),
        (Arrival::SequenceReused, _) => {
            (FinalState::Quarantined, Some("its sequence belongs to another package of this stream".into()), None)
        }
        (_, Content::Bad(why)) => (FinalState::Quarantined, Some(why), None),
        (Arrival::Older, Content::Inventory(_) | Content::Business(_)) => {
            let newest =
                ledger.newest().map(|newest| format!("a newer report of its stream is staged: {}", newest.digest));
            (FinalState::Stale, newest, None)
        }
        // Usage files tell of different times, so each of a stream is wanted, also one that was overtaken on its way.
        // Files of discovery of one stream may come from different finders; their dates decide, not their numbers.
        (Arrival::Newest | Arrival::Older, content) => (FinalState::Imported, None, Some(content)),
    };
    let (mut staged, mut staged_as, mut business) = (None, None, None);
    if let Some(Content::Inventory(inventory)) = content {
        let inventory = *inventory;
        let report = StagedReport {
            stream: stream.clone(),
            package: envelope.key(),
            report_type: inventory.report_type,
            // The clock of the first beacon may be ahead. A stream's date never goes back, so what has not come yet would stay.
            effective: effective.min(now),
            values: inventory.values,
            details: inventory.details,
            titles: u32::try_from(inventory.software.len()).unwrap_or(u32::MAX),
        };
        let name = if inventory.scope.is_empty() { &inventory.machine } else { &inventory.scope };
        let (record, is_third_party) = match source {
            Ok(Some(source)) => (third_party_key(source, inventory.machine_id, name), true),
            _ => (record_key(&envelope.origin, inventory.machine_id, name), false),
        };
        match stage(draft, tenant, &record, report, is_third_party)? {
            Some(evicted) => {
                staged_as = Some(record.clone());
                staged = Some(Staged { record, stream, software: inventory.software, evicted });
            }
            // Only senders without identity: each of their files has a ledger of its own.
            None => (state, reason) = (FinalState::Stale, Some("a later report of this machine is staged".into())),
        }
    } else {
        let beside = match &content {
            Some(Content::Usage(file)) => Some(beside::usage(draft, tenant, &envelope, file, effective, now)?),
            Some(Content::Discovery(file)) => Some(beside::discovery(draft, tenant, &envelope, file, effective)?),
            Some(Content::Business(head)) => {
                let of = (source.ok().flatten().unwrap_or_default(), &stream);
                Some(beside::business(draft, tenant, &envelope, of, *head, effective)?)
            }
            _ => None,
        };
        if let Some(ended) = beside {
            if ended.has_wrong_clock {
                // The clock may have been set right between the end of the period and its report.
                clock = clock.or(Some(ClockFlag::ClockBad));
            }
            Beside { state, reason, record: staged_as, business, .. } = ended;
        }
    }
    ledger.settle(&envelope, state);
    envelope.collected_at = said;
    draft.write(&ledger_key, &ledger);
    let (reason_kept, record) = (reason.clone(), staged_as);
    let settlement = Settlement { state, reason: reason_kept, clock, settled: now, record, envelope, business };
    draft.write(&package_key, &settlement);
    Ok(Some(Ended { state, staged, reason }))
}

/// A file that its sender calls contracts has to hold contracts; where the stream says neither, the columns tell.
fn of_stream(head: BusinessHead, stream: &Stream) -> Content {
    let said = stream.as_str().split('/').nth(2).and_then(|said| said.parse::<BusinessKind>().ok());
    match said {
        Some(said) if said != head.kind => {
            Content::Bad(format!("it was sent as {said}, but has the columns of {}", head.kind))
        }
        _ => Content::Business(head),
    }
}

/// `Some` when `report` became the newest of its stream in the record, with the stream that had to go for it, if one had.
fn stage<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    record: &RecordKey,
    report: StagedReport,
    is_third_party: bool,
) -> Result<Option<Option<Stream>>, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let (record_key, tenant_key) = (FactKey::Record(tenant.clone(), record.clone()), FactKey::Tenant(tenant.clone()));
    let mut state: TenantState = draft.read(&tenant_key)?.unwrap_or_default();
    let mut staged = match draft.read::<StagedRecord>(&record_key)? {
        Some(staged) => staged,
        None => {
            state.next_record += 1;
            StagedRecord::new(state.next_record - 1)
        }
    };
    // Within one origin the ledger has decided; between origins only the date can.
    let is_overtaken = staged
        .report(&report.stream)
        .is_some_and(|known| known.package.origin != report.package.origin && known.effective > report.effective);
    if is_overtaken {
        return Ok(None);
    }
    let before = identity(&staged, record);
    let effective = report.effective;
    let evicted = staged.stage(report);
    let now = identity(&staged, record);
    staged.identities.note(&before, &now, effective);
    state.note_staged(is_third_party);
    draft.write(&record_key, &staged);
    draft.write(&tenant_key, &state);
    Ok(Some(evicted))
}

/// What a record says to be.
fn identity(staged: &StagedRecord, record: &RecordKey) -> StrongKeys {
    static PLACEHOLDERS: LazyLock<Placeholders> = LazyLock::new(Placeholders::default);
    Normalised::new(&staged.computer(record).values, &PLACEHOLDERS).strong_keys()
}
