use super::*;
use crate::log::{DiskFile, Space};
use muster::formats::disco::{Device, Disco, Service};
use muster::formats::marks::{Mark, Told, read_marks};
use muster::formats::wire;
use muster::time::{DAY_MS, HOUR_MS};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: Timestamp = Timestamp(1_750_000_000_000);

fn report(content: &[u8]) -> Report<'_> {
    Report {
        kind: Kind::Inventories,
        account: "root",
        machine: "web 07",
        kind_type: "Full",
        collected_at: NOW,
        content,
    }
}

fn open(folder: &Path) -> Outbox {
    Outbox::open(OutboxDisks::open(folder).unwrap(), NOW).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_published_report_is_there_after_a_restart_under_the_same_identity() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let queued = outbox.publish(report(b"<x/>"), NOW).unwrap();
    let parcel = outbox.load(queued.package).unwrap();
    let name = "root on web=2007 at 20250615T150640 (Full).ndi.gz";
    assert_eq!(*parcel.envelope.file_name, *name);
    assert_eq!(files(&folder.path().join("uploads/Inventories")), [name, &format!("{name}.envelope")]);
    assert_eq!(std::fs::read(folder.path().join("inventories/root on web=2007.ndi")).unwrap(), b"<x/>");
    wire::upload_name("Inventories", &wire::percent_encode(name)).unwrap();
    let guid = outbox.guid();
    drop(outbox);
    let outbox = open(folder.path());
    assert_eq!((outbox.guid(), outbox.last_collected()), (guid, Some(NOW)));
    let again = outbox.load(outbox.queued()[0].package).unwrap();
    assert_eq!((again.envelope, again.bytes), (parcel.envelope, parcel.bytes));
}

#[test]
fn a_sequence_is_never_used_twice_and_the_newer_one_has_the_larger_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for life in 0..4 {
        let mut outbox = open(folder.path());
        let queued = outbox.publish(report(format!("<x life='{life}'/>").as_bytes()), NOW).unwrap();
        seen.push(outbox.load(queued.package).unwrap().envelope.sequence.unwrap());
        let newest = outbox.queued().into_iter().max_by_key(|queued| queued.package).unwrap();
        assert_eq!(newest, queued);
        if life == 2 {
            outbox.supersede(queued.package);
        }
    }
    assert_eq!(seen.iter().map(|sequence| sequence.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(seen.iter().all(|sequence| sequence.epoch == seen[0].epoch));
    let outbox = open(folder.path());
    let newest = outbox.queued().into_iter().max_by_key(|queued| queued.package).unwrap();
    assert_eq!(outbox.load(newest.package).unwrap().envelope.sequence, Some(seen[3]));
}

#[test]
fn a_lost_state_begins_a_new_epoch_but_keeps_the_identity_of_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    outbox.publish(report(b"<x/>"), NOW).unwrap();
    let (guid, epoch) = (outbox.guid(), outbox.epoch());
    drop(outbox);
    std::fs::write(folder.path().join(STATE), b"torn").unwrap();
    let mut outbox = open(folder.path());
    assert_eq!(outbox.guid(), guid);
    assert_ne!(outbox.epoch(), epoch);
    let queued = outbox.publish(report(b"<y/>"), NOW).unwrap();
    assert_eq!(outbox.load(queued.package).unwrap().envelope.sequence.unwrap().number, 1);
    drop(outbox);
    let outbox = open(folder.path());
    let newest = outbox.queued().into_iter().max_by_key(|queued| queued.package).unwrap();
    assert_eq!(outbox.load(newest.package).unwrap().envelope.sequence.unwrap().epoch, outbox.epoch());
}

#[test]
fn what_is_damaged_is_set_aside_and_what_was_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = folder.path().join("uploads/Inventories");
    let mut outbox = open(folder.path());
    for ndi in ["<a/>", "<b/>", "<c/>"] {
        outbox.publish(report(ndi.as_bytes()), NOW).unwrap();
    }
    drop(outbox);
    let names = files(&uploads);
    std::fs::write(uploads.join(&names[0]), b"other bytes").unwrap();
    std::fs::write(uploads.join(&names[3]), b"other envelope").unwrap();
    std::fs::write(uploads.join("half.ndi.gz.tmp"), b"x").unwrap();
    std::fs::write(uploads.join("gone.ndi.gz.envelope"), b"x").unwrap();
    let outbox = open(folder.path());
    assert_eq!(outbox.queued().len(), 1);
    assert_eq!(files(&uploads), names[4..]);
    assert_eq!(files(&folder.path().join("damaged")).len(), 4);
}

#[test]
fn bytes_that_changed_since_they_were_published_are_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let queued = outbox.publish(report(b"<x/>"), NOW).unwrap();
    let uploads = folder.path().join("uploads/Inventories");
    std::fs::write(uploads.join(&files(&uploads)[0]), b"other bytes").unwrap();
    assert!(matches!(outbox.load(queued.package), Err(OutboxError::Damaged { .. })));
    outbox.set_aside(queued.package, NOW);
    assert!(outbox.queued().is_empty() && files(&uploads).is_empty());
    assert_eq!(files(&folder.path().join("damaged")).len(), 2);
}

#[test]
fn the_last_five_refused_reports_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    for day in 0..8 {
        let now = NOW.plus_ms(day * 1_000);
        let queued = outbox.publish(Report { collected_at: now, ..report(b"<x/>") }, now).unwrap();
        outbox.refuse(queued.package, now);
    }
    let kept = files(&folder.path().join("refused"));
    assert_eq!(kept.len(), 2 * REFUSED_KEPT);
    assert!(kept[0].starts_with(&NOW.plus_ms(3_000).to_stamp()), "{kept:?}");
}

fn usage(content: &[u8]) -> Report<'_> {
    Report { kind: Kind::UsageData, kind_type: "", ..report(content) }
}

/// Publishes and delivers usage at `now`.
fn delivered(outbox: &mut Outbox, content: &[u8], now: Timestamp) -> Parcel {
    let queued = outbox.publish(Report { collected_at: now, ..usage(content) }, now).unwrap();
    let parcel = outbox.load(queued.package).unwrap();
    outbox.deliver(queued.package, now);
    parcel
}

fn marks(text: &str) -> Vec<Mark> {
    let (marks, bad) = read_marks(text);
    assert_eq!(bad, 0);
    marks
}

#[test]
fn delivered_usage_is_sent_again_as_it_was_and_told_of_until_it_is_eight_days_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let epoch = outbox.epoch();
    let inventory = outbox.publish(report(b"<x/>"), NOW).unwrap();
    outbox.deliver(inventory.package, NOW);
    let sent: Vec<Parcel> =
        (0..5).map(|n| delivered(&mut outbox, format!("<u n='{n}'/>").as_bytes(), NOW.plus_ms(n * DAY_MS))).collect();
    let waiting = outbox.publish(usage(b"<waiting/>"), NOW).unwrap();
    // Told of and kept over a restart.
    drop(outbox);
    let mut outbox = Outbox::open(OutboxDisks::open(folder.path()).unwrap(), NOW.plus_ms(4 * DAY_MS)).unwrap();
    let told = outbox.told(NOW.plus_ms(4 * DAY_MS));
    let (stock, stream) = (format!("Inventories/root/Full={epoch}:1"), format!("UsageData/root/={epoch}"));
    assert_eq!((told.published, told.acked), (format!("{stock},{stream}:6"), format!("{stock},{stream}:1-5")));
    let (queued, collect) = outbox.send_again(&marks(&format!("{stream}:2-3,{stream}:6,{stock}")), NOW);
    assert_eq!((queued.len(), collect), (2, true));
    for (queued, sent) in queued.iter().zip(&sent[1..]) {
        let again = outbox.load(queued.package).unwrap();
        assert_eq!((again.envelope, again.bytes), (sent.envelope.clone(), sent.bytes.clone()));
    }
    assert_eq!(outbox.told(NOW.plus_ms(4 * DAY_MS)).acked, format!("{stock},{stream}:1-5"));
    // They are queued: asked for once more they are not queued twice, also after a restart.
    drop(outbox);
    let mut outbox = open(folder.path());
    assert_eq!(outbox.send_again(&marks(&format!("{stream}:2-3")), NOW), (vec![], false));
    let packages: Vec<PackageNumber> = outbox.queued().iter().map(|queued| queued.package).collect();
    assert_eq!(packages.len(), 3);
    packages.iter().for_each(|package| outbox.deliver(*package, NOW.plus_ms(9 * DAY_MS)));
    // What is too old is gone, from the disk too; what was sent again is as old as it was.
    let kept = outbox.told(NOW.plus_ms(9 * DAY_MS)).acked;
    assert_eq!(kept, format!("{stock},{stream}:2-6"));
    assert_eq!(outbox.told(NOW.plus_ms(12 * DAY_MS + 1)).acked, format!("{stock},{stream}:6"));
    assert_eq!(files(&folder.path().join("sent")).len(), 2);
    assert_eq!(waiting.kind, Kind::UsageData);
}

#[test]
fn what_is_damaged_of_delivered_usage_is_not_sent_again_and_keeps_nothing_else_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let sent = folder.path().join("sent");
    for n in 0..4 {
        delivered(&mut outbox, format!("<u n='{n}'/>").as_bytes(), NOW.plus_ms(n * 1_000));
    }
    let names = files(&sent);
    assert_eq!(names.len(), 8);
    std::fs::write(sent.join(&names[0]), b"other bytes").unwrap();
    std::fs::write(sent.join(&names[3]), b"other envelope").unwrap();
    std::fs::remove_file(sent.join(&names[4])).unwrap();
    for leftover in ["half.tmp", "no stamp.mmi.gz", "x.envelope", "20250615T150640 "] {
        std::fs::write(sent.join(leftover), b"x").unwrap();
    }
    drop(outbox);
    let mut outbox = open(folder.path());
    let stream = format!("UsageData/root/={}", outbox.epoch());
    assert_eq!(outbox.told(NOW).acked, format!("{stream}:1,{stream}:4"));
    let (queued, _) = outbox.send_again(&marks(&format!("{stream}:1-4")), NOW);
    let again: Vec<u64> =
        queued.iter().map(|queued| outbox.load(queued.package).unwrap().envelope.sequence.unwrap().number).collect();
    assert_eq!(again, [4]);
    assert_eq!(files(&sent).len(), 2);
}

#[test]
fn what_is_given_up_is_told_by_number_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let mut numbers: Vec<PackageNumber> =
        (0..5).map(|n| outbox.publish(report(format!("<x n='{n}'/>").as_bytes()), NOW).unwrap().package).collect();
    let (damaged, refused) = (numbers.remove(4), numbers.remove(3));
    numbers.into_iter().for_each(|package| outbox.supersede(package));
    outbox.refuse(refused, NOW);
    outbox.set_aside(damaged, NOW);
    drop(outbox);
    let mut outbox = open(folder.path());
    let stream = format!("Inventories/root/Full={}", outbox.epoch());
    let told = outbox.told(NOW);
    assert_eq!((told.superseded, told.refused), (format!("{stream}:1-3"), format!("{stream}:4-5")));
}

#[test]
fn what_is_asked_for_all_the_time_goes_once_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    delivered(&mut outbox, b"<u/>", NOW);
    let asked = marks(&format!("UsageData/root/={}:1", outbox.epoch()));
    let mut sent = 0;
    for hour in 0..9 * 24 {
        let now = NOW.plus_ms(hour * HOUR_MS);
        outbox.told(now);
        let (queued, _) = outbox.send_again(&asked, now);
        sent += queued.len();
        queued.iter().for_each(|queued| outbox.deliver(queued.package, now));
    }
    assert_eq!(sent, 9, "kept for eight days");
    assert_eq!(outbox.told(NOW.plus_ms(9 * DAY_MS)).acked, "");
}

#[test]
fn an_agent_is_heard_once_a_receiver_took_an_inventory_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    assert!(outbox.is_heard(), "nothing was said");
    delivered(&mut outbox, b"<x/>", NOW);
    let refused = outbox.publish(report(b"<x/>"), NOW).unwrap();
    outbox.refuse(refused.package, NOW);
    drop(outbox);
    let mut outbox = open(folder.path());
    assert!(!outbox.is_heard(), "usage was taken, no inventory");
    let taken = outbox.publish(report(b"<y/>"), NOW).unwrap();
    outbox.deliver(taken.package, NOW);
    assert!(outbox.is_heard());
}

#[test]
fn a_stock_that_was_lost_is_collected_anew_and_never_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let first = outbox.publish(report(b"<x/>"), NOW).unwrap();
    let stream = format!("Inventories/root/Full={}", outbox.epoch());
    assert_eq!(outbox.told(NOW), Told { published: format!("{stream}:1"), ..Told::default() });
    outbox.deliver(first.package, NOW);
    assert_eq!(outbox.told(NOW).acked, format!("{stream}:1"));
    assert_eq!(outbox.send_again(&marks(&format!("{stream}:1")), NOW), (vec![], true));
    outbox.publish(report(b"<y/>"), NOW).unwrap();
    outbox.collected();
    assert_eq!(outbox.send_again(&marks(&format!("{stream}:1")), NOW), (vec![], false), "a later one is queued");
    assert!(files(&folder.path().join("sent")).is_empty());
}

#[test]
fn what_a_collection_does_not_bring_back_is_asked_for_in_vain_until_it_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let oracle = Report { kind_type: ORACLE, ..report(b"<oracle/>") };
    let queued = outbox.publish(oracle, NOW).unwrap();
    outbox.deliver(queued.package, NOW);
    let stream = format!("Inventories/root/Oracle={}", outbox.epoch());
    let asked = marks(&format!("{stream}:1"));
    assert_eq!(outbox.send_again(&asked, NOW), (vec![], true));
    outbox.publish(report(b"<x/>"), NOW).unwrap();
    outbox.collected();
    assert_eq!(outbox.send_again(&asked, NOW), (vec![], false));
    assert_eq!(outbox.told(NOW).acked, "");
    drop(outbox);
    let mut outbox = open(folder.path());
    assert_eq!(outbox.send_again(&asked, NOW), (vec![], false), "over a restart");
    let oracle = Report { kind_type: ORACLE, ..report(b"<oracle/>") };
    let queued = outbox.publish(oracle, NOW).unwrap();
    outbox.deliver(queued.package, NOW);
    assert_eq!(outbox.told(NOW).acked, format!("{stream}:2"));
    assert_eq!(outbox.send_again(&marks(&format!("{stream}:2")), NOW), (vec![], true));
}

#[test]
fn a_lost_discovery_of_no_services_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let service = Service { kind: "MySQL".into(), name: "mysql".into(), ..Service::default() };
    let host = |services| Disco {
        machine_name: "web07".into(),
        devices: vec![Device { name: "web07".into(), services, ..Device::default() }],
        ..Disco::default()
    };
    for services in [vec![service], vec![]] {
        let queued = outbox.publish_discovery(&host(services), "root", NOW, NOW).unwrap().unwrap();
        outbox.deliver(queued.package, NOW);
    }
    assert!(outbox.publish_discovery(&host(vec![]), "root", NOW, NOW).unwrap().is_none());
    let asked = marks(&format!("Discovery/root/={}:2", outbox.epoch()));
    assert_eq!(outbox.send_again(&asked, NOW), (vec![], true));
    let again = outbox.publish_discovery(&host(vec![]), "root", NOW, NOW).unwrap().unwrap();
    outbox.collected();
    // The same when it is its bytes that are lost.
    outbox.set_aside(again.package, NOW);
    assert!(outbox.publish_discovery(&host(vec![]), "root", NOW, NOW).unwrap().is_some());
}

#[test]
fn an_account_with_dots_still_gives_a_name_that_receivers_take() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let odd = Report { account: "..", machine: &"ü".repeat(99), ..report(b"<x/>") };
    let queued = outbox.publish(odd, NOW).unwrap();
    let name = outbox.load(queued.package).unwrap().envelope.file_name;
    wire::upload_name("Inventories", &wire::percent_encode(&name)).unwrap();
}

#[test]
fn an_earlier_life_is_not_heard_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let first = outbox.begin_life(NOW).unwrap();
    outbox.check(first).unwrap();
    outbox.begin_life(NOW).unwrap();
    assert!(matches!(outbox.check(first), Err(OutboxError::Outdated)));
}

/// A folder whose writing calls fail, all of them from call number `left` on: a full disk.
struct FullDisk(Arc<dyn Disk>, Arc<AtomicUsize>);

struct FullFile(Arc<dyn DiskFile>, Arc<AtomicUsize>);

fn spend(left: &AtomicUsize) -> io::Result<()> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    spent.map(|_| ()).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
}

impl Disk for FullDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.1)?;
        Ok(Arc::new(FullFile(self.0.create(name)?, self.1.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        spend(&self.1)?;
        self.0.rename(from, to)
    }
    fn sync_folder(&self) -> io::Result<()> {
        spend(&self.1)?;
        self.0.sync_folder()
    }
    fn space(&self) -> io::Result<Space> {
        self.0.space()
    }
}

impl DiskFile for FullFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        if let Err(error) = spend(&self.1) {
            // A full disk takes a part.
            self.0.write_at(offset, &mut [IoSlice::new(b"\x01torn")])?;
            return Err(error);
        }
        self.0.write_at(offset, parts)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&self) -> io::Result<()> {
        spend(&self.1)?;
        self.0.sync()
    }
}

/// Publishes with a disk that is full from each writing call on, then with room again: what was queued stays, no
/// sequence comes twice, and with room publishing works again, with and without a restart.
#[test]
fn a_disk_that_is_full_at_any_call_loses_nothing_and_repeats_no_sequence() {
    for (full_from, is_restarted) in (0..40).flat_map(|call| [(call, false), (call, true)]) {
        let folder = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let real = OutboxDisks::open(folder.path()).unwrap();
        let full = |disk: &Arc<dyn Disk>| Arc::new(FullDisk(disk.clone(), left.clone())) as Arc<dyn Disk>;
        let disks = OutboxDisks {
            data: full(&real.data),
            uploads: real.uploads.iter().map(|(kind, disk)| (*kind, full(disk))).collect(),
            inventories: full(&real.inventories),
            sent: full(&real.sent),
            refused: full(&real.refused),
            damaged: full(&real.damaged),
        };
        let mut outbox = Outbox::open(disks, NOW).unwrap();
        let guid = outbox.guid();
        let first = outbox.publish(report(b"<first/>"), NOW).unwrap();
        let first = outbox.load(first.package).unwrap();
        left.store(full_from, Ordering::SeqCst);
        let second = outbox.publish(report(b"<second/>"), NOW.plus_ms(1)).ok();
        let second = second.map(|queued| outbox.load(queued.package).unwrap());
        left.store(usize::MAX, Ordering::SeqCst);
        if is_restarted {
            outbox = open(folder.path());
        }
        let third = outbox.publish(report(b"<third/>"), NOW.plus_ms(2)).unwrap();
        let third = outbox.load(third.package).unwrap();
        let outbox = open(folder.path());
        assert_eq!(outbox.guid(), guid);
        let queued = outbox.queued();
        let kept: Vec<Envelope> = queued.iter().map(|queued| outbox.load(queued.package).unwrap().envelope).collect();
        for parcel in [Some(&first), second.as_ref(), Some(&third)].into_iter().flatten() {
            assert!(kept.contains(&parcel.envelope), "full from call {full_from}: {:?}", parcel.envelope.sequence);
        }
        let numbers: BTreeSet<Sequence> = kept.iter().filter_map(|envelope| envelope.sequence).collect();
        assert_eq!(numbers.len(), kept.len(), "full from call {full_from}");
        assert_eq!(kept.last(), Some(&third.envelope), "the newest comes last");
    }
}

/// A discovery of this host with this many services.
fn discovery(services: u16) -> Disco {
    let service = |port| Service { kind: "MySQL".into(), name: "mysql".into(), port: Some(port), ..Service::default() };
    let services = (1..=services).map(service).collect();
    let device = Device { name: "web 07".into(), services, ..Device::default() };
    Disco { machine_name: "web 07".into(), devices: vec![device], ..Disco::default() }
}

#[test]
fn a_discovery_is_queued_as_it_is_and_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let queued = outbox.publish_discovery(&discovery(1), "root", NOW, NOW).unwrap().unwrap();
    let parcel = outbox.load(queued.package).unwrap();
    let name = "web=2007 at 20250615T150640.disco";
    assert_eq!((queued.kind, &*parcel.envelope.file_name), (Kind::Discovery, name));
    assert_eq!(parcel.envelope.stream, Some(Stream::new(Kind::Discovery, "root", "")));
    assert_eq!(files(&folder.path().join("uploads/Discovery")), [name, &format!("{name}.envelope")]);
    wire::upload_name("Discovery", &wire::percent_encode(name)).unwrap();
    assert_eq!(Disco::read(&parcel.bytes[..]).unwrap().0, discovery(1));
    assert_eq!(files(&folder.path().join("inventories")), [""; 0]);
}

#[test]
fn that_no_service_is_left_is_told_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tell = |services| {
        let mut outbox = open(folder.path());
        outbox.publish_discovery(&discovery(services), "root", NOW, NOW).unwrap().is_some()
    };
    assert_eq!([0, 0, 2, 1, 0, 0, 1, 0, 0].map(tell), [false, false, true, true, true, false, true, true, false]);
}

#[test]
fn an_agent_whose_state_is_lost_takes_back_what_it_may_have_told() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).publish(report(b"<x/>"), NOW).unwrap();
    std::fs::write(folder.path().join(STATE), b"torn").unwrap();
    let mut outbox = open(folder.path());
    assert!(outbox.publish_discovery(&discovery(0), "root", NOW, NOW).unwrap().is_some());
    assert!(outbox.publish_discovery(&discovery(0), "root", NOW, NOW).unwrap().is_none());
}

#[test]
fn the_state_of_an_agent_that_knew_no_discovery_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (guid, epoch) = {
        let outbox = open(folder.path());
        (outbox.guid(), outbox.epoch())
    };
    let before = (guid, epoch, BTreeMap::<Stream, StreamState>::new(), Some(NOW));
    std::fs::write(folder.path().join(STATE), stored::pack(&before)).unwrap();
    let outbox = open(folder.path());
    assert_eq!((outbox.guid(), outbox.epoch(), outbox.last_collected()), (guid, epoch, Some(NOW)));
    assert!(!outbox.state.has_services);
}

#[test]
fn the_inventory_of_oracle_has_a_stream_of_its_own_and_no_readable_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path());
    let full = outbox.publish(report(b"<full/>"), NOW).unwrap();
    let oracle = outbox.publish(Report { kind_type: ORACLE, ..report(b"<oracle/>") }, NOW).unwrap();
    assert_ne!(full.stream, oracle.stream);
    let envelope = outbox.load(oracle.package).unwrap().envelope;
    assert_eq!(&*envelope.file_name, "root on web=2007 at 20250615T150640 (Oracle).ndi.gz");
    assert_eq!(envelope.sequence.unwrap().number, 1);
    let readable = folder.path().join("inventories");
    assert_eq!(files(&readable), ["root on web=2007.ndi"]);
    assert_eq!(std::fs::read(readable.join("root on web=2007.ndi")).unwrap(), b"<full/>");
}
