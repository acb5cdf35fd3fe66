//! `POST /matching/dry-run`: what a changed file of Matchers would do to the stored records. Nothing is written.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use muster::matching::{Matchers, standard_matchers};
use muster::roles::server::{DryRun, EmptiedDevice, Listed, MergedDevices, SplitDevice, dry_run};
use serde_json::{Value, json};

use super::Api;
use super::body::Sent;
use super::problem::Problem;
use super::settings::check_address;
use crate::errors::Chain;
use crate::matching::report;
use crate::server::counters::tenant_state;
use crate::server::importer::{ImportError, staged, stored};
use crate::server::rules::in_force;

pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::wrong("matchers", "the body is to be a file of Matchers, in UTF-8"))?;
    let changed = Matchers::load(standard_matchers(), Some(text));
    let changed = changed.map_err(|error| Problem::wrong("matchers", Chain(&error).to_string()))?;
    let tried = tokio::task::spawn_blocking(move || {
        // It takes as much memory as some imports: whoever asks meanwhile is told to ask later.
        let Ok(_only_one) = api.load.dry_run.try_lock() else { return Ok(None) };
        let _one_at_a_time = api.load.whole_fleet();
        let (facts, tenant) = (&api.books.facts, &api.books.tenant);
        let (state, rules, records, devices) = {
            // The stored records are to be of one time; then others may go on.
            let _task = api.books.one_task.blocking_lock();
            let state = tenant_state(facts, tenant).map_err(ImportError::State)?;
            (state, in_force(facts, tenant, &api.rules), staged(facts, tenant)?, stored(facts, tenant)?)
        };
        Ok::<_, ImportError>(Some(dry_run(&rules, changed, &records, &devices, &state, api.clock.now())))
    });
    let tried = tried.await.map_err(|_| Problem::internal("dry-run", "the dry run did not end"))?;
    let run = tried.map_err(|error| Problem::internal("facts", Chain(&error).to_string()))?;
    let run = run.ok_or_else(|| Problem::busy("a dry run is under way: ask again when it has ended"))?;
    Ok(HttpResponse::Ok().json(shown(&run)))
}

fn shown(run: &DryRun) -> Value {
    json!({
        "records": run.records,
        "devices": run.devices,
        "merged": listed(&run.merged, merged),
        "emptied": listed(&run.emptied, emptied),
        "split": listed(&run.split, split),
        "appeared": listed(&run.appeared, |records| json!({ "records": numbers(records) })),
        "report": report::json(&run.report),
    })
}

fn listed<T>(list: &Listed<T>, item: impl Fn(&T) -> Value) -> Value {
    json!({ "count": list.count, "samples": list.samples.iter().map(item).collect::<Vec<Value>>() })
}

fn merged(sample: &MergedDevices) -> Value {
    json!({
        "device": sample.device.to_string(),
        "others": sample.others.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "sentences": sample.sentences,
    })
}

fn emptied(sample: &EmptiedDevice) -> Value {
    json!({ "device": sample.device.to_string(), "into": sample.into.to_string() })
}

fn split(sample: &SplitDevice) -> Value {
    json!({
        "device": sample.device.to_string(),
        "parts": sample.parts.iter().map(|part| numbers(part)).collect::<Vec<Value>>(),
        "by": if sample.by_import { "import" } else { "unmerge" },
        "sentences": sample.sentences,
    })
}

fn numbers(records: &[u64]) -> Value {
    records.iter().map(u64::to_string).collect()
}
