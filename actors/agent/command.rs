//! `muster agent --config F [--check]`, `muster agent collect`, `muster agent status`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets::NOTHING};
use muster::config::agent::AgentConfig;
use serde_json::json;
use tracing::{info, warn};

use super::collect_command::{Shown, collect_command};
use super::collector::{Identity, Options, account_of_process};
use super::run::start;
use super::status::{PolicyRefusals, ShownStatus};
use crate::clock::{Clock, WallClock};
use crate::command::{
    Failure, asked_to_stop, environment, exit_when_fatal, in_system, print_ready, print_well, read_config,
};

/// Runs an agent until Ctrl-C, or one of its orders.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    #[command(subcommand)]
    order: Option<Order>,
    /// Configuration, as config/agent.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration
    #[arg(long)]
    check: bool,
}

#[derive(Subcommand, Debug)]
enum Order {
    /// Collects this host now and shows the inventory file; nothing is sent
    Collect {
        /// Show the discovery file: which database services stand on this host. Oracle is looked for only by an agent
        /// whose policy says so
        #[arg(long)]
        discovery: bool,
        /// File to write, standard output without it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// What the agent with this configuration is about: queue, last receipt, chosen server, next events
    Status {
        /// Its configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command to its end, which for an agent is Ctrl-C or SIGTERM.
pub fn run(args: AgentArgs) -> Result<(), Failure> {
    match args.order {
        Some(Order::Collect { discovery, out }) => {
            let shown = if discovery { Shown::Discovery } else { Shown::Inventory };
            let identity = Identity { account: account_of_process(), ..Identity::default() };
            let now = WallClock.now();
            let collected = collect_command(Path::new("/"), shown, out.as_deref(), &identity, Options::default(), now)
                .map_err(|error| Failure::work(&error))?;
            for finding in &collected.findings {
                warn!(%finding, "not read, collected without it");
            }
            Ok(())
        }
        Some(Order::Status { config, json }) => show_status(&read(&config)?.data, json),
        None => {
            let missing = || Failure {
                text: "`--config FILE` is missing: begin with a copy of config/agent.toml".into(),
                exit: 2,
            };
            let file = args.config.ok_or_else(missing)?;
            let config = read(&file)?;
            if args.check {
                print_well(&file);
                return Ok(());
            }
            serve(config)
        }
    }
}

fn read(path: &Path) -> Result<AgentConfig, Failure> {
    let text = read_config(path)?;
    AgentConfig::parse(&text, &path.display().to_string(), environment()).map_err(|error| Failure::usage(&error))
}

fn serve(config: AgentConfig) -> Result<(), Failure> {
    in_system(async {
        let started = start(config, Arc::new(WallClock), exit_when_fatal()).await;
        let running = started.map_err(|error| Failure::work(&error))?;
        print_ready("agent", None, None);
        asked_to_stop().await.map_err(|error| Failure::work(&error))?;
        running.stop().await;
        info!("stopped");
        Ok(())
    })
}

fn show_status(data: &Path, as_json: bool) -> Result<(), Failure> {
    let shown = ShownStatus::read(data).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "ask as root, or as the account that the agent runs as",
            _ => "has an agent run with this data folder?",
        };
        Failure { text: format!("cannot read the agent's status in `{}` ({error}): {hint}", data.display()), exit: 1 }
    })?;
    if as_json {
        return print(&json!(shown).to_string());
    }
    let ShownStatus { status, running, as_of, refused } = shown;
    if !running {
        print(&format!("the agent is not running; this is as of {as_of}"))?;
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    let never = || "never".to_string();
    let receipt =
        status.last_receipt.map(|last| format!("{} from {} ({:?})", last.at, last.server, last.receipt.state));
    table.add_row(["agent", &status.agent]);
    table.add_row(["server", &status.server]);
    for server in status.servers {
        let state = if server.is_open { "" } else { " (not asked now)" };
        let denied = server.denied.map(|denied| format!(" ({denied})")).unwrap_or_default();
        table.add_row(["", &format!("{}: {}{state}{denied}", server.address, server.why)]);
    }
    table.add_row(["policy", &status.policy_revision.unwrap_or_else(|| "none yet".into())]);
    let PolicyRefusals { count, reason, at } = status.refused_policies;
    if let (Some(reason), Some(at)) = (reason, at) {
        table.add_row(["refused policies", &format!("{count}, the last at {at}: {reason}")]);
    }
    table.add_row(["last inventory", &status.last_collected.unwrap_or_else(never)]);
    table.add_row(["last receipt", &receipt.unwrap_or_else(never)]);
    table.add_row(["next inventory", &status.next.inventory.unwrap_or_else(never)]);
    table.add_row(["next policy", &status.next.policy.unwrap_or_else(never)]);
    let upload = if status.queue.is_empty() { "nothing is queued" } else { "at the catch-up: all tries failed" };
    table.add_row(["next upload", &status.next.upload.unwrap_or_else(|| upload.to_string())]);
    table.add_row(["next catch-up", &status.next.catch_up.unwrap_or_else(never)]);
    if let Some(newest) = refused.newest {
        table.add_row(["refused reports", &format!("{}, the last is {newest}", refused.count)]);
    }
    for event in status.next.events {
        table.add_row(["event", &format!("{}: {}", event.name, event.due.unwrap_or_else(never))]);
    }
    table.add_row(["queued", &status.queue.len().to_string()]);
    for queued in status.queue {
        table.add_row(["", &format!("{} ({} bytes)", queued.name, queued.size)]);
    }
    print(&table.to_string())
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::work(&error))
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_of_another_account_is_told_from_one_without_an_agent() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        assert!(show_status(&data, true).unwrap_err().text.ends_with("has an agent run with this data folder?"));
        set_permissions(&data, Permissions::from_mode(0o000)).unwrap();
        // Root may look into every folder, so this thread gives that up.
        let told = std::thread::spawn(move || {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            show_status(&data, true).unwrap_err().text
        });
        let told = told.join().unwrap();
        assert!(told.contains("Permission denied") && told.contains("ask as root"), "{told}");
        set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    }
}
