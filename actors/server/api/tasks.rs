//! `GET /tasks`, `GET /tasks/{id}`, `GET /tasks/{id}/why`, `POST /tasks`, `POST /tasks/{id}/cancel`, `POST /tasks/pause`,
//! `POST /tasks/resume`: the batch tasks of the server.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use muster::id::Guid;
use muster::model::fact::{FactKey, FactKind};
use muster::model::stored;
use muster::model::task::{Status, TaskNumber, TaskOrigin, TaskRun, TaskScope, TaskSubmission, TaskType};
use muster::roles::batch::{SchedulerAnswer, TaskRequest};
use muster::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Sent;
use super::listing::{Asked, Cell, Fields, Form, Page, Window};
use super::pairs::Pairs;
use super::problem::{Problem, shorten};
use super::settings::check_address;
use super::{Answer, Api, Question, check_host};
use crate::server::batch::{AskScheduler, BatchOverview, RefuseTask, WhyTask, WhyTold};
use crate::server::fleet::Fleet;
use crate::server::task_parameters::check_parameters;

/// Most bytes of a question.
pub(super) const BYTES_MAX: usize = 64 << 10;
/// Tasks that are read together.
const PAGE: usize = 10_000;

const FORM: Form = Form {
    fields: &[
        "type",
        "tenant",
        "group",
        "status",
        "submitted",
        "started",
        "finished",
        "processor",
        "progress",
        "return_code",
        "origin",
        "output",
    ],
    parameters: &["status", "type", "tenant", "group"],
};

/// A task with how far it has come.
#[derive(Clone, Debug)]
struct Row {
    task: TaskSubmission,
    run: TaskRun,
}

impl Fields for Row {
    fn cell(&self, field: &str) -> Cell<'_> {
        let Row { task, run } = self;
        let time = |at: Option<Timestamp>| at.map_or(Cell::Null, Cell::Time);
        match field {
            "type" => Cell::text(task.task.as_str()),
            "tenant" => task.scope.tenant().map_or(Cell::Null, |tenant| Cell::text(tenant.as_str())),
            "group" => task.scope.group().map_or(Cell::Null, |group| Cell::text(group.as_str())),
            "status" => Cell::text(run.status.to_string()),
            "submitted" => Cell::Time(task.submitted),
            "started" => time(run.started),
            "finished" => time(run.finished),
            "processor" => run.processor.as_ref().map_or(Cell::Null, |processor| Cell::text(&*processor.host)),
            "progress" => Cell::count(run.progress.into()),
            "return_code" => run.return_code.map_or(Cell::Null, |code| Cell::Number(code.into())),
            "origin" => Cell::text(origin(task.origin)),
            "output" => Cell::text(&*run.output),
            _ => Cell::Null,
        }
    }
}

fn origin(origin: TaskOrigin) -> String {
    serde_json::to_value(origin).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn item(Row { task, run }: &Row) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let parameters: BTreeMap<&str, &str> = task.parameters.iter().collect();
    json!({
        "id": task.guid.to_string(),
        "type": task.task.as_str(),
        "tenant": task.scope.tenant(),
        "group": task.scope.group(),
        "parameters": parameters,
        "status": run.status.to_string(),
        "not_before": time(task.not_before),
        "submitted": task.submitted.to_rfc3339(),
        "queued": time(run.queued),
        "started": time(run.started),
        "finished": time(run.finished),
        "processor": run.processor.as_ref().map(|processor| &processor.host),
        "progress": run.progress,
        "return_code": run.return_code,
        "output": run.output,
        "origin": origin(task.origin),
        "operator": task.login,
        "duplicate_of": task.duplicate_of.map(|guid| guid.to_string()),
    })
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let asked = Asked::of(&question.query, &FORM)?;
    let statuses = Status::ALL.map(|status| status.to_string());
    asked.check("status", &statuses.each_ref().map(String::as_str))?;
    asked.check("type", &TaskType::ALL.map(TaskType::as_str))?;
    let tenants = api.books.tenants.now();
    let names: Vec<&str> = tenants.iter().map(|(tenant, _)| tenant.as_str()).collect();
    asked.check("tenant", &names)?;
    let overview = api.overview();
    let prefix = FactKind::Task.prefix(None);
    if asked.is_plain() {
        let after = asked.after().and_then(|id| id.try_into().ok()).map(|id| TaskNumber(!u64::from_be_bytes(id)));
        let before = after.map(|number| FactKey::Task(number).encode());
        let keys = api.books.facts.keys_down(&prefix, before.as_deref(), asked.limit() + 1);
        let numbers: Vec<TaskNumber> = keys.iter().filter_map(|key| number(key)).collect();
        let (rows, total) = (rows(api, &numbers, &overview)?, api.books.facts.count(&prefix));
        let page = Page::plain(&asked, rows, total, |(number, _)| (!number.0).to_be_bytes().to_vec());
        return Ok(Answer::Json(page.json(|(_, row)| item(&row))));
    }
    let mut window = Window::new(&asked);
    let mut after = None::<Box<[u8]>>;
    loop {
        let page = api.books.facts.keys(&prefix, after.as_deref(), PAGE);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let numbers: Vec<TaskNumber> = page.iter().filter_map(|(key, _)| number(key)).collect();
        for (number, row) in rows(api, &numbers, &overview)? {
            // Newest first.
            window.offer(&(!number.0).to_be_bytes(), row, |row| row);
        }
    }
    Ok(Answer::Json(window.page().json(|row| item(&row))))
}

fn number(key: &[u8]) -> Option<TaskNumber> {
    match FactKey::decode(key) {
        Some(FactKey::Task(number)) => Some(number),
        _ => None,
    }
}

/// These tasks, as far as they are known.
fn rows(api: &Api, numbers: &[TaskNumber], overview: &BatchOverview) -> Result<Vec<(TaskNumber, Row)>, Problem> {
    let facts = &api.books.facts;
    let mut tasks: Vec<Option<TaskSubmission>> = vec![None; numbers.len()];
    let mut runs: Vec<Option<TaskRun>> = vec![None; numbers.len()];
    let mut failed = None;
    let keys = |of: fn(TaskNumber) -> FactKey| numbers.iter().map(|number| of(*number).encode()).collect::<Vec<_>>();
    facts.get_all(&keys(FactKey::Task), |place, value| match value {
        Ok(value) => tasks[place] = value.and_then(|value| stored::unpack(&value).ok()),
        Err(error) => _ = failed.get_or_insert(error),
    });
    facts.get_all(&keys(FactKey::TaskRun), |place, value| match value {
        // One that does not read counts as ended, here as for the scheduler.
        Ok(value) => runs[place] = value.map(|value| stored::unpack(&value).unwrap_or_else(|_| unreadable())),
        Err(error) => _ = failed.get_or_insert(error),
    });
    if let Some(error) = failed {
        return Err(Problem::internal("facts", crate::errors::Chain(&error).to_string()));
    }
    let known = numbers.iter().zip(tasks).zip(runs);
    let row = |((number, task), run): ((&TaskNumber, Option<TaskSubmission>), Option<TaskRun>)| {
        // Progress is no fact.
        let live = overview.sent.get(number).map(|(_, run)| run.clone());
        let is_live = run.as_ref().is_some_and(|run| !run.status.is_final());
        let run = live.filter(|_| is_live).or(run).unwrap_or_else(|| TaskRun::new(Status::Submitted));
        Some((*number, Row { task: task?, run }))
    };
    Ok(known.filter_map(row).collect())
}

fn unreadable() -> TaskRun {
    TaskRun { output: "how it ended does not read".into(), ..TaskRun::new(Status::Error) }
}

/// The task of this GUID.
fn find(api: &Api, id: &str) -> Result<(TaskNumber, Row), Problem> {
    let missing = || Problem::missing("there is no task of this id, see `GET /api/v1/tasks`");
    let guid: Guid = id.parse().map_err(|_| missing())?;
    let number = TaskNumber(guid.number());
    let task: Option<TaskSubmission> = Fleet::of(&api.books).fact(&FactKey::Task(number))?;
    task.filter(|task| task.guid == guid).ok_or_else(missing)?;
    rows(api, &[number], &api.overview())?.pop().ok_or_else(missing)
}

pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    Ok(Answer::Json(item(&find(api, &question.id)?.1)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    r#type: String,
    tenant: Option<String>,
    group: Option<String>,
    #[serde(default)]
    parameters: Pairs,
    not_before: Option<String>,
    #[serde(default)]
    origin: Option<TaskOrigin>,
    operator: Option<String>,
}

/// What was answered by the scheduler, which may be between two lives.
async fn ask(api: &Api, asked: AskScheduler) -> Result<SchedulerAnswer, Problem> {
    let away = || Problem::unavailable("scheduler", "the batch scheduler is being started anew, ask again in a second");
    let scheduler = api.scheduler.get().ok_or_else(away)?;
    match scheduler.send(asked).await {
        Ok(SchedulerAnswer::NotStored) => {
            Err(Problem::unavailable("log", "the log does not take it now: the disk is full, or too many wait"))
        }
        Ok(answer) => Ok(answer),
        Err(_) => Err(away()),
    }
}

pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let like = r#"the body has to be like {"type": "InventoryImport", "parameters": {"full": "true"}}"#;
    let body: Wanted =
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("task", format!("{like}: {error}")))?;
    let not_before = body.not_before.as_deref().map(|text| {
        let wrong = || format!("`not_before` is `{}`: write a time like 2026-12-31T22:00:00Z", shorten(text));
        Timestamp::from_rfc3339(text).ok_or_else(|| Problem::wrong("not_before", wrong()))
    });
    let origin = match body.origin {
        // Those of the server itself are not for others to claim.
        Some(origin @ (TaskOrigin::CommandLine | TaskOrigin::Web)) => origin,
        _ => TaskOrigin::Api,
    };
    let wanted = TaskRequest {
        task: body.r#type,
        tenant: body.tenant,
        group: body.group,
        parameters: body.parameters.0,
        not_before: not_before.transpose()?,
        origin,
        login: body.operator,
    };
    let checked = wanted.check(&api.books.tenants.now()).map_err(|refusal| refusal.to_string());
    let task = match checked.and_then(|task| check_parameters(&task).map(|()| task)) {
        Ok(task) => task,
        Err(why) => {
            if let Some(scheduler) = api.scheduler.get() {
                let _ = scheduler.send(RefuseTask(why.clone())).await;
            }
            return Err(Problem::wrong("task", why));
        }
    };
    let guid = match ask(&api, AskScheduler::Submit(task)).await? {
        SchedulerAnswer::Submitted(_, guid) | SchedulerAnswer::Duplicate { guid, .. } => guid,
        _ => return Err(Problem::internal("scheduler", "the scheduler gave another answer")),
    };
    let row = on_thread(api, move |api| find(api, &guid.to_string())).await?.1;
    Ok(HttpResponse::Created().json(item(&row)))
}

/// What may wait for the disk.
async fn on_thread<T: Send + 'static>(
    api: Data<Api>,
    work: impl FnOnce(&Api) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(move || work(&api)).await;
    done.map_err(|_| Problem::internal("internal", "the question was not answered"))?
}

pub(super) async fn cancel(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Sent,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    body.none()?;
    let name = id.into_inner();
    let (_, row) = on_thread(api.clone(), move |api| find(api, &name)).await?;
    let guid = row.task.guid;
    let ended =
        |status: Status| Problem::busy(format!("the task is in status {status}: only one that waits is cancelled"));
    match ask(&api, AskScheduler::Cancel(guid, "cancelled by an operator".into())).await? {
        SchedulerAnswer::Cancelled => {}
        SchedulerAnswer::NotCancelled(status) => return Err(ended(status)),
        _ => return Err(ended(row.run.status)),
    }
    let row = on_thread(api, move |api| find(api, &guid.to_string())).await?.1;
    Ok(HttpResponse::Ok().json(item(&row)))
}

pub(super) async fn pause(api: Data<Api>, request: HttpRequest, body: Sent) -> Result<HttpResponse, Problem> {
    set_paused(api, request, body, true).await
}

pub(super) async fn resume(api: Data<Api>, request: HttpRequest, body: Sent) -> Result<HttpResponse, Problem> {
    set_paused(api, request, body, false).await
}

async fn set_paused(
    api: Data<Api>,
    request: HttpRequest,
    body: Sent,
    is_paused: bool,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    body.none()?;
    match ask(&api, AskScheduler::Pause(is_paused)).await? {
        SchedulerAnswer::Paused(is_paused) => Ok(HttpResponse::Ok().json(json!({ "paused": is_paused }))),
        _ => Err(Problem::internal("scheduler", "the scheduler gave another answer")),
    }
}

pub(super) async fn why(api: Data<Api>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    check_host(&request)?;
    if !request.query_string().is_empty() {
        return Err(Problem::wrong("query", "this address takes no parameters"));
    }
    let name = id.into_inner();
    let (number, row) = on_thread(api.clone(), move |api| find(api, &name)).await?;
    let away = || Problem::unavailable("scheduler", "the batch scheduler is being started anew, ask again in a second");
    let scheduler = api.scheduler.get().ok_or_else(away)?;
    let told = scheduler.send(WhyTask(number)).await.map_err(|_| away())?;
    // It may have ended between the two looks.
    let (_, row) = match told {
        Some(_) => (number, row),
        None => on_thread(api.clone(), move |api| find(api, &row.task.guid.to_string())).await?,
    };
    let blocker = told.as_ref().and_then(|told| told.blocker).map(|(number, ..)| number);
    let blocker = match blocker {
        Some(number) => {
            let found = on_thread(api.clone(), move |api| rows(api, &[number], &api.overview())).await?;
            found.into_iter().next().map(|(_, row)| row)
        }
        None => None,
    };
    // Whoever asks reads the same text wherever it is shown.
    let text = text(&row, told.as_ref(), blocker.as_ref());
    let rule = told.as_ref().and_then(|told| told.rule.as_ref());
    Ok(HttpResponse::Ok().json(json!({
        "id": row.task.guid.to_string(),
        "type": row.task.task.as_str(),
        "status": row.run.status.to_string(),
        "reason": told.as_ref().map_or("ended", |told| told.reason),
        "text": text,
        "until": told.as_ref().and_then(|told| told.until).map(Timestamp::to_rfc3339),
        "rule": rule.map(|(band, other, per)| json!({ "band": band, "excludes": other, "per": per })),
        "blocked_by": blocker.as_ref().map(item),
    })))
}

fn of(scope: &TaskScope) -> String {
    match scope {
        TaskScope::System => "of the whole server".into(),
        other => format!("of {other}"),
    }
}

fn text(row: &Row, told: Option<&WhyTold>, blocker: Option<&Row>) -> String {
    let status = row.run.status;
    let Some(told) = told else {
        if !status.is_final() {
            return "it has ended, and that is not in the log yet".into();
        }
        let output = if row.run.output.is_empty() { String::new() } else { format!(": {}", row.run.output) };
        return format!("it has ended with status {status}{output}");
    };
    let blocks = blocker.map_or("another task".to_owned(), |blocker| {
        let Row { task, run } = blocker;
        format!("{}[{}] {} ({})", task.task, task.guid, of(&task.scope), run.status)
    });
    let rule = told.rule.as_ref().map_or(String::new(), |(band, other, per)| match band == other {
        true => format!(": band {band} runs one task per {per}"),
        false => format!(": band {band} and band {other} exclude each other per {per}"),
    });
    match told.reason {
        "paused" => "sending of tasks is paused: `muster batch resume`".into(),
        "slots" => "nothing excludes it; all slots of the processor are taken".into(),
        "no-processor" => "nothing excludes it; no processor is there".into(),
        "queued" => "it was sent for processing and begins when a slot is free".into(),
        "processing" => "it is being processed".into(),
        "not-before" => {
            let until = told.until.map(Timestamp::to_rfc3339).unwrap_or_default();
            format!("it does not start before {until}")
        }
        "running" => format!("it waits for {blocks}{rule}"),
        "barrier" => format!("it waits behind {blocks}, which has waited for longer than the starvation limit{rule}"),
        "behind" => format!("it waits behind {blocks}, which is older{rule}"),
        _ => "it starts at the next pass".into(),
    }
}
