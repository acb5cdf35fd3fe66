//! `muster-sim replay`: the run of a seed again, one line for each event.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use muster::config::Document;
use muster::time::{DAY_MS, SECOND_MS, Timestamp};
use muster_actors::command::Failure;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::configured::{Configured, ConfiguredArgs};
use crate::drive::Closed;
use crate::drive::calendar::{Calendar, Seen};
use crate::fleet::{Contents, scenario_text};
use crate::output::Stopped;
use crate::scenario::{Overrides, Scenario, Target};
use crate::world::{Body, Event, Layout, NodeId, PackageId, Reply, What};

/// Options of `muster-sim replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Everything random comes from it
    #[arg(long, value_name = "S")]
    seed: u64,
    /// What is simulated
    #[arg(long, value_name = "F")]
    scenario: PathBuf,
    /// Only sizes, or true bytes in the deployed logs on simulated disks
    #[arg(long, value_enum, default_value_t = Contents::Sizes)]
    content: Contents,
    #[command(flatten)]
    configured: ConfiguredArgs,
    /// Print events from so many seconds after the start on
    #[arg(long, value_name = "SECS", default_value_t = 0)]
    from: u32,
    /// Print events up to so many seconds after the start
    #[arg(long, value_name = "SECS")]
    to: Option<u32>,
    /// Print events at one node or one level, such as "leaf 3", "agent 17", "middle", "server"
    #[arg(long, value_name = "NODE")]
    node: Option<Target>,
}

/// Which events are printed.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: Timestamp,
    to: Timestamp,
    node: Option<Target>,
}

impl Wanted {
    fn has(&self, layout: &Layout, at: Timestamp, node: NodeId) -> bool {
        let is_there = || self.node.is_none_or(|wanted| layout.targets(wanted).contains(&node.0));
        (self.from..=self.to).contains(&at) && is_there()
    }
}

/// Runs a seed again and prints what happens; ends as `muster-sim chaos` does.
pub fn run(args: ReplayArgs) -> Result<(), Failure> {
    let ReplayArgs { seed, scenario: file, content, configured, from, to, node } = args;
    let configured = Configured::read(&configured)?;
    let text = scenario_text(Some(&file))?;
    let overrides =
        Overrides { is_full: content == Contents::Full, configured: Some(&configured), ..Overrides::default() };
    let name = file.display().to_string();
    let scenario = Scenario::read(&Document { text: &text, file: &name }, overrides);
    let scenario = Arc::new(scenario.map_err(|error| Failure { text: error.to_string(), exit: 2 })?);
    scenario.tell();
    let layout = Layout::new(seed, &scenario);
    if let Some(node) = node.filter(|node| layout.targets(*node).is_empty()) {
        return Err(Failure { text: format!("--node: there is no {node} in this scenario"), exit: 2 });
    }
    let last = i64::from(scenario.days) * DAY_MS / SECOND_MS;
    if i64::from(from) > to.map_or(last, |to| i64::from(to).min(last)) {
        let text =
            format!("--from {from}: nothing is behind it; the run ends after {last} s, and --to has to be later");
        return Err(Failure { text, exit: 2 });
    }
    let moment = |secs: u32| scenario.start.plus_ms(i64::from(secs) * SECOND_MS);
    let wanted = Wanted { from: moment(from), to: to.map_or(Timestamp::NEVER, moment), node };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let ended = play(seed, &scenario, wanted, &mut out).and_then(|closed| {
        let outcome = Outcome::of(seed, &closed);
        writeln!(out, "{}", outcome.to_json())?;
        out.flush()?;
        Ok(outcome)
    });
    let outcome = match ended.map_err(Stopped::from) {
        Ok(outcome) => outcome,
        Err(stopped) => return Stopped::end(Err(stopped)),
    };
    if outcome.violations == 0 {
        return Ok(());
    }
    Err(Failure { text: format!("{} violations: {}", outcome.violations, outcome.what()), exit: 1 })
}

/// Plays a run to its end and writes the events that are wanted. Nothing is played further once nobody reads.
fn play(seed: u64, scenario: &Arc<Scenario>, wanted: Wanted, out: &mut impl Write) -> std::io::Result<Closed> {
    let layout = Layout::new(seed, scenario);
    let mut calendar: Calendar = Calendar::new(seed, scenario.clone());
    let (mut at, end) = (scenario.start, scenario.end());
    let mut failed = None;
    while at < end {
        at = at.plus_ms(60 * SECOND_MS).min(end);
        let mut see = |seen: Seen<'_>| {
            let line = match seen {
                Seen::Event(event) if wanted.has(&layout, event.at, event.to) => line(&layout, event),
                Seen::Event(_) => return,
                // Whatever else is wanted, this is what a reader looks for.
                Seen::Broken { at, node, id, first } => {
                    let node = node.map(|node| layout.name(node).to_string());
                    json!({ "at": at.to_rfc3339(), "node": node, "event": "broken", "id": id, "first": first })
                }
            };
            if failed.is_none() {
                failed = writeln!(out, "{line}").err();
            }
        };
        calendar.run(at, Some(&mut see));
        if let Some(error) = failed.take() {
            return Err(error);
        }
    }
    Ok(calendar.close())
}

/// `17/3`: the third package of agent 17.
fn package(id: PackageId) -> String {
    format!("{}/{}", id.agent, id.number)
}

fn line(layout: &Layout, event: &Event) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.into(), value);
    };
    put("at", event.at.to_rfc3339().into());
    put("node", layout.name(event.to).to_string().into());
    if event.from != event.to && !NodeId::GONE.contains(&event.from) {
        put("from", layout.name(event.from).to_string().into());
    }
    match event.body {
        Body::Installed => put("event", "installed".into()),
        Body::Gone => put("event", "gone".into()),
        Body::Done => put("event", "done".into()),
        Body::Fault { kind, begins } => {
            put("event", if begins { "fault begins" } else { "fault ends" }.into());
            put("fault", kind.as_str().into());
        }
        Body::Request { what, back_ms, is_corrupted, is_cut_short } => {
            match what {
                What::Upload(parcel) => {
                    put("event", "upload".into());
                    put("package", package(parcel.id).into());
                    put("bytes", parcel.bytes.into());
                    put("hops", parcel.hops.into());
                }
                What::Policy => put("event", "policy question".into()),
                What::Status => put("event", "status".into()),
            }
            for (name, is_so) in
                [("answer_lost", back_ms.is_none()), ("corrupted", is_corrupted), ("cut_short", is_cut_short)]
            {
                if is_so {
                    put(name, true.into());
                }
            }
        }
        Body::Reply(reply) => {
            put("event", "answer".into());
            match reply {
                Reply::Nothing => put("answer", "none".into()),
                Reply::Receipt(id) => {
                    put("answer", "receipt".into());
                    put("package", package(id).into());
                }
                Reply::Status { status, .. } => put("answer", status.into()),
                Reply::Mismatch => put("answer", "mismatch".into()),
                Reply::Policy(revision) => {
                    put("answer", "policy".into());
                    put("revision", revision.into());
                }
            }
        }
    }
    if event.number != 0 {
        put("intent", event.number.into());
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[fleet]\nagents = 12\ndays = 2\n[network]\nlost_answers = 0.1\n\
                        [[fault]]\nkind = 'outage'\nof = 'leaf'\nevery_secs = 43200\nfor_secs = [600, 7200]\n";

    fn played(wanted: impl Fn(&Scenario) -> Wanted) -> (Vec<Value>, Outcome) {
        let scenario = Arc::new(Scenario::read(&Document { text: TEXT, file: "s" }, Overrides::default()).unwrap());
        let mut out = Vec::new();
        let closed = play(5, &scenario, wanted(&scenario), &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, Outcome::of(5, &closed))
    }

    fn all(scenario: &Scenario) -> Wanted {
        Wanted { from: scenario.start, to: scenario.end(), node: None }
    }

    #[test]
    fn a_replay_is_the_run_again_and_tells_every_event() {
        let (lines, outcome) = played(all);
        let scenario = Arc::new(Scenario::read(&Document { text: TEXT, file: "s" }, Overrides::default()).unwrap());
        let mut calendar: Calendar = Calendar::new(5, scenario.clone());
        let mut events = 0;
        calendar.run(scenario.end(), Some(&mut |_| events += 1));
        assert_eq!(outcome, Outcome::of(5, &calendar.close()));
        assert_eq!(lines.len(), events);
        let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
        assert_eq!((count("installed"), count("fault begins"), count("fault ends")), (18, 8, 8));
        assert!(count("upload") >= 12 && count("answer") > count("upload"));
    }

    #[test]
    fn only_what_is_asked_for_is_printed() {
        let (lines, outcome) = played(all);
        let from = |scenario: &Scenario| scenario.start.plus_ms(3_600_000);
        let (some, again) = played(|scenario| Wanted {
            from: from(scenario),
            to: scenario.start.plus_ms(40_000_000),
            node: Some(Target::OneLeaf(1)),
        });
        assert_eq!(again, outcome, "what is printed changes nothing");
        assert!(!some.is_empty() && some.iter().all(|line| line["node"] == "leaf 1"));
        let is_in = |line: &&Value| {
            let at = line["at"].as_str().unwrap();
            line["node"] == "leaf 1" && ("2026-01-05T01:00:00".."2026-01-05T11:06:41").contains(&at)
        };
        assert_eq!(some, lines.iter().filter(is_in).cloned().collect::<Vec<Value>>());
    }
}
