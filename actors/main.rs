//! The command `muster`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_actors::agent::own_log::OwnLog;
use muster_actors::command::Failure;
use muster_actors::errors::Chain;
use muster_actors::operator::command::{self as operator, LookUp};
use muster_actors::operator::import::{self, ImportArgs};
use muster_actors::operator::{BatchArgs, FillersArgs, LicensesArgs, TenantsArgs};
use muster_actors::{agent, beacon, entitlements, matching, reconciling, server, servicenow, up};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Takes stock of a fleet of machines and proves that nothing was missed.
#[derive(Debug, Parser)]
#[command(name = "muster", version)]
struct Muster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole chain on this machine: agent, two beacons, server, ServiceNow stand-in.
    Up(up::command::UpArgs),
    /// Run an agent: take stock of this host and send it.
    Agent(agent::command::AgentArgs),
    /// Run a beacon: take uploads, keep them safe, relay them.
    Beacon(beacon::command::BeaconArgs),
    /// Run a server: take uploads, make devices of them, reconcile, export.
    Server(server::command::ServerArgs),
    /// Run the ServiceNow stand-in.
    Servicenow(Box<servicenow::command::ServiceNowArgs>),
    /// Look up devices at a running server.
    Devices(operator::DevicesArgs),
    /// Look up packages at a running server: where each is, and how it ended.
    Packages(operator::PackagesArgs),
    /// Look up the beacons below a running server and what waits at them.
    Beacons(operator::ListArgs),
    /// Batch tasks of a running server: submit, list, wait, pause, and why one waits.
    Batch(BatchArgs),
    /// Tenants of a running server: list them, register one with its group and beacons.
    Tenants(TenantsArgs),
    /// Look up what the last imports of a running server did: sets, new and merged devices, clones.
    Imports(operator::ListArgs),
    /// Values that many machines share though they are to name one: list, demote, restore them.
    Fillers(FillersArgs),
    /// Licence position of a running server: list it, tell why, look at earlier runs, import licences.
    Licenses(LicensesArgs),
    /// Hand inventory that another tool took to a beacon or a server.
    Import(ImportArgs),
    /// Match the records of a file into devices, without a server.
    Match(Box<matching::command::MatchArgs>),
    /// Work out the licence position of an estate from a folder of CSV files, without a server.
    Reconcile(reconciling::command::ReconcileArgs),
    /// Make tables of licences from entitlement documents (ISO/IEC 19770-3), without a server.
    Entitlements(entitlements::command::EntitlementsArgs),
}

fn main() -> ExitCode {
    // Whatever a node writes is its own account's alone, also what libraries write.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let arguments = Muster::parse();
    let filter = EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    let is_terminal = std::io::stderr().is_terminal();
    let stderr = fmt::layer().with_ansi(is_terminal).with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(stderr).with(OwnLog::of_process().layer()).init();
    let done = match arguments.command {
        Command::Up(args) => up::command::run(args),
        Command::Agent(args) => agent::command::run(args),
        Command::Beacon(args) => beacon::command::run(args),
        Command::Server(args) => server::command::run(args),
        Command::Servicenow(args) => servicenow::command::run(*args)
            .map_err(|error| Failure { text: Chain(&error).to_string(), exit: error.exit_code() }),
        Command::Devices(args) => operator::run(LookUp::Devices(args)),
        Command::Packages(args) => operator::run(LookUp::Packages(args)),
        Command::Beacons(args) => operator::run(LookUp::Beacons(args)),
        Command::Batch(args) => operator::run(LookUp::Batch(args)),
        Command::Tenants(args) => operator::run(LookUp::Tenants(args)),
        Command::Imports(args) => operator::run(LookUp::Imports(args)),
        Command::Licenses(args) => operator::run(LookUp::Licenses(args)),
        Command::Fillers(args) => operator::run(LookUp::Fillers(args)),
        Command::Import(args) => import::run(args),
        Command::Match(args) => matching::command::run(&args),
        Command::Reconcile(args) => reconciling::command::run(&args),
        Command::Entitlements(args) => entitlements::command::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("muster: {}", failure.text);
            ExitCode::from(failure.exit)
        }
    }
}
