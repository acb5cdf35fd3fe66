//! `muster up [--once]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::info;

use super::chain::{Chain, Places, Seen, UpError};
use crate::beacon::RunningBeacon;
use crate::clock::WallClock;
use crate::command::{Failure, asked_to_stop, exit_when_fatal, in_system, print_line, print_ready};

/// `--once` gives up after this.
const ONCE_MAX: Duration = Duration::from_secs(120);
/// How often `--once` looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Options of `muster up`.
#[derive(Clone, Debug, clap::Args)]
pub struct UpArgs {
    /// Folder of all nodes' data; made when it is missing
    #[arg(long, value_name = "DIR", default_value = "muster-data")]
    data: PathBuf,
    /// Where the server takes uploads; port 0 takes a free one, here and below
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7080")]
    listen: SocketAddr,
    /// Where the parent and the child beacon take uploads
    #[arg(long, value_name = "ADDR,ADDR", default_value = "127.0.0.1:7081,127.0.0.1:7082", value_parser = two)]
    beacons: [SocketAddr; 2],
    /// Where the server's pages and API are
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    operator: SocketAddr,
    /// Where the ServiceNow stand-in is
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8099")]
    servicenow: SocketAddr,
    /// End when this host's report is on its device and exported; print that device as JSON
    #[arg(long)]
    once: bool,
}

impl UpArgs {
    /// It has no `allow_plain` to accept that uploads cross a network: it is a trial, not a deployment.
    fn stays_on_loopback(&self) -> Result<(), Failure> {
        let given = [("--listen", self.listen), ("--operator", self.operator), ("--servicenow", self.servicenow)];
        let beacons = self.beacons.map(|beacon| ("--beacons", beacon));
        match given.into_iter().chain(beacons).find(|(_, address)| !address.ip().is_loopback()) {
            None => Ok(()),
            Some((option, address)) => Err(Failure {
                text: format!(
                    "{option} {address}: `muster up` runs on loopback only; for other hosts start the nodes apart, see \
                     \"Three hosts\" in docs/operations/README.md"
                ),
                exit: 2,
            }),
        }
    }
}

fn two(text: &str) -> Result<[SocketAddr; 2], String> {
    let (parent, child) = text.split_once(',').ok_or("two addresses are wanted: parent,child")?;
    let address = |text: &str| text.trim().parse().map_err(|_| format!("`{text}` is no address and port"));
    Ok([address(parent)?, address(child)?])
}

/// Runs the chain until Ctrl-C, or with `--once` until the report has come through.
pub fn run(args: UpArgs) -> Result<(), Failure> {
    args.stays_on_loopback()?;
    let places = Places {
        data: args.data,
        listen: args.listen,
        beacons: args.beacons,
        operator: args.operator,
        servicenow: args.servicenow,
    };
    in_system(async move {
        let chain =
            Chain::start(&places, Arc::new(WallClock), exit_when_fatal()).await.map_err(|error| failed(&error))?;
        if args.once { once(chain).await } else { serve(chain, &places).await }
    })
}

fn failed(error: &UpError) -> Failure {
    let Failure { text, exit } = Failure::work(error);
    let hint = if text.contains("cannot listen") {
        "; with `muster up` the addresses are --listen, --beacons, --operator and --servicenow: is it running already?"
    } else if text.contains("in use by another") {
        "; is `muster up` running already with this --data?"
    } else {
        ""
    };
    Failure { text: format!("{text}{hint}"), exit }
}

async fn once(chain: Chain) -> Result<(), Failure> {
    let began = Instant::now();
    let mut stop = std::pin::pin!(asked_to_stop());
    let device: Result<Value, Failure> = loop {
        match chain.seen().map_err(|error| failed(&error))? {
            Seen::Exported(device) => break Ok(*device),
            seen if began.elapsed() > ONCE_MAX => break Err(late(&seen, &chain)),
            _ => {}
        }
        tokio::select! {
            _ = &mut stop => break Err(Failure { text: "stopped before the report had come through".into(), exit: 1 }),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    };
    chain.stop().await;
    let device = device?;
    info!(elapsed_ms = began.elapsed().as_millis() as u64, "this host's report is on its device and exported");
    print_line(&device.to_string()).map_err(|error| Failure::work(&error))
}

fn late(seen: &Seen, chain: &Chain) -> Failure {
    let held = |beacon: &RunningBeacon| beacon.logs.package_index.totals().0;
    let place = match seen {
        Seen::Travelling => format!(
            "it is not staged at the server, which has yet to load {}; the parent beacon holds {} packages and the child {}: \
             look for warnings of the agent and the nodes above",
            chain.server.api.in_custody(),
            held(&chain.parent),
            held(&chain.child),
        ),
        Seen::Staged => "it is at the server, but no device shows it: look for errors of the import above".into(),
        Seen::Imported(_) | Seen::Exported(_) => {
            "its device is there, but was not exported: look for errors of the export above".into()
        }
    };
    let text = format!("this host's report did not come through in {} s: {place}", ONCE_MAX.as_secs());
    Failure { text, exit: 1 }
}

async fn serve(chain: Chain, places: &Places) -> Result<(), Failure> {
    let Chain { stand_in, server, parent, child, .. } = &chain;
    print_ready("servicenow", Some(stand_in.address), None);
    print_ready("server", Some(server.upload), Some(server.operator));
    print_ready("beacon", Some(parent.address), None);
    print_ready("beacon", Some(child.address), None);
    print_ready("agent", None, None);
    let line = json!({
        "ready": true, "role": "up", "upload": server.upload.to_string(), "operator": server.operator.to_string(),
        "page": format!("http://{}/", server.operator), "servicenow": stand_in.url(), "pid": std::process::id(),
    });
    print_line(&line.to_string()).map_err(|error| Failure::work(&error))?;
    eprintln!(
        "The chain runs. This host's device shows in a few seconds.\n\
         \n\
         page        http://{operator}/\n\
         devices     http://{operator}/api/v1/devices\n\
         ServiceNow  {servicenow}/api/now/table/cmdb_ci_computer  (account {user}, password in {password})\n\
         \n\
         Beacons relay on arrival here and the server imports on arrival; deployed ones keep the minute and the day.\n\
         Ctrl-C ends it; the data stays in {data}.",
        operator = server.operator,
        servicenow = stand_in.url(),
        user = stand_in.user,
        password = places.data.join("servicenow/password").display(),
        data = places.data.display(),
    );
    asked_to_stop().await.map_err(|error| Failure::work(&error))?;
    chain.stop().await;
    info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: UpArgs,
    }

    #[test]
    fn the_defaults_are_the_promised_ones_and_one_beacon_is_too_few() {
        let args = Line::try_parse_from(["x"]).unwrap().args;
        assert_eq!(args.beacons.map(|beacon| beacon.port()), [7081, 7082]);
        assert_eq!([args.listen.port(), args.operator.port(), args.servicenow.port()], [7080, 8080, 8099]);
        assert!(Line::try_parse_from(["x", "--beacons", "127.0.0.1:1"]).is_err());
    }

    #[test]
    fn an_address_beyond_loopback_is_refused_with_where_to_read_on() {
        let refused = |line: [&str; 3]| Line::try_parse_from(line).unwrap().args.stays_on_loopback().unwrap_err();
        for (option, address) in [
            ("--listen", "0.0.0.0:7080"),
            ("--operator", "192.0.2.7:8080"),
            ("--beacons", "127.0.0.1:7081,[::]:7082"),
            ("--servicenow", "0.0.0.0:1"),
        ] {
            let Failure { text, exit } = refused(["x", option, address]);
            let parts = [option, "loopback only", "Three hosts"];
            assert!(exit == 2 && parts.iter().all(|part| text.contains(part)), "{text}");
            assert!(!text.contains("allow_plain"), "{text}");
        }
        assert_eq!(Line::try_parse_from(["x"]).unwrap().args.stays_on_loopback(), Ok(()));
    }
}
