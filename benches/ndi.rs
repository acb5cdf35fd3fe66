//! How near the inventory reader comes to the bare cost of its input, on one core.
//!
//! Compared: `read_ndi_gz` (inflate with limits, read, keep) with inflating and walking quick-xml over every attribute
//! without resolving, checking or keeping anything; once as a stream, once over the whole text in memory. The rounds
//! are interleaved, so that a busy machine slows both alike; the medians are compared.
//!
//! Run: `cargo bench -p muster --bench ndi`

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::io::{BufReader, Read};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use muster::formats::gzip::compress;
use muster::formats::ndi::{File, Hardware, Head, NdiWriter, Package, Property, Service, read_ndi_gz};
use muster::rng::RngStream;
use quick_xml::events::Event;

const ROUNDS: usize = 60;

fn main() {
    for (name, packages, files) in [("0.5 MB", 1_400, 1_600), ("1.7 MB", 4_900, 5_300)] {
        let xml = inventory(packages, files);
        let gzip = compress(&xml);
        println!("{name}: {} bytes of XML, {} of gzip, {packages} packages, {files} files", xml.len(), gzip.len());
        let mut times = [const { Vec::new() }; 4];
        for round in 0..ROUNDS + 3 {
            let measured =
                [time(|| inflate(&gzip)), time(|| walk_stream(&gzip)), time(|| walk_text(&gzip)), time(|| read(&gzip))];
            // The first rounds warm the caches.
            if round >= 3 {
                times.iter_mut().zip(measured).for_each(|(times, seconds)| times.push(seconds));
            }
        }
        let [inflate, stream, text, read] = times.map(median);
        let rate = |seconds: f64| xml.len() as f64 / seconds / 1e6;
        println!("  inflate alone               {:7.1} MB/s", rate(inflate));
        println!("  inflate + walk, as a stream {:7.1} MB/s", rate(stream));
        println!("  inflate + walk, whole text  {:7.1} MB/s", rate(text));
        println!("  read_ndi_gz                 {:7.1} MB/s", rate(read));
        println!("  ratio to the stream walk {:.3}, to the whole-text walk {:.3}", stream / read, text / read);
    }
}

fn time(work: impl FnOnce() -> usize) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn inflate(gzip: &[u8]) -> usize {
    let mut text = Vec::new();
    MultiGzDecoder::new(gzip).read_to_end(&mut text).unwrap()
}

fn read(gzip: &[u8]) -> usize {
    let (file, findings) = read_ndi_gz(gzip).unwrap();
    assert!(findings.is_empty());
    file.packages().len()
}

fn walk_stream(gzip: &[u8]) -> usize {
    let inflated = BufReader::with_capacity(32 << 10, MultiGzDecoder::new(gzip));
    let mut reader = quick_xml::Reader::from_reader(inflated);
    let (mut buffer, mut sum) = (Vec::new(), 0);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes().with_checks(false) {
                    let attribute = attribute.unwrap();
                    sum += attribute.key.as_ref().len() + attribute.value.len();
                }
            }
            Event::Eof => return sum,
            _ => {}
        }
    }
}

fn walk_text(gzip: &[u8]) -> usize {
    let mut text = Vec::new();
    MultiGzDecoder::new(gzip).read_to_end(&mut text).unwrap();
    let mut reader = quick_xml::Reader::from_reader(&text[..]);
    let mut sum = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes().with_checks(false) {
                    let attribute = attribute.unwrap();
                    sum += attribute.key.as_ref().len() + attribute.value.len();
                }
            }
            Event::Eof => return sum,
            _ => {}
        }
    }
}

const WORDS: [&str; 24] = [
    "acme", "lib", "tools", "core", "server", "agent", "draw", "office", "runtime", "data", "network", "cloud", "java",
    "perl", "python", "common", "utils", "devel", "dbg", "doc", "client", "fonts", "media", "crypto",
];

fn word(rng: &mut RngStream) -> &'static str {
    WORDS[rng.below(WORDS.len() as i64) as usize]
}

/// An inventory as a server with many packages writes it.
fn inventory(packages: usize, files: usize) -> Vec<u8> {
    let rng = &mut RngStream::new(7, 1, 0);
    let head = Head {
        tracker: "0.1.0",
        audience: "Machine",
        scope: "web07.lab.example",
        machine_name: "web07",
        user_name: "root",
        has_hardware: true,
        has_software: true,
        has_service_providers: false,
        date_time: "20250314T031522",
        kind: "Full",
        machine_id: "{5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11}",
        site: "lab-a",
        tenant_uid: "T0001",
    };
    let mut ndi = NdiWriter::new(Vec::new(), &head).unwrap();
    for number in 0..64 {
        let texts: Vec<String> = (0..6).map(|_| format!("{}-{:012x}", word(rng), rng.bits() >> 16)).collect();
        let names = ["Manufacturer", "Model", "SerialNumber", "Capacity", "Caption", "Version"];
        let properties: Vec<Property> =
            names.iter().zip(&texts).map(|(name, value)| Property { name, value }).collect();
        let object =
            Hardware { class: "MGS_PhysicalMemory", name: "Physical Memory", occurrence: number, evidence: "dmi" };
        ndi.hardware(&object, &properties).unwrap();
    }
    for _ in 0..packages {
        let name = format!("{}-{}{}", word(rng), word(rng), rng.below(40));
        let version = format!("{}.{}.{}-{}", rng.below(12), rng.below(40), rng.below(10), rng.below(5));
        let publisher = if rng.below(20) == 0 { "Müller & Söhne <info@example.com>" } else { "Debian maintainers" };
        let date = format!("2025{:02}{:02}", 1 + rng.below(12), 1 + rng.below(28));
        let package = Package {
            name: &name,
            version: &version,
            publisher,
            evidence: "deb",
            install_date: &date,
            ..Package::default()
        };
        ndi.package(&package, &[]).unwrap();
    }
    for _ in 0..files {
        let name = format!("/opt/{}/{}/bin/{}{}", word(rng), word(rng), word(rng), rng.below(100));
        let version = format!("{}.{}", rng.below(12), rng.below(40));
        let md5 = format!("{:016x}{:016x}", rng.bits(), rng.bits());
        let file = File {
            name: &name,
            version: &version,
            company: "Acme Metal",
            size: Some(rng.bits() >> 44),
            md5: &md5,
            last_modified: "20250102T101112",
            evidence: "file",
            ..File::default()
        };
        ndi.file(&file).unwrap();
    }
    for _ in 0..120 {
        let name = format!("{}-{}.service", word(rng), word(rng));
        let service =
            Service { name: &name, state: "running", start_mode: "auto", path: "/usr/sbin/acmed", account: "root" };
        ndi.service(&service).unwrap();
    }
    ndi.finish().unwrap()
}
