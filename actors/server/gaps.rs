//! The server's side of gap healing: hears what was acknowledged, notes what is not settled, calls it missing after the
//! limit, and asks for it again.
//!
//! Reports and looks become facts by [`Books::turn`]; the list of what is to be sent again is made of the facts at each
//! look, so a start needs nothing else. Source: delivery contract, section 5, gap healing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web::Data;
use muster::id::{Guid, TenantId};
use muster::model::aside::AsideRecord;
use muster::model::draft::{Draft, DraftError};
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Envelope, Origin, PackageKey, Sequence, Stream};
use muster::model::stored;
use muster::time::Timestamp;
use muster::upload::gaps::{Abandoned, Gap, GapReport, OriginGaps, Resends};
use muster::upload::ledger::StreamLedger;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::books::{Books, Look, News, TurnError};
use super::unsettled::SettledTo;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::hierarchy::{Gaps, TakeReports};
use crate::log::{Handle, PackageIndex, ReadError};

/// Origins of which nothing has ever been settled and whose gaps are noted. A sender may claim any number of identities;
/// those with a ledger are bounded by what they sent.
const STRANGERS_MAX: usize = 100_000;
/// Bytes of reports heard by this server itself that are noted in one commit.
const PAGE_BYTES: usize = 1 << 20;
/// Facts that are looked at together, and changed in one commit.
const PAGE: usize = 500;

/// An origin of a tenant.
type Whose = (TenantId, Origin);
/// Packages of an origin, by their places in its streams.
type Inbox = BTreeSet<(Stream, Sequence)>;

/// See the module's head. Clones share everything.
#[derive(Clone)]
pub struct GapKeeper {
    books: Books,
    packages: PackageIndex,
    gaps: Data<Gaps>,
    clock: SharedClock,
    limit_ms: i64,
    settled_to: Arc<SettledTo>,
    /// Origins with gaps and without a ledger at the last look, and those noted since.
    strangers: Arc<AtomicUsize>,
    /// One look at a time.
    looking: Arc<Mutex<()>>,
}

/// What a look came to.
#[derive(Default)]
struct Seen {
    /// Origins whose fact has to change.
    changed: Vec<Whose>,
    /// Of origins with something over the limit, what is accounted for although it is not settled.
    inboxes: BTreeMap<Whose, Inbox>,
    /// What is to be sent again.
    resends: Resends,
    /// Agents that found no place in it.
    left_out: usize,
    /// Origins with gaps of which nothing was ever settled.
    strangers: usize,
}

/// What is not settled and not missing either.
struct Accounted {
    /// Waits here for the loader.
    waiting: BTreeMap<Whose, Vec<Handle>>,
    /// A beacon keeps it for good, and has told so.
    aside: BTreeMap<Whose, Inbox>,
}

impl GapKeeper {
    /// The keeper of the gaps in `books`, who asks by `gaps` for what is missing after `limit_ms`.
    pub fn new(books: Books, packages: PackageIndex, gaps: Data<Gaps>, clock: SharedClock, limit_ms: i64) -> GapKeeper {
        let (settled_to, strangers, looking) = (Arc::default(), Arc::default(), Arc::default());
        GapKeeper { books, packages, gaps, clock, limit_ms, settled_to, strangers, looking }
    }

    /// Notes what `reports` tell of, durably, so many in one commit that the loader does not wait long. What is noted stays
    /// noted when a later commit fails: the same reports note nothing twice.
    async fn note(&self, reports: Vec<GapReport>) -> Result<(), TurnError> {
        let mut refused = 0;
        let mut reports = reports.into_iter().peekable();
        while reports.peek().is_some() {
            refused += self.note_page(reports.by_ref().take(PAGE).collect()).await?;
        }
        if refused > 0 {
            warn!(refused, "too many unknown senders tell of packages that never came, some are not listened to");
        }
        Ok(())
    }

    /// Notes these; gives how many unknown senders were not listened to.
    async fn note_page(&self, reports: Vec<GapReport>) -> Result<usize, TurnError> {
        let (tenants, now, strangers) = (self.books.tenants.now(), self.clock.now(), self.strangers.clone());
        let own = self.clone();
        let refused = self.books.turn(move |draft| {
            let mut refused = 0;
            for report in reports {
                let (origin, acked) = (Origin::agent(report.agent), report.acked());
                // Its packages take the same way.
                let tenant = tenants.of_beacon(Some(report.beacon));
                let mut gaps = gaps_of(draft, tenant, &origin)?;
                let told = acked.iter().map(|mark| Stream(mark.stream.clone()));
                let ledgers = ledgers_of(draft, tenant, &origin, told.chain(streams(&gaps)))?;
                let is_known = own.is_known(tenant, &origin);
                let is_stranger = !is_known && gaps.is_empty();
                if is_stranger && strangers.load(Ordering::Relaxed) >= STRANGERS_MAX {
                    refused += 1;
                    continue;
                }
                // Of a stranger nothing is counted: it may claim any number of names, and tells again.
                if is_known {
                    note_abandoned(draft, tenant, &origin, &report)?;
                }
                let before = gaps.clone();
                gaps.note(&acked, report.beacon, &ledgers, now);
                if gaps != before {
                    strangers.fetch_add(usize::from(is_stranger), Ordering::Relaxed);
                    draft.write(&FactKey::Gaps(tenant.clone(), origin), &gaps);
                }
            }
            Ok::<_, TurnError>((refused, News::default()))
        });
        refused.await
    }

    /// Whether anything of `origin` was ever settled.
    fn is_known(&self, tenant: &TenantId, origin: &Origin) -> bool {
        !self.books.facts.keys(&FactKey::ledgers_prefix(tenant, origin), None, 1).is_empty()
    }

    /// Notes what this server was told itself, then looks at all gaps: what is settled is closed, what is over the limit
    /// is missing, and what is missing is asked for again.
    pub async fn look(&self) {
        let Ok(_looking) = self.looking.try_lock() else { return };
        loop {
            let (numbers, page) = self.gaps.page(PAGE_BYTES);
            if page.is_empty() {
                break;
            }
            match self.note(page).await {
                Ok(()) => self.gaps.passed(&numbers),
                Err(error) => return warn!(error = %Chain(&error), "gap reports are not noted, tried again"),
            }
        }
        let own = self.clone();
        let seen = tokio::task::spawn_blocking(move || own.see()).await;
        let Seen { changed, inboxes, resends, left_out, strangers } = match seen {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => return warn!(error = %Chain(&error), "gaps cannot be read, looked at again later"),
            Err(_) => return error!("the look at gaps panicked, looked at again later"),
        };
        self.strangers.store(strangers, Ordering::Relaxed);
        if left_out > 0 {
            info!(agents = left_out, "the list of what is to be sent again is full, the rest waits");
        }
        self.gaps.ask_for(resends);
        let inboxes = Arc::new(inboxes);
        for page in changed.chunks(PAGE) {
            if let Err(error) = self.change(page.to_vec(), inboxes.clone()).await {
                return warn!(error = %Chain(&error), "gaps are not noted, looked at again later");
            }
        }
    }

    /// Reads all gaps as they are now, and says which facts do not say so.
    fn see(&self) -> Result<Seen, DraftError<ReadError>> {
        let (draft, now) = (self.books.draft(), self.clock.now());
        let prefix = FactKind::Gaps.prefix(None);
        let (mut seen, mut after, mut accounted) = (Seen::default(), None::<Box<[u8]>>, None);
        loop {
            let page = self.books.facts.keys(&prefix, after.as_deref(), PAGE);
            let Some((last, _)) = page.last() else { return Ok(seen) };
            after = Some(last.clone());
            for (encoded, _) in &page {
                let Some(FactKey::Gaps(tenant, origin)) = FactKey::decode(encoded) else { continue };
                let before = gaps_of(&draft, &tenant, &origin)?;
                let ledgers = ledgers_of(&draft, &tenant, &origin, streams(&before))?;
                let whose = (tenant, origin);
                let mut gaps = before.clone();
                gaps.close(&ledgers, now);
                if gaps.is_over(now, self.limit_ms) {
                    let accounted = accounted.get_or_insert_with(|| self.accounted());
                    let inbox = self.inbox(accounted, &whose);
                    gaps.call_missing(&inbox, now, self.limit_ms);
                    seen.inboxes.insert(whose.clone(), inbox);
                }
                let marks: Vec<_> = gaps.missing().map(Gap::mark).collect();
                if let Ok(agent) = whose.1.as_str().parse::<Guid>() {
                    seen.left_out += usize::from(!seen.resends.add(agent, &marks));
                }
                seen.strangers += usize::from(!gaps.is_empty() && !self.is_known(&whose.0, &whose.1));
                if gaps != before || gaps.is_empty() {
                    seen.changed.push(whose);
                }
            }
        }
    }

    /// What has no final state here and what beacons set aside, by origin.
    fn accounted(&self) -> Accounted {
        let mut waiting: BTreeMap<Whose, Vec<Handle>> = BTreeMap::new();
        self.settled_to.each_unsettled(&self.packages, &self.books, |held, tenant, key| {
            waiting.entry((tenant, key.origin)).or_default().push(held.handle);
            ControlFlow::Continue(())
        });
        let mut aside: BTreeMap<Whose, Inbox> = BTreeMap::new();
        let prefix = FactKind::Aside.prefix(None);
        // One that does not read is swept, and told by its beacon anew.
        self.books.facts.each(&prefix, |encoded, _, value| {
            let Some(FactKey::Aside(tenant, PackageKey { origin, .. })) = FactKey::decode(encoded) else { return };
            let record = stored::unpack::<AsideRecord>(&value).ok();
            if let Some(place) = record.and_then(|record| record.place) {
                aside.entry((tenant, origin)).or_default().insert(place);
            }
        });
        Accounted { waiting, aside }
    }

    /// What of `origin` is accounted for, by place. One that does not read tells none.
    fn inbox(&self, accounted: &Accounted, whose: &Whose) -> Inbox {
        let envelope =
            |handle: &Handle| -> Option<Envelope> { stored::unpack(&self.packages.read(*handle)?.ok()?.head).ok() };
        let envelopes = accounted.waiting.get(whose).into_iter().flatten().filter_map(envelope);
        let places = envelopes.filter_map(|envelope| Some((envelope.stream?, envelope.sequence?)));
        places.chain(accounted.aside.get(whose).into_iter().flatten().cloned()).collect()
    }

    /// Changes the facts of these origins: what [`GapKeeper::see`] saw, from what is committed now.
    async fn change(&self, origins: Vec<Whose>, inboxes: Arc<BTreeMap<Whose, Inbox>>) -> Result<(), TurnError> {
        let (clock, limit_ms) = (self.clock.clone(), self.limit_ms);
        let changed = self.books.turn(move |draft| {
            let now = clock.now();
            let (mut called, mut given_up) = (BTreeMap::<Guid, Alarm>::new(), 0);
            for whose in origins {
                let (tenant, origin) = &whose;
                let mut gaps = gaps_of(draft, tenant, origin)?;
                let ledgers = ledgers_of(draft, tenant, origin, streams(&gaps))?;
                given_up += gaps.close(&ledgers, now);
                // Of what went over the limit since, nobody knows yet what waits here: at the next look.
                let inbox = inboxes.get(&whose);
                for gap in inbox.map(|inbox| gaps.call_missing(inbox, now, limit_ms)).unwrap_or_default() {
                    called.entry(gap.beacon).or_default().add(origin, &gap);
                }
                let key = FactKey::Gaps(whose.0, whose.1);
                if gaps.is_empty() { draft.remove(&key) } else { draft.write(&key, &gaps) }
            }
            Ok::<_, TurnError>(((called, given_up), News::default()))
        });
        let (called, given_up) = changed.await?;
        for (beacon, Alarm { packages, oldest, example }) in called {
            let oldest = oldest.to_rfc3339();
            warn!(%beacon, packages, %oldest, example, "acknowledged packages never came, they are asked for again");
        }
        if given_up > 0 {
            warn!(packages = given_up, "missing packages are given up: no copy of them can live any more");
        }
        Ok(())
    }
}

/// What became missing of what one beacon heard of.
#[derive(Default)]
struct Alarm {
    packages: u64,
    /// Since when the oldest of them is known.
    oldest: Timestamp,
    /// One of them.
    example: String,
}

impl Alarm {
    fn add(&mut self, origin: &Origin, gap: &Gap) {
        if self.packages == 0 || gap.since < self.oldest {
            self.oldest = gap.since;
            self.example = format!("{origin} {}={}:{}", gap.stream, gap.epoch, gap.first);
        }
        self.packages = self.packages.saturating_add(gap.packages());
    }
}

impl TakeReports for GapKeeper {
    fn take_reports(&self, reports: Vec<GapReport>) -> Pin<Box<dyn Future<Output = bool>>> {
        let own = self.clone();
        Box::pin(async move {
            let noted = own.note(reports).await;
            if let Err(error) = &noted {
                warn!(error = %Chain(error), "gap reports are not noted, their beacon keeps them");
            }
            noted.is_ok()
        })
    }
}

/// Adds what `report` says was given up.
fn note_abandoned(
    draft: &mut Draft<Look>,
    tenant: &TenantId,
    origin: &Origin,
    report: &GapReport,
) -> Result<(), DraftError<ReadError>> {
    let key = FactKey::Abandoned(tenant.clone(), origin.clone());
    let read = draft.read::<Abandoned>(&key);
    let read = readable(read, "what an agent gave up does not read, it is noted anew")?;
    let (known, mut abandoned) = (read.clone(), read.unwrap_or_default());
    report.abandon(&mut abandoned);
    if !abandoned.is_empty() && known.as_ref() != Some(&abandoned) {
        draft.write(&key, &abandoned);
    }
    Ok(())
}

fn streams(gaps: &OriginGaps) -> Vec<Stream> {
    gaps.iter().map(|gap| gap.stream.clone()).collect()
}

/// The gaps of an origin that are open at `now`.
pub fn open_gaps(
    draft: &Draft<Look>,
    tenant: &TenantId,
    origin: &Origin,
    now: Timestamp,
) -> Result<OriginGaps, DraftError<ReadError>> {
    let mut gaps = gaps_of(draft, tenant, origin)?;
    let ledgers = ledgers_of(draft, tenant, origin, streams(&gaps))?;
    gaps.close(&ledgers, now);
    Ok(gaps)
}

/// The gaps of an origin as they are noted. Those that do not read are begun anew: their agent tells again.
fn gaps_of(draft: &Draft<Look>, tenant: &TenantId, origin: &Origin) -> Result<OriginGaps, DraftError<ReadError>> {
    let read = draft.read(&FactKey::Gaps(tenant.clone(), origin.clone()));
    Ok(readable(read, "what was noted of an agent's gaps does not read, it is noted anew")?.unwrap_or_default())
}

/// Those of the ledgers of these streams that there are.
fn ledgers_of(
    draft: &Draft<Look>,
    tenant: &TenantId,
    origin: &Origin,
    streams: impl IntoIterator<Item = Stream>,
) -> Result<BTreeMap<Stream, StreamLedger>, DraftError<ReadError>> {
    let mut ledgers = BTreeMap::new();
    for stream in streams {
        if ledgers.contains_key(&stream) {
            continue;
        }
        let read = draft.read(&FactKey::Ledger(tenant.clone(), origin.clone(), stream.clone()));
        if let Some(ledger) = readable(read, "a ledger does not read, its gaps are not known")? {
            ledgers.insert(stream, ledger);
        }
    }
    Ok(ledgers)
}

fn readable<T>(read: Result<Option<T>, DraftError<ReadError>>, what: &str) -> Result<Option<T>, DraftError<ReadError>> {
    match read {
        Err(error @ DraftError::Stored(_)) => {
            error!(error = %Chain(&error), "{what}");
            Ok(None)
        }
        read => read,
    }
}

#[cfg(test)]
mod tests;
