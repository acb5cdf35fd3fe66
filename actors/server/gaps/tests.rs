use std::sync::atomic::AtomicI64;

use muster::formats::gzip;
use muster::formats::marks::Told;
use muster::id::Digest;
use muster::model::aside::{Aside, AsideReport};
use muster::model::package::Kind;
use muster::time::DAY_MS;
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::server::api::tests::fixture::{Fixture, NOW, guid, package, report};

/// So many milliseconds later than the server's own clock.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        NOW.plus_ms(self.0.load(Ordering::Relaxed))
    }
}

fn acknowledged(acked: &str) -> Told {
    Told { acked: acked.into(), ..Told::default() }
}

/// A second keeper of a server's gaps, whose clock moves on.
struct Bench {
    fixture: Fixture,
    keeper: GapKeeper,
    clock: Arc<Later>,
}

impl Bench {
    fn of(fixture: Fixture, later_ms: i64) -> Bench {
        let clock = Arc::new(Later(AtomicI64::new(later_ms)));
        let (books, packages) = (fixture.server.books.clone(), fixture.server.api.logs.package_index.clone());
        let gaps = Data::new(Gaps::new(guid(9)));
        Bench { keeper: GapKeeper::new(books, packages, gaps, clock.clone(), DAY_MS), fixture, clock }
    }

    async fn new() -> Bench {
        Bench::of(Fixture::plain().await, 0)
    }

    /// The same server after a restart, at the same time.
    async fn restarted(self) -> Bench {
        let Bench { fixture, keeper, clock } = self;
        drop(keeper);
        Bench::of(fixture.restarted().await, clock.0.load(Ordering::Relaxed))
    }

    async fn tell(&self, agent: u8, acked: &str) {
        let report = GapReport::heard(guid(agent), guid(8), &acknowledged(acked)).0.unwrap();
        assert!(self.keeper.take_reports(vec![report]).await);
    }

    async fn look_after(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.keeper.look().await;
    }

    fn asked(&self, agent: u8) -> Option<String> {
        self.keeper.gaps.resend_of(guid(agent)).map(|header| header.to_str().unwrap().to_owned())
    }

    async fn missing(&self) -> Value {
        self.fixture.get("/api/v1/ledger/summary").await["missing"].clone()
    }

    fn noted(&self) -> usize {
        let books = &self.fixture.server.books;
        books.facts.keys(&FactKind::Gaps.prefix(Some(&books.tenant)), None, 1_000).len()
    }
}

#[actix::test]
async fn what_a_beacon_lost_is_asked_for_over_restarts_until_a_later_report_comes() {
    let bench = Bench::new().await;
    bench.fixture.settle(report(1, 1, &[], &[])).await;
    bench.tell(1, "Inventories/root/Full=7:1").await;
    assert_eq!(bench.noted(), 0, "it is settled");
    bench.tell(1, "Inventories/root/Full=7:2").await;
    bench.look_after(DAY_MS - 1).await;
    assert_eq!((bench.noted(), bench.missing().await, bench.asked(1)), (1, 0.into(), None));
    let bench = bench.restarted().await;
    bench.look_after(1).await;
    assert_eq!((bench.missing().await, bench.asked(1).unwrap()), (1.into(), "Inventories/root/Full=7:2".to_owned()));
    assert_eq!(bench.asked(2), None, "nobody else is asked");
    let listed = bench.fixture.get("/api/v1/packages?state=missing").await;
    assert_eq!(listed["total"], 1);
    let shown = &listed["items"][0];
    assert_eq!((&shown["origin"], &shown["sequence"]), (&guid(1).to_string().into(), &2.into()));
    assert!(shown["reason"].as_str().unwrap().contains(&guid(8).to_string()), "{shown}");
    for none in ["state=missing&kind=UsageData", "filter=state:missing"] {
        assert_eq!(bench.fixture.get(&format!("/api/v1/packages?{none}")).await["total"], 0, "{none}");
    }
    let bench = bench.restarted().await;
    bench.look_after(1).await;
    assert_eq!((bench.missing().await, bench.asked(1).is_some()), (1.into(), true));
    // The number says so at once, the next look everything else.
    bench.fixture.settle(report(1, 3, &[], &[])).await;
    assert_eq!((bench.missing().await, bench.noted()), (0.into(), 1));
    bench.look_after(1).await;
    assert_eq!((bench.missing().await, bench.noted(), bench.asked(1)), (0.into(), 0, None));
    bench.fixture.stop().await;
}

#[actix::test]
async fn what_waits_here_without_a_reader_is_not_missing() {
    let bench = Bench::new().await;
    bench.fixture.upload(package(1, 2, &gzip::compress(b"log")).named("Logs/u.log.gz")).await;
    bench.tell(1, "Logs//=7:1-3").await;
    bench.look_after(2 * DAY_MS).await;
    assert_eq!((bench.missing().await, bench.asked(1).unwrap()), (2.into(), "Logs//=7:1,Logs//=7:3".to_owned()));
    // It is called missing while it is on its way; once it is here it is not.
    bench.fixture.upload(package(1, 3, &gzip::compress(b"more")).named("Logs/v.log.gz")).await;
    bench.look_after(1).await;
    assert_eq!((bench.missing().await, bench.asked(1).unwrap()), (1.into(), "Logs//=7:1".to_owned()));
    bench.fixture.stop().await;
}

#[actix::test]
async fn what_a_beacon_set_aside_is_not_missing_beside() {
    let bench = Bench::new().await;
    bench.tell(1, "UsageData/root/=7:1-3").await;
    let place = Some((Stream("UsageData/root/".into()), Sequence { epoch: 7, number: 2 }));
    let (origin, kind, digest) = (Origin::agent(guid(1)), Kind::UsageData, Digest::of(b"2"));
    let aside = AsideReport { origin, kind, digest, why: Aside::Refused, since: NOW, place };
    let status = serde_json::json!([{
        "id": guid(8), "name": "basel", "parent": "http://hq:7080", "version": "0.1.0", "at": NOW.0,
        "queue": { "waiting": {}, "quarantined": 1 }, "aside": [aside],
    }]);
    bench.fixture.report_status(8, status).await;
    bench.look_after(DAY_MS).await;
    let asked = bench.asked(1).unwrap();
    assert_eq!((bench.missing().await, &*asked), (2.into(), "UsageData/root/=7:1,UsageData/root/=7:3"));
    let summary = bench.fixture.get("/api/v1/ledger/summary").await;
    assert_eq!((&summary["quarantined"], &summary["published"]), (&1.into(), &1.into()), "{summary}");
    bench.fixture.stop().await;
}

#[actix::test]
async fn what_an_agent_gave_up_is_counted_until_it_comes_all_the_same() {
    let bench = Bench::new().await;
    bench.fixture.settle(report(1, 4, &[], &[])).await;
    let told = Told {
        published: "Inventories/root/Full=7:6".into(),
        superseded: "Inventories/root/Full=7:1-2,Inventories/root/Full=7:9".into(),
        refused: "Inventories/root/Full=7:5-6".into(),
        ..Told::default()
    };
    for _ in 0..2 {
        let report = GapReport::heard(guid(1), guid(8), &told).0.unwrap();
        assert!(bench.keeper.take_reports(vec![report]).await);
    }
    let summary = bench.fixture.get("/api/v1/ledger/summary").await;
    let shown = ["published", "imported", "superseded", "refused", "missing"].map(|field| summary[field].as_u64());
    assert_eq!(shown, [6, 1, 2, 2, 0].map(Some), "{summary}");
    // Its answer was lost, and a node had it.
    bench.fixture.settle(report(1, 2, &[], &[("late", "1")])).await;
    let bench = bench.restarted().await;
    let summary = bench.fixture.get("/api/v1/ledger/summary").await;
    assert_eq!((&summary["superseded"], &summary["published"]), (&1.into(), &6.into()), "{summary}");
    // Of one who never sent anything nothing is counted, nor kept.
    let report = GapReport::heard(guid(2), guid(8), &told).0.unwrap();
    assert!(bench.keeper.take_reports(vec![report]).await);
    let books = &bench.fixture.server.books;
    let origin = Origin::agent(guid(2));
    assert!(!books.facts.contains(&FactKey::Abandoned(books.tenant.clone(), origin).encode()));
    bench.fixture.stop().await;
}

#[actix::test]
async fn what_the_server_heard_itself_is_noted_at_the_next_look() {
    let bench = Bench::new().await;
    bench.keeper.gaps.keep(vec![GapReport::heard(guid(1), guid(9), &acknowledged("UsageData/root/=7:1")).0.unwrap()]);
    bench.look_after(0).await;
    bench.look_after(DAY_MS).await;
    assert_eq!((bench.missing().await, bench.asked(1).unwrap()), (1.into(), "UsageData/root/=7:1".to_owned()));
    assert!(bench.keeper.gaps.page(1).0.is_empty());
    bench.fixture.stop().await;
}

#[actix::test]
async fn unknown_senders_are_not_listened_to_without_end_and_keep_nobody_else_out() {
    let bench = Bench::new().await;
    bench.fixture.settle(report(1, 1, &[], &[])).await;
    bench.keeper.strangers.store(STRANGERS_MAX, Ordering::Relaxed);
    bench.tell(2, "UsageData/root/=7:1").await;
    assert_eq!(bench.noted(), 0);
    bench.tell(1, "Inventories/root/Full=7:2").await;
    assert_eq!(bench.noted(), 1);
    bench.fixture.stop().await;
}

#[actix::test]
async fn a_fact_that_does_not_read_is_noted_anew() {
    let bench = Bench::new().await;
    let (books, origin) = (&bench.fixture.server.books, Origin::agent(guid(1)));
    let key = FactKey::Gaps(books.tenant.clone(), origin);
    let damaged = books.turn(move |draft| {
        draft.write(&key, &"not gaps");
        Ok::<_, TurnError>(((), News::default()))
    });
    damaged.await.unwrap();
    assert_eq!(bench.missing().await, 0);
    bench.look_after(1).await;
    assert_eq!(bench.noted(), 0);
    bench.tell(1, "UsageData/root/=7:1").await;
    bench.look_after(DAY_MS).await;
    assert_eq!(bench.missing().await, 1);
    bench.fixture.stop().await;
}
