//! How long the licence position of a million devices takes, against one scan of the installations in memory.
//!
//! `cargo bench -p muster --bench reconciling [-- DEVICES [ROUNDS]]` (default 1000000 and 3). With `--keep DIR` the folders
//! `DIR/plain` and `DIR/contested` are written for `muster reconcile`, and nothing is measured. With `--result` the eight tables
//! are left out, for a profile of the rest.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads clock and disk")]
#![allow(missing_docs, reason = "a benchmark has no users")]

mod estate;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use muster::model::day::Day;
use muster::model::folder::{Folder, FolderError, Source};
use muster::reconcile::engine::assign;
use muster::reconcile::evidence::install;
use muster::reconcile::output::{Output, Table};

use estate::Made;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let keep = arguments.iter().position(|argument| argument == "--keep").and_then(|at| arguments.get(at + 1));
    let mut numbers = arguments.iter().filter_map(|text| text.parse().ok());
    let (devices, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(3));
    for (name, contested) in [("plain", false), ("contested", true)] {
        let made = Made::new(devices, contested);
        if let Some(folder) = keep {
            write(&Path::new(folder).join(name), &made);
            continue;
        }
        println!("{name}: {devices} devices, {} MB of CSV", made.bytes() / 1_000_000);
        (0..rounds).for_each(|_| measure(&made, !arguments.iter().any(|argument| argument == "--result")));
    }
}

fn write(folder: &Path, made: &Made) {
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, text) in &made.files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

/// Files in memory, each given out as it is.
struct InMemory<'m>(&'m BTreeMap<&'static str, String>);

impl<'m> Source for InMemory<'m> {
    type Bytes = &'m [u8];
    type Error = FolderError;
    fn file(&mut self, name: &'static str) -> Result<Option<&'m [u8]>, FolderError> {
        Ok(self.0.get(name).map(|text| text.as_bytes()))
    }
}

fn measure(made: &Made, has_tables: bool) {
    let before = resident();
    let start = Instant::now();
    let mut folder = Folder::read(&mut InMemory(&made.files)).expect("a folder");
    let read = start.elapsed();
    let unrecognised = install(&mut folder).expect("rules");
    let installed = start.elapsed();
    let scan = scan(&folder);
    let settling = Instant::now();
    let assigned = assign(&folder.estate, &folder.licensing, Day::new(2026, 6, 15).expect("a day")).expect("no cycle");
    let assigned_s = settling.elapsed();
    let found = assigned.count();
    let settled = settling.elapsed();
    let output = Output { found: &found, unrecognised: &unrecognised, warnings: &folder.notes.warnings };
    let mut result = Vec::new();
    let writing = Instant::now();
    output.write(Table::LicenseResult, &mut result).expect("memory takes it");
    let written = writing.elapsed();
    let whole = installed + settled + written;
    let grown = peak().saturating_sub(before);
    let mut bytes = Counted(0);
    let all = Instant::now();
    for table in Table::ALL.into_iter().filter(|_| has_tables) {
        output.write(table, &mut bytes).expect("nothing fails");
    }
    let all = all.elapsed() + installed + settled;
    let s = |time: std::time::Duration| time.as_secs_f64();
    println!(
        "  {} pairs, one scan {:.3} s | read {:.2}, install {:.2}, assign {:.2}, count {:.2}: assign and count {:.1} scans | CSV to result {:.2} s | eight tables, {} MB: {:.2} s, {:.1} times | {} MB beyond the input",
        folder.estate.installations.count(),
        s(scan),
        s(read),
        s(installed - read),
        s(assigned_s),
        s(settled - assigned_s),
        s(settled) / s(scan),
        s(whole),
        bytes.0 / 1_000_000,
        s(all),
        s(all) / s(whole),
        grown / 1_000_000,
    );
    black_box(result);
}

/// Writes nothing and counts.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads every pair once.
fn scan(folder: &Folder) -> std::time::Duration {
    let installations = &folder.estate.installations;
    let start = Instant::now();
    let sum: u64 = (0..installations.applications() as u32)
        .map(|application| {
            installations.of_application(application).iter().map(|&device| u64::from(device)).sum::<u64>()
        })
        .sum();
    black_box(sum);
    start.elapsed()
}

fn status(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
    value.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap_or_default() * 1024
}

/// Memory now. The largest amount is counted from here on.
fn resident() -> usize {
    // Resets the largest amount; where that is forbidden the figure is too high.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    status("VmRSS:")
}

fn peak() -> usize {
    status("VmHWM:")
}
