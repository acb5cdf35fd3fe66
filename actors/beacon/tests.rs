//! Real beacons on loopback: what is received is held, relayed, let go, and found again after a restart.

mod policies;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster::formats::gzip;
use muster::formats::wire::header;
use muster::id::{Digest, Guid, TenantId};
use muster::model::aside::{Aside, AsideFact};
use muster::model::fact::FactKey;
use muster::model::package::{Envelope, Kind, Origin, PackageKey, Receipt, ReceiptState};
use muster::model::stored;
use muster::time::DAY_MS;

pub(crate) use super::aside::{give_up_rotten, purge};
use super::*;
use crate::clock::{Clock, WallClock};
use crate::intake::IntakeLimits;
use crate::log::{PackageRequest, Reserve};

/// Nothing listens on it.
const NOBODY: &str = "http://127.0.0.1:9";

pub(crate) fn options(data: &Path, parents: &[String]) -> BeaconOptions {
    BeaconOptions {
        data: data.to_path_buf(),
        name: "b".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        allow_plain: false,
        tenant: "default".parse().unwrap(),
        parents: parents.to_vec(),
        cycle_ms: 60_000,
        relay_on_arrival: true,
        policy_every_ms: 900_000,
        status_every_ms: 60_000,
        limits: IntakeLimits::default(),
        reserve: Reserve { bytes: 0, percent: 0 },
        workers: 1,
        for_agents: true,
        endpoint: String::new(),
        site: String::new(),
    }
}

async fn beacon(data: &Path, parent: &str) -> RunningBeacon {
    let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
    start(options(data, &[parent.to_owned()]), Arc::new(WallClock), no_fatal).await.unwrap()
}

fn put(beacon: &RunningBeacon, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().put(format!("http://{}{path}", beacon.address))
}

pub(crate) async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[actix::test]
async fn a_package_gets_a_receipt_and_reaches_the_parent_with_both_hops() {
    let folder = tempfile::tempdir().unwrap();
    let parent = beacon(&folder.path().join("p"), NOBODY).await;
    let child = beacon(&folder.path().join("c"), &format!("http://{}", parent.address)).await;
    let body = gzip::compress(b"<Inventory/>");
    let agent = Guid::from_random([7; 16]);
    let send = || {
        put(&child, "/ManageSoftRL/Inventories/root%20on%20a%20at%2020250314T031522%20(Full).ndi.gz")
            .header(header::AGENT, agent.to_string())
            .body(body.clone())
    };
    let receipt: Receipt = serde_json::from_str(&send().send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!((receipt.digest, receipt.size, receipt.node), (Digest::of(&body), body.len() as u64, child.node));
    assert_eq!(receipt.state, ReceiptState::Held);
    wait_for("the parent has it and the child let go", || {
        parent.logs.package_index.totals().0 == 1 && child.logs.package_index.totals().0 == 0
    })
    .await;
    let held = parent.logs.package_index.after(None, 1).remove(0);
    let record = parent.logs.package_index.read(held.handle).unwrap().unwrap();
    let envelope: muster::model::package::Envelope = muster::model::stored::unpack(&record.head).unwrap();
    assert_eq!(record.body, body);
    assert_eq!(envelope.origin.as_str(), agent.to_string());
    assert_eq!(envelope.hops.iter().map(|hop| hop.node).collect::<Vec<_>>(), [child.node, parent.node]);
    child.stop().await;
    parent.stop().await;
}

#[actix::test]
async fn what_had_a_receipt_is_there_after_a_restart_and_known_when_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = beacon(folder.path(), NOBODY).await;
    let body = gzip::compress(b"<Inventory/>");
    let path = "/ManageSoftRL/Inventories/x.ndi.gz";
    assert_eq!(put(&first, path).body(body.clone()).send().await.unwrap().status(), 200);
    first.stop().await;
    let mut second = None;
    for _ in 0..500 {
        let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
        match start(options(folder.path(), &[NOBODY.to_owned()]), Arc::new(WallClock), no_fatal).await {
            Ok(running) => {
                second = Some(running);
                break;
            }
            Err(BeaconError::Folder(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    let second = second.unwrap();
    assert_eq!(second.logs.package_index.totals().0, 1);
    let receipt: Receipt =
        serde_json::from_str(&put(&second, path).body(body).send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(receipt.state, ReceiptState::Duplicate);
    second.stop().await;
}

#[actix::test]
async fn a_node_does_not_listen_in_plain_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let mut beyond = options(folder.path(), &[NOBODY.to_owned()]);
    beyond.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = start(beyond, Arc::new(WallClock), Arc::new(|_: &str| ())).await.err().unwrap();
    assert!(error.to_string().contains("allow_plain"), "{error}");
}

#[actix::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(folder.path(), &[NOBODY.to_owned()]);
    options.listen = taken.local_addr().unwrap();
    let error = start(options, Arc::new(WallClock), Arc::new(|_: &str| ())).await.err().unwrap();
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

/// Ends the actor that takes it as a fault of ours would.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct PlantedPanic;

impl actix::Handler<PlantedPanic> for Beacon {
    type Result = ();
    fn handle(&mut self, _: PlantedPanic, _: &mut Self::Context) {
        panic!("planted");
    }
}

#[actix::test]
async fn a_beacon_whose_actor_panics_relays_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let parent = beacon(&folder.path().join("p"), NOBODY).await;
    let child = beacon(&folder.path().join("c"), &format!("http://{}", parent.address)).await;
    for number in 0..4 {
        let body = gzip::compress(format!("<Inventory n='{number}'/>").as_bytes());
        let path = format!("/ManageSoftRL/Inventories/{number}.ndi.gz");
        assert_eq!(put(&child, &path).body(body).send().await.unwrap().status(), 200);
        child.beacon.directory().get().inspect(|beacon| beacon.do_send(PlantedPanic));
    }
    wait_for("the parent has all and the child let go", || {
        parent.logs.package_index.totals().0 == 4 && child.logs.package_index.totals().0 == 0
    })
    .await;
    child.stop().await;
    parent.stop().await;
}

/// Bytes that pass a beacon.
const NO_INVENTORY: &[u8] = b"\x1f\x8bno inventory";

/// A package of agent 9 that `beacon` has set aside.
pub(crate) async fn set_aside(beacon: &RunningBeacon, why: Aside) -> PackageKey {
    let (tenant, now): (TenantId, _) = ("default".parse().unwrap(), WallClock.now());
    let body = bytes::Bytes::from_static(NO_INVENTORY);
    let envelope = Envelope {
        origin: Origin::agent(Guid::from_random([9; 16])),
        kind: Kind::Inventories,
        stream: None,
        file_name: "x.ndi.gz".into(),
        size: body.len() as u64,
        digest: Digest::of(&body),
        sequence: None,
        collected_at: None,
        first_received: now,
        unproven: true,
        hops: Vec::new(),
    };
    let (key, fact) = (envelope.key(), AsideFact { why, since: now, acknowledged: None });
    let write = (FactKey::Package(tenant.clone(), key.clone()).encode().into(), Some(stored::pack(&fact).into()));
    beacon.logs.facts.ask(vec![write]).await.unwrap();
    let hold = PackageRequest::Hold { key: key.encode(&tenant).into(), envelope: stored::pack(&envelope).into(), body };
    beacon.logs.packages.ask(hold).await.unwrap();
    key
}

#[actix::test]
async fn what_the_server_has_not_heard_of_stays_in_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let alone = beacon(folder.path(), NOBODY).await;
    set_aside(&alone, Aside::Refused).await;
    let later = WallClock.now().plus_ms(400 * DAY_MS);
    assert_eq!(purge(alone.logs.clone(), "default".parse().unwrap(), later).await.unwrap(), 0);
    assert_eq!(alone.logs.package_index.totals().0, 1);
    alone.stop().await;
}

#[actix::test]
async fn two_uploads_of_what_rotted_leave_one_whole_package() {
    let folder = tempfile::tempdir().unwrap();
    let beacon = beacon(folder.path(), NOBODY).await;
    let tenant: TenantId = "default".parse().unwrap();
    let key = set_aside(&beacon, Aside::BadDigest).await;
    let (turn, encoded) = (Arc::default(), Bytes::from(key.encode(&tenant)));
    let give_up = || give_up_rotten(beacon.logs.clone(), Arc::clone(&turn), tenant.clone(), key.clone());
    assert!(give_up().await.unwrap());
    let (envelope, body) = (Bytes::from_static(b"e"), Bytes::from_static(NO_INVENTORY));
    beacon.logs.packages.ask(PackageRequest::Hold { key: encoded.clone(), envelope, body }).await.unwrap();
    // The second one saw the fact before it went: it must hold too, and takes nothing away.
    assert!(give_up().await.unwrap());
    assert!(beacon.logs.package_index.find(&encoded).is_some());
    beacon.stop().await;
}

#[actix::test]
async fn a_beacon_that_asks_itself_is_told_of_the_circle() {
    let folder = tempfile::tempdir().unwrap();
    let beacon = beacon(folder.path(), NOBODY).await;
    let url = |what: &str| format!("http://{}/inventory-beacons/{}/{what}", beacon.address, beacon.node);
    let client = reqwest::Client::new();
    assert_eq!(client.get(url("policy")).send().await.unwrap().status(), 508);
    let own = serde_json::json!([{
        "id": beacon.node, "name": "b", "parent": "", "version": "", "at": WallClock.now(),
        "queue": { "waiting": {}, "quarantined": 0 },
    }]);
    assert_eq!(client.put(url("status")).body(own.to_string()).send().await.unwrap().status(), 508);
    beacon.stop().await;
}

#[actix::test]
async fn what_rotted_here_is_taken_when_it_comes_again_and_what_was_refused_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let parent = beacon(&folder.path().join("p"), NOBODY).await;
    let agent = Guid::from_random([9; 16]).to_string();
    for (name, why, wanted) in
        [("rotten", Aside::BadDigest, ReceiptState::Held), ("refused", Aside::Refused, ReceiptState::Settled)]
    {
        let child = beacon(&folder.path().join(name), &format!("http://{}", parent.address)).await;
        set_aside(&child, why).await;
        let again = put(&child, "/ManageSoftRL/Inventories/x.ndi.gz").header(header::AGENT, &agent);
        let answer = again.body(NO_INVENTORY).send().await.unwrap().text().await.unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&answer).unwrap().state, wanted, "{name}");
        if wanted == ReceiptState::Held {
            wait_for("it is handed on", || {
                parent.logs.package_index.totals().0 == 1 && child.logs.package_index.totals().0 == 0
            })
            .await;
        }
        child.stop().await;
    }
    assert_eq!(parent.logs.package_index.totals().0, 1);
    parent.stop().await;
}
