//! A real server on loopback, over real files and real HTTP: what becomes of packages, whatever they hold and whoever
//! dies.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use actix::{Handler, Message};
use muster::export::ExportSettings;
use muster::formats::gzip;
use muster::formats::wire::header;
use muster::id::Digest;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::{Kind, Origin, PackageKey, Receipt, ReceiptState};
use muster::model::settlement::{FinalState, Settlement};
use muster::model::stored;
use muster::model::tenant::TenantState;
use muster::time::{DAY_MS, Timestamp};
use serde_json::Value;

use super::*;
use crate::clock::{Clock, WallClock};
use crate::server::api::device::device;
use crate::server::exporter::{Credentials, Target};
use crate::server::exports::Exports;
use crate::server::fleet::Fleet;
use crate::server::importer::Importer;
use crate::server::loader::Loader;
use crate::server::prepared::ExportTarget;
use crate::server::prepared::SERVICENOW_ENDPOINT;
use crate::server::reconciler::Reconciler;
use crate::server::sweep::{Swept, sweep};
use crate::supervision::Directory;

fn config(data: &Path) -> ServerConfig {
    let text = format!(
        "[server]\ndata = {:?}\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n[import]\non_arrival = true\n\
         [limits]\nuploads_per_hour = 0\nbytes_per_day = 0\n[disk]\nreserve_bytes = 0\nreserve_percent = 0\n",
        data.display().to_string()
    );
    ServerConfig::parse(&text, "test.toml", []).unwrap()
}

async fn server(data: &Path) -> RunningServer {
    let no_fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    // The folder of an earlier life is let go of when its last effect has ended.
    for _ in 0..1_000 {
        match start(&config(data), Arc::new(WallClock), no_fatal.clone()).await {
            Ok(server) => return server,
            Err(ServerError::Folder(FolderError::InUse { .. })) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the folder stays in use");
}

async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn agent(number: u8) -> Guid {
    Guid::from_random([number; 16])
}

/// Uploads `body` as the `sequence`-th report of agent `number`.
async fn upload(server: &RunningServer, number: u8, sequence: u64, body: &[u8]) -> Receipt {
    let url = format!("http://{}/ManageSoftRL/Inventories/report.ndi.gz", server.upload);
    let request = reqwest::Client::new()
        .put(url)
        .header(header::AGENT, agent(number).to_string())
        .header(header::STREAM, "Inventories/root/Full")
        .header(header::EPOCH, "1")
        .header(header::SEQUENCE, sequence.to_string())
        .body(body.to_vec());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "content is judged after custody");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn report(number: u8, model: &str) -> Vec<u8> {
    let xml = format!(
        r#"<Inventory Tracker="1" Audience="Machine" Scope="pc{number}.lab" MachineName="pc{number}" UserName="root"
        DateTime="20250314T031522" Type="Full"><Hardware Class="MGS_ComputerSystem" Name="x">
        <Property Name="MachineID" Value="machine-{number}"/><Property Name="Model" Value="{model}"/></Hardware>
        <Software><Package Name="bash" Version="{model}" Evidence="deb"/></Software></Inventory>"#
    );
    gzip::compress(xml.as_bytes())
}

fn settlement(server: &RunningServer, number: u8, digest: Digest) -> Option<Settlement> {
    let key = PackageKey { origin: Origin::agent(agent(number)), kind: Kind::Inventories, digest };
    Fleet::of(&server.books).fact(&FactKey::Package(server.books.tenant.clone(), key)).unwrap()
}

async fn settled(server: &RunningServer, number: u8, digest: Digest) -> Settlement {
    wait_for("a final state", || settlement(server, number, digest)).await
}

/// Model by name of every device, once all tasks have ended.
async fn models(server: &RunningServer, count: usize) -> BTreeMap<String, String> {
    wait_for("all devices", || {
        let fleet = Fleet::of(&server.books);
        let key = FactKey::Tenant(server.books.tenant.clone());
        let state: TenantState = fleet.fact(&key).unwrap().unwrap_or_default();
        let rows = fleet.rows(None, 100).unwrap();
        let is_done = state.staged == state.imported && state.devices == state.reconciled && rows.len() == count;
        is_done.then(|| rows.into_iter().map(|row| (row.name, row.model)).collect())
    })
    .await
}

fn devices(server: &RunningServer) -> Vec<Value> {
    let rows = Fleet::of(&server.books).rows(None, 100).unwrap();
    rows.iter().map(|row| device(&server.api, row.id).unwrap().unwrap()).collect()
}

#[actix::test]
async fn a_report_becomes_a_device_once_and_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path()).await;
    let body = report(1, "a");
    let receipt = upload(&first, 1, 1, &body).await;
    assert_eq!((receipt.digest, receipt.state), (Digest::of(&body), ReceiptState::Held));
    assert_eq!(settled(&first, 1, receipt.digest).await.state, FinalState::Imported);
    assert_eq!(upload(&first, 1, 1, &body).await.state, ReceiptState::Settled, "a final state is told");
    let newer = report(1, "b");
    upload(&first, 1, 2, &newer).await;
    wait_for("the newer model", || {
        let rows = Fleet::of(&first.books).rows(None, 9).unwrap();
        rows.first().filter(|row| row.model == "b").map(drop)
    })
    .await;
    assert_eq!(models(&first, 1).await, BTreeMap::from([("pc1".to_owned(), "b".to_owned())]));
    let shown = devices(&first);
    assert_eq!(shown[0]["software"][0]["version"], "b");
    first.stop().await;
    let second = server(folder.path()).await;
    assert_eq!(models(&second, 1).await.len(), 1);
    wait_for("the software after a restart", || (devices(&second) == shown).then_some(())).await;
    second.stop().await;
}

/// Ends the actor that takes it as a fault of ours would.
#[derive(Message)]
#[rtype(result = "()")]
struct PlantedPanic;

macro_rules! takes_a_planted_panic {
    ($($actor:ty)*) => {
        $(impl Handler<PlantedPanic> for $actor {
            type Result = ();
            fn handle(&mut self, _: PlantedPanic, _: &mut Self::Context) {
                panic!("planted");
            }
        })*
    };
}

takes_a_planted_panic! { Server Loader Importer Reconciler Exports }

fn plant<A>(directory: &Directory<A>)
where
    A: actix::Actor<Context = actix::Context<A>> + Handler<PlantedPanic>,
{
    if let Some(address) = directory.get() {
        address.do_send(PlantedPanic);
    }
}

#[actix::test]
async fn whichever_actor_panics_nothing_acknowledged_is_lost_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    // Nobody answers there: exports fail and are tried again, which must not matter to anything else.
    let target = Target {
        url: "http://127.0.0.1:9".into(),
        endpoint: SERVICENOW_ENDPOINT.into(),
        credentials: Credentials::Password { user: "u".into(), password: "p".into() },
        client: None,
    };
    let settings = ExportSettings { max_tries: 1, ..ExportSettings::default() };
    let prepared = Prepared::of(&config).unwrap().exporting_to(ExportTarget { target, settings });
    let no_fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    let server = start_prepared(&config, prepared, Arc::new(WallClock), no_fatal).await.unwrap();
    let mut sequence = 0;
    let mut sent = Vec::new();
    // Three deaths of each are fewer than the five that end the process.
    for round in 0..3 {
        for victim in 0..5 {
            sequence += 1;
            let body = report(victim, &format!("{round}"));
            let receipt = upload(&server, victim, sequence, &body).await;
            sent.push((victim, receipt.digest));
            match victim {
                0 => plant(server.server.directory()),
                1 => plant(server.effects.loader.directory()),
                2 => plant(server.effects.importer.directory()),
                3 => plant(server.effects.reconciler.directory()),
                _ => plant(server.effects.exports.as_ref().unwrap().directory()),
            }
        }
    }
    for (number, digest) in sent {
        assert_eq!(settled(&server, number, digest).await.state, FinalState::Imported);
    }
    let models = models(&server, 5).await;
    assert!(models.values().all(|model| model == "2"), "{models:?}");
    server.stop().await;
}

/// Files of the view that are spoilt, each in a way of its own.
fn spoil(view: &Path, how: usize) {
    match how {
        0 => std::fs::remove_dir_all(view).unwrap(),
        1 => {
            // What stands there is no store at all.
            std::fs::remove_dir_all(view).unwrap();
            std::fs::write(view, "not a folder").unwrap();
        }
        _ => {
            for entry in std::fs::read_dir(view).unwrap() {
                let path = entry.unwrap().path();
                if let Ok(bytes) = std::fs::read(&path) {
                    let spoilt: Vec<u8> = bytes.iter().enumerate().map(|(at, byte)| byte ^ (at / how) as u8).collect();
                    std::fs::write(&path, spoilt).unwrap();
                }
            }
        }
    }
}

#[actix::test]
async fn a_view_that_is_gone_or_spoilt_is_built_again_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = server(folder.path()).await;
    for number in 1..4 {
        upload(&running, number, 1, &report(number, "a")).await;
    }
    models(&running, 3).await;
    let shown = devices(&running);
    for how in [0, 1, 2, 7, 1_000] {
        running.stop().await;
        spoil(&folder.path().join("view"), how);
        running = server(folder.path()).await;
        wait_for("the same devices with the same software", || (devices(&running) == shown).then_some(())).await;
        // What comes next is shown too.
        upload(&running, 1, 2 + how as u64, &report(1, "a")).await;
    }
    running.stop().await;
    assert!(folder.path().join("view.set-aside").exists(), "a store that does not open is kept for a look");
}

/// XML of an inventory around `inside`.
fn inventory(inside: &str) -> Vec<u8> {
    format!(
        r#"<Inventory Tracker="1" Audience="Machine" MachineName="pc" UserName="root" DateTime="20250314T031522"
        Type="Full">{inside}</Inventory>"#
    )
    .into_bytes()
}

/// Every row about content of the contract's section 7: a body that breaks it, and what its reason says.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let gz = |bytes: &[u8]| gzip::compress(bytes);
    let bomb = inventory(&"<a/>".repeat(1_200_000));
    let members: Vec<u8> = (0..65).flat_map(|_| gz(b"<")).collect();
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    let attributes: String = (0..65).map(|n| format!(" a{n}=\"\"")).collect();
    let wide = format!("<a{attributes}/>");
    let long_value = format!("<a b=\"{}\"/>", "x".repeat((64 << 10) + 1));
    let long_token = format!("<!--{}-->", "x".repeat((1 << 20) + 1));
    // Unlike each other, else the ratio ends it first.
    let many: String = (0..2_000_001u64).map(|n| format!("<a b=\"{:x}\"/>", muster::rng::mix(n, 1) as u16)).collect();
    let names: String = (0..10_001)
        .map(|n| format!(r#"<Hardware Class="c" Name="n"><Property Name="p{n}" Value=""/></Hardware>"#))
        .collect();
    let utf16: Vec<u8> = String::from_utf8(inventory("")).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("a gzip bomb", gz(&bomb), "more than 200 to 1"),
        ("65 members", members, "more than 64 gzip members"),
        ("a cut member", gz(&inventory(""))[..40].to_vec(), "ends inside a gzip member"),
        ("bytes behind the member", [gz(&inventory("")), b"more".to_vec()].concat(), "does not begin a gzip member"),
        ("an internal subset", gz(b"<!DOCTYPE a [<!ELEMENT a ANY>]><a/>"), "XML is refused"),
        ("an entity", gz(b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"), "XML is refused"),
        ("a foreign entity", gz(&inventory("&x;")), "XML is refused"),
        ("65 levels", gz(&inventory(&deep)), "XML is refused"),
        ("65 attributes", gz(&inventory(&wide)), "XML is refused"),
        ("a long value", gz(&inventory(&long_value)), "XML is refused"),
        ("a long token", gz(&inventory(&long_token)), "XML is refused"),
        ("too many elements", gz(&inventory(&many)), "XML is refused"),
        ("too many names", gz(&inventory(&names)), "distinct property names"),
        ("UTF-16 without a mark", gz(&utf16), "XML is refused"),
        ("no XML", gz(b"hello"), "XML is refused"),
        ("not well formed", gz(&inventory("<a>")), "XML is refused"),
        ("another document", gz(b"<Policy/>"), "not `Inventory`"),
        (
            "no machine",
            gz(&String::from_utf8(inventory("")).unwrap().replace("\"pc\"", "\"\"").into_bytes()),
            "machine",
        ),
        ("another type", gz(&String::from_utf8(inventory("")).unwrap().replace("Full", "Fool").into_bytes()), "Fool"),
    ]
}

#[actix::test]
async fn bad_content_ends_in_quarantine_with_its_reason_and_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let mut sent = Vec::new();
    for (sequence, (what, body, reason)) in (1..).zip(hostile()) {
        sent.push((what, reason, upload(&server, 9, sequence, &body).await.digest));
    }
    let good = upload(&server, 1, 1, &report(1, "a")).await;
    assert_eq!(settled(&server, 1, good.digest).await.state, FinalState::Imported);
    for (what, wanted, digest) in sent {
        let Settlement { state, reason, .. } = settled(&server, 9, digest).await;
        let reason = reason.unwrap_or_default();
        assert!(state == FinalState::Quarantined && reason.contains(wanted), "{what}: {state} {reason}");
    }
    // Good content of odd shapes is read: a bare DOCTYPE, UTF-16 with its mark, an over-long key.
    let with_doctype = [b"<!DOCTYPE Inventory PUBLIC \"Inventory\" \"urn:x\">".to_vec(), inventory("")].concat();
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(String::from_utf8(inventory("")).unwrap().encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let serial = format!(
        r#"<Hardware Class="MGS_BIOS" Name="b"><Property Name="SerialNumber" Value="{}"/></Hardware>"#,
        "x".repeat(2_000)
    );
    for (number, body) in (20u8..).zip([with_doctype, utf16, inventory(&serial)]) {
        let receipt = upload(&server, number, 1, &gzip::compress(&body)).await;
        let settlement = settled(&server, number, receipt.digest).await;
        assert_eq!(settlement.state, FinalState::Imported, "{settlement:?}");
    }
    server.stop().await;
}

#[actix::test]
async fn kinds_without_a_reader_wait_and_are_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path()).await;
    let url = format!("http://{}/ManageSoftRL/VdiAccess/pc.xml.gz", first.upload);
    let answer = reqwest::Client::new().put(url).body(gzip::compress(b"<access/>")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    upload(&first, 1, 1, &report(1, "a")).await;
    models(&first, 1).await;
    assert_eq!(first.logs.package_index.totals().0, 2);
    let entries = first.books.facts.keys(&FactKind::Package.prefix(None), None, 9).len();
    assert_eq!(entries, 1, "only the inventory has a final state");
    first.stop().await;
    let second = server(folder.path()).await;
    assert_eq!(second.logs.package_index.totals().0, 2);
    let held = second.logs.package_index.after(None, 1).remove(0);
    let record = second.logs.package_index.read(held.handle).unwrap().unwrap();
    assert_eq!(record.body, gzip::compress(b"<access/>")[..]);
    assert!(stored::unpack::<muster::model::package::Envelope>(&record.head).is_ok());
    second.stop().await;
}

#[actix::test]
async fn a_log_is_imported_and_kept_as_it_came_and_what_is_no_log_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let log = gzip::compress(b"INFO report delivered\n");
    import(&server, "Logs/pc%20at%2020250615T150640.log.gz", &log).await;
    let held = server.logs.package_index.after(None, 1).remove(0);
    assert_eq!(server.logs.package_index.read(held.handle).unwrap().unwrap().body, log[..]);
    let url = format!("http://{}/ManageSoftRL/Logs/torn.log.gz", server.upload);
    let torn = &log[..log.len() - 9];
    let request = reqwest::Client::new().put(url).header(header::AGENT, agent(1).to_string()).body(torn.to_vec());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let key = PackageKey { origin: Origin::agent(agent(1)), kind: Kind::Logs, digest: Digest::of(torn) };
    let key = FactKey::Package(server.books.tenant.clone(), key);
    let ended: Settlement = wait_for("a final state", || Fleet::of(&server.books).fact(&key).unwrap()).await;
    assert_eq!(ended.state, FinalState::Quarantined, "{ended:?}");
    server.stop().await;
}

/// Uploads `body` as the first file of agent 1 that is called `name`, and waits until it is imported.
async fn import(server: &RunningServer, name: &str, body: &[u8]) {
    let request = reqwest::Client::new()
        .put(format!("http://{}/ManageSoftRL/{name}", server.upload))
        .header(header::AGENT, agent(1).to_string())
        .header(header::EPOCH, "1")
        .header(header::SEQUENCE, "1")
        .body(body.to_vec());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let receipt: Receipt = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let (kind, _) = name.split_once('/').unwrap();
    let key = PackageKey { origin: Origin::agent(agent(1)), kind: kind.parse().unwrap(), digest: receipt.digest };
    let key = FactKey::Package(server.books.tenant.clone(), key);
    let ended: Settlement = wait_for("a final state", || Fleet::of(&server.books).fact(&key).unwrap()).await;
    assert_eq!((ended.state, ended.reason), (FinalState::Imported, None), "{name}");
}

#[actix::test]
async fn usage_and_discovery_stand_on_the_device_after_a_restart_and_without_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = server(folder.path()).await;
    let row = |name: &str, version: &str| {
        format!(
            r#"<APPUSAGE NAME="{name}" VERSION="{version}" RUNS="6" RUNTIME="900" ACTIVETIME="60" EVIDENCE="deb"/>"#
        )
    };
    let start = WallClock.now().plus_ms(-DAY_MS);
    let usage = format!(
        r#"<USAGE VERSION="1.00" USAGEAGENT="1"><MD NAME="pc1" DOMAIN="lab"><USAGE USER="kim" DOMAIN="" TYPE="Session"
        STARTDATE="{}" GUID="{{c2bb5a7e-3f43-4a0e-8c55-3b4a1c7f0d21}}">{}{}</USAGE></MD></USAGE>"#,
        start.to_stamp(),
        row("bash", "a"),
        row("bash", "gone"),
    );
    let found = br#"<Discovery Version="1" Source="agent" MachineName="pc1" DateTime="20250314T031530">
        <Device Name="pc1" DeviceType="Computer"><Address Type="IPv4" Value="10.20.4.17"/>
        <Service Type="PostgreSQL" Name="main" Port="5432" State="running"/></Device></Discovery>"#;
    // Before there is a device they wait beside its record.
    import(&running, "UsageData/pc1.mmi.gz", &gzip::compress(usage.as_bytes())).await;
    import(&running, "Discovery/pc1.disco", found).await;
    assert_eq!(Fleet::of(&running.books).rows(None, 9).unwrap(), [], "neither makes a device");
    upload(&running, 1, 1, &report(1, "a")).await;
    models(&running, 1).await;
    let shown = devices(&running);
    let of = |list: &str| [&shown[0][list][0]["name"], &shown[0][list][0]["version"], &shown[0][list][0]["user"]];
    assert_eq!(of("usage"), ["bash", "a", "kim"]);
    assert_eq!(of("usage_unmatched"), ["bash", "gone", "kim"]);
    assert_eq!(["usage", "usage_unmatched"].map(|list| shown[0][list].as_array().unwrap().len()), [1, 1]);
    let used = &shown[0]["usage"][0];
    assert_eq!([&used["runs"], &used["run_secs"], &used["active_secs"]], [6, 900, 60]);
    let [service, address] = ["services", "addresses"].map(|list| &shown[0]["discovery"][0][list][0]);
    assert_eq!((&service["name"], &service["port"]), (&"main".into(), &5432.into()));
    assert_eq!((&address["type"], &address["value"]), (&"IPv4".into(), &"10.20.4.17".into()));
    for is_view_deleted in [false, true] {
        running.stop().await;
        if is_view_deleted {
            spoil(&folder.path().join("view"), 0);
        }
        running = server(folder.path()).await;
        wait_for("the same device", || (devices(&running) == shown).then_some(())).await;
    }
    running.stop().await;
}

#[actix::test]
async fn bad_usage_and_discovery_end_in_quarantine_and_delay_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let bomb = format!(r#"<USAGE VERSION="1.00"><MD NAME="pc"/>{}</USAGE>"#, "<a/>".repeat(1_200_000));
    let mut sent = Vec::new();
    for (name, body, reason) in [
        ("UsageData/a.mmi.gz", gzip::compress(b"<USAGE"), "usage XML is refused"),
        ("UsageData/b.mmi.gz", b"\x1f\x8bnonsense".to_vec(), "usage gzip is refused"),
        ("UsageData/c.mmi.gz", gzip::compress(bomb.as_bytes()), "more than 200 to 1"),
        ("Discovery/a.disco", b"<Discovery".to_vec(), "discovery XML is refused"),
        ("Discovery/b.disco", b"<Policy/>".to_vec(), "not `Discovery`"),
        (
            "Discovery/c.disco",
            br#"<Discovery Version="1" Source="agent" MachineName="pc1" DateTime="20250314T031530"/>"#.to_vec(),
            "none of its 0 devices is the machine `pc1`",
        ),
    ] {
        let url = format!("http://{}/ManageSoftRL/{name}", server.upload);
        let request = reqwest::Client::new().put(url).header(header::AGENT, agent(9).to_string()).body(body.clone());
        assert_eq!(request.send().await.unwrap().status(), 200);
        let kind = name.split_once('/').unwrap().0.parse().unwrap();
        sent.push((name, reason, PackageKey { origin: Origin::agent(agent(9)), kind, digest: Digest::of(&body) }));
    }
    let good = upload(&server, 1, 1, &report(1, "a")).await;
    assert_eq!(settled(&server, 1, good.digest).await.state, FinalState::Imported);
    for (name, wanted, key) in sent {
        let key = FactKey::Package(server.books.tenant.clone(), key);
        let ended: Settlement = wait_for(name, || Fleet::of(&server.books).fact(&key).unwrap()).await;
        let reason = ended.reason.unwrap_or_default();
        assert!(ended.state == FinalState::Quarantined && reason.contains(wanted), "{name}: {} {reason}", ended.state);
    }
    server.stop().await;
}

/// The present, so many days on.
struct Later(i64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        WallClock.now().plus_ms(self.0 * DAY_MS)
    }
}

#[actix::test]
async fn what_is_settled_and_old_goes_body_first_and_comes_back_as_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let mut digests = Vec::new();
    for (sequence, model) in (1..).zip(["a", "b"]) {
        let receipt = upload(&server, 1, sequence, &report(1, model)).await;
        settled(&server, 1, receipt.digest).await;
        digests.push(receipt.digest);
    }
    let newest = BTreeMap::from([("pc1".to_owned(), "b".to_owned())]);
    assert_eq!(models(&server, 1).await, newest);
    let after = async |days| sweep(server.logs.clone(), server.books.clone(), Arc::new(Later(days))).await.unwrap();
    assert_eq!(after(29).await, Swept::default());
    assert_eq!(after(34).await, Swept { bodies: 1, entries: 0 }, "the staged report stays");
    assert_eq!(after(36).await, Swept { bodies: 0, entries: 1 });
    assert_eq!(after(36).await, Swept::default());
    let entries = [digests[0], digests[1]].map(|digest| settlement(&server, 1, digest).is_some());
    assert_eq!(entries, [false, true]);
    let again = upload(&server, 1, 1, &report(1, "a")).await;
    assert_eq!((again.digest, again.state), (digests[0], ReceiptState::Held));
    assert_eq!(settled(&server, 1, digests[0]).await.state, FinalState::Stale);
    assert_eq!(models(&server, 1).await, newest);
    server.stop().await;
}
