//! `GET /metrics`: what a monitoring system watches, as Prometheus reads it.
//!
//! Source: delivery contract, section 8, health. Written by hand: a registry would copy counters that the server keeps
//! anyway.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use muster::model::settlement::FinalState;
use muster::model::task::{Status, TaskType};
use rustix::fs::statvfs;

use super::ledger::held_by;
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::log::WriterStats;
use crate::server::batch::BatchOverview;

/// The text of one answer.
#[derive(Default)]
struct Text(String);

impl Text {
    /// One metric with its samples; labels come as `{state="stale"}`.
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.metric(name, "gauge", help, &[(String::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, &[(String::new(), value as f64)]);
    }
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let mut text = Text::default();
    let sums = api.all_ledger_sums()?;
    let (held, held_bytes) = api.logs.package_index.totals();
    text.gauge("muster_packages_held", "Packages whose bytes are kept here.", held as f64);
    text.gauge("muster_packages_held_bytes", "Bytes of them.", held_bytes as f64);
    let unsettled = api.unsettled.load(Ordering::Relaxed);
    text.gauge("muster_packages_unsettled", "Packages in custody without a final state.", unsettled as f64);
    text.gauge("muster_oldest_unsettled_seconds", "How long the oldest of them has waited.", oldest_secs(api));
    let counts = sums.counts;
    let settled = FinalState::ALL.map(|state| {
        let count = match state {
            FinalState::Imported => counts.imported,
            FinalState::Stale => counts.stale,
            FinalState::Quarantined => counts.quarantined,
            FinalState::Expired => counts.expired,
        };
        (format!("{{state=\"{state}\"}}"), count as f64)
    });
    text.metric("muster_packages_settled_total", "counter", "Packages by their final state.", &settled);
    let help = "Packages that an agent has a receipt for and that never came.";
    text.gauge("muster_packages_missing", help, sums.missing as f64);
    let help = "Parts of agents' gap reports that did not read, since the start.";
    text.counter("muster_gap_reports_ignored_total", help, api.gaps.ignored());
    text.counter("muster_duplicate_deliveries_total", "Deliveries of known packages.", api.duplicates(&sums));
    let refusals = api.intake.refusals.load(Ordering::Relaxed);
    text.counter("muster_uploads_refused_total", "Uploads that were not taken, since the start.", refusals);
    logs(&mut text, api);
    tasks(&mut text, &api.overview());
    let view = &api.books.view;
    text.counter("muster_view_rebuilt_total", "How often the view was begun anew, since the start.", view.rebuilt());
    text.gauge(
        "muster_view_behind",
        "1 while software of older reports is still missing.",
        f64::from(view.is_behind()),
    );
    // A disk that does not say how full it is has other alarms.
    if let Ok(space) = statvfs(&api.data) {
        let bytes = |blocks: u64| (blocks * space.f_frsize) as f64;
        text.gauge("muster_disk_free_bytes", "Free bytes of the data folder's disk.", bytes(space.f_bavail));
        text.gauge("muster_disk_bytes", "All bytes of that disk.", bytes(space.f_blocks));
    }
    let beacons = api.statuses.list();
    let (packages, oldest_ms) = held_by(&beacons);
    let tenants = api.books.tenants.now().count();
    text.gauge("muster_tenants", "Tenants of this server.", tenants as f64);
    text.gauge("muster_beacons", "Beacons that have reported since the start.", beacons.len() as f64);
    let refused = beacons.iter().map(|status| status.policies_refused).fold(0, u64::saturating_add);
    let help = "Policies of their parents that beacons kept out, each since its own start.";
    text.gauge("muster_policies_refused_at_beacons", help, refused as f64);
    text.gauge("muster_packages_at_beacons", "Packages that they said they hold.", packages as f64);
    text.gauge("muster_oldest_at_beacons_seconds", "How long the oldest had waited then.", oldest_ms as f64 / 1e3);
    Ok(Answer::Metrics(text.0))
}

fn tasks(text: &mut Text, overview: &BatchOverview) {
    let of = |task: TaskType| format!("{{type=\"{task}\"}}");
    let all = |count: &dyn Fn(TaskType) -> f64| TaskType::ALL.map(|task| (of(task), count(task)));
    text.gauge("muster_tasks_paused", "1 while tasks are not sent for processing.", f64::from(overview.is_paused));
    let waiting = all(&|task| overview.waiting.get(&task).copied().unwrap_or(0) as f64);
    text.metric("muster_tasks_waiting", "gauge", "Batch tasks in status Submitted.", &waiting);
    let running = all(&|task| overview.sent.values().filter(|(of, _)| *of == task).count() as f64);
    text.metric("muster_tasks_running", "gauge", "Batch tasks in status Queued or Processing.", &running);
    let submitted = all(&|task| overview.submitted.get(&task).copied().unwrap_or(0) as f64);
    let help = "Batch tasks that were taken, since the start.";
    text.metric("muster_tasks_submitted_total", "counter", help, &submitted);
    let statuses = [Status::Success, Status::Error];
    let spent = |task, status| overview.ended.get(&(task, status)).copied().unwrap_or_default();
    let ended = TaskType::ALL.into_iter().flat_map(|task| {
        statuses.map(|status| (format!("{{type=\"{task}\",status=\"{status}\"}}"), spent(task, status).count as f64))
    });
    let help = "Batch tasks that ended, since the start.";
    text.metric("muster_tasks_ended_total", "counter", help, &ended.collect::<Vec<_>>());
    let ran = all(&|task| statuses.map(|status| spent(task, status).ran_ms).iter().sum::<u64>() as f64 / 1e3);
    let help = "How long the tasks that ended had run, together.";
    text.metric("muster_tasks_run_seconds_total", "counter", help, &ran);
    let waited = all(&|task| statuses.map(|status| spent(task, status).waited_ms).iter().sum::<u64>() as f64 / 1e3);
    let help = "How long the tasks that ended had waited before, together.";
    text.metric("muster_tasks_waited_seconds_total", "counter", help, &waited);
}

fn oldest_secs(api: &Api) -> f64 {
    let mut oldest = None;
    api.load.settled_to.each_unsettled(&api.logs.package_index, &api.books, |held, _, _| {
        oldest = Some(held.time);
        ControlFlow::Break(())
    });
    oldest.map_or(0.0, |taken| api.clock.now().since(taken).as_secs_f64())
}

fn logs(text: &mut Text, api: &Api) {
    let logs = [("packages", api.logs.packages.stats()), ("facts", api.logs.facts.stats())];
    let samples =
        |of: fn(&WriterStats) -> u64| logs.map(|(log, stats)| (format!("{{log=\"{log}\"}}"), of(stats) as f64));
    let groups = samples(|stats| stats.groups.load(Ordering::Relaxed));
    text.metric("muster_log_groups_total", "counter", "Groups synced, since the start.", &groups);
    let requests = samples(|stats| stats.requests.load(Ordering::Relaxed));
    text.metric("muster_log_requests_total", "counter", "Requests answered after a sync.", &requests);
    let full = samples(|stats| stats.full.load(Ordering::Relaxed));
    text.metric("muster_log_full_total", "counter", "Requests refused for want of room.", &full);
}
