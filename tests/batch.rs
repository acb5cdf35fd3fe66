//! Batch tasks of a server process that is killed at any moment, and the command that operators use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Files, Node, get, only_line, run, wait_for};

const ADDRESS: &str = "127.0.35.1";

fn api(path: &str) -> String {
    format!("http://{ADDRESS}:8080/api/v1/{path}")
}

/// Submits a task, as programs do; its id when it was taken.
fn submit(client: &reqwest::blocking::Client, body: &Value) -> Option<String> {
    let answer = client.post(api("tasks")).body(body.to_string()).send().ok()?;
    let is_taken = answer.status().as_u16() == 201;
    answer.json::<Value>().ok().filter(|_| is_taken)?["id"].as_str().map(str::to_owned)
}

fn order(path: &str) {
    let answer = reqwest::blocking::Client::new().post(api(path)).send().unwrap();
    assert!(answer.status().is_success(), "{path}");
}

/// All tasks, oldest first.
fn tasks() -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&api(&format!("tasks?limit=1000{after}"))).unwrap();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    all.reverse();
    all
}

fn id(task: &Value) -> &str {
    task["id"].as_str().unwrap()
}

fn count(status: &str) -> u64 {
    get(&api(&format!("tasks?limit=1&status={status}"))).map_or(u64::MAX, |list| list["total"].as_u64().unwrap())
}

/// What the processor began, in order.
fn begun(folder: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("server/logs/batch-processor.log")).unwrap_or_default();
    let guid = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
    log.lines().filter(|line| line.contains("Starting process")).filter_map(guid).collect()
}

#[test]
fn every_task_that_was_taken_survives_kills_in_order_and_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = Files { folder: folder.path(), address: ADDRESS }.server();
    let (mut server, _) = Node::ready("server", &file);
    order("tasks/pause");
    // By thread, in the order in which they were taken.
    let taken: Mutex<BTreeMap<usize, Vec<String>>> = Mutex::default();
    const THREADS: usize = 8;
    for life in 0..3 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (taken, is_over) = (&taken, &is_over);
                scope.spawn(move || {
                    let client = reqwest::blocking::Client::new();
                    for number in 0.. {
                        let parameters = json!({ "n": format!("{life}-{thread}-{number}") });
                        // A task that is done at once, one at a time.
                        let body = json!({ "type": "InventoryIntake", "parameters": parameters });
                        let Some(id) = submit(&client, &body).filter(|_| !is_over.load(Ordering::Relaxed)) else {
                            return;
                        };
                        taken.lock().unwrap().entry(thread).or_default().push(id);
                    }
                });
            }
            let before: usize = taken.lock().unwrap().values().map(Vec::len).sum();
            wait_for("tasks", || {
                (taken.lock().unwrap().values().map(Vec::len).sum::<usize>() >= before + 400).then_some(())
            });
            server.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        (server, _) = Node::ready("server", &file);
    }
    let taken = taken.into_inner().unwrap();
    let known = tasks();
    let places: BTreeMap<&str, usize> = known.iter().map(id).zip(0..).collect();
    assert_eq!(places.len(), known.len(), "no task twice");
    for ids in taken.values() {
        let of_thread: Vec<usize> = ids.iter().map(|id| places[id.as_str()]).collect();
        assert!(of_thread.is_sorted(), "they stand as they came");
    }
    let accepted: usize = taken.values().map(Vec::len).sum();
    // In each life one of each thread may have been taken without its answer.
    assert!(known.len() >= accepted && known.len() <= accepted + 3 * THREADS, "{} of {accepted}", known.len());
    assert!(known.iter().all(|task| task["status"] == "Submitted"), "nothing leaves Submitted while it is paused");

    // Now they are done, and the server dies in the middle of that.
    order("tasks/resume");
    for part in [3, 2] {
        wait_for("some ended", || (count("Success") as usize > known.len() / part / 2).then_some(()));
        server.kill();
        (server, _) = Node::ready("server", &file);
    }
    wait_for("the rest", || (count("Submitted") + count("Queued") + count("Processing") == 0).then_some(()));
    let ended = tasks();
    let begun = begun(folder.path());
    assert_eq!(begun.iter().collect::<BTreeSet<_>>().len(), begun.len(), "none was begun twice");
    let ours: Vec<usize> = begun.iter().filter_map(|id| places.get(id.as_str()).copied()).collect();
    assert!(ours.is_sorted(), "the oldest went first");
    for task in ended.iter().filter(|task| places.contains_key(id(task))) {
        let is_lost = task["status"] == "Error" && task["output"] == "lost: its processor was started anew";
        assert!(task["status"] == "Success" || is_lost, "{task}");
        assert!(is_lost || begun.iter().any(|begun| begun == id(task)), "{task}");
    }
    let lost = ended.iter().filter(|task| task["status"] == "Error").count();
    assert!(lost <= 2, "at most the one that ran at each kill: {lost}");
    drop(server);
}

#[test]
fn the_command_submits_waits_explains_and_says_what_is_wrong_by_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.35.2";
    let file = Files { folder: folder.path(), address }.server();
    let url = format!("http://{address}:8080");
    let batch = |arguments: &[&str]| -> Output {
        let mut all = vec!["batch"];
        let (own, parameters) =
            arguments.split_at(arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len()));
        all.extend(own);
        all.extend(["--server", &url]);
        all.extend(parameters);
        run(&all)
    };
    let out = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let absent = batch(&["run", "InventoryImport"]);
    assert_eq!(absent.status.code(), Some(3));
    assert!(only_line(&absent).contains("cannot ask the server"), "{absent:?}");

    let (server, _) = Node::ready("server", &file);
    assert_eq!(batch(&["pause"]).status.code(), Some(0));
    let first = batch(&["run", "InventoryImport", "--", "full=true"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let line = out(&first);
    let id = line.split_once('[').unwrap().1.split_once(']').unwrap().0.to_owned();
    assert_eq!(line, format!("InventoryImport[{id}] Submitted\n"));
    let again = batch(&["run", "InventoryImport", "--", "full=true"]);
    assert_eq!(again.status.code(), Some(4));
    assert!(out(&again).contains(&id), "the original is named: {again:?}");
    for (arguments, part) in [
        (&["run", "NoSuchTask"][..], "`NoSuchTask` is no task"),
        (&["run", "InventoryImport", "-t", "T1", "-g", "G1"], "not for both"),
        (&["run", "InventoryImport", "--", "full"], "is not of the form name=value"),
        (&["run", "InventoryImport", "--", "a=1", "a=2"], "is given twice"),
    ] {
        let refused = batch(arguments);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(only_line(&refused).contains(part), "{refused:?}");
    }
    let why = out(&batch(&["why", &id]));
    assert_eq!(why, format!("InventoryImport[{id}] Submitted: sending of tasks is paused: `muster batch resume`\n"));
    server.kill();
    let (_server, _) = Node::ready("server", &file);
    assert!(out(&batch(&["why", &id])).contains("paused"), "also after a kill");
    assert_eq!(batch(&["wait", &id, "--timeout", "0"]).status.code(), Some(1));
    assert_eq!(batch(&["resume"]).status.code(), Some(0));
    let ended = batch(&["wait", &id]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(out(&ended).contains("Success"), "{ended:?}");
    let status: Value = serde_json::from_str(&out(&batch(&["status", &id, "--json"]))).unwrap();
    assert_eq!((&status["status"], &status["origin"]), (&json!("Success"), &json!("command-line")));
    let late = batch(&["cancel", &id]);
    assert_eq!(late.status.code(), Some(1));
    assert!(only_line(&late).contains("only one that waits is cancelled"), "{late:?}");
    let failed = batch(&["run", "ServiceNowExport", "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(only_line(&failed).contains("`servicenow.url` of server.toml is empty"), "{failed:?}");
    let list = out(&batch(&["list", "--status", "Success"]));
    assert!(list.contains("InventoryImport full=true"), "{list}");

    let log = std::fs::read_to_string(folder.path().join("server/logs/batch-scheduler.log")).unwrap();
    for line in [
        format!("Message InventoryImport[{id}] sent for processing"),
        format!("Task[{id}]: received status update for task 'Processing' from processor "),
        format!("Task[{id}]: received status update for task 'Success' from processor "),
    ] {
        assert!(log.contains(&line), "{line}\n{log}");
    }
    let log = std::fs::read_to_string(folder.path().join("server/logs/batch-processor.log")).unwrap();
    let line = format!(
        "InventoryImport[{id}] Starting process with command line 'muster batch run InventoryImport -t default -- full=true'"
    );
    assert!(log.contains(&line), "{log}");
}
