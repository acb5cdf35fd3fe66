//! `muster server --config F`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster::config::server::ServerConfig;
use tracing::info;

use super::prepared::Prepared;
use super::run::{ServerError, start};
use crate::clock::WallClock;
use crate::command::{
    Failure, asked_to_stop, environment, exit_when_fatal, in_system, print_ready, print_well, read_config,
};

/// Options of `muster server`.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The server's configuration (form of config/server.toml).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the configuration and the files it names.
    #[arg(long)]
    check: bool,
}

/// What is wrong with what the configuration says is told with its name.
fn failure(error: &ServerError, config: &Path) -> Failure {
    if !error.is_configuration() {
        return Failure::work(error);
    }
    let Failure { text, exit } = Failure::usage(error);
    Failure { text: format!("{}: {text}", config.display()), exit }
}

/// Runs a server until it is asked to stop.
pub fn run(args: ServerArgs) -> Result<(), Failure> {
    let text = read_config(&args.config)?;
    let config = ServerConfig::parse(&text, &args.config.display().to_string(), environment())
        .map_err(|error| Failure::usage(&error))?;
    if args.check {
        Prepared::of(&config).map_err(|error| failure(&error, &args.config))?;
        print_well(&args.config);
        return Ok(());
    }
    in_system(async {
        let server = start(&config, Arc::new(WallClock), exit_when_fatal())
            .await
            .map_err(|error| failure(&error, &args.config))?;
        print_ready("server", Some(server.upload), Some(server.operator));
        asked_to_stop().await.map_err(|error| Failure::work(&error))?;
        server.stop().await;
        info!("stopped");
        Ok(())
    })
}
