//! `muster batch`: the batch scheduler of a running server.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::command::{Asking, Rows, list_of};
use super::output::{Ended, json as print_json, table, text, time, words};
use crate::command::Failure;

/// Exit status when the scheduler does not answer. Source: agent-beacon-batch reference, section 11.1.
const UNREACHABLE: u8 = 3;
/// Exit status when the same task waits already.
const DUPLICATE: u8 = 4;
/// How often `wait` asks.
const LOOK: Duration = Duration::from_millis(250);

/// Options of `muster batch`.
#[derive(Clone, Debug, clap::Args)]
pub struct BatchArgs {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    command: BatchCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum BatchCommand {
    /// Submit a task; prints its id. Exit status 0 sent, 2 wrong task or scope, 3 no scheduler there, 4 the same waits already
    Run {
        /// Its type, such as InventoryImport
        task: String,
        /// The group it is for: all its tenants
        #[arg(short, long, value_name = "GROUP")]
        group: Option<String>,
        /// It does not start before this, such as 2026-12-31T22:00:00Z
        #[arg(long, value_name = "TIME")]
        not_before: Option<String>,
        /// Wait for its end; exit status 1 when it failed
        #[arg(long)]
        wait: bool,
        /// Parameters, behind `--`
        #[arg(last = true, value_name = "NAME=VALUE")]
        parameters: Vec<String>,
    },
    /// List tasks, newest first
    #[command(visible_alias = "list-tasks")]
    List {
        #[command(flatten)]
        rows: Rows,
        /// Only tasks in this status: Submitted, Queued, Processing, Success, Error or Duplicate
        #[arg(long)]
        status: Option<String>,
    },
    /// Show one task
    Status {
        /// Its id
        id: String,
    },
    /// Wait for the end of a task; exit status 1 when it failed
    Wait {
        /// Its id
        id: String,
        /// Seconds to wait at most
        #[arg(long, value_name = "SECS")]
        timeout: Option<u64>,
    },
    /// Tell what a task waits for: the rule, and the task that blocks it
    Why {
        /// Its id
        id: String,
    },
    /// Take back a task that waits
    Cancel {
        /// Its id
        id: String,
    },
    /// Send no tasks for processing until `resume`
    Pause,
    /// Send tasks again
    Resume,
}

/// Columns of `muster batch list`.
const HEAD: [&str; 8] = ["ID", "TYPE", "FOR", "STATUS", "SUBMITTED", "STARTED", "FINISHED", "OUTPUT"];

/// Asks and prints.
pub(super) async fn batch(BatchArgs { asking, command }: BatchArgs, out: &mut impl Write) -> Result<(), Ended> {
    let client = Client::new(&asking.server)?.exits_unreachable(UNREACHABLE);
    let tenant = asking.tenant.clone();
    let is_of_tenants = matches!(command, BatchCommand::Run { .. } | BatchCommand::List { .. });
    if tenant.is_some() && !is_of_tenants {
        let text = "the id of a task says whose it is, and pausing is for all: leave out --tenant".into();
        return Err(Failure { text, exit: 2 }.into());
    }
    match command {
        BatchCommand::Run { task, group, not_before, wait, parameters } => {
            let parameters = pairs(&parameters)?;
            let body = json!({
                "type": task, "tenant": tenant, "group": group, "parameters": parameters, "not_before": not_before,
                "origin": "command-line", "operator": login(),
            });
            let submitted = client.post(&["tasks"], &body).await?;
            sent(&asking, &submitted, out)?;
            if wait { wait_for(&client, &asking, &id(&submitted), None, out).await } else { Ok(()) }
        }
        BatchCommand::List { rows, status } => {
            let status = status.as_deref().map(|status| ("status", status));
            let query = match status {
                Some(status) => rows.query([status]),
                None => rows.query([]),
            };
            let client = client.of_tenant(tenant.as_deref());
            list_of(&client, &asking, "tasks", &rows, &query, (&HEAD, row), out).await
        }
        BatchCommand::Status { id } => {
            let task = client.get(&["tasks", &id], &[]).await?;
            if asking.json { print_json(out, &task) } else { show(out, &task) }
        }
        BatchCommand::Wait { id, timeout } => {
            wait_for(&client, &asking, &id, timeout.map(Duration::from_secs), out).await
        }
        BatchCommand::Why { id } => {
            let why = client.get(&["tasks", &id, "why"], &[]).await?;
            if asking.json {
                return print_json(out, &why);
            }
            Ok(writeln!(
                out,
                "{}[{}] {}: {}",
                text(&why["type"]),
                text(&why["id"]),
                text(&why["status"]),
                text(&why["text"])
            )?)
        }
        BatchCommand::Cancel { id } => {
            let task = client.post(&["tasks", &id, "cancel"], &Value::Null).await?;
            if asking.json { print_json(out, &task) } else { Ok(writeln!(out, "{} is cancelled", name(&task))?) }
        }
        BatchCommand::Pause => dispatch(&client, &asking, "pause", out).await,
        BatchCommand::Resume => dispatch(&client, &asking, "resume", out).await,
    }
}

async fn dispatch(client: &Client, asking: &Asking, word: &str, out: &mut impl Write) -> Result<(), Ended> {
    let done = client.post(&["tasks", word], &Value::Null).await?;
    if asking.json {
        return print_json(out, &done);
    }
    let line = match done["paused"] == true {
        true => "tasks are not sent for processing until `muster batch resume`; those that were sent go on",
        false => "tasks are sent for processing",
    };
    Ok(writeln!(out, "{line}")?)
}

/// `name=value` each.
fn pairs(parameters: &[String]) -> Result<Value, Failure> {
    let mut pairs = serde_json::Map::new();
    for text in parameters {
        let wrong = |why: &str| Failure { text: format!("parameter `{text}` {why}"), exit: 2 };
        let (name, value) = text.split_once('=').ok_or_else(|| wrong("is not of the form name=value"))?;
        if pairs.insert(name.to_owned(), value.into()).is_some() {
            return Err(wrong("is given twice"));
        }
    }
    Ok(pairs.into())
}

/// Who runs this program, as far as the environment says so.
fn login() -> Option<String> {
    std::env::var("USER").ok().filter(|user| !user.is_empty() && user.len() <= 128)
}

fn id(task: &Value) -> String {
    text(&task["id"])
}

fn name(task: &Value) -> String {
    format!("{}[{}]", text(&task["type"]), id(task))
}

/// Says what became of a submission.
fn sent(asking: &Asking, task: &Value, out: &mut impl Write) -> Result<(), Ended> {
    let is_duplicate = task["status"] == "Duplicate";
    if asking.json {
        print_json(out, task)?;
    } else if is_duplicate {
        writeln!(
            out,
            "Duplicate: the same task waits already: {}[{}]",
            text(&task["type"]),
            text(&task["duplicate_of"])
        )?;
    } else {
        writeln!(out, "{} {}", name(task), text(&task["status"]))?;
    }
    out.flush()?;
    if is_duplicate {
        let text = format!("{} waits already, it is not submitted again", text(&task["type"]));
        return Err(Ended::Failed(Failure { text, exit: DUPLICATE }));
    }
    Ok(())
}

async fn wait_for(
    client: &Client,
    asking: &Asking,
    id: &str,
    timeout: Option<Duration>,
    out: &mut impl Write,
) -> Result<(), Ended> {
    let began = Instant::now();
    loop {
        let task = client.get(&["tasks", id], &[]).await?;
        let status = text(&task["status"]);
        if matches!(status.as_str(), "Success" | "Error" | "Duplicate") {
            if asking.json {
                print_json(out, &task)?;
            } else {
                show(out, &task)?;
            }
            out.flush()?;
            let failed = || Failure {
                text: format!("{} ended with status {status}: {}", name(&task), text(&task["output"])),
                exit: 1,
            };
            return if status == "Success" { Ok(()) } else { Err(failed().into()) };
        }
        if timeout.is_some_and(|most| began.elapsed() >= most) {
            let text = format!("{} is in status {status} after {} s", name(&task), began.elapsed().as_secs());
            return Err(Failure { text, exit: 1 }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn scope(task: &Value) -> String {
    match (&task["tenant"], &task["group"]) {
        (Value::String(tenant), _) => tenant.clone(),
        (_, Value::String(group)) => format!("group {group}"),
        _ => String::new(),
    }
}

fn parameters(task: &Value) -> String {
    let pairs = task["parameters"].as_object().into_iter().flatten();
    pairs.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<String>>().join(" ")
}

fn row(task: &Value) -> Vec<String> {
    let output: String = text(&task["output"]).chars().take(60).collect();
    let status = match (task["status"].as_str(), task["progress"].as_u64()) {
        (Some("Processing"), Some(percent)) => format!("Processing {percent} %"),
        _ => text(&task["status"]),
    };
    let parameters = parameters(task);
    let what = words(&[&task["type"], &parameters.into()]);
    vec![
        id(task),
        what,
        scope(task),
        status,
        time(&task["submitted"]),
        time(&task["started"]),
        time(&task["finished"]),
        output,
    ]
}

fn show(out: &mut impl Write, task: &Value) -> Result<(), Ended> {
    let lines = [
        ("id", id(task)),
        ("type", text(&task["type"])),
        ("for", scope(task)),
        ("parameters", parameters(task)),
        ("status", text(&task["status"])),
        ("duplicate of", text(&task["duplicate_of"])),
        ("progress", format!("{} %", text(&task["progress"]))),
        ("not before", time(&task["not_before"])),
        ("submitted", time(&task["submitted"])),
        ("queued", time(&task["queued"])),
        ("started", time(&task["started"])),
        ("finished", time(&task["finished"])),
        ("processor", text(&task["processor"])),
        ("return code", text(&task["return_code"])),
        ("output", text(&task["output"])),
        ("origin", text(&task["origin"])),
        ("operator", text(&task["operator"])),
    ];
    let told = lines.into_iter().filter(|(_, value)| !value.is_empty());
    writeln!(out, "{}", table(&[], told.map(|(name, value)| vec![name.to_owned(), value])))?;
    Ok(())
}
