//! `muster beacon --config F`.

use std::path::PathBuf;
use std::sync::Arc;

use muster::config::beacon::BeaconConfig;
use muster::upload::spool::SpoolLimit;
use tracing::info;

use super::run::{BeaconOptions, NOT_TOLD, start};
use crate::clock::WallClock;
use crate::command::{
    Failure, asked_to_stop, environment, exit_when_fatal, in_system, print_ready, print_well, read_config,
};
use crate::intake::IntakeLimits;
use crate::log::Reserve;

/// Options of `muster beacon`.
#[derive(Debug, clap::Args)]
pub struct BeaconArgs {
    /// The beacon's configuration (form of config/beacon.toml).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the configuration.
    #[arg(long)]
    check: bool,
}

/// Runs a beacon until it is asked to stop.
pub fn run(args: BeaconArgs) -> Result<(), Failure> {
    let text = read_config(&args.config)?;
    let config = BeaconConfig::parse(&text, &args.config.display().to_string(), environment())
        .map_err(|error| Failure::usage(&error))?;
    if args.check {
        if config.for_agents && config.endpoint.is_empty() && config.listen.ip().is_unspecified() {
            eprintln!("muster: {}: {NOT_TOLD}", args.config.display());
        }
        print_well(&args.config);
        return Ok(());
    }
    in_system(async {
        let started = start(options(&config), Arc::new(WallClock), exit_when_fatal()).await;
        let beacon = started.map_err(|error| Failure::work(&error))?;
        print_ready("beacon", Some(beacon.address), None);
        asked_to_stop().await.map_err(|error| Failure::work(&error))?;
        beacon.stop().await;
        info!("stopped");
        Ok(())
    })
}

fn options(config: &BeaconConfig) -> BeaconOptions {
    let spool = SpoolLimit { packages: config.spool_packages_max, bytes: config.spool_bytes_max };
    BeaconOptions {
        data: config.data.clone(),
        name: config.name.clone(),
        listen: config.listen,
        allow_plain: config.allow_plain,
        tenant: config.tenant.clone(),
        parents: config.parents().to_vec(),
        cycle_ms: config.cycle_ms,
        relay_on_arrival: config.relay_on_arrival,
        policy_every_ms: config.policy_every_ms,
        status_every_ms: config.status_every_ms,
        limits: IntakeLimits { spool, ..IntakeLimits::of(&config.limits) },
        reserve: Reserve { bytes: config.disk.reserve_bytes, percent: config.disk.reserve_percent },
        workers: config.workers,
        for_agents: config.for_agents,
        endpoint: config.endpoint.clone(),
        site: config.site.clone(),
    }
}
