//! `muster servicenow` and `muster servicenow close-run ID`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Account, Client, CloseRunError, Faults, RunningStandIn, StandIn, StandInError, StandInOptions, close_run};
use crate::clock::WallClock;
use crate::secret;

/// Runs the ServiceNow stand-in until Ctrl-C.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ServiceNowArgs {
    #[command(subcommand)]
    order: Option<Order>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8099", value_name = "ADDR")]
    listen: SocketAddr,
    /// Folder of tables, password and tokens
    #[arg(long, default_value = "muster-servicenow", value_name = "DIR")]
    data: PathBuf,
    /// Account
    #[arg(long, default_value = "admin")]
    user: String,
    /// File whose first line is the password; without it one is made and kept in the data folder
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// OAuth client that token requests must name
    #[arg(long, value_name = "ID", requires = "client_secret_file")]
    client_id: Option<String>,
    /// File whose first line is the secret of the OAuth client
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// Faults to make: fail=SEGMENT:TIMES, drop=SEGMENT, slow=MILLISECONDS, open
    #[arg(long, value_name = "FAULTS")]
    fault: Option<Faults>,
    /// Not built: applications are not imported
    #[arg(long, value_name = "yes/no", hide = true)]
    sam: Option<String>,
    /// Not built: plain HTTP only
    #[arg(long, value_name = "FILE", hide = true)]
    tls_cert: Option<PathBuf>,
    /// Not built: plain HTTP only
    #[arg(long, value_name = "FILE", hide = true)]
    tls_key: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Order {
    /// Gives up an open import run of the running stand-in, so that the next export may begin
    CloseRun {
        /// Number (IMR0000042) or run id
        id: String,
        /// Folder of the running stand-in
        #[arg(long, default_value = "muster-servicenow", value_name = "DIR")]
        data: PathBuf,
        /// Account
        #[arg(long, default_value = "admin")]
        user: String,
        /// File whose first line is the password; without it the one in the data folder
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// Why the command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceNowError {
    /// An option whose part is not built.
    #[error("{option} is not built: {instead}")]
    NotBuilt {
        /// The option.
        option: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A file of an option.
    #[error("cannot read the file of {option}, `{}`", path.display())]
    File {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The stand-in.
    #[error(transparent)]
    StandIn(#[from] StandInError),
    /// `close-run`.
    #[error(transparent)]
    CloseRun(#[from] CloseRunError),
    /// Signals, or standard output.
    #[error("cannot {doing}")]
    World {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl ServiceNowError {
    /// Exit status: 2 for what the command line is to blame for, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServiceNowError::NotBuilt { .. } | ServiceNowError::File { .. } => 2,
            ServiceNowError::StandIn(_) | ServiceNowError::CloseRun(_) | ServiceNowError::World { .. } => 1,
        }
    }
}

/// Runs the command to its end, which for the stand-in is Ctrl-C or SIGTERM.
pub fn run(args: ServiceNowArgs) -> Result<(), ServiceNowError> {
    let failed = |doing| move |source| ServiceNowError::World { doing, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("start the runtime"))?;
    if let Some(Order::CloseRun { id, data, user, password_file }) = args.order {
        let account = match password_file {
            Some(path) => Some(Account { user, password: read("--password-file", &path)? }),
            None => None,
        };
        let number = runtime.block_on(close_run(&id, &data, account))?;
        return print(&format!("import run {number} is closed"));
    }
    let stand_in = start(args)?;
    announce(&stand_in)?;
    runtime.block_on(until_told_to_stop()).map_err(failed("wait for signals"))?;
    stand_in.stop();
    Ok(())
}

/// Starts the stand-in of a command line.
fn start(args: ServiceNowArgs) -> Result<RunningStandIn, ServiceNowError> {
    if args.sam.is_some() {
        let instead = "the stand-in imports computers only; leave the option out";
        return Err(ServiceNowError::NotBuilt { option: "--sam", instead });
    }
    if args.tls_cert.is_some() || args.tls_key.is_some() {
        let instead = "the stand-in speaks plain HTTP; put a proxy with the certificate before it";
        return Err(ServiceNowError::NotBuilt { option: "--tls-cert", instead });
    }
    let secret = |option, path: &Option<PathBuf>| path.as_ref().map(|path| read(option, path)).transpose();
    let password = secret("--password-file", &args.password_file)?;
    let client_secret = secret("--client-secret-file", &args.client_secret_file)?;
    let client = args.client_id.zip(client_secret).map(|(id, secret)| Client { id, secret });
    Ok(StandIn::start(StandInOptions {
        listen: args.listen,
        data: args.data,
        user: args.user,
        password,
        client,
        faults: args.fault.unwrap_or_default(),
        clock: Arc::new(WallClock),
    })?)
}

/// The ready line on standard output; a password that was made now once on standard error.
fn announce(stand_in: &RunningStandIn) -> Result<(), ServiceNowError> {
    if stand_in.password_is_new {
        eprintln!("password of {}: {} (kept in the data folder, not shown again)", stand_in.user, stand_in.password);
    }
    let ready = json!({
        "ready": true,
        "role": "servicenow",
        "url": stand_in.url(),
        "user": stand_in.user,
        "pid": std::process::id(),
    });
    print(&ready.to_string())
}

fn print(line: &str) -> Result<(), ServiceNowError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|source| ServiceNowError::World { doing: "write to standard output", source })
}

fn read(option: &'static str, path: &Path) -> Result<String, ServiceNowError> {
    secret::read(path).map_err(|source| ServiceNowError::File { option, path: path.into(), source })
}

async fn until_told_to_stop() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServiceNowArgs,
    }

    fn parse(line: &str) -> Result<ServiceNowArgs, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_reads_as_promised() {
        let args = parse("--listen 127.0.0.1:0 --data d --fault fail=2:9,open").unwrap();
        assert_eq!((args.listen.port(), args.fault.unwrap().fail[&2]), (0, 9));
        assert!(matches!(parse("close-run IMR1 --data d").unwrap().order, Some(Order::CloseRun { .. })));
        for line in ["--fault explode", "--listen nowhere", "--client-id x", "--listen 127.0.0.1:1 close-run X"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_started_stand_in_keeps_its_password_and_its_runs_can_be_closed() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("--listen 127.0.0.1:0 --data {} --fault open", folder.path().display());
        let stand_in = start(parse(&line).unwrap()).unwrap();
        announce(&stand_in).unwrap();
        let password = stand_in.password.clone();
        assert!(stand_in.password_is_new && password.len() == 24);
        assert!(matches!(start(parse(&line).unwrap()), Err(ServiceNowError::StandIn(_))), "the folder is in use");
        run(parse(&format!("close-run IMR0000001 --data {}", folder.path().display())).unwrap()).unwrap();
        stand_in.stop();
        let stand_in = start(parse(&line).unwrap()).unwrap();
        assert_eq!((stand_in.password_is_new, &stand_in.password), (false, &password));
    }

    #[test]
    fn what_is_not_built_is_refused_and_a_missing_file_is_named() {
        for (line, part) in [
            ("--sam yes", "--sam is not built"),
            ("--tls-cert a --tls-key b", "--tls-cert is not built"),
            ("--password-file /nowhere/p", "--password-file, `/nowhere/p`"),
        ] {
            let error = run(parse(line).unwrap()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = run(parse("close-run IMR1 --data /nowhere").unwrap()).unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().contains("--data")), (1, true));
    }
}
