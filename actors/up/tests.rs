//! Beacons over a server, on loopback: what needs both.

use std::net::SocketAddr;
use std::sync::Arc;

use muster::id::TenantId;
use muster::model::aside::{Aside, AsideFact};
use muster::model::fact::FactKey;
use muster::model::stored;
use muster::time::DAY_MS;

use crate::beacon::tests::{options, purge, set_aside, wait_for};
use crate::beacon::{self, BeaconOptions};
use crate::clock::{Clock, WallClock};
use crate::log::OnFatal;
use crate::server;

#[actix::test]
async fn what_a_beacon_set_aside_is_told_over_two_hops_and_goes_thirty_days_after_the_servers_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("s").display().to_string();
    let text = format!("[server]\ndata = {data:?}\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n");
    let config = muster::config::server::ServerConfig::parse(&text, "s.toml", []).unwrap();
    let no_fatal: OnFatal = Arc::new(|reason: &str| panic!("{reason}"));
    let server = server::run::start(&config, Arc::new(WallClock), no_fatal.clone()).await.unwrap();
    let below = |name: &str, above: SocketAddr| BeaconOptions {
        status_every_ms: 50,
        ..options(&folder.path().join(name), &[format!("http://{above}")])
    };
    let parent = beacon::start(below("p", server.upload), Arc::new(WallClock), no_fatal.clone()).await.unwrap();
    let child = beacon::start(below("c", parent.address), Arc::new(WallClock), no_fatal).await.unwrap();
    let key = set_aside(&child, Aside::Refused).await;
    let tenant: TenantId = "default".parse().unwrap();
    let encoded = FactKey::Package(tenant.clone(), key.clone()).encode();
    let fact = || child.logs.fact_index.get(&encoded).unwrap().map(|fact| stored::unpack::<AsideFact>(&fact).unwrap());
    let long_after = WallClock.now().plus_ms(31 * DAY_MS);
    let purge = |now| purge(child.logs.clone(), tenant.clone(), now);
    wait_for("the server's word", || fact().unwrap().acknowledged.is_some()).await;

    let url = format!("http://{}/api/v1/packages?state=quarantined", server.operator);
    let list = reqwest::get(url).await.unwrap().text().await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let item = &list["items"][0];
    assert_eq!((&list["total"], &item["digest"]), (&1.into(), &key.digest.to_string().into()));
    assert!(item["reason"].as_str().unwrap().starts_with("set aside at beacon b: "), "{item}");
    let settled = FactKey::Package(tenant.clone(), key.clone());
    assert!(!server.books.facts.contains(&settled.encode()), "it may still come another way");

    assert_eq!(purge(WallClock.now().plus_ms(29 * DAY_MS)).await.unwrap(), 0);
    assert_eq!(purge(long_after).await.unwrap(), 1);
    assert!(child.logs.package_index.totals().0 == 0 && fact().is_some());
    assert_eq!(purge(long_after).await.unwrap(), 0);
    assert_eq!(fact(), None);
    child.stop().await;
    parent.stop().await;
    server.stop().await;
}
