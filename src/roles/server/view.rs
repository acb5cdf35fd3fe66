//! The view: what facts and packages say, laid out for look-ups. [`apply`] writes it, live and at replay, and nobody else.
//!
//! ```text
//! space (1 byte), tenant (length byte, text), then
//! Device    d  device id (8 bytes)                          DeviceRow
//! Software  s  record, stream                               SoftwareHead: the package it came in, how many chunks
//! Titles    l  record, stream, chunk number (4 bytes)       titles as numbers (`model::titles`)
//! Title     t  number (4 bytes)                             Title
//! Number    n  digest of a title (32 bytes)                 its number
//! Next      x  -                                            number of the next new title
//! ```
//!
//! Texts in keys stand behind their length. Numbers of titles are the view's own: after a rebuild they may be others, so
//! no answer and no fact shows them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::known_titles::KnownTitles;
use super::settle::Staged;
use crate::id::{DeviceId, Digest, TenantId};
use crate::model::computer::Property;
use crate::model::device::{Device, DeviceFact, RecordKey};
use crate::model::package::{PackageKey, Stream};
use crate::model::software::{InstalledTitle, Title, TitleId};
use crate::model::stored::{self, StoredError};
use crate::model::titles::pack_titles;

/// A device as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// The device.
    pub id: DeviceId,
    /// Computer name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Maker.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Hardware UUID.
    pub uuid: String,
    /// Operating system.
    pub os: String,
    /// `Computer`, `VM`, ...
    pub device_type: String,
    /// Latest inventory, Unix seconds.
    pub last_inventory: i64,
    /// Sources of its records, ascending, each once.
    pub sources: Vec<Arc<str>>,
    /// How many records.
    pub records: u32,
}

impl DeviceRow {
    /// The row of `device`.
    pub fn of(device: &Device) -> DeviceRow {
        let value = |property| device.values.get(property).map(|(text, _)| text.to_owned()).unwrap_or_default();
        let or = |first: String, second: String| if first.is_empty() { second } else { first };
        let mut sources: Vec<Arc<str>> = device.bindings.iter().map(|binding| binding.record.source.clone()).collect();
        sources.sort();
        sources.dedup();
        DeviceRow {
            id: device.id,
            name: value(Property::ComputerName),
            domain: value(Property::ComplianceDomainID),
            manufacturer: value(Property::Manufacturer),
            model: value(Property::ModelNo),
            serial: or(value(Property::SerialNo), value(Property::FirmwareSerialNumber)),
            uuid: value(Property::UUID),
            os: value(Property::OperatingSystem),
            device_type: value(Property::ComputerType),
            last_inventory: device.inventory_date,
            sources,
            records: u32::try_from(device.bindings.len()).unwrap_or(u32::MAX),
        }
    }
}

/// What stands in front of the titles of one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftwareHead {
    /// The package that lists them.
    pub package: PackageKey,
    /// How many chunks follow.
    pub chunks: u32,
}

/// Something that happened, as far as the view shows it.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// A device fact.
    Device(&'a DeviceFact),
    /// Software of a staged report, and the package it came in.
    Software(&'a Staged, &'a PackageKey),
}

/// One write; without a value the key is removed.
pub type ViewWrite = (Vec<u8>, Option<Vec<u8>>);

/// Why the view cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError<E> {
    /// The store does not answer.
    #[error("the view does not answer")]
    Store(#[source] E),
    /// A row is not what was written.
    #[error("a row of the view does not read")]
    Row(#[from] StoredError),
    /// A tenant with more titles than there are numbers.
    #[error("more than {} titles", u32::MAX)]
    Titles,
}

/// The writes that show `shown`. `look` reads a row as it will be before these writes; `known` keeps what it said of titles,
/// and what these writes say.
///
/// Applying twice is the same as once.
pub fn apply<V: AsRef<[u8]>, E>(
    tenant: &TenantId,
    shown: Shown<'_>,
    known: &mut KnownTitles,
    look: impl Fn(&[u8]) -> Result<Option<V>, E>,
) -> Result<Vec<ViewWrite>, ViewError<E>> {
    match shown {
        Shown::Device(fact) => {
            let key = key::device(tenant, fact.device.id);
            // An alias is no device of its own.
            let row = fact.device.merged_into.is_none().then(|| stored::pack(&DeviceRow::of(&fact.device)));
            Ok(vec![(key, row)])
        }
        Shown::Software(staged, package) => software(tenant, staged, package, known, look),
    }
}

fn software<V: AsRef<[u8]>, E>(
    tenant: &TenantId,
    staged: &Staged,
    package: &PackageKey,
    known: &mut KnownTitles,
    look: impl Fn(&[u8]) -> Result<Option<V>, E>,
) -> Result<Vec<ViewWrite>, ViewError<E>> {
    fn read<V: AsRef<[u8]>, E, T: serde::de::DeserializeOwned>(
        look: &impl Fn(&[u8]) -> Result<Option<V>, E>,
        key: &[u8],
    ) -> Result<Option<T>, ViewError<E>> {
        let found = look(key).map_err(ViewError::Store)?;
        Ok(found.map(|value| stored::unpack(value.as_ref())).transpose()?)
    }
    let mut writes = Vec::new();
    let next_key = key::next_title(tenant);
    let first_free: u32 = read(&look, &next_key)?.unwrap_or(1);
    let mut next = first_free;
    let numbers = known.with_room(tenant, staged.software.len());
    let mut titles = Vec::with_capacity(staged.software.len());
    for (title, install_date) in staged.software.iter() {
        let number = match numbers.get(&title) {
            Some(number) => *number,
            None => {
                let title = title.to_title();
                let number_key = key::number(tenant, &title);
                let known: Option<u32> = read(&look, &number_key)?;
                let number = TitleId(known.unwrap_or(next));
                if known.is_none() {
                    next = next.checked_add(1).ok_or(ViewError::Titles)?;
                    writes.push((number_key, Some(stored::pack(&number.0))));
                    writes.push((key::title(tenant, number), Some(stored::pack(&title))));
                }
                numbers.insert(title, number);
                number
            }
        };
        titles.push(InstalledTitle { title: number, install_date });
    }
    if next != first_free {
        // First, so that a number is never given twice, whatever becomes of the rows behind it.
        writes.insert(0, (next_key, Some(stored::pack(&next))));
    }
    let head_key = key::software(tenant, &staged.record, &staged.stream);
    let before: u32 = read(&look, &head_key)?.map_or(0, |head: SoftwareHead| head.chunks);
    let chunks = pack_titles(titles);
    let count = chunks.len() as u32;
    let chunk_key = |chunk: u32| key::titles(tenant, &staged.record, &staged.stream, chunk);
    writes.extend((0..).zip(chunks).map(|(number, chunk)| (chunk_key(number), Some(chunk))));
    writes.extend((count..before).map(|number| (chunk_key(number), None)));
    let head = SoftwareHead { package: package.clone(), chunks: count };
    writes.push((head_key, Some(stored::pack(&head))));
    if let Some(evicted) = &staged.evicted {
        let head_key = key::software(tenant, &staged.record, evicted);
        let chunks: u32 = read(&look, &head_key)?.map_or(0, |head: SoftwareHead| head.chunks);
        writes.extend((0..chunks).map(|chunk| (key::titles(tenant, &staged.record, evicted, chunk), None)));
        writes.push((head_key, None));
    }
    Ok(writes)
}

/// Keys of the view.
pub mod key {
    use super::*;

    fn begin(space: u8, tenant: &TenantId) -> Vec<u8> {
        let mut key = vec![space];
        put(&mut key, tenant.as_str());
        key
    }

    fn put(key: &mut Vec<u8>, text: &str) {
        // Our texts are all far shorter than 64 KiB.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        key.extend_from_slice(&length.to_be_bytes());
        key.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    }

    fn record_and_stream(mut key: Vec<u8>, record: &RecordKey, stream: &Stream) -> Vec<u8> {
        put(&mut key, &record.source);
        put(&mut key, &record.external_id);
        put(&mut key, stream.as_str());
        key
    }

    /// What all devices of a tenant begin with.
    pub fn devices(tenant: &TenantId) -> Vec<u8> {
        begin(b'd', tenant)
    }

    /// A device.
    pub fn device(tenant: &TenantId, id: DeviceId) -> Vec<u8> {
        let mut key = devices(tenant);
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    /// The head of a report's software.
    pub fn software(tenant: &TenantId, record: &RecordKey, stream: &Stream) -> Vec<u8> {
        record_and_stream(begin(b's', tenant), record, stream)
    }

    /// One chunk of a report's titles.
    pub fn titles(tenant: &TenantId, record: &RecordKey, stream: &Stream, chunk: u32) -> Vec<u8> {
        let mut key = record_and_stream(begin(b'l', tenant), record, stream);
        key.extend_from_slice(&chunk.to_be_bytes());
        key
    }

    /// What all titles of a tenant begin with.
    pub fn all_titles(tenant: &TenantId) -> Vec<u8> {
        begin(b't', tenant)
    }

    /// A title.
    pub fn title(tenant: &TenantId, number: TitleId) -> Vec<u8> {
        let mut key = all_titles(tenant);
        key.extend_from_slice(&number.0.to_be_bytes());
        key
    }

    /// The number in a key of [`title`].
    pub fn number_of_title(key: &[u8]) -> Option<TitleId> {
        key.last_chunk::<4>().map(|number| TitleId(u32::from_be_bytes(*number)))
    }

    /// The number of a title.
    pub fn number(tenant: &TenantId, title: &Title) -> Vec<u8> {
        let mut key = begin(b'n', tenant);
        key.extend_from_slice(&Digest::of(&stored::pack(title)).0);
        key
    }

    /// The number of the next new title.
    pub fn next_title(tenant: &TenantId) -> Vec<u8> {
        begin(b'x', tenant)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::package::{Kind, Origin};
    use crate::model::software::TitleList;
    use crate::model::titles::unpack_titles;

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    fn tenant() -> TenantId {
        TenantId::default_tenant()
    }

    fn show(rows: &mut Rows, shown: Shown<'_>) {
        show_knowing(rows, shown, &mut KnownTitles::default());
    }

    fn show_knowing(rows: &mut Rows, shown: Shown<'_>, known: &mut KnownTitles) {
        let writes = apply(&tenant(), shown, known, |key| Ok::<_, ()>(rows.get(key).cloned())).unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }

    fn record() -> RecordKey {
        RecordKey { source: "agent".into(), external_id: "a".into() }
    }

    fn stream() -> Stream {
        Stream("Inventories/root/Full".into())
    }

    fn report(names: &[&str]) -> Staged {
        let mut software = TitleList::default();
        names.iter().for_each(|name| software.push([name, "1", "", "deb"], None));
        Staged { record: record(), stream: stream(), software, evicted: None }
    }

    fn package(text: &str) -> PackageKey {
        PackageKey { origin: Origin("a".into()), kind: Kind::Inventories, digest: Digest::of(text.as_bytes()) }
    }

    fn names(rows: &Rows) -> Vec<String> {
        let head: SoftwareHead = stored::unpack(&rows[&key::software(&tenant(), &record(), &stream())]).unwrap();
        let chunk = |number| rows[&key::titles(&tenant(), &record(), &stream(), number)].clone();
        let titles = (0..head.chunks).flat_map(|number| unpack_titles(&chunk(number)).unwrap());
        titles
            .map(|installed| stored::unpack::<Title>(&rows[&key::title(&tenant(), installed.title)]).unwrap())
            .map(|title| title.name().to_owned())
            .collect()
    }

    #[test]
    fn a_title_is_stored_once_and_a_report_replaces_the_one_before() {
        let mut rows = Rows::new();
        show(&mut rows, Shown::Software(&report(&["a", "b", "a"]), &package("1")));
        assert_eq!(names(&rows), ["a", "a", "b"]);
        show(&mut rows, Shown::Software(&report(&["c", "b"]), &package("2")));
        assert_eq!(names(&rows), ["b", "c"]);
        let titles = rows.keys().filter(|key| key.starts_with(&key::all_titles(&tenant()))).count();
        assert_eq!(titles, 3);
        show(&mut rows, Shown::Software(&report(&[]), &package("3")));
        assert!(names(&rows).is_empty() && !rows.contains_key(&key::titles(&tenant(), &record(), &stream(), 0)));
    }

    #[test]
    fn what_is_known_of_titles_changes_no_row() {
        let (mut forgetful, mut rows, mut known) = (Rows::new(), Rows::new(), KnownTitles::default());
        for (number, titles) in [&["a", "b", "a"][..], &["c", "b"], &[], &["d", "a", "c"]].iter().enumerate() {
            let (report, package) = (report(titles), package(&number.to_string()));
            show(&mut forgetful, Shown::Software(&report, &package));
            show_knowing(&mut rows, Shown::Software(&report, &package), &mut known);
            assert_eq!(rows, forgetful);
        }
    }

    #[test]
    fn a_stream_that_had_to_go_leaves_no_row() {
        let mut rows = Rows::new();
        show(&mut rows, Shown::Software(&report(&["a"]), &package("1")));
        let other = Stream("Inventories/kim/Full".into());
        let next = Staged { stream: other, evicted: Some(stream()), ..report(&["a"]) };
        show(&mut rows, Shown::Software(&next, &package("2")));
        let of_old = rows.keys().filter(|row| row.windows(4).any(|four| four == b"root")).count();
        assert_eq!(of_old, 0);
    }

    #[test]
    fn applying_twice_is_the_same_as_once() {
        let mut once = Rows::new();
        show(&mut once, Shown::Software(&report(&["a", "b"]), &package("1")));
        let mut twice = once.clone();
        show(&mut twice, Shown::Software(&report(&["a", "b"]), &package("1")));
        assert_eq!(once, twice);
    }

    #[test]
    fn a_device_that_became_an_alias_leaves_the_list() {
        let device = Device {
            id: DeviceId(5),
            inventory_date: 9,
            values: Default::default(),
            bindings: vec![],
            merged_into: None,
        };
        let fact =
            |merged_into| DeviceFact { device: Device { merged_into, ..device.clone() }, changed: Default::default() };
        let mut rows = Rows::new();
        show(&mut rows, Shown::Device(&fact(None)));
        let row: DeviceRow = stored::unpack(&rows[&key::device(&tenant(), DeviceId(5))]).unwrap();
        assert_eq!((row.id, row.last_inventory, row.records), (DeviceId(5), 9, 0));
        show(&mut rows, Shown::Device(&fact(Some(DeviceId(1)))));
        assert!(rows.is_empty());
    }

    #[test]
    fn keys_of_one_tenant_never_begin_like_another_s() {
        let (a, ab): (TenantId, TenantId) = ("a".parse().unwrap(), "ab".parse().unwrap());
        assert!(!key::device(&ab, DeviceId(1)).starts_with(&key::devices(&a)));
        assert!(key::device(&a, DeviceId(2)) < key::device(&a, DeviceId(256)));
        assert_eq!(key::number_of_title(&key::title(&a, TitleId(77))), Some(TitleId(77)));
    }
}
