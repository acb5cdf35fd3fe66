//! A true beacon on loopback, for tests of load.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use muster::upload::rates::Rates;
use muster_actors::beacon::{BeaconOptions, start};
use muster_actors::clock::WallClock;
use muster_actors::intake::IntakeLimits;
use muster_actors::log::Reserve;

/// A beacon without rates for as long as `work` runs; `prepare` gets its data folder before.
pub fn with_beacon<T>(prepare: impl FnOnce(&Path), work: impl FnOnce(String) -> T) -> T {
    let data = tempfile::tempdir().unwrap();
    prepare(data.path());
    let options = BeaconOptions {
        data: data.path().to_path_buf(),
        name: "b".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        allow_plain: false,
        tenant: "default".parse().unwrap(),
        parents: vec!["http://127.0.0.1:9".into()],
        cycle_ms: 60_000,
        relay_on_arrival: false,
        policy_every_ms: 900_000,
        status_every_ms: 60_000,
        limits: IntakeLimits {
            rates: Rates { uploads_per_hour: 0, burst: 0, bytes_per_day: 0 },
            ..IntakeLimits::default()
        },
        reserve: Reserve { bytes: 0, percent: 0 },
        workers: 1,
        for_agents: true,
        endpoint: String::new(),
        site: String::new(),
    };
    let (tell, address) = channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            muster_actors::command::in_system(async move {
                let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
                let beacon = start(options, Arc::new(WallClock), no_fatal).await.unwrap();
                tell.send(beacon.address).unwrap();
                let _ = stopped.await;
                beacon.stop().await;
            });
        });
        let result = work(format!("http://{}", address.recv().unwrap()));
        drop(stop);
        result
    })
}
