//! `GET /packages`, `GET /packages/{digest}` and its `/body`: where each package is, how it ended, and its bytes.
//!
//! Without an order of its own the list stands by kind, digest and origin. State, kind, origin, digest, size and time of
//! a held package are known without reading it; a filter or order by `name` reads every held body once. What is missing is
//! listed by `state=missing` only: it is not here.

use std::ops::ControlFlow;

use muster::id::Digest;
use muster::model::aside::{Aside, AsideRecord};
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Envelope, Kind, Origin, PackageKey};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::stored;
use muster::time::Timestamp;
use serde_json::{Value, json};

use super::device::NodeNames;
use super::listing::{Asked, Cell, Fields, Form, Page, Window};
use super::problem::Problem;
use super::{Answer, Api, Question, missing};
use crate::log::Held;
use crate::server::fleet::Fleet;

/// The word for packages in custody without a final state.
pub const HELD: &str = "held";
/// The word for packages that a node took and that never came.
pub const MISSING: &str = "missing";
/// Keys that are looked at together.
const PAGE: usize = 1_000;
/// Origins of one digest that are shown.
const ORIGINS_MAX: usize = 100;

const FORM: Form = Form {
    fields: &["digest", "kind", "name", "origin", "state", "size", "received", "settled"],
    parameters: &["origin", "state", "kind"],
};
/// Fields that the ledger's entry has to be read for.
const OF_SETTLEMENT: [&str; 5] = ["name", "state", "size", "received", "settled"];

/// A package as it is known without asking the disk, or with what was read of it.
enum Package {
    /// Held without a final state.
    Held(Held, PackageKey, Option<Envelope>),
    /// In a final state; the ledger's entry where it was read.
    Settled(PackageKey, Option<Settlement>),
    /// Kept for good by a beacon, and never seen here.
    Aside(PackageKey, AsideRecord),
}

impl Package {
    fn key(&self) -> &PackageKey {
        match self {
            Package::Held(_, key, _) | Package::Settled(key, _) | Package::Aside(key, _) => key,
        }
    }

    fn envelope(&self) -> Option<&Envelope> {
        match self {
            Package::Held(.., envelope) => envelope.as_ref(),
            Package::Settled(_, settlement) => settlement.as_ref().map(|settlement| &settlement.envelope),
            Package::Aside(..) => None,
        }
    }

    fn settlement(&self) -> Option<&Settlement> {
        match self {
            Package::Held(..) | Package::Aside(..) => None,
            Package::Settled(_, settlement) => settlement.as_ref(),
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Package::Held(..) => Some(HELD),
            Package::Settled(_, settlement) => settlement.as_ref().map(|settlement| settlement.state.as_str()),
            Package::Aside(_, record) if record.why == Aside::Expired => Some(FinalState::Expired.as_str()),
            Package::Aside(..) => Some(FinalState::Quarantined.as_str()),
        }
    }

    /// When it ended.
    fn settled(&self) -> Option<Timestamp> {
        match self {
            Package::Held(..) => None,
            Package::Settled(_, settlement) => settlement.as_ref().map(|settlement| settlement.settled),
            Package::Aside(_, record) => Some(record.since),
        }
    }

    fn reason(&self, names: &NodeNames) -> Option<String> {
        match self {
            Package::Held(..) => None,
            Package::Settled(_, settlement) => settlement.as_ref()?.reason.clone(),
            Package::Aside(_, record) => {
                Some(format!("set aside at beacon {}: {}", names.name(record.beacon), record.why.reason()))
            }
        }
    }

    /// When this server took it.
    fn received(&self) -> Option<Timestamp> {
        match self {
            Package::Held(held, ..) => Some(held.time),
            Package::Settled(..) => self.envelope()?.hops.last().map(|hop| hop.received),
            Package::Aside(..) => None,
        }
    }
}

impl Fields for Package {
    fn cell(&self, field: &str) -> Cell<'_> {
        let time = |at: Option<Timestamp>| at.map_or(Cell::Null, Cell::Time);
        match (field, self) {
            ("digest", _) => Cell::text(self.key().digest.to_string()),
            ("kind", _) => Cell::text(self.key().kind.as_str()),
            ("origin", _) => Cell::text(self.key().origin.as_str()),
            ("state", _) => self.state().map_or(Cell::Null, Cell::text),
            ("name", _) => self.envelope().map_or(Cell::Null, |envelope| Cell::text(&*envelope.file_name)),
            ("size", Package::Held(held, ..)) => Cell::count(u64::from(held.body_bytes)),
            ("size", _) => self.envelope().map_or(Cell::Null, |envelope| Cell::count(envelope.size)),
            ("received", _) => time(self.received()),
            ("settled", _) => time(self.settled()),
            _ => Cell::Null,
        }
    }
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &FORM)?;
    let states: Vec<&str> = [HELD, MISSING].into_iter().chain(FinalState::ALL.map(FinalState::as_str)).collect();
    asked.check("state", &states)?;
    asked.check("kind", &Kind::ALL.map(Kind::as_str))?;
    if asked.wholes("state").any(|state| state == MISSING) {
        return Ok(Answer::Json(missing::page(api, &asked)?.json(|missing| missing.shown())));
    }
    let page = page(api, &asked)?;
    let names = api.node_names();
    Ok(Answer::Json(page.json(|package| shown(&package, &names))))
}

/// Held packages that were taken first.
pub(super) fn oldest_held(api: &Api, limit: usize) -> Result<Page<Value>, Problem> {
    let asked = Asked::of(&format!("state={HELD}&sort=received&limit={limit}"), &FORM)?;
    let (page, names) = (page(api, &asked)?, api.node_names());
    let items = page.items.iter().map(|package| shown(package, &names)).collect();
    Ok(Page { items, next: page.next, total: page.total })
}

fn page(api: &Api, asked: &Asked) -> Result<Page<Package>, Problem> {
    let wants = |held: bool| asked.wholes("state").all(|state| (state == HELD) == held);
    let mut window = Window::new(asked);
    if wants(true) {
        let read = asked.looks_at(&["name"]);
        api.each_unsettled(|held, key| {
            let envelope = if read { envelope(api, &held) } else { None };
            let id = key.encode(&api.books.tenant);
            window.offer(&id, Package::Held(held, key, envelope), |package| package);
            ControlFlow::Continue(())
        });
    }
    if wants(false) {
        let read = asked.looks_at(&OF_SETTLEMENT);
        each_settled(api, |key| {
            let settlement = if read { settlement(api, &key)? } else { None };
            let id = key.encode(&api.books.tenant);
            window.offer(&id, Package::Settled(key, settlement), |package| package);
            Ok(())
        })?;
        for (key, record) in set_aside(api) {
            window.offer(&key.encode(&api.books.tenant), Package::Aside(key.clone(), record), |package| package);
        }
    }
    let Page { items, next, total } = window.page();
    let items = items.into_iter().map(|package| whole(api, package)).collect::<Result<_, Problem>>()?;
    Ok(Page { items, next, total })
}

fn each_settled(api: &Api, mut each: impl FnMut(PackageKey) -> Result<(), Problem>) -> Result<(), Problem> {
    let (prefix, mut after) = (FactKind::Package.prefix(Some(&api.books.tenant)), None::<Box<[u8]>>);
    loop {
        let keys = api.books.facts.keys(&prefix, after.as_deref(), PAGE);
        let Some((last, _)) = keys.last() else { return Ok(()) };
        after = Some(last.clone());
        for (encoded, _) in &keys {
            if let Some(FactKey::Package(_, key)) = FactKey::decode(encoded) {
                each(key)?;
            }
        }
    }
}

/// What beacons keep in quarantine and is not here.
pub(super) fn set_aside(api: &Api) -> Vec<(PackageKey, AsideRecord)> {
    let mut aside = Vec::new();
    // A record that does not read is swept, and told by its beacon anew.
    api.books.facts.each(&FactKind::Aside.prefix(Some(&api.books.tenant)), |encoded, _, value| {
        let Some(FactKey::Aside(tenant, key)) = FactKey::decode(encoded) else { return };
        let is_here = api.logs.package_index.find(&key.encode(&tenant)).is_some()
            || api.books.facts.contains(&FactKey::Package(tenant, key.clone()).encode());
        if let (false, Ok(record)) = (is_here, stored::unpack::<AsideRecord>(&value)) {
            aside.push((key, record));
        }
    });
    aside
}

fn settlement(api: &Api, key: &PackageKey) -> Result<Option<Settlement>, Problem> {
    Ok(Fleet::of(&api.books).fact(&FactKey::Package(api.books.tenant.clone(), key.clone()))?)
}

/// The envelope of a held package. One that does not read is the loader's to tell, and shows as unknown here.
fn envelope(api: &Api, held: &Held) -> Option<Envelope> {
    let record = api.logs.package_index.read(held.handle)?.ok()?;
    stored::unpack(&record.head).ok()
}

/// `package` with all that there is to read; one that was settled meanwhile as it is now.
fn whole(api: &Api, package: Package) -> Result<Package, Problem> {
    let key = package.key().clone();
    if let Package::Settled(_, Some(_)) | Package::Aside(..) = package {
        return Ok(package);
    }
    if let Some(settlement) = settlement(api, &key)? {
        return Ok(Package::Settled(key, Some(settlement)));
    }
    Ok(match package {
        Package::Held(held, key, None) => {
            let envelope = envelope(api, &held);
            Package::Held(held, key, envelope)
        }
        package => package,
    })
}

fn shown(package: &Package, names: &NodeNames) -> Value {
    let (key, envelope, settlement) = (package.key(), package.envelope(), package.settlement());
    let sequence = envelope.and_then(|envelope| envelope.sequence);
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let size = match package {
        Package::Held(held, ..) => Some(u64::from(held.body_bytes)),
        Package::Settled(..) | Package::Aside(..) => envelope.map(|envelope| envelope.size),
    };
    json!({
        "digest": key.digest.to_string(),
        "kind": key.kind.as_str(),
        "name": envelope.map(|envelope| &*envelope.file_name),
        "origin": key.origin.as_str(),
        "unproven": envelope.map(|envelope| envelope.unproven),
        "stream": envelope.and_then(|envelope| envelope.stream.as_ref()).map(|stream| stream.as_str()),
        "size": size,
        "epoch": sequence.map(|sequence| sequence.epoch.to_string()),
        "sequence": sequence.map(|sequence| sequence.number),
        "state": package.state(),
        "reason": package.reason(names),
        "clock": settlement.and_then(|settlement| settlement.clock),
        "collected_at": time(envelope.and_then(|envelope| envelope.collected_at)),
        "first_received": time(envelope.map(|envelope| envelope.first_received)),
        "received": time(package.received()),
        "settled": time(package.settled()),
        "hops": names.hops(envelope.map(|envelope| &envelope.hops[..]).unwrap_or_default()),
    })
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let found = asked_for(api, question)?;
    let names = api.node_names();
    let mut shown = found.iter().map(|package| shown(package, &names));
    let mut answer = shown.next().ok_or_else(nothing_arrived)?;
    answer["others"] = shown.collect();
    Ok(Answer::Json(answer))
}

/// The bytes of a package as they came. They are checked against the digest once more: what is handed out is it.
pub(super) fn body(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let found = asked_for(api, question)?;
    for package in &found {
        let key = package.key();
        let Some(held) = api.logs.package_index.find(&key.encode(&api.books.tenant)) else { continue };
        let Some(Ok(record)) = api.logs.package_index.read(held.handle) else { continue };
        if Digest::of(&record.body) == key.digest {
            let name =
                package.envelope().map_or_else(|| key.digest.to_string(), |envelope| envelope.file_name.to_string());
            return Ok(Answer::Bytes { bytes: record.body, name });
        }
    }
    match &found[..] {
        [] => Err(nothing_arrived()),
        [Package::Aside(..), ..] => {
            Err(Problem::missing("the bytes of this package are at the beacon that set it aside"))
        }
        _ => Err(Problem::missing("the bytes of this package are kept no longer, only what was made of it")),
    }
}

fn nothing_arrived() -> Problem {
    Problem::missing("no package of this digest has arrived here")
}

/// The packages with the digest that was asked for, newest first; of two of one time the one with the smaller key, so
/// that there is one answer.
fn asked_for(api: &Api, question: &Question) -> Result<Vec<Package>, Problem> {
    question.takes_no_parameters()?;
    let digest: Digest = question.id.parse().map_err(|_| {
        Problem::missing("a package is named by its digest: the 64 hexadecimal digits of its bytes' SHA-256")
    })?;
    let mut found = of_digest(api, digest)?;
    found.sort_by(|a, b| b.received().cmp(&a.received()).then_with(|| a.key().cmp(b.key())));
    Ok(found)
}

/// The packages with these bytes, of every kind and origin; of more than [`ORIGINS_MAX`] of a kind the first.
fn of_digest(api: &Api, digest: Digest) -> Result<Vec<Package>, Problem> {
    let mut found = Vec::new();
    api.each_unsettled(|held, key| {
        if key.digest == digest {
            found.push(Package::Held(held, key, None));
        }
        if found.len() < ORIGINS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    for kind in Kind::ALL {
        // Keys of one kind and digest stand together; they begin like the one of the empty origin.
        let first = PackageKey { origin: Origin("".into()), kind, digest };
        let prefix = FactKey::Package(api.books.tenant.clone(), first).encode();
        let keys = api.books.facts.keys(&prefix, None, ORIGINS_MAX).into_iter();
        found.extend(keys.filter_map(|(encoded, _)| match FactKey::decode(&encoded) {
            Some(FactKey::Package(_, key)) => Some(Package::Settled(key, None)),
            _ => None,
        }));
    }
    let aside = set_aside(api).into_iter().filter(|(key, _)| key.digest == digest);
    found.extend(aside.map(|(key, record)| Package::Aside(key, record)));
    let mut whole = found.into_iter().map(|package| whole(api, package)).collect::<Result<Vec<Package>, Problem>>()?;
    // What was settled between the two looks was found twice.
    whole.sort_by(|a, b| a.key().cmp(b.key()));
    whole.dedup_by(|a, b| a.key() == b.key());
    Ok(whole)
}
