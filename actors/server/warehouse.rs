//! The data warehouse update: tables of a tenant as CSV files, see `muster::model::warehouse`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use muster::model::day::Day;
use muster::model::fact::FactKind;
use muster::model::licensing::Total;
use muster::model::reconciliation::LicencePosition;
use muster::model::settlement::Settlement;
use muster::model::stored;
use muster::model::warehouse::{WarehouseTable, schema};
use muster::roles::server::DeviceRow;
use muster::time::{SECOND_MS, Timestamp};

use super::books::Books;
use super::fleet::{Fleet, FleetError};
use super::licensing::Runs;
use crate::errors::Chain;

/// Files of each table that the archive keeps of a tenant: a year of Sundays.
const ARCHIVED_MAX: usize = 53;
/// Devices that are read together.
const PAGE: usize = 1_000;

/// Why an update ended early.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// A file.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The fleet cannot be read.
    #[error("cannot read the fleet")]
    Fleet(#[from] FleetError),
    /// Software is not shown yet.
    #[error("the view is behind the log: software that is not shown yet would be missing")]
    Behind,
}

/// Writes all tables of the tenant below `data`; tells how much is done, in percent. The answer: rows of each table.
pub(super) fn update(
    books: &Books,
    data: &Path,
    now: Timestamp,
    progress: &dyn Fn(u8),
) -> Result<Vec<(WarehouseTable, u64)>, WarehouseError> {
    let built = books.view.rebuilt();
    let folder = data.join("warehouse");
    write_schema(&folder)?;
    let file = |table| TableFile::begin(&folder, table, books, now);
    let mut devices = file(WarehouseTable::Devices)?;
    let mut installations = file(WarehouseTable::Installations)?;
    write_devices(books, &mut devices, &mut installations)?;
    progress(60);
    let mut consumption = file(WarehouseTable::Consumption)?;
    write_consumption(books, &mut consumption)?;
    progress(70);
    let mut latency = file(WarehouseTable::PackageLatency)?;
    write_latency(books, &mut latency)?;
    progress(95);
    if books.view.is_behind() || books.view.rebuilt() != built {
        return Err(WarehouseError::Behind);
    }
    // All are there before the first one appears.
    [devices, installations, consumption, latency].into_iter().map(TableFile::publish).collect()
}

fn write_schema(folder: &Path) -> Result<(), WarehouseError> {
    let path = folder.join("schema.json");
    let written = || {
        fs::create_dir_all(folder)?;
        let part = path.with_extension("part");
        let mut text = serde_json::to_string_pretty(&schema())?;
        text.push('\n');
        fs::write(&part, text)?;
        fs::rename(&part, &path)
    };
    written().map_err(|source| WarehouseError::Write { path: path.clone(), source })
}

/// A table's file before it appears.
struct TableFile {
    table: WarehouseTable,
    folder: PathBuf,
    /// What the files of this tenant begin with.
    tenant: String,
    name: String,
    part: PathBuf,
    csv: csv::Writer<BufWriter<File>>,
    rows: u64,
}

/// Cells of a row: text, number, or nothing.
type Cells<'c> = &'c [Option<String>];

impl TableFile {
    fn begin(
        warehouse: &Path,
        table: WarehouseTable,
        books: &Books,
        now: Timestamp,
    ) -> Result<TableFile, WarehouseError> {
        let folder = warehouse.join(table.as_str());
        let tenant = format!("{}-", books.tenant);
        let name = format!("{tenant}{}.csv", Day::of(now));
        // Of another ending, so that nobody who reads `*.csv` meets it.
        let part = folder.join(format!("{name}.part"));
        let opened = fs::create_dir_all(&folder).and_then(|()| File::create(&part));
        let failed = |source| WarehouseError::Write { path: part.clone(), source };
        let csv = csv::Writer::from_writer(BufWriter::new(opened.map_err(failed)?));
        let mut file = TableFile { table, folder, tenant, name, part: part.clone(), csv, rows: 0 };
        let head = table.columns().iter().map(|column| column.0);
        file.csv.write_record(head).map_err(|error| file.failed(error.into()))?;
        Ok(file)
    }

    fn failed(&self, source: std::io::Error) -> WarehouseError {
        WarehouseError::Write { path: self.part.clone(), source }
    }

    fn row(&mut self, cells: Cells<'_>) -> Result<(), WarehouseError> {
        debug_assert_eq!(cells.len(), self.table.columns().len());
        let texts = cells.iter().map(|cell| cell.as_deref().unwrap_or_default());
        self.csv.write_record(texts).map_err(|error| self.failed(error.into()))?;
        self.rows += 1;
        Ok(())
    }

    /// Syncs it, puts those before it into the archive, and lets it appear.
    fn publish(self) -> Result<(WarehouseTable, u64), WarehouseError> {
        let TableFile { table, folder, tenant, name, part, csv, rows } = self;
        let published = || {
            let mut file = csv.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
            file.flush()?;
            file.get_ref().sync_all()?;
            let archive = folder.parent().unwrap_or(&folder).join("archive").join(table.as_str());
            fs::rename(&part, folder.join(&name))?;
            fs::create_dir_all(&archive)?;
            for old in files_of(&folder, &tenant)?.into_iter().filter(|old| *old != name) {
                fs::rename(folder.join(&old), archive.join(&old))?;
            }
            let archived = files_of(&archive, &tenant)?;
            for oldest in &archived[..archived.len().saturating_sub(ARCHIVED_MAX)] {
                fs::remove_file(archive.join(oldest))?;
            }
            File::open(&folder)?.sync_all()
        };
        published().map_err(|source| WarehouseError::Write { path: part.clone(), source })?;
        Ok((table, rows))
    }
}

/// The dated files of a tenant, oldest first; `tenant` ends with the mark in front of the day.
fn files_of(folder: &Path, tenant: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let day = name.strip_prefix(tenant).and_then(|rest| rest.strip_suffix(".csv"));
        // Of another tenant whose name begins with this one's: no day follows.
        let is_day = |day: &str| day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if day.is_some_and(is_day) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn text(text: impl ToString) -> Option<String> {
    Some(text.to_string())
}

fn write_devices(books: &Books, devices: &mut TableFile, installations: &mut TableFile) -> Result<(), WarehouseError> {
    let (fleet, tenant) = (Fleet::of(books), text(&books.tenant));
    let mut after = None;
    loop {
        let page = fleet.devices(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.device.id);
        for fact in page.into_iter().filter(|fact| fact.device.merged_into.is_none()) {
            let whole = fleet.whole(fact.device)?;
            let row = DeviceRow::of(&whole.device);
            let id = text(row.id);
            devices.row(&[
                tenant.clone(),
                id.clone(),
                text(&row.name),
                text(&row.domain),
                text(&row.manufacturer),
                text(&row.model),
                text(&row.serial),
                text(&row.uuid),
                text(&row.os),
                text(&row.device_type),
                text(Timestamp(row.last_inventory.saturating_mul(SECOND_MS)).to_rfc3339()),
                text(row.sources.iter().map(|source| &**source).collect::<Vec<&str>>().join(";")),
                text(row.records),
            ])?;
            for (title, day) in fleet.software(&whole)? {
                installations.row(&[
                    tenant.clone(),
                    id.clone(),
                    text(title.name()),
                    text(title.version()),
                    text(title.publisher()),
                    text(title.evidence()),
                    day.map(|day| day.to_string()),
                ])?;
            }
        }
    }
}

fn write_consumption(books: &Books, file: &mut TableFile) -> Result<(), WarehouseError> {
    let Some(run) = Runs::newest(books)? else { return Ok(()) };
    for LicencePosition { license, why, position, .. } in &run.positions {
        file.row(&[
            text(&books.tenant),
            text(run.as_of),
            text(license),
            position.total.limit().map(|total| total.to_string()),
            position.consumed.map(|consumed| consumed.to_string()),
            position.available().and_then(Total::limit).map(|left| left.to_string()),
            text(position.raw),
            text(position.exempt),
            text(position.status.as_str()),
            text(why),
        ])?;
    }
    Ok(())
}

fn write_latency(books: &Books, file: &mut TableFile) -> Result<(), WarehouseError> {
    let mut failed = None;
    let damaged = books.facts.each(&FactKind::Package.prefix(Some(&books.tenant)), |_, _, value| {
        // A beacon's note of a package that it set aside is none.
        let Ok(settlement) = stored::unpack::<Settlement>(&value) else { return };
        if failed.is_none() {
            failed = file.row(&latency(books, &settlement)).err();
        }
    });
    // One that has rotted is told where it is read to be used.
    drop(damaged);
    failed.map_or(Ok(()), Err)
}

fn latency(books: &Books, settlement: &Settlement) -> Vec<Option<String>> {
    let envelope = &settlement.envelope;
    let arrived = envelope.hops.last().map_or(envelope.first_received, |hop| hop.received);
    let secs = |from: Timestamp, to: Timestamp| text(to.ms_since(from).max(0) as f64 / SECOND_MS as f64);
    vec![
        text(&books.tenant),
        text(envelope.digest),
        text(envelope.origin.as_str()),
        text(envelope.kind.as_str()),
        text(settlement.state),
        envelope.collected_at.map(Timestamp::to_rfc3339),
        text(envelope.first_received.to_rfc3339()),
        text(arrived.to_rfc3339()),
        text(settlement.settled.to_rfc3339()),
        text(envelope.hops.len()),
        secs(envelope.first_received, arrived),
        secs(arrived, settlement.settled),
    ]
}

impl WarehouseError {
    /// Its chain, for the output of a task.
    pub(super) fn told(&self) -> String {
        Chain(self).to_string()
    }
}
