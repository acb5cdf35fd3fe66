//! Import runs and import transactions: what the integration endpoint takes and says.
//!
//! Order of effects: first segment -> Import Run; every segment -> Import Transaction and its staged rows, all in one
//! commit; only then the success code. Source: servicenow reference, sections 3 and 4.

use std::collections::{BTreeMap, BTreeSet};

use muster::formats::servicenow_xml::{
    Counts, Head, ImportState, Limits, Question, ReadError, Response, ReturnCode, Transaction, TransactionType,
    read_transaction,
};
use muster::time::{HOUR_MS, Timestamp};

use super::schema::{TableId, schema};
use super::store::{Edit, Store, StoreError};
use super::tables::{Record, SysId, Tables};

/// Table of runs.
pub const RUNS: &str = "x_muster_import_run";
/// Table of transactions.
pub const TRANSACTIONS: &str = "x_muster_import_transaction";
/// Staging table of computers.
pub const STAGED_COMPUTERS: &str = "x_muster_inventory_import";
/// State of a staged row that is not transformed yet.
pub const PENDING: &str = "pending";
/// An open run without a segment for so long is given up. Source: servicenow reference, section 4.
const IDLE_MS: i64 = 24 * HOUR_MS;
/// Who makes the records.
pub const USER: &str = "import";

/// A transaction as it was read, its rows as staging columns.
#[derive(Debug)]
pub struct Received {
    transaction: Transaction,
    rows: Vec<Vec<(String, String)>>,
    unknown_columns: BTreeSet<String>,
    payload: String,
}

impl Received {
    /// Reads a document, whole, before anything is kept of it. The answer to one that cannot be read is the error.
    pub fn read(document: &[u8]) -> Result<Received, Response> {
        let table = schema().table(STAGED_COMPUTERS).expect("the table exists");
        let (mut rows, mut unknown_columns) = (Vec::new(), BTreeSet::new());
        let transaction = read_transaction(document, &Limits::default(), |columns| {
            let mut row = Vec::with_capacity(columns.len());
            for (name, value) in columns {
                let staged = format!("u_{}", name.to_lowercase());
                if schema().column(table, &staged).is_some() {
                    row.push((staged, value.clone()));
                } else if unknown_columns.len() < 10 {
                    unknown_columns.insert((*name).to_owned());
                }
            }
            rows.push(row);
        });
        match transaction {
            Ok(transaction) => {
                // It was read as UTF-8.
                let payload = String::from_utf8_lossy(document).into_owned();
                Ok(Received { transaction, rows, unknown_columns, payload })
            }
            Err(error @ ReadError::UnknownType(_)) => Err(Response::of(ReturnCode::UnknownType, error.to_string())),
            Err(error) => Err(Response::of(ReturnCode::Malformed, error.to_string())),
        }
    }

    /// The sequence of a segment.
    pub fn sequence(&self) -> Option<u32> {
        match self.transaction {
            Transaction::Segment(head) => Some(head.sequence),
            Transaction::Question(..) => None,
        }
    }

    /// Takes the transaction; the answer is durable.
    pub fn answer(self, store: &mut Store) -> Result<Response, StoreError> {
        expire(store)?;
        match self.transaction {
            Transaction::Question(_, question) => Ok(question_answer(store.tables(), question)),
            Transaction::Segment(head) => match refusal(store.tables(), &head) {
                Some(response) => Ok(response),
                None => {
                    store.room()?;
                    store.edit(USER, |edit| self.keep(edit, &head))
                }
            },
        }
    }

    fn keep(self, edit: &mut Edit<'_>, head: &Head) -> Response {
        let id = head.id.to_string();
        let known = edit.tables().first(TRANSACTIONS, "transaction_id", &id);
        if let Some(known) = known {
            let tries = number(known, "tries_seen") + 1;
            let (sys_id, response) = (known.sys_id, transaction_response(edit.tables(), known));
            edit.update(table(TRANSACTIONS), sys_id, [("tries_seen", tries.to_string())]);
            return Response { duplicate: true, ..response };
        }
        let stamp = edit.stamp();
        let run = match edit.tables().first(RUNS, "run_id", &head.run.to_string()).map(|run| run.sys_id) {
            Some(run) => run,
            None => {
                let number = edit.next_number("IMR");
                edit.insert(
                    RUNS,
                    [
                        ("number", number),
                        ("run_id", head.run.to_string()),
                        ("import_type", "Inventory".to_owned()),
                        ("state", ImportState::New.to_string()),
                        ("created", stamp.clone()),
                    ],
                )
            }
        };
        let busy = edit.tables().all(table(TRANSACTIONS)).any(|row| row.text("state") == "Processing");
        let state = if busy { ImportState::Waiting } else { ImportState::New };
        let number = edit.next_number("IMT");
        let message = match self.unknown_columns.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<String> = self.unknown_columns.into_iter().collect();
                format!("unknown columns left out: {}", names.join(", "))
            }
        };
        let transaction = edit.insert(
            TRANSACTIONS,
            [
                ("number", number),
                ("import_run", run.to_string()),
                ("import_type", "Inventory".to_owned()),
                ("state", state.to_string()),
                ("transaction_id", id.clone()),
                ("digest", head.digest.to_string()),
                ("sequence", head.sequence.to_string()),
                ("records", head.records.to_string()),
                ("payload", self.payload),
                ("created", stamp.clone()),
                ("tries_seen", "1".to_owned()),
                ("message", message),
            ],
        );
        for (index, row) in self.rows.iter().enumerate() {
            let data = row.iter().map(|(name, value)| (name.as_str(), value.clone()));
            let own = [
                ("sys_import_set", transaction.to_string()),
                ("sys_import_row", index.to_string()),
                ("sys_import_state", PENDING.to_owned()),
            ];
            edit.insert(STAGED_COMPUTERS, data.chain(own));
        }
        let expected = if head.total > 0 { head.total.to_string() } else { String::new() };
        let received = head.sequence.to_string();
        let set = [("segments_expected", expected), ("segments_received", received), ("last_activity", stamp)];
        edit.update(table(RUNS), run, set);
        let kept = edit.tables().get(table(TRANSACTIONS), transaction).expect("it was inserted");
        transaction_response(edit.tables(), kept)
    }
}

/// Why a segment is not taken.
fn refusal(tables: &Tables, head: &Head) -> Option<Response> {
    if head.kind != TransactionType::InventoryExport {
        let text = format!("`{}` is not built in this stand-in: it takes inventory_export only", head.kind);
        return Some(Response::of(ReturnCode::UnknownType, text));
    }
    let conflict = |text: String| Some(Response::of(ReturnCode::Conflict, text));
    if let Some(known) = tables.first(TRANSACTIONS, "transaction_id", &head.id.to_string()) {
        return match known.text("digest") == head.digest.to_string() {
            true => None,
            false => conflict(format!("transaction {} is known with other content", head.id)),
        };
    }
    let run = tables.first(RUNS, "run_id", &head.run.to_string());
    if let Some(response) = readiness(tables, Some(&head.run.to_string())) {
        return Some(response);
    }
    if run.is_some_and(|run| !is_open(run)) {
        return conflict(format!("import run {} has ended: send the rows in a new run", head.run));
    }
    let due = run.map_or(0, |run| number(run, "segments_received")) + 1;
    let expected = run.map_or(0, |run| number(run, "segments_expected"));
    if u64::from(head.sequence) != due || (expected > 0 && u64::from(head.sequence) > expected) {
        let text = format!("segment {} came where segment {due} is due", head.sequence);
        return Some(Response::of(ReturnCode::Malformed, text));
    }
    None
}

/// Why the instance cannot take an import now; runs of `own` do not count.
fn readiness(tables: &Tables, own: Option<&str>) -> Option<Response> {
    let ready = |name: &str| tables.all(table(name)).any(|record| record.text("active") != "false");
    if !ready("scheduled_import_set") || !ready("sys_data_source") {
        let text = "the Scheduled Data Import `FNMS Import Schedule` or its Data Source record is missing";
        return Some(Response::of(ReturnCode::NotConfigured, text));
    }
    let foreign = |run: &&Record| is_open(run) && Some(run.text("run_id")) != own;
    let open = tables.all(table(RUNS)).find(foreign)?;
    let text = format!("import run {} is open", open.text("number"));
    Some(Response { run: open.text("number").to_owned(), ..Response::of(ReturnCode::Busy, text) })
}

fn question_answer(tables: &Tables, question: Question) -> Response {
    let nothing = Response::of(ReturnCode::Accepted, "");
    match question {
        Question::ConnectionTest { run } => {
            readiness(tables, run.map(|run| run.to_string()).as_deref()).unwrap_or(nothing)
        }
        Question::Status { run, transaction } => {
            let Some(run) = tables.first(RUNS, "run_id", &run.to_string()) else { return nothing };
            match transaction {
                None => run_response(run),
                Some(id) => tables
                    .first(TRANSACTIONS, "transaction_id", &id.to_string())
                    .filter(|row| row.text("import_run") == run.sys_id.to_string())
                    .map_or(nothing, |row| transaction_response(tables, row)),
            }
        }
    }
}

fn transaction_response(tables: &Tables, transaction: &Record) -> Response {
    let run = transaction.text("import_run").parse().ok().and_then(|run| tables.get(table(RUNS), run));
    Response {
        state: transaction.text("state").parse().ok(),
        transaction: transaction.text("number").to_owned(),
        run: run.map(|run| run.text("number").to_owned()).unwrap_or_default(),
        ..Response::of(ReturnCode::Accepted, transaction.text("message"))
    }
}

fn run_response(run: &Record) -> Response {
    let count = |name| u32::try_from(number(run, name)).unwrap_or(u32::MAX);
    let (received, succeeded, failed) =
        (count("segments_received"), count("segments_succeeded"), count("segments_failed"));
    let pending = received.saturating_sub(succeeded).saturating_sub(failed);
    Response {
        state: run.text("state").parse().ok(),
        run: run.text("number").to_owned(),
        counts: Some(Counts { received, succeeded, failed, pending }),
        ..Response::of(ReturnCode::Accepted, run.text("message"))
    }
}

/// Gives up runs whose last segment does not come.
fn expire(store: &mut Store) -> Result<(), StoreError> {
    let now = store.now();
    let idle = |run: &&Record| {
        let at = Timestamp::from_rfc3339(&format!("{}Z", run.text("last_activity").replacen(' ', "T", 1)));
        is_open(run) && !is_complete(run) && at.is_some_and(|at| now.ms_since(at) > IDLE_MS)
    };
    let idle: Vec<SysId> = store.tables().all(table(RUNS)).filter(idle).map(|run| run.sys_id).collect();
    if !idle.is_empty() {
        store.edit(USER, |edit| idle.iter().for_each(|run| close(edit, *run, "no segment came for 24 h")))?;
    }
    Ok(())
}

/// Ends an open run as Failed, with its transactions that are not done.
pub fn close(edit: &mut Edit<'_>, run: SysId, message: &str) {
    let stamp = edit.stamp();
    let of_run = edit.tables().find(TRANSACTIONS, "import_run", &run.to_string());
    let open: Vec<SysId> = of_run.filter(|row| is_open(row)).map(|row| row.sys_id).collect();
    let failed = edit.tables().get(table(RUNS), run).map_or(0, |run| number(run, "segments_failed"));
    let end = |message: &str| {
        [("state", ImportState::Failed.to_string()), ("ended", stamp.clone()), ("message", message.to_owned())]
    };
    for transaction in &open {
        edit.update(table(TRANSACTIONS), *transaction, end(message));
    }
    edit.update(table(RUNS), run, end(message));
    edit.update(table(RUNS), run, [("segments_failed", (failed + open.len() as u64).to_string())]);
}

/// Whether a run or a transaction can still change.
pub fn is_open(record: &Record) -> bool {
    !record.text("state").parse().is_ok_and(ImportState::is_final)
}

/// Whether all segments of a run are here.
pub fn is_complete(run: &Record) -> bool {
    let expected = number(run, "segments_expected");
    expected > 0 && number(run, "segments_received") == expected
}

/// A count; 0 where there is none.
pub fn number(record: &Record, name: &str) -> u64 {
    record.text(name).parse().unwrap_or(0)
}

/// A table that the program brings along.
pub fn table(name: &str) -> TableId {
    schema().table(name).expect("the table exists")
}

/// Columns of a run that count outcomes.
pub type Outcomes = BTreeMap<&'static str, u64>;
