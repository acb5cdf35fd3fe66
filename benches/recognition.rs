//! How fast a million distinct titles are recognised, and what becomes of the packages of this host.
//!
//! `cargo bench -p muster --bench recognition [-- TITLES RULES]` (default 1000000 and 10000).

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads clock and disk")]
#![allow(missing_docs, reason = "a benchmark has no users")]

use std::collections::BTreeMap;
use std::time::Instant;

use muster::config::library::{read_library, standard_libraries};
use muster::formats::host::dpkg::read_status;
use muster::model::pattern::Pattern;
use muster::model::recognition::{EvidenceKind, FieldTest, Rule, Verdict};
use muster::model::software::{Title, TitleId};
use muster::reconcile::Recogniser;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (titles, rules) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(10_000));
    let library = read_library(&standard_libraries()).expect("the shipped library loads");
    this_host(&Recogniser::new(library.rules().to_vec()).expect("shipped rules"));

    // Vendors' rules beside the shipped ones: half whole names, a quarter starts, a quarter anywhere in the name.
    let made_up = (0..rules).map(|n| {
        let name = match n % 4 {
            0 | 1 => format!("vendor-{n}-tool"),
            2 => format!("vendor-{n}-%"),
            _ => format!("%-{n}-agent%"),
        };
        Rule {
            id: format!("made-up#{n}").parse().expect("an id"),
            name: FieldTest::Like(Pattern::new(&name).expect("a pattern")),
            kind: EvidenceKind::Installer,
            version: FieldTest::Any,
            publisher: FieldTest::Any,
            description: FieldTest::Any,
            path: FieldTest::Any,
            evidence: "".into(),
            verdict: Verdict::Application(format!("made-up-{}", n / 3).parse().expect("an id")),
        }
    });
    let start = Instant::now();
    let recogniser = Recogniser::new(library.rules().iter().cloned().chain(made_up)).expect("a recogniser");
    println!("{recogniser:?} indexed in {:?}", start.elapsed());

    let names = ["vendor-{}-tool", "vendor-{}-server", "acme-{}-agent-core", "libfoo{}", "Some Product {} (x64)"];
    let distinct: Vec<Title> = (0..titles)
        .map(|n| {
            let name = names[n % names.len()].replace("{}", &(n / names.len() % (rules * 2)).to_string());
            Title::new(&name, &format!("1.{n}.0-1+deb12u1"), "Example Maintainers", "deb")
        })
        .collect();
    let start = Instant::now();
    let recognised = recogniser.recognise_all((0..).map(TitleId).zip(&distinct));
    let took = start.elapsed();
    println!(
        "{} titles in {took:?} on one thread: {:.0} a second; {} ignored, {} unrecognised",
        recognised.len(),
        titles as f64 / took.as_secs_f64(),
        recognised.ignored().len(),
        recognised.unrecognised().len()
    );
}

fn this_host(recogniser: &Recogniser) {
    let Ok(status) = std::fs::read("/var/lib/dpkg/status") else { return };
    let (packages, _) = read_status(&status);
    let titles: Vec<Title> =
        packages.iter().map(|package| Title::new(&package.name, &package.version, &package.publisher, "deb")).collect();
    let recognised = recogniser.recognise_all((0..).map(TitleId).zip(&titles));
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, title) in (0..).map(TitleId).zip(&titles) {
        for (application, rule) in recognised.applications(id) {
            found.entry(application.as_str()).or_default().push(format!("{} by {}", title.name(), rule.id));
        }
    }
    println!(
        "this host: {} packages are {} applications, {} ignored, {} unrecognised",
        titles.len(),
        found.len(),
        recognised.ignored().len(),
        recognised.unrecognised().len()
    );
    for (application, titles) in found {
        println!("  {application}: {}", titles.join(", "));
    }
    let unrecognised = recognised.unrecognised().iter().map(|id| titles[id.0 as usize].name());
    println!("  unrecognised: {}", unrecognised.collect::<Vec<_>>().join(" "));
}
