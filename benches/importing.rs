//! Imports of a running server over its real logs: some changed records beside a whole fleet of devices, with the reads of
//! the store and the commits.
//!
//! ```text
//! cargo bench -p muster-simulations --bench importing [-- RECORDS [CHANGED [ROUNDS]]]     default: 1000000 10000 5
//! ```
//!
//! Devices and records are as many: each record is a machine's of its own. Needs some 3 KB of disk a record, in the
//! system's folder for temporary files.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::config::server::ServerConfig;
use muster::id::Digest;
use muster::model::computer::Property;
use muster::model::device::RecordKey;
use muster::model::fact::FactKey;
use muster::model::inventory::{Details, ReportType};
use muster::model::package::{Kind, Origin, PackageKey, Stream};
use muster::model::staged::{StagedRecord, StagedReport};
use muster::model::tenant::TenantState;
use muster::time::Timestamp;
use muster_actors::clock::WallClock;
use muster_actors::server::books::News;
use muster_actors::server::fleet::Fleet;
use muster_actors::server::run::{RunningServer, start};
use muster_actors::server::server::DevicesChanged;

/// Records that one commit stages, as many as a load.
const COMMIT_RECORDS: u64 = 32;
/// How often the end of an import is looked for.
const LOOK: Duration = Duration::from_millis(1);

#[actix::main]
async fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual);
    let (records, changed, rounds) = (number(0, 1_000_000), number(1, 10_000), number(2, 5).max(1));
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[server]\nname = \"bench\"\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
         [import]\non_arrival = true\n",
        folder.path().join("data").display()
    );
    let config = ServerConfig::parse(&text, "bench.toml", []).expect("a configuration");
    let fatal = Arc::new(|reason: &str| panic!("{reason}"));
    let server = start(&config, Arc::new(WallClock), fatal).await.expect("a server");

    let began = Instant::now();
    let all: Vec<u64> = (1..=records).collect();
    let state = stage(&server, &all, 1).await;
    println!("{records} records staged in {:.1} s", began.elapsed().as_secs_f64());
    println!("first import: {:.1} s", import(&server, state).await);

    let step = (records / changed.max(1)).max(1);
    let some: Vec<u64> = (1..=records).step_by(step as usize).take(changed as usize).collect();
    let mut times = Vec::new();
    for round in 0..=rounds {
        let state = stage(&server, &some, round + 2).await;
        let seconds = import(&server, state).await;
        if round == 0 {
            println!("{} changed, after an import that changed every device: {seconds:.2} s", some.len());
        } else {
            times.push(seconds);
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{} changed records beside {records} devices, with reads and commits: {:.0} ms, the median of {rounds}; best {:.0} ms",
        some.len(),
        times[times.len() / 2] * 1e3,
        times[0] * 1e3
    );
    server.stop().await;
}

/// Stages what these machines say in a round.
async fn stage(server: &RunningServer, machines: &[u64], round: u64) -> TenantState {
    let mut last = TenantState::default();
    for part in machines.chunks(COMMIT_RECORDS as usize) {
        let (part, tenant) = (part.to_vec(), server.books.tenant.clone());
        let staged = server.books.turn(move |draft| {
            let key = FactKey::Tenant(tenant.clone());
            let mut state: TenantState = draft.read(&key)?.unwrap_or_default();
            for machine in part {
                let (record, staged) = record(machine, round);
                draft.write(&FactKey::Record(tenant.clone(), record), &staged);
                state.next_record = state.next_record.max(machine + 1);
                state.staged += 1;
            }
            draft.write(&key, &state);
            Ok((state, News::default()))
        });
        last = staged.await.expect("a commit");
    }
    last
}

/// What one machine says: as much as an agent's report has of it.
fn record(machine: u64, round: u64) -> (RecordKey, StagedRecord) {
    let origin = Origin(format!("agent-{machine}").into());
    let text = |name: &str| format!("{name}-{machine:08x}");
    let values = [
        (Property::ComputerName, text("host")),
        (Property::ComplianceDomainID, "corp.example".into()),
        (Property::Manufacturer, "Acme".into()),
        (Property::ModelNo, format!("R-{round}")),
        (Property::FirmwareSerialNumber, text("fsn")),
        (Property::SerialNo, text("sn")),
        (Property::MachineID, text("machine")),
        (Property::UUID, format!("{machine:032x}")),
        (Property::OperatingSystem, "Debian GNU/Linux 13".into()),
    ];
    let mut staged = StagedRecord::new(machine);
    staged.stage(StagedReport {
        stream: Stream::new(Kind::Inventories, "root", "Full"),
        package: PackageKey {
            digest: Digest::of(format!("{origin:?} {round}").as_bytes()),
            origin,
            kind: Kind::Inventories,
        },
        report_type: ReportType::Full,
        effective: Timestamp(1_700_000_000_000 + round as i64 * 86_400_000),
        values: values.into_iter().collect(),
        details: Details::default(),
        titles: 0,
    });
    (RecordKey { source: "agent".into(), external_id: format!("agent-{machine}").into() }, staged)
}

/// Seconds until everything staged has been imported.
async fn import(server: &RunningServer, state: TenantState) -> f64 {
    let staged = state.staged;
    let key = FactKey::Tenant(server.books.tenant.clone());
    let counters = || Fleet::of(&server.books).fact::<TenantState>(&key).expect("counters").unwrap_or_default();
    // The reconcile of the last import is no part of this one.
    while counters().reconciled < counters().devices {
        tokio::time::sleep(LOOK).await;
    }
    let began = Instant::now();
    let actor = server.api.server.get().expect("the server's actor");
    actor.send(DevicesChanged(server.books.tenant.clone(), state)).await.expect("an answer");
    while counters().imported < staged {
        tokio::time::sleep(LOOK).await;
    }
    began.elapsed().as_secs_f64()
}
