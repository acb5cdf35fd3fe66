//! Crash points of a package's whole way: a beacon accepts it, forwards it to the server, the server imports it, devices
//! are made. Both nodes lose their power in the same moment, at every disk call; then they go on to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use muster::formats::gzip;
use muster::formats::ndi::read_ndi_gz;
use muster::id::{Digest, Guid, TenantId};
use muster::matching::{Forbidden, Matchers, Placeholders, standard_matchers};
use muster::model::device::{DeviceFact, RecordKey};
use muster::model::draft::{Draft, DraftError};
use muster::model::fact::{FactKey, FactKind};
use muster::model::inventory::Inventory;
use muster::model::package::{Envelope, Hop, Kind, Origin, PackageKey, Sequence, Stream};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::model::tenant::TenantState;
use muster::roles::server::{Content, ImportRules, KEPT_MS, Keep, import, keep, settle};
use muster::upload::ledger::{Counts, StreamLedger};
use muster_actors::log::{Disk, DiskFile, FactIndex, Facts, LogError, Packages, ReadError, Space};

use super::*;

/// Small segments, so that sealing and compaction are among the crash points.
const SEGMENT_BYTES: u64 = 3_000;

/// One log's folder on the one disk of the trial.
struct Folder(SimDisk, &'static str);

impl Folder {
    fn path(&self, name: &str) -> String {
        format!("{}-{name}", self.1)
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let prefix = self.path("");
        Ok(self.0.list()?.iter().filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect())
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(&self.path(name))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(&self.path(name))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(&self.path(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&self.path(from), &self.path(to))
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.0.sync_folder()
    }
    fn space(&self) -> io::Result<Space> {
        self.0.space()
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

/// Report `number` of one of two agents. The third of each comes before the second, the fourth is no inventory.
fn report(number: u64) -> (Envelope, Bytes) {
    let (agent, place) = (number % 2, number / 2);
    let sequence = [1, 3, 2, 4][place as usize % 4] + 4 * (place / 4);
    let xml = format!(
        r#"<Inventory Tracker="1" Audience="Machine" MachineName="pc{agent}" UserName="root" Type="Full"
        DateTime="20250314T0315{sequence:02}"><Hardware Class="MGS_ComputerSystem" Name="x">
        <Property Name="MachineID" Value="m{agent}"/></Hardware></Inventory>"#
    );
    let xml = if sequence % 4 == 0 { "<Inventory".to_owned() } else { xml };
    let body = Bytes::from(gzip::compress(xml.as_bytes()));
    let envelope = Envelope {
        origin: Origin(format!("agent-{agent}").into()),
        kind: Kind::Inventories,
        stream: Some(Stream::new(Kind::Inventories, "root", "Full")),
        file_name: "x.ndi.gz".into(),
        size: body.len() as u64,
        digest: Digest::of(&body),
        sequence: Some(Sequence { epoch: 1, number: sequence }),
        collected_at: Some(at(sequence)),
        first_received: at(number),
        unproven: true,
        hops: vec![Hop { node: Guid::NIL, received: at(number) }],
    };
    (envelope, body)
}

/// The disk does not answer any more. Anything else that a step meets is a broken invariant.
#[derive(Debug)]
struct Cut;

impl From<LogError> for Cut {
    fn from(_: LogError) -> Cut {
        Cut
    }
}

impl From<ReadError> for Cut {
    fn from(error: ReadError) -> Cut {
        assert!(matches!(error, ReadError::Disk { .. }), "I5: held and not whole: {error}");
        Cut
    }
}

impl From<DraftError<ReadError>> for Cut {
    fn from(error: DraftError<ReadError>) -> Cut {
        match error {
            DraftError::Read(error) => error.into(),
            DraftError::Stored(error) => panic!("I5: a fact does not read: {error}"),
        }
    }
}

/// The logs of both nodes.
struct Nodes {
    beacon: Packages,
    inbox: Packages,
    facts: Facts,
    rules: ImportRules,
}

impl Nodes {
    fn open(disk: &SimDisk) -> Result<Nodes, LogError> {
        let folder = |name| Arc::new(Folder(disk.clone(), name));
        Ok(Nodes {
            beacon: Packages::open(folder("beacon"), SEGMENT_BYTES, 1)?.0,
            inbox: Packages::open(folder("inbox"), SEGMENT_BYTES, 2)?.0,
            facts: Facts::open(folder("facts"), SEGMENT_BYTES, 3)?.0,
            rules: ImportRules {
                matchers: Matchers::load(standard_matchers(), None).expect("the standard Matchers"),
                placeholders: Placeholders::default(),
                forbidden: Forbidden::default(),
                primary: None,
            },
        })
    }

    /// The beacon's part of an upload: true after the sync, which is when the receipt is given.
    fn accept(&mut self, number: u64) -> Result<(), Cut> {
        let (envelope, body) = report(number);
        let (key, head) = (envelope.key().encode(&tenant()), stored::pack(&envelope));
        self.beacon.hold(at(number), key.into(), head.into(), body)?;
        Ok(self.beacon.sync()?)
    }

    /// Forwards everything the beacon holds, and lets go of it behind the server's receipt.
    fn forward(&mut self) -> Result<(), Cut> {
        for held in self.beacon.index().after(None, usize::MAX) {
            let record = self.beacon.index().read(held.handle).expect("held")?;
            self.inbox.hold(at(50), record.key, record.head, record.body)?;
            self.inbox.sync()?;
            self.beacon.release(at(51), &held.key, true)?;
        }
        self.beacon.sync()?;
        self.beacon.compact(at(52))?;
        Ok(())
    }

    /// Settles everything without a final state, two packages in one commit.
    fn load(&mut self) -> Result<(), Cut> {
        let index = self.facts.index();
        let waiting: Vec<_> = self.inbox.index().after(None, usize::MAX);
        for pair in waiting.chunks(2) {
            let mut draft = Draft::new(|key: &[u8]| index.get(key));
            for held in pair {
                let record = self.inbox.index().read(held.handle).expect("held")?;
                let envelope: Envelope = stored::unpack(&record.head).expect("an envelope");
                assert_eq!(Digest::of(&record.body), envelope.digest, "I6: the same bytes");
                let content = match read_ndi_gz(&record.body[..]) {
                    Ok((file, _)) => Content::Inventory(Box::new(Inventory::of(&file).expect("an inventory"))),
                    Err(error) => Content::Bad(error.to_string()),
                };
                settle(&mut draft, &tenant(), envelope, content, at(60))?;
            }
            self.commit(draft.into_writes().collect())?;
        }
        Ok(())
    }

    fn import(&mut self) -> Result<(), Cut> {
        let records = all(&self.facts.index(), FactKind::Record, |key| match key {
            FactKey::Record(_, record) => record,
            other => panic!("{other:?}"),
        })?;
        let devices: Vec<DeviceFact> =
            all(&self.facts.index(), FactKind::Device, |_| ())?.into_iter().map(|((), fact)| fact).collect();
        let state = self.state()?;
        let imported = import(&self.rules, &records, &devices, &state, at(70));
        // Each device in a commit of its own, the counters of the import with the last: more places to be cut.
        let key = FactKey::Tenant(tenant());
        let part = TenantState { next_device: imported.state.next_device, ..state };
        let write = |key: &FactKey, value: Vec<u8>| (key.encode(), Some(value));
        for fact in &imported.devices {
            let device = FactKey::Device(tenant(), fact.device.id);
            self.commit(vec![write(&device, stored::pack(fact)), write(&key, stored::pack(&part))])?;
        }
        self.commit(vec![write(&key, stored::pack(&imported.state))])?;
        self.facts.index().cover(self.facts.index().newest());
        self.facts.compact(at(71))?;
        Ok(())
    }

    /// Lets go of what the server's rule does not keep, as if all of it were old, and rewrites the inbox.
    fn sweep(&mut self) -> Result<(), Cut> {
        let (facts, now) = (self.facts.index(), at(80).plus_ms(2 * KEPT_MS));
        for held in self.inbox.index().after(None, usize::MAX) {
            let (tenant, key) = PackageKey::decode(&held.key).expect("a key");
            let Some(entry) = read::<Settlement>(&facts, &FactKey::Package(tenant.clone(), key))? else { continue };
            let record = entry.record.clone().map(|record| FactKey::Record(tenant, record));
            let record = record.map(|key| read::<StagedRecord>(&facts, &key)).transpose()?.flatten();
            if keep(&entry, record.as_ref(), None, now) != Keep::Body {
                self.inbox.release(at(80), &held.key, false)?;
            }
        }
        self.inbox.compact(at(81))?;
        Ok(())
    }

    fn state(&self) -> Result<TenantState, Cut> {
        let value = self.facts.index().get(&FactKey::Tenant(tenant()).encode())?;
        Ok(value.map(|value| stored::unpack(&value).expect("counters")).unwrap_or_default())
    }

    fn commit(&mut self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Cut> {
        let writes = writes.into_iter().map(|(key, value)| (Bytes::from(key), value.map(Bytes::from))).collect();
        self.facts.commit(at(65), writes)?;
        Ok(self.facts.sync()?)
    }
}

fn read<T: serde::de::DeserializeOwned>(facts: &FactIndex, key: &FactKey) -> Result<Option<T>, Cut> {
    let value = facts.get(&key.encode())?;
    Ok(value.map(|value| stored::unpack(&value).expect("a value")))
}

fn all<K, T: serde::de::DeserializeOwned>(
    facts: &FactIndex,
    kind: FactKind,
    part: fn(FactKey) -> K,
) -> Result<Vec<(K, T)>, Cut> {
    let mut found = Vec::new();
    let damaged = facts.each(&kind.prefix(None), |key, _, value| {
        found.push((part(FactKey::decode(key).expect("a key")), stored::unpack(&value).expect("a value")));
    });
    match damaged.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(found),
    }
}

/// Six reports in three rounds of accept, forward, load, import.
struct WholeWay;

#[derive(Default)]
struct Receipts(BTreeSet<u64>);

impl Trial for WholeWay {
    type Answered = Receipts;

    fn run(&self, disk: &SimDisk, answered: &mut Receipts) {
        let Ok(mut nodes) = Nodes::open(disk) else { return };
        for round in 0..4u64 {
            for number in round * 2..round * 2 + 2 {
                if nodes.accept(number).is_err() {
                    return;
                }
                answered.0.insert(number);
            }
            let steps = [Nodes::forward, Nodes::load, Nodes::import, Nodes::sweep];
            if steps.into_iter().any(|step| step(&mut nodes).is_err()) {
                return;
            }
        }
    }

    fn check(&self, disk: &SimDisk, answered: &Receipts) -> Result<(), String> {
        let mut nodes = Nodes::open(disk).map_err(|error| format!("start fails: {error}"))?;
        let index = nodes.facts.index();
        let settled = |index: &FactIndex| -> BTreeMap<PackageKey, Settlement> {
            let entries = all(index, FactKind::Package, |key| match key {
                FactKey::Package(_, package) => package,
                other => panic!("{other:?}"),
            });
            entries.expect("this disk answers").into_iter().collect()
        };
        for &number in &answered.0 {
            let key = report(number).0.key();
            let held = [&nodes.beacon, &nodes.inbox].map(|log| log.index().find(&key.encode(&tenant())).is_some());
            if held == [false; 2] && !settled(&index).contains_key(&key) {
                return Err(format!("I1: report {number} had a receipt and is gone"));
            }
        }
        consistent(&index, &settled(&index), &nodes.inbox)?;
        // They go on to the end, and once more, which must change nothing (I10, I15).
        for _ in 0..2 {
            let steps = [Nodes::forward, Nodes::load, Nodes::import, Nodes::sweep];
            steps.into_iter().try_for_each(|step| step(&mut nodes)).map_err(|Cut| "the log takes nothing")?;
        }
        let ended = settled(&index);
        consistent(&index, &ended, &nodes.inbox)?;
        for &number in &answered.0 {
            let envelope = report(number).0;
            let settlement = ended.get(&envelope.key()).ok_or(format!("I10: report {number} has no final state"))?;
            let is_bad = envelope.sequence.is_some_and(|sequence| sequence.number % 4 == 0);
            if is_bad != (settlement.state == FinalState::Quarantined) {
                return Err(format!("I16: report {number} ended as {}", settlement.state));
            }
        }
        if nodes.beacon.index().totals().0 != 0 {
            return Err("I10: something is still at the beacon".into());
        }
        let devices: Vec<((), DeviceFact)> = all(&index, FactKind::Device, |_| ()).expect("this disk answers");
        let agents: BTreeSet<u64> = answered.0.iter().filter(|number| **number < 6).map(|number| number % 2).collect();
        if devices.len() < agents.len() || devices.len() > 2 {
            return Err(format!("{} devices of {} agents", devices.len(), agents.len()));
        }
        Ok(())
    }
}

/// I2, I4, I7, I8: entries, counts and staged records tell the same, and what is staged can be read again.
fn consistent(index: &FactIndex, settled: &BTreeMap<PackageKey, Settlement>, inbox: &Packages) -> Result<(), String> {
    let ledgers: Vec<((), StreamLedger)> = all(index, FactKind::Ledger, |_| ()).expect("this disk answers");
    let mut counts = Counts::default();
    ledgers.iter().for_each(|((), ledger)| counts.add(ledger.counts()));
    let of = |state| settled.values().filter(|settlement| settlement.state == state).count() as u64;
    let found = [of(FinalState::Imported), of(FinalState::Stale), of(FinalState::Quarantined)];
    if found != [counts.imported, counts.stale, counts.quarantined] {
        return Err(format!("I2: entries {found:?}, counts {counts:?}"));
    }
    let records: Vec<(RecordKey, StagedRecord)> = all(index, FactKind::Record, |key| match key {
        FactKey::Record(_, record) => record,
        other => panic!("{other:?}"),
    })
    .expect("this disk answers");
    for (key, record) in &records {
        for staged in record.reports() {
            let settlement = settled.get(&staged.package).ok_or(format!("I2: {key:?} is staged without an entry"))?;
            let held = inbox.index().find(&staged.package.encode(&tenant()));
            if !held.is_some_and(|held| matches!(inbox.index().read(held.handle), Some(Ok(_)))) {
                return Err(format!("I4: the body of what {key:?} shows is gone"));
            }
            let newest = settled
                .values()
                .filter(|other| other.state == FinalState::Imported && other.envelope.origin == staged.package.origin)
                .map(|other| other.envelope.sequence)
                .max();
            if settlement.state != FinalState::Imported || Some(settlement.envelope.sequence) != newest {
                return Err(format!("I8: {key:?} shows {:?}, imported {newest:?}", settlement.envelope.sequence));
            }
        }
    }
    let imported: BTreeSet<&Origin> = settled
        .values()
        .filter(|settlement| settlement.state == FinalState::Imported)
        .map(|settlement| &settlement.envelope.origin)
        .collect();
    if imported.len() != records.len() {
        return Err(format!("I2: {} origins imported, {} records staged", imported.len(), records.len()));
    }
    Ok(())
}

#[test]
fn every_power_cut_of_a_whole_way_loses_nothing_and_imports_nothing_twice() {
    let tried = every_power_cut(&WholeWay).unwrap();
    assert!(tried.points > 150 && tried.disks > 1_500, "{tried:?}");
}

#[test]
fn every_failing_call_of_a_whole_way_loses_nothing_and_imports_nothing_twice() {
    let tried = every_fault(&WholeWay).unwrap();
    assert!(tried.points > 500, "{tried:?}");
}
