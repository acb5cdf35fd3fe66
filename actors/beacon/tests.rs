//! Real beacons on loopback: what is received is held, relayed, let go, and found again after a restart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster::formats::gzip;
use muster::formats::wire::header;
use muster::id::{Digest, Guid};
use muster::model::package::{Receipt, ReceiptState};

use super::*;
use crate::clock::WallClock;
use crate::intake::IntakeLimits;
use crate::log::Reserve;

/// Nothing listens on it.
const NOBODY: &str = "http://127.0.0.1:9";

fn options(data: &Path, parents: &[String]) -> BeaconOptions {
    BeaconOptions {
        data: data.to_path_buf(),
        name: "b".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        allow_plain: false,
        tenant: "default".parse().unwrap(),
        parents: parents.to_vec(),
        cycle_ms: 60_000,
        relay_on_arrival: true,
        limits: IntakeLimits::default(),
        reserve: Reserve { bytes: 0, percent: 0 },
        workers: 1,
    }
}

async fn beacon(data: &Path, parent: &str) -> RunningBeacon {
    let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
    start(options(data, &[parent.to_owned()]), Arc::new(WallClock), no_fatal).await.unwrap()
}

fn put(beacon: &RunningBeacon, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().put(format!("http://{}{path}", beacon.address))
}

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
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
async fn every_limit_of_the_head_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let beacon = beacon(folder.path(), NOBODY).await;
    let body = gzip::compress(b"<Inventory/>");
    let good = "/ManageSoftRL/Inventories/x.ndi.gz";
    let many: Vec<String> = (0..65).map(|n| format!("x-{n}")).collect();
    let long = "a".repeat(4_200);
    let own = format!("{};1", beacon.node);
    let nine = vec![format!("{};1", Guid::NIL); 9].join(",");
    let with = |name: &str, value: &str| put(&beacon, good).header(name, value).body(body.clone());
    let cases = [
        ("another folder", put(&beacon, "/ManageSoftRL/Secrets/x.ndi.gz").body(body.clone()), 404),
        ("a name with a slash", put(&beacon, "/ManageSoftRL/Inventories/a%2Fb.ndi.gz").body(body.clone()), 400),
        ("a name with two dots", put(&beacon, "/ManageSoftRL/Inventories/a..ndi.gz").body(body.clone()), 400),
        ("a long URL", put(&beacon, &format!("{good}?{long}")).body(body.clone()), 414),
        ("65 headers", many.iter().fold(put(&beacon, good).body(body.clone()), |r, name| r.header(name, "x")), 431),
        ("a large head", with("x-large", &"a".repeat(17_000)), 431),
        ("an encoding", with("content-encoding", "gzip"), 415),
        ("a range", with("content-range", "bytes 0-1/2"), 400),
        ("wrong first bytes", put(&beacon, good).body("<Inventory/>"), 415),
        ("nothing", put(&beacon, good).body(""), 411),
        ("a wrong digest", with(header::SHA256, &Digest::of(b"other").to_string()), 422),
        ("no digest at all", with(header::SHA256, "abc"), 400),
        ("an agent that is none", with(header::AGENT, "me"), 400),
        ("its own hop", with(header::VIA, &own).header(header::ORIGIN, "o"), 508),
        ("nine hops", with(header::VIA, &nine).header(header::ORIGIN, "o"), 508),
        ("a hop without an origin", with(header::VIA, &format!("{};1", Guid::NIL)), 400),
        ("too large", put(&beacon, good).body(vec![0x1f; (32 << 20) + 1]), 413),
        ("a question", reqwest::Client::new().get(format!("http://{}{good}", beacon.address)), 405),
    ];
    for (what, request, status) in cases {
        match request.send().await {
            Ok(answer) => {
                assert_eq!(answer.status().as_u16(), status, "{what}");
                let text = answer.text().await.unwrap();
                let refusal: serde_json::Value =
                    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text}"));
                assert!(refusal["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}");
            }
            // A body that is refused before it was read may break the sender's writing.
            Err(error) => assert!(status == 413, "{what}: {error}"),
        }
    }
    assert_eq!(beacon.logs.package_index.totals().0, 0, "nothing refused is held");
    assert_eq!(put(&beacon, good).body(body).send().await.unwrap().status(), 200);
    beacon.stop().await;
}

#[actix::test]
async fn a_sender_without_measure_is_asked_to_come_later_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let beacon = beacon(folder.path(), NOBODY).await;
    let send = |agent: u8, n: usize| {
        put(&beacon, "/ManageSoftRL/Inventories/x.ndi.gz")
            .header(header::AGENT, Guid::from_random([agent; 16]).to_string())
            .body(gzip::compress(format!("<Inventory n=\"{n}\"/>").as_bytes()))
    };
    for n in 0..10 {
        assert_eq!(send(1, n).send().await.unwrap().status(), 200);
    }
    let late = send(1, 10).send().await.unwrap();
    assert_eq!(late.status(), 429);
    assert!(late.headers().get("retry-after").is_some());
    assert_eq!(send(2, 0).send().await.unwrap().status(), 200);
    beacon.stop().await;
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
