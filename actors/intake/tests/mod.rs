//! The receiver's limits at a true listener: each row of the delivery contract's section 7 that judges a request and
//! not its content.

mod garbage;
mod node;
mod slow;

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{App, HttpServer};
use muster::formats::wire::{self, header};
use muster::id::{Digest, Guid};
use muster::model::package::{Receipt, ReceiptState};
use muster::upload::rates::Rates;
use muster::upload::spool::SpoolLimit;

use self::node::{Put, agent, answer, body, limits, node, node_with_reserve, send};
use super::{IntakeLimits, IntakeTimes, routes};

fn receipt(text: &str) -> Receipt {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

type Change = Box<dyn Fn(&mut Put)>;

#[actix::test]
async fn a_good_upload_gets_a_receipt_and_again_when_it_is_repeated() {
    let node = node(limits());
    for state in [ReceiptState::Held, ReceiptState::Duplicate] {
        let answer = node
            .put(|put| {
                put.with(header::AGENT, agent(1));
            })
            .await;
        assert_eq!(answer.status, 200);
        let sent = body(0);
        let wanted = Receipt { digest: Digest::of(&sent), size: sent.len() as u64, node: node.logs.node, state };
        assert_eq!(receipt(&answer.body), wanted);
    }
    assert_eq!(node.held(), 1);
    node.stop().await;
}

#[actix::test]
async fn every_limit_of_a_request_has_its_answer() {
    let node = node(limits());
    let (own, nine) = (format!("{};1", node.logs.node), vec![format!("{};1", Guid::NIL); 9].join(","));
    let with = |name: &'static str, value: &str| -> Change {
        let value = value.to_owned();
        Box::new(move |put| {
            put.with(name, &value);
        })
    };
    let path = |path: String| -> Change { Box::new(move |put| put.path.clone_from(&path)) };
    let sends = |bytes: &'static [u8]| -> Change { Box::new(move |put| put.body = bytes.to_vec()) };
    let via = |via: &str| -> Change {
        let via = via.to_owned();
        Box::new(move |put| {
            put.with(header::VIA, &via).with(header::ORIGIN, "o");
        })
    };
    let headers = |count: usize| -> Change {
        Box::new(move |put| {
            (0..count).for_each(|n| {
                put.with(&format!("x-{n}"), "x");
            })
        })
    };
    let too_long = wire::BODY_BYTES_MAX + 1;
    let cases: Vec<(&str, Change, u16)> = vec![
        // `host` and the length are headers too.
        ("64 headers", headers(62), 200),
        ("65 headers", headers(63), 431),
        ("200 headers", headers(200), 431),
        ("a large head", with("x-large", &"a".repeat(wire::HEAD_BYTES_MAX)), 431),
        ("a head that does not end", with("x-large", &"a".repeat(200 << 10)), 431),
        ("a long URL", path(format!("/ManageSoftRL/Inventories/x.ndi.gz?{}", "a".repeat(wire::URL_BYTES_MAX))), 414),
        ("a longer URL", path(format!("/ManageSoftRL/Inventories/x.ndi.gz?{}", "a".repeat(20_000))), 414),
        ("an encoding", with("content-encoding", "gzip"), 415),
        ("one encoding of two", with("content-encoding", "identity, br"), 415),
        ("identity", with("content-encoding", "identity"), 200),
        ("a range", with("content-range", "bytes 0-1/2"), 400),
        ("more than a body may have", with("content-length", &too_long.to_string()), 413),
        ("far more", with("content-length", &u64::MAX.to_string()), 413),
        ("a length that is none", with("content-length", "-1"), 400),
        ("a length with a sign", with("content-length", "+40"), 400),
        ("nothing", sends(b""), 400),
        ("nothing left of something", cut_to(0), 422),
        ("no gzip any more", cut_to(1), 422),
        ("another first byte", flipped(0), 422),
        ("another last byte", flipped(body(0).len() - 1), 422),
        ("chunks without a length", chunked(&[]), 411),
        ("chunks and a length", chunked(&[("content-length", "40")]), 400),
        // The contract's 501 is the framework's 400: docs/decisions/006-receiver-limits.md.
        ("an unknown transfer coding", with("transfer-encoding", "gzip"), 400),
        ("two transfer codings", with("transfer-encoding", "gzip, chunked"), 400),
        ("no gzip", sends(b"<Inventory/>"), 415),
        ("less than a gzip's head", sends(b"\x1f"), 415),
        ("a wrong digest", with(header::SHA256, &Digest::of(b"other").to_string()), 422),
        ("its digest", with(header::SHA256, &Digest::of(&body(0)).to_string()), 200),
        ("a digest that is none", with(header::SHA256, "abc"), 400),
        ("an agent that is none", with(header::AGENT, "me"), 400),
        ("a stream of another folder", with(header::STREAM, "UsageData/root/Full"), 400),
        ("a sequence without an epoch", with(header::SEQUENCE, "1"), 400),
        ("its own hop", via(&own), 508),
        ("nine hops", via(&nine), 508),
        ("a hop list that is none", via("nobody"), 400),
        ("a hop without an origin", with(header::VIA, &format!("{};1", Guid::NIL)), 400),
        ("another folder", path("/ManageSoftRL/Secrets/x.ndi.gz".into()), 404),
        ("no folder", path("/ManageSoftRL/".into()), 404),
        ("no name", path("/ManageSoftRL/Inventories".into()), 400),
        ("another address", path("/Elsewhere/x".into()), 404),
        ("another address that begins alike", path("/ManageSoftRLx/Inventories/x.ndi.gz".into()), 404),
    ];
    for (what, change, status) in cases {
        let held = node.held();
        let answer = node.put(change).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        if status == 200 {
            continue;
        }
        assert_eq!(node.held(), held, "{what}: nothing refused is held");
        // What the framework itself refuses has no body.
        if !answer.body.is_empty() {
            let refusal: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert!(refusal["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
            assert_eq!(answer.header("connection"), Some("close"), "{what}");
        }
    }
    node.stop().await;
}

/// A body of which something between has passed on the first bytes only, as if they were all.
fn cut_to(length: usize) -> Change {
    Box::new(move |put| {
        let digest = Digest::of(&put.body);
        put.with(header::SHA256, digest).body.truncate(length);
    })
}

/// A body with another bit on the way.
fn flipped(at: usize) -> Change {
    Box::new(move |put| {
        let digest = Digest::of(&put.body);
        put.with(header::SHA256, digest).body[at] ^= 1;
    })
}

fn chunked(headers: &'static [(&str, &str)]) -> Change {
    Box::new(|put| {
        put.with("transfer-encoding", "chunked");
        headers.iter().for_each(|(name, value)| {
            put.with(name, value);
        });
        put.body = b"4\r\n\x1f\x8b\x08\x00\r\n0\r\n\r\n".to_vec();
    })
}

#[actix::test]
async fn only_put_takes_uploads() {
    let node = node(limits());
    for method in ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let answer = node.put(|put| put.method = method).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("PUT")), "{method}");
    }
    node.stop().await;
}

#[actix::test]
async fn names_that_could_do_harm_are_refused_and_plain_ones_are_taken() {
    let node = node(limits());
    let (long, longest) = ("x".repeat(194) + ".ndi.gz", "x".repeat(193) + ".ndi.gz");
    let taken = [
        "root%20on%20web07%20at%2020250314T031522%20(Full).ndi.gz",
        "a%23b%5B1%5D%7B2%7D.ndi.gz",
        "a+b&c=d;e,f@g!h'i~j.ndi.gz",
        "%C3%BC%E2%82%AC%F0%9F%98%80.ndi.gz",
        "UPPER.NDI.GZ",
        &longest,
    ];
    for (number, name) in taken.into_iter().enumerate() {
        let answer = node.put(|put| (put.path, put.body) = (at(name), body(number))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    assert_eq!(node.held(), taken.len());
    let refused = [
        "",
        ".ndi.gz",
        "a.ndi",
        "a.exe",
        "a.mmi.gz",
        "a.disco",
        ".a.ndi.gz",
        "a..b.ndi.gz",
        "..ndi.gz",
        "../x.ndi.gz",
        "..%2Fx.ndi.gz",
        "a/b.ndi.gz",
        "a%2fb.ndi.gz",
        "a%5Cb.ndi.gz",
        "a%3Ab.ndi.gz",
        "a%2Ab.ndi.gz",
        "a%3Fb.ndi.gz",
        "a%22b.ndi.gz",
        "a%3Cb.ndi.gz",
        "a%3Eb.ndi.gz",
        "a%7Cb.ndi.gz",
        "a%25b.ndi.gz",
        "a%252fb.ndi.gz",
        "a%00.ndi.gz",
        "a%0d%0a.ndi.gz",
        "a%09.ndi.gz",
        "a%7F.ndi.gz",
        "a%C2%85.ndi.gz",
        "a%E2%80%AEb.ndi.gz",
        "a%E2%80%8Fb.ndi.gz",
        "a%E2%81%A6b.ndi.gz",
        "a%D8%9Cb.ndi.gz",
        "%FF.ndi.gz",
        "%C0%AF.ndi.gz",
        "a%.ndi.gz",
        "a%4.ndi.gz",
        "a%zz.ndi.gz",
        &long,
    ];
    for name in refused {
        let answer = node.put(|put| put.path = at(name)).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
    }
    assert_eq!(node.held(), taken.len(), "nothing refused is held");
    node.stop().await;
}

fn at(name: &str) -> String {
    format!("/ManageSoftRL/Inventories/{name}")
}

#[actix::test]
async fn a_sender_without_measure_is_asked_to_come_later_and_others_are_not() {
    let rates = Rates { uploads_per_hour: 60, burst: 3, bytes_per_day: 0 };
    let node = node(IntakeLimits { rates, ..limits() });
    let send = async |sender: u8, number: usize| {
        node.put(|put| put.with(header::AGENT, agent(sender)).body = body(number)).await
    };
    for number in 0..3 {
        assert_eq!(send(1, number).await.status, 200);
    }
    let late = send(1, 3).await;
    let wait: u64 = late.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((late.status, (1..=60).contains(&wait)), (429, true), "{late:?}");
    assert_eq!(send(2, 0).await.status, 200);
    // The first hop has counted what comes from a beacon.
    for number in 10..20 {
        let relayed = |put: &mut Put| {
            put.with(header::VIA, format!("{};1", agent(9))).with(header::ORIGIN, agent(1)).body = body(number);
        };
        assert_eq!(node.put(relayed).await.status, 200);
    }
    node.stop().await;
}

#[actix::test]
async fn a_sender_has_its_bytes_a_day() {
    let bytes_per_day = body(0).len() as u64 + body(1).len() as u64;
    let node = node(IntakeLimits { rates: Rates { uploads_per_hour: 0, burst: 0, bytes_per_day }, ..limits() });
    for (number, status) in [(0, 200), (1, 200), (2, 429)] {
        let answer = node.put(|put| put.with(header::AGENT, agent(1)).body = body(number)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
    }
    node.stop().await;
}

#[actix::test]
async fn half_read_bodies_and_their_bytes_are_bounded() {
    let node = node(IntakeLimits { bodies: 1, ..limits() });
    let mut half = node.connect().await;
    let put = Put::default();
    send(&mut half, put.head().as_bytes()).await;
    send(&mut half, &put.body[..9]).await;
    // Until the node has read that far, a second one may still be first.
    let refused = loop {
        let answer = node.put(|put| put.body = body(1)).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    send(&mut half, &put.body[9..]).await;
    assert_eq!(answer(&mut half).await.status, 200);
    assert_eq!(node.put(|put| put.body = body(2)).await.status, 200);
    node.stop().await;

    let small = self::node::node(IntakeLimits { body_bytes: 100, ..limits() });
    let answer = small.put(|put| put.body = [&[0x1f, 0x8b][..], &[0; 99]].concat()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(small.put(|_| ()).await.status, 200, "the room is given back");
    small.stop().await;
}

/// Loopback is exempt, so the listener here is told that each connection came from elsewhere.
#[actix::test]
async fn an_address_has_its_share_of_connections() {
    let node = node(IntakeLimits { connections_per_address: 2, ..limits() });
    let (intake, gate) = (node.intake.clone(), node.gate.clone());
    let server = HttpServer::new(move || {
        let intake = intake.clone();
        App::new().configure(move |config| routes(config, intake.clone()))
    });
    let server = server.workers(1).disable_signals().on_connect(move |_, data| {
        data.insert(gate.connected(Some(IpAddr::from([192, 0, 2, 1]))));
    });
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let connect = async |number: usize| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        send(&mut stream, &Put { body: body(number), ..Put::default() }.bytes()).await;
        let answer = answer(&mut stream).await;
        (stream, answer)
    };
    let (first, _second) = (connect(0).await, connect(1).await);
    assert_eq!(first.1.status, 200);
    let (_, refused) = connect(2).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert_eq!(refused.header("connection"), Some("close"));
    drop(first);
    // The node has to notice that the first one is gone.
    while connect(3).await.1.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    handle.stop(false).await;
    node.stop().await;
}

#[actix::test]
async fn a_full_disk_is_said_and_so_is_that_the_node_cannot_take_custody() {
    let full = node_with_reserve(limits(), u64::MAX);
    assert_eq!(full.put(|_| ()).await.status, 507);
    let health = |put: &mut Put| (put.method, put.path, put.body) = ("GET", "/health".into(), Vec::new());
    let answer = full.put(health).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, ""));
    assert_eq!(full.held(), 0);
    full.stop().await;
    let node = node(limits());
    let answer = node.put(health).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    node.stop().await;
}

#[actix::test]
async fn a_node_that_holds_nearly_what_it_may_asks_for_a_turn_and_then_sends_away() {
    let spool = SpoolLimit { packages: 10, bytes: 0 };
    let node = node(IntakeLimits { spool, ..limits() });
    for number in 0..9u8 {
        let answer = node.put(|put| put.body.push(number)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let answer = node.put(|put| put.body.push(9)).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.body);
    node.stop().await;
}

#[test]
fn senders_have_the_times_of_the_contract() {
    let times = IntakeTimes::default();
    let secs = |secs| Duration::from_secs(secs);
    assert_eq!((times.head, times.silence, times.idle), (secs(10), secs(15), secs(15)));
    assert_eq!((times.whole(0), times.whole(64 << 10), times.whole(32 << 20)), (secs(60), secs(61), secs(572)));
    assert_eq!(IntakeLimits::default(), IntakeLimits::of(&muster::config::node::LimitsSection::default()));
}
