//! `muster agent --config F [--check]`, `muster agent collect`, `muster agent status`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use comfy_table::Table;
use muster::config::{AgentConfig, ConfigError};
use serde_json::json;
use tracing::warn;

use super::collect_command::{CollectCommandError, collect_command};
use super::collector::{Identity, Options, account_of_process};
use super::run::{AgentError, start};
use super::status::AgentStatus;
use crate::clock::{Clock, WallClock};
use crate::log::OnFatal;

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

/// Why the command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AgentCommandError {
    /// No `--config`.
    #[error("`--config FILE` is missing: begin with a copy of config/agent.toml")]
    NoConfig,
    /// The file given with `--config`.
    #[error("cannot read the configuration `{}`", path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it says.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent does not start.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// `collect`.
    #[error(transparent)]
    Collect(#[from] CollectCommandError),
    /// No status yet.
    #[error("cannot read the agent's status in `{}`: has an agent run with this data folder?", path.display())]
    Status {
        /// The data folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Signals, or standard output.
    #[error("cannot {doing}")]
    World {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The agent gave up.
    #[error("the agent ended: {0}")]
    Fatal(String),
}

impl AgentCommandError {
    /// Exit status: 2 for what the command line or the configuration is to blame for, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            AgentCommandError::NoConfig | AgentCommandError::Read { .. } | AgentCommandError::Config(_) => 2,
            AgentCommandError::Agent(_)
            | AgentCommandError::Collect(_)
            | AgentCommandError::Status { .. }
            | AgentCommandError::World { .. }
            | AgentCommandError::Fatal(_) => 1,
        }
    }
}

/// Runs the command to its end, which for an agent is Ctrl-C or SIGTERM. Starts the actix system it needs itself.
pub fn run(args: AgentArgs) -> Result<(), AgentCommandError> {
    match args.order {
        Some(Order::Collect { out }) => {
            let identity = Identity { account: account_of_process(), ..Identity::default() };
            let now = WallClock.now();
            let collected = collect_command(Path::new("/"), out.as_deref(), &identity, Options::default(), now)?;
            for finding in &collected.findings {
                warn!(?finding, "not collected");
            }
            Ok(())
        }
        Some(Order::Status { config, json }) => show_status(&read(&config)?.data, json),
        None => {
            let config = read(&args.config.ok_or(AgentCommandError::NoConfig)?)?;
            if args.check { Ok(()) } else { serve(config) }
        }
    }
}

fn read(path: &Path) -> Result<AgentConfig, AgentCommandError> {
    let text =
        fs::read_to_string(path).map_err(|source| AgentCommandError::Read { path: path.into(), source })?;
    // A variable that is not text is none of ours.
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(AgentConfig::parse(&text, &path.display().to_string(), variables)?)
}

fn serve(config: AgentConfig) -> Result<(), AgentCommandError> {
    actix::System::new().block_on(async {
        let (send, mut fatal) = tokio::sync::mpsc::unbounded_channel();
        let on_fatal: OnFatal = Arc::new(move |reason: &str| drop(send.send(reason.to_owned())));
        let running = start(config, Arc::new(WallClock), on_fatal).await?;
        let ready = json!({
            "ready": true, "role": "agent", "upload": null, "operator": null, "pid": std::process::id(),
        });
        print(&ready.to_string())?;
        let failed = |source| AgentCommandError::World { doing: "wait for signals", source };
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
        let ended = tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(failed),
            _ = terminate.recv() => Ok(()),
            Some(reason) = fatal.recv() => Err(AgentCommandError::Fatal(reason)),
        };
        running.stop().await;
        ended
    })
}

fn show_status(data: &Path, as_json: bool) -> Result<(), AgentCommandError> {
    let status = AgentStatus::read(data).map_err(|source| AgentCommandError::Status { path: data.into(), source })?;
    if as_json {
        let text = serde_json::to_string(&status).map_err(io::Error::from);
        return print(&text.map_err(|source| AgentCommandError::World { doing: "write the status", source })?);
    }
    let mut table = Table::new();
    table.set_style_preset();
    let never = || "never".to_string();
    let receipt = status.last_receipt.map(|last| format!("{} from {} ({:?})", last.at, last.server, last.receipt.state));
    table.add_row(["agent", &status.agent]);
    table.add_row(["server", &status.server]);
    table.add_row(["last inventory", &status.last_collected.unwrap_or_else(never)]);
    table.add_row(["last receipt", &receipt.unwrap_or_else(never)]);
    table.add_row(["next inventory", &status.next.inventory.unwrap_or_else(never)]);
    table.add_row(["next policy", &status.next.policy.unwrap_or_else(never)]);
    table.add_row(["next upload", &status.next.upload.unwrap_or_else(never)]);
    table.add_row(["next catch-up", &status.next.catch_up.unwrap_or_else(never)]);
    table.add_row(["queued", &status.queue.len().to_string()]);
    for queued in status.queue {
        table.add_row(["", &format!("{} ({} bytes)", queued.name, queued.size)]);
    }
    print(&table.to_string())
}

fn print(line: &str) -> Result<(), AgentCommandError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|source| AgentCommandError::World { doing: "write to standard output", source })
}
