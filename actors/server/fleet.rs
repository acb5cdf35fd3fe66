//! The devices of a tenant with their records and software, as reconcile, export and answers read them.

use muster::id::{DeviceId, TenantId};
use muster::model::device::{Device, DeviceFact, Provenance, RecordKey};
use muster::model::discovery::Discoveries;
use muster::model::fact::{FactKey, FactKind};
use muster::model::inventory::{Detail, Installed};
use muster::model::software::{InstalledTitle, Title, TitleId};
use muster::model::staged::StagedRecord;
use muster::model::stored::{self, StoredError};
use muster::model::titles::unpack_titles;
use muster::model::usage_periods::UsagePeriods;
use muster::roles::server::view::key;
use muster::roles::server::{DeviceRow, SoftwareHead, details, unite};
use muster::time::Timestamp;

use super::books::Books;
use crate::log::ReadError;
use crate::store::StoreError;

/// Why the fleet cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A fact cannot be read.
    #[error("cannot read a fact")]
    Read(#[source] ReadError),
    /// The view does not answer.
    #[error(transparent)]
    View(#[from] StoreError),
    /// A fact or row is not what was written.
    #[error("a fact or row does not read")]
    Stored(#[from] StoredError),
}

/// A record of a device.
#[derive(Clone, Debug)]
pub struct DeviceRecord {
    /// What names it.
    pub key: RecordKey,
    /// What is staged of it.
    pub staged: StagedRecord,
    /// Order of the Matcher that joined it.
    pub matcher: Option<i64>,
}

/// A device as an answer shows it.
#[derive(Clone, Debug)]
pub struct WholeDevice {
    /// The device.
    pub device: Device,
    /// Its records, ascending by key.
    pub records: Vec<DeviceRecord>,
}

/// Reads devices. A view over [`Books`], made for each question.
#[derive(Clone, Copy)]
pub struct Fleet<'b> {
    books: &'b Books,
}

impl<'b> Fleet<'b> {
    /// The fleet of these books.
    pub fn of(books: &'b Books) -> Fleet<'b> {
        Fleet { books }
    }

    fn tenant(&self) -> &'b TenantId {
        &self.books.tenant
    }

    /// The value of a fact.
    pub fn fact<T: serde::de::DeserializeOwned>(&self, key: &FactKey) -> Result<Option<T>, FleetError> {
        let value = self.books.facts.get(&key.encode()).map_err(FleetError::Read)?;
        Ok(value.map(|value| stored::unpack(&value)).transpose()?)
    }

    /// The device `id`; an alias gives the device it was merged into.
    pub fn device(&self, id: DeviceId) -> Result<Option<WholeDevice>, FleetError> {
        let mut id = id;
        // An alias names the winner, which is no alias; bounded all the same.
        for _ in 0..8 {
            let fact: Option<DeviceFact> = self.fact(&FactKey::Device(self.tenant().clone(), id))?;
            let Some(fact) = fact else { return Ok(None) };
            match fact.device.merged_into {
                Some(winner) => id = winner,
                None => return self.whole(fact.device).map(Some),
            }
        }
        Ok(None)
    }

    /// `device` with its records.
    pub fn whole(&self, device: Device) -> Result<WholeDevice, FleetError> {
        let mut records = Vec::with_capacity(device.bindings.len());
        for binding in &device.bindings {
            let staged = self.fact(&FactKey::Record(self.tenant().clone(), binding.record.clone()))?;
            let record = |staged| DeviceRecord { key: binding.record.clone(), staged, matcher: binding.matcher };
            records.extend(staged.map(record));
        }
        Ok(WholeDevice { device, records })
    }

    /// At most `limit` device facts behind `after`, ascending; aliases among them.
    pub fn devices(&self, after: Option<DeviceId>, limit: usize) -> Result<Vec<DeviceFact>, FleetError> {
        self.device_facts(&self.device_ids(after, limit))
    }

    /// Numbers of at most `limit` devices behind `after`, ascending; aliases among them.
    pub fn device_ids(&self, after: Option<DeviceId>, limit: usize) -> Vec<DeviceId> {
        let after = after.map(|id| FactKey::Device(self.tenant().clone(), id).encode());
        let keys = self.books.facts.keys(&FactKind::Device.prefix(Some(self.tenant())), after.as_deref(), limit);
        let id = |key: &[u8]| match FactKey::decode(key) {
            Some(FactKey::Device(_, id)) => Some(id),
            _ => None,
        };
        keys.into_iter().filter_map(|(key, _)| id(&key)).collect()
    }

    /// The facts of these devices, as far as there are any.
    pub fn device_facts(&self, ids: &[DeviceId]) -> Result<Vec<DeviceFact>, FleetError> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| FactKey::Device(self.tenant().clone(), *id).encode()).collect();
        let mut devices: Vec<Result<Option<DeviceFact>, FleetError>> = keys.iter().map(|_| Ok(None)).collect();
        self.books.facts.get_all(&keys, |place, value| {
            let value = value.map_err(FleetError::Read);
            devices[place] = value.and_then(|value| Ok(value.map(|value| stored::unpack(&value)).transpose()?));
        });
        devices.into_iter().filter_map(Result::transpose).collect()
    }

    /// At most `limit` rows of the list of devices behind `after`, ascending by id.
    pub fn rows(&self, after: Option<DeviceId>, limit: usize) -> Result<Vec<DeviceRow>, FleetError> {
        let after = after.map(|id| key::device(self.tenant(), id));
        let rows = self.books.view.store().scan(&key::devices(self.tenant()), after.as_deref(), limit)?;
        rows.into_iter().map(|(_, row)| Ok(stored::unpack(&row)?)).collect()
    }

    /// The titles of one record as numbers, of all its accounts.
    fn titles_of(&self, record: &DeviceRecord) -> Result<Vec<InstalledTitle>, FleetError> {
        let store = self.books.view.store();
        let mut titles = Vec::new();
        for report in record.staged.software_streams() {
            let head = store.get(&key::software(self.tenant(), &record.key, &report.stream))?;
            let head: Option<SoftwareHead> = head.map(|head| stored::unpack(&head)).transpose()?;
            for chunk in 0..head.map_or(0, |head| head.chunks) {
                let row = store.get(&key::titles(self.tenant(), &record.key, &report.stream, chunk))?;
                titles.extend(row.and_then(|row| unpack_titles(&row)).unwrap_or_default());
            }
        }
        titles.sort_unstable();
        Ok(titles)
    }

    /// Installed titles of a device, ascending: the union over its records, in which a title that one record has several
    /// times (for several architectures) stays so often.
    pub fn titles(&self, device: &WholeDevice) -> Result<Vec<InstalledTitle>, FleetError> {
        let mut union: Vec<InstalledTitle> = Vec::new();
        for record in &device.records {
            union = unite(&union, &self.titles_of(record)?);
        }
        Ok(union)
    }

    /// Installed software of a device by name, version and so on.
    pub fn software(&self, device: &WholeDevice) -> Result<Vec<Installed>, FleetError> {
        let store = self.books.view.store();
        let mut software = Vec::new();
        for InstalledTitle { title, install_date } in self.titles(device)? {
            let row = store.get(&key::title(self.tenant(), title))?;
            let title: Option<Title> = row.map(|row| stored::unpack(&row)).transpose()?;
            software.extend(title.map(|title| (title, install_date)));
        }
        software.sort();
        Ok(software)
    }

    /// The periods of usage of a device that are kept at `now`, those of each of its records.
    pub fn usage(&self, device: &WholeDevice, now: Timestamp) -> Result<Vec<UsagePeriods>, FleetError> {
        self.usage_of(device.records.iter().map(|record| &record.key), now)
    }

    /// The same of a device with these records.
    pub fn usage_of<'r>(
        &self,
        records: impl Iterator<Item = &'r RecordKey>,
        now: Timestamp,
    ) -> Result<Vec<UsagePeriods>, FleetError> {
        let mut usage: Vec<UsagePeriods> =
            self.beside(records, |record| FactKey::Usage(self.tenant().clone(), record.clone()))?;
        usage.iter_mut().for_each(|periods| periods.expire(now));
        Ok(usage)
    }

    /// What was discovered of a device, of each of its records.
    pub fn discoveries(&self, device: &WholeDevice) -> Result<Vec<Discoveries>, FleetError> {
        let records = device.records.iter().map(|record| &record.key);
        self.beside(records, |record| FactKey::Discovery(self.tenant().clone(), record.clone()))
    }

    fn beside<'r, T: serde::de::DeserializeOwned>(
        &self,
        records: impl Iterator<Item = &'r RecordKey>,
        key: impl Fn(&RecordKey) -> FactKey,
    ) -> Result<Vec<T>, FleetError> {
        records.filter_map(|record| self.fact(&key(record)).transpose()).collect()
    }

    /// Every title of the tenant.
    pub fn all_titles(&self) -> Result<Vec<(TitleId, Title)>, FleetError> {
        let (mut titles, mut after) = (Vec::new(), None::<bytes::Bytes>);
        loop {
            let page = self.books.view.store().scan(&key::all_titles(self.tenant()), after.as_deref(), 1_000)?;
            let Some((last, _)) = page.last() else { return Ok(titles) };
            after = Some(last.clone());
            for (key, row) in page {
                titles.extend(
                    key::number_of_title(&key)
                        .map(|number| Ok((number, stored::unpack(&row)?)))
                        .transpose()
                        .map_err(|error: StoredError| error)?,
                );
            }
        }
    }
}

impl WholeDevice {
    /// What its records know beyond the values of the device, best first.
    pub fn details(&self, primary: Option<&str>) -> Vec<(Detail, String, Provenance)> {
        details(self.records.iter().map(|record| (&record.key, &record.staged)), primary)
    }
}
