//! What is staged beside the inventory of a record: usage and discovery. Neither makes a device or changes what an
//! import reads, so no counter moves; a device shows what stands beside its records, whichever of them came first.
//! Business files belong to no record at all, and take the place of the one before of their source and kind.
//!
//! Source: agent-beacon-batch reference, sections 5, 6 and 10.

use crate::formats::disco::Disco;
use crate::formats::mmi::Mmi;
use crate::id::{Guid, TenantId, shorten};
use crate::model::business::{BusinessFile, BusinessHead, BusinessKey, BusinessKind, SOURCES_MAX};
use crate::model::device::RecordKey;
use crate::model::discovery::{Discoveries, StagedDiscovery, own_device};
use crate::model::draft::{Draft, DraftError};
use crate::model::fact::FactKey;
use crate::model::package::{Envelope, Origin, Stream};
use crate::model::settlement::FinalState;
use crate::model::source::{AGENT_SOURCE, is_source_name};
use crate::model::tenant::TenantState;
use crate::model::usage_periods::{PlacedFile, UsagePeriods};
use crate::time::Timestamp;

/// What the origins of senders without identity begin with.
const ANONYMOUS: &str = "anon/";

/// How a package of usage, of discovery or of the business ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    /// Its final state.
    pub state: FinalState,
    /// Why, for a person.
    pub reason: Option<String>,
    /// The record it was staged beside.
    pub record: Option<RecordKey>,
    /// Whose business file it is.
    pub business: Option<BusinessKey>,
    /// Whether its content was dated by a clock that was wrong, whatever the package's own time says.
    pub has_wrong_clock: bool,
}

impl Beside {
    fn imported(record: RecordKey, reason: Option<String>) -> Beside {
        Beside { state: FinalState::Imported, reason, record: Some(record), business: None, has_wrong_clock: false }
    }

    fn ended(state: FinalState, reason: String) -> Beside {
        Beside { state, reason: Some(reason), record: None, business: None, has_wrong_clock: false }
    }
}

/// The record that a report belongs to. An agent's is its origin, which its first hop vouches for. A sender without
/// identity has an origin for each file, so its records go by what the file says, apart from those of agents.
pub(super) fn record_key(origin: &Origin, machine_id: Option<Guid>, full_name: &str) -> RecordKey {
    let external_id = match (origin.as_str().strip_prefix(ANONYMOUS), machine_id) {
        (None, _) => origin.as_str().into(),
        (Some(_), Some(guid)) => format!("{ANONYMOUS}{guid}"),
        (Some(_), None) => format!("{ANONYMOUS}{}", full_name.to_ascii_lowercase()),
    };
    RecordKey { source: AGENT_SOURCE.into(), external_id: external_id.into() }
}

/// Name of the source of files of other tools that name none.
const THIRD_PARTY_SOURCE: &str = "third-party";
/// The source that a file of another tool says it comes from: the account of its stream. Error: why it is none.
pub(super) fn source_of(stream: &Stream) -> Result<&str, String> {
    match stream.as_str().split('/').nth(1).unwrap_or_default() {
        "" => Ok(THIRD_PARTY_SOURCE),
        name if is_source_name(name) => Ok(name),
        name => Err(format!("`{}` cannot be the source of files of other tools", shorten(name).escape_debug())),
    }
}

/// The record of a third-party report: by its source, and by what the file says of the machine.
pub(super) fn third_party_key(source: &str, machine_id: Option<Guid>, full_name: &str) -> RecordKey {
    let external_id = machine_id.map_or_else(|| full_name.to_lowercase(), |guid| guid.to_string());
    RecordKey { source: source.into(), external_id: external_id.into() }
}

fn full_name(name: &str, domain: &str) -> String {
    if domain.is_empty() { name.into() } else { format!("{name}.{domain}") }
}

/// Stages the periods of a usage file that was collected at `effective`. A file of which nothing found a place is
/// history: later files have told it already, or it tells of a time that is not kept. A clock that was ahead takes
/// nothing away: what it dated counts from `effective`, which is told. A file that tells of a time after its own date, and
/// of none after its first custody, has a wrong date; its periods are right.
pub(super) fn usage<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    envelope: &Envelope,
    file: &Mmi,
    effective: Timestamp,
    now: Timestamp,
) -> Result<Beside, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let latest = file.periods.iter().map(|period| period.start).max();
    let is_date_wrong = latest.is_some_and(|latest| latest > effective && latest <= envelope.first_received);
    let reported = if is_date_wrong { envelope.first_received } else { effective };
    let record = record_key(&envelope.origin, file.device.guid, &full_name(&file.device.name, &file.device.domain));
    let key = FactKey::Usage(tenant.clone(), record.clone());
    let mut periods: UsagePeriods = draft.read(&key)?.unwrap_or_default();
    let all = file.periods.len();
    let PlacedFile { placed, misdated } = periods.stage_file(&file.periods, reported, now);
    if placed > 0 {
        draft.write(&key, &periods);
    }
    let rest = || format!("{} of its {all} periods were told before or are too old", all - placed);
    let wrong = || {
        format!("{misdated} of its {all} periods were dated by a wrong clock and count from when they were reported")
    };
    if placed == 0 && all > 0 {
        return Ok(Beside::ended(FinalState::Stale, rest()));
    }
    let reasons = [(placed < all).then(rest), (misdated > 0).then(wrong)];
    let reason = reasons.into_iter().flatten().reduce(|one, other| format!("{one}; {other}"));
    Ok(Beside { has_wrong_clock: misdated > 0, ..Beside::imported(record, reason) })
}

/// Stages what an agent's discovery file says of its own machine, when nothing newer of its finder is there.
pub(super) fn discovery<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    envelope: &Envelope,
    file: &Disco,
    effective: Timestamp,
) -> Result<Beside, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let Some(device) = own_device(file) else {
        let why = format!("none of its {} devices is the machine `{}`", file.devices.len(), file.machine_name);
        return Ok(Beside::ended(FinalState::Quarantined, why));
    };
    let record = record_key(&envelope.origin, file.machine_id, &full_name(&device.name, &device.domain));
    let key = FactKey::Discovery(tenant.clone(), record.clone());
    let mut known: Discoveries = draft.read(&key)?.unwrap_or_default();
    let found = StagedDiscovery::of(file, device, envelope.key(), effective);
    // A sender without identity has an origin for each file: all that speak of one machine are one finder.
    let is_rival = |other: &StagedDiscovery| {
        let is_anonymous = |one: &StagedDiscovery| one.package.origin.as_str().starts_with(ANONYMOUS);
        is_anonymous(other) && is_anonymous(&found) && other.source == found.source
    };
    let date = |one: &StagedDiscovery| (one.effective, one.package.clone());
    let is_overtaken = known.iter().any(|other| is_rival(other) && date(other) >= date(&found));
    if known.iter().any(is_rival) && !is_overtaken {
        known = known.iter().filter(|other| !is_rival(other)).cloned().collect();
    }
    if is_overtaken || !known.stage(found) {
        return Ok(Beside::ended(FinalState::Stale, "a later discovery of this machine is staged".into()));
    }
    draft.write(&key, &known);
    Ok(Beside::imported(record, None))
}

/// Puts a business file in force, unless a later one of its source and kind is there. One without rows takes its source
/// away: so there is a way back from names that nobody meant.
pub(super) fn business<L, V, E>(
    draft: &mut Draft<L>,
    tenant: &TenantId,
    envelope: &Envelope,
    (source, stream): (&str, &Stream),
    BusinessHead { kind, rows }: BusinessHead,
    effective: Timestamp,
) -> Result<Beside, DraftError<E>>
where
    L: Fn(&[u8]) -> Result<Option<V>, E>,
    V: AsRef<[u8]>,
{
    let business = BusinessKey { source: source.into(), kind };
    let key = FactKey::Business(tenant.clone(), business.clone());
    let file = BusinessFile { package: envelope.key(), stream: stream.clone(), effective, rows };
    let known = draft.read::<BusinessFile>(&key)?;
    if let Some(known) = &known
        && !known.gives_way_to(&file)
    {
        let why = format!("a later file of {kind} from `{source}` is in force: {}", known.package.digest);
        return Ok(Beside::ended(FinalState::Stale, why));
    }
    let counters = FactKey::Tenant(tenant.clone());
    let mut state: TenantState = draft.read(&counters)?.unwrap_or_default();
    match (known.is_some(), rows > 0) {
        (false, true) if state.business_files >= SOURCES_MAX => {
            let why = format!("{SOURCES_MAX} sources have business files already: empty one by a file without rows");
            return Ok(Beside::ended(FinalState::Quarantined, why));
        }
        (false, true) => state.business_files += 1,
        (true, false) => state.business_files = state.business_files.saturating_sub(1),
        (true, true) | (false, false) => {}
    }
    let is_other = known.is_none_or(|known| known.package.digest != file.package.digest);
    state.terms += u64::from(kind == BusinessKind::Entitlements && is_other);
    if rows > 0 {
        draft.write(&key, &file);
    } else {
        draft.remove(&key);
    }
    draft.write(&counters, &state);
    let (state, business) = (FinalState::Imported, Some(business));
    Ok(Beside { state, reason: None, record: None, business, has_wrong_clock: false })
}
