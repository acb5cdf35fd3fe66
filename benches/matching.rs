//! Matching beside a floor in one run: a pass that only splits the file and hashes each set cell once.
//!
//! ```text
//! cargo bench -p muster-simulations --bench matching [-- RECORDS [ROUNDS [THREADS]]]     default: 1000000 5, a thread for each processor
//! ```
//!
//! Seconds are the median of the rounds. `normalise` and `match` are what `muster match --timing` calls so.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::time::Instant;

use foldhash::fast::FixedState;
use muster::formats::csv_lines::{cells, next_record, whole_records};
use muster::id::DeviceId;
use muster::matching::file_rows::{BINDINGS, Columns, DEVICES, FileForm, RECORDS, csv_block};
use muster::matching::{
    Devices, Forbidden, HeldKeys, KeyedTable, Keys, Matchers, Placeholders, Plan, RawRows as _, Record, Records,
    Stored, Table, TableDevices, phase1, phase2, standard_matchers,
};
use muster::model::computer::{ImportedComputer, Property};
use muster::model::device::{Device, Provenance};
use muster_simulations::records::fleet::RecordFleet;
use rayon::prelude::*;

const PIECE_BYTES: usize = 4 << 20;

fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual);
    let (records, rounds, threads) = (number(0, 1_000_000), number(1, 5).max(1), number(2, 0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build().expect("threads");
    pool.install(|| compare(records, rounds));
}

fn compare(records: u64, rounds: u64) {
    let made = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut bytes = Vec::new();
        write(&mut bytes).expect("memory takes it");
        String::from_utf8(bytes).expect("the fleet writes UTF-8")
    };
    let (fleet, devices) = (RecordFleet::new(1), records * 2 / 5);
    let file = made(&|out| fleet.write_records(records, out));
    let device_file = made(&|out| fleet.write_devices(devices, out));
    let binding_file = made(&|out| fleet.write_bindings(devices, out));
    let plan = Plan::new(&Matchers::load(standard_matchers(), None).expect("the standard Matchers"));
    let (placeholders, forbidden) = (Placeholders::default(), Forbidden::default());
    let names = ["floor: split and hash", "read", "normalise", "match, phase 1", "match, phase 2"];
    let mut seconds = [const { Vec::new() }; 5];
    let mut sets = 0;
    for _ in 0..rounds {
        let mut lap = Lap(Instant::now());
        black_box(split_and_hash(&file));
        seconds[0].push(lap.take());
        let table = table(&file, &RECORDS);
        seconds[1].push(lap.take());
        let keys = Keys::new(&plan, &table, &placeholders);
        seconds[2].push(lap.take());
        let rows = KeyedTable { table: &table, keys: &keys };
        let found = phase1(&plan, &rows, &keys, &forbidden);
        seconds[3].push(lap.take());
        sets = found.count();
        let (stored, bound) = (self::table(&device_file, &DEVICES), self::table(&binding_file, &BINDINGS));
        let stored_keys = Keys::new(&plan, &stored, &placeholders);
        let keyed = KeyedTable { table: &stored, keys: &stored_keys };
        let stored = TableDevices::new(keyed, &bound).expect("bindings of these devices");
        lap.take();
        let stored = Stored { devices: &stored, keys: &stored_keys };
        black_box(phase2(&plan, &rows, &keys, &found, stored, &forbidden));
        seconds[4].push(lap.take());
    }
    println!("{records} records ({} MB) in {sets} sets, {devices} devices, median of {rounds}", file.len() / 1_000_000);
    let medians = seconds.map(|mut list| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    });
    for (name, median) in names.iter().zip(medians) {
        println!(
            "{name:>22} {median:8.3} s {:12.0} records/s {:6.2} x floor",
            records as f64 / median,
            median / medians[0]
        );
    }
    let both = medians[2] + medians[3];
    println!(
        "{:>22} {both:8.3} s {:12.0} records/s {:6.2} x floor",
        "normalise and match",
        records as f64 / both,
        both / medians[0]
    );
    println!("phase 2 takes {:.2} times phase 1", medians[4] / medians[3]);
    incremental(fleet, &file, &plan, &placeholders, rounds);
}

/// Records of an import that follows on others.
const CHANGED: usize = 10_000;

/// An import of some records beside as many devices as the file has records, their keys held ready.
fn incremental(fleet: RecordFleet, file: &str, plan: &Plan, placeholders: &Placeholders, rounds: u64) {
    let count = file.lines().count() as u64 - 1;
    let mut bytes = Vec::new();
    fleet.write_devices(count, &mut bytes).expect("memory takes it");
    let text = String::from_utf8(bytes).expect("the fleet writes UTF-8");
    let table = table(&text, &DEVICES);
    let devices: Vec<Device> = (0..table.count())
        .map(|row| {
            let giver = || Provenance { source: "agent".into(), date: 0 };
            let values = Property::ALL.into_iter().zip(table.slots(row));
            let values = values.filter_map(|(property, text)| Some((property, text?, giver()))).collect();
            Device { id: DeviceId(table.id(row)), inventory_date: 0, values, bindings: vec![], merged_into: None }
        })
        .collect();
    let mut held = HeldKeys::default();
    let mut lap = Lap(Instant::now());
    devices.chunks(10_000).for_each(|part| held.put(plan, part, placeholders));
    let held_s = lap.take();
    let all = self::table(file, &RECORDS);
    let records: Vec<Record> = (0..all.count())
        .step_by(all.count().div_ceil(CHANGED))
        .map(|row| {
            let (source, external_id) = all.key(row);
            let values = Property::ALL.into_iter().zip(all.slots(row));
            let computer = ImportedComputer {
                record_id: all.id(row),
                source: source.into(),
                external_id: external_id.into(),
                inventory_date: all.inventory_date(row),
                values: values.filter_map(|(property, text)| Some((property, text?))).collect(),
            };
            Record::new(computer, placeholders)
        })
        .collect();
    let none = Forbidden::default();
    let (mut seconds, mut met_count) = (Vec::new(), 0);
    for _ in 0..rounds.max(3) {
        lap.take();
        let rows = Records::new(&records);
        let keys = Keys::new(plan, &rows, placeholders);
        let met = held.met_by(plan, &rows, &keys);
        met_count = met.len();
        let find = lap.take();
        let read: Vec<Device> = met.iter().map(|id| devices[id.0 as usize - 1].clone()).collect();
        lap.take();
        let sets = phase1(plan, &rows, &keys, &none);
        let fleet = Devices::new(&read, placeholders);
        let stored = Stored { devices: &fleet, keys: &Keys::new(plan, &fleet, placeholders) };
        black_box(phase2(plan, &rows, &keys, &sets, stored, &none));
        seconds.push(find + lap.take());
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{} changed records beside {count} devices: {:.1} ms to match, {met_count} devices read; keys held in {held_s:.2} s",
        records.len(),
        seconds[seconds.len() / 2] * 1e3
    );
}

struct Lap(Instant);

impl Lap {
    fn take(&mut self) -> f64 {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// The header, and pieces that end with a record.
fn pieces(file: &str) -> (&str, Vec<&str>) {
    let mut rest = file;
    let (header, _) = next_record(&mut rest).expect("a header");
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let mut length = PIECE_BYTES.min(rest.len());
        length = if length < rest.len() { whole_records(&rest.as_bytes()[..length]) } else { length };
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    (header, pieces)
}

fn split_and_hash(file: &str) -> u64 {
    let hashing = FixedState::with_seed(1);
    let of_piece = |piece: &&str| {
        let (mut rest, mut sum) = (*piece, 0_u64);
        while let Some((record, _)) = next_record(&mut rest) {
            let add = |_, cell: std::borrow::Cow<'_, str>| {
                if !cell.is_empty() {
                    sum = sum.wrapping_add(hashing.hash_one(cell.as_bytes()));
                }
            };
            cells(record, add).expect("the fleet writes CSV");
        }
        sum
    };
    pieces(file).1.par_iter().map(of_piece).reduce(|| 0, u64::wrapping_add)
}

fn table(file: &str, form: &FileForm) -> Table {
    let (header, pieces) = pieces(file);
    let columns = Columns::new(header, form).expect("the fleet writes all columns");
    let blocks: Vec<_> =
        pieces.par_iter().map(|piece| csv_block(piece, &columns).expect("the fleet writes rows")).collect();
    let table = Table::new(blocks);
    let ids = if form.is_id_unique { table.check_ids() } else { Ok(()) };
    let keys = if form.has_key { table.check_keys() } else { Ok(()) };
    ids.and(keys).expect("the fleet names each row once");
    table
}
