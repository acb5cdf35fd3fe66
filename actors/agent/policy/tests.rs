//! The policy client against a scripted server on loopback, over real files and real HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;

use muster::formats::marks::Told;
use muster::policy::beacon_policy::Content;
use muster::policy::{BeaconPolicy, HandOut};
use tempfile::TempDir;

use super::super::limits::Limit;
use super::*;
use crate::clock::WallClock;

const SCHEDULE: &str = "<Schedule SCHEDSCHEMA=\"60\" NAME=\"s\" TIMEDATESTAMP=\"20250314T000000Z\">\
                        <Event NAME=\"Generate Inventory\" ID=\"{11111111-0000-4000-8000-000000000001}\">\
                        <LogicalCommand COMPONENT=\"Tracker\" ACTION=\"Collect\"/><Trigger TYPE=\"OnStartup\"/></Event>\
                        </Schedule>";
const MODIFIED: &str = "Fri, 14 Mar 2025 00:00:00 GMT";

type Headers = BTreeMap<String, String>;
/// Status with headers, each on a line of its own, and a body.
type Reply = (String, String);

/// A server that answers by a function, and what it was asked.
struct Beacon {
    base: String,
    asked: Arc<Mutex<Vec<(String, Headers)>>>,
}

impl Beacon {
    fn start(answer: impl Fn(&str, &Headers) -> Reply + Send + 'static) -> Beacon {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let headers: Headers = lines
                    .map_while(|line| {
                        line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    })
                    .collect();
                let (head, body) = answer(&path, &headers);
                seen.lock().unwrap().push((path, headers));
                let length = body.len();
                let text = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Beacon { base, asked }
    }

    /// Headers of each question for the policy itself.
    fn questions(&self) -> Vec<Headers> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(path, _)| path.starts_with("Policies/")).map(|(_, headers)| headers.clone()).collect()
    }
}

struct Agent {
    folder: TempDir,
    client: PolicyClient,
}

impl Agent {
    fn new() -> Agent {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(PolicyStore::open(folder.path()).unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = PolicyClient::new(http, store, Limit::default(), Reach::default(), Arc::new(WallClock));
        Agent { folder, client }
    }

    async fn ask(&self, beacon: &Beacon) -> Answered {
        let (agent, base) = (Guid::from_random([1; 16]), beacon.base.clone());
        let told = Told { published: "UsageData/a/=1:3".into(), ..Told::default() };
        self.client.poll(Question { agent, base, told }).await
    }
}

fn hand_out(revision: u64, configuration: &str) -> HandOut {
    let content = Content { schedule: SCHEDULE.into(), configuration: configuration.into(), ..Content::default() };
    HandOut::new(&BeaconPolicy::new(revision, Timestamp(0), content).unwrap(), SCHEDULE)
}

/// What a beacon that hands this out answers; `change` may alter the policy's text.
fn answer_of(hand_out: &HandOut, path: &str, stamp: &str, change: impl Fn(String) -> String) -> Reply {
    let text = match path.starts_with("Policies/") {
        true => hand_out.policy(None).map(|file| change(file.text.to_string())),
        false => hand_out.file(&path.replace("%20", " ")).map(|file| file.text.to_string()),
    };
    text.map_or(("404 Not Found".into(), String::new()), |text| (format!("200 OK{stamp}"), text))
}

#[actix::test]
async fn a_beacon_that_is_busy_or_has_no_policy_yet_says_for_how_long() {
    for (head, wanted) in [
        ("503 Busy\r\nRetry-After: 60", Polled::Busy { retry_after_ms: Some(60_000) }),
        ("429 Busy\r\nRetry-After: 7200", Polled::Busy { retry_after_ms: Some(3_600_000) }),
        (
            "503 Busy\r\nDate: Fri, 14 Mar 2025 12:00:00 GMT\r\nRetry-After: Fri, 14 Mar 2025 12:02:00 GMT",
            Polled::Busy { retry_after_ms: Some(120_000) },
        ),
        ("503 Busy", Polled::Busy { retry_after_ms: None }),
        ("500 Broken\r\nRetry-After: 60", Polled::Silent),
    ] {
        let beacon = Beacon::start(move |_, _| (head.into(), String::new()));
        let Answered { polled, refused, .. } = Agent::new().ask(&beacon).await;
        assert_eq!((polled, refused), (wanted, None), "{head}");
    }
}

#[actix::test]
async fn nothing_here_is_no_policy_to_an_agent_without_one_and_no_change_to_one_that_has_it() {
    let agent = Agent::new();
    for head in ["404 Not Found", "304 Not Modified"] {
        let nobody = Beacon::start(move |_, _| (head.into(), String::new()));
        assert_eq!(agent.ask(&nobody).await.polled, Polled::NoneHere, "{head}");
    }
    let beacon = Beacon::start(|path, _| answer_of(&hand_out(1, "[a]\n"), path, "", |text| text));
    let polled = agent.ask(&beacon).await.polled;
    assert!(matches!(polled, Polled::Updated(_)), "{polled:?}");
    for head in ["404 Not Found", "304 Not Modified"] {
        let nobody = Beacon::start(move |_, _| (head.into(), String::new()));
        assert_eq!(agent.ask(&nobody).await.polled, Polled::Unchanged, "{head}");
    }
    assert!(agent.folder.path().join("policy").join("policy.json").exists());
}

#[actix::test]
async fn what_was_told_of_the_version_goes_with_the_next_question() {
    for (stamp, by_tag, by_date) in [
        (format!("\r\nLast-Modified: {MODIFIED}"), None, Some(MODIFIED)),
        (format!("\r\nETag: \"r1\"\r\nLast-Modified: {MODIFIED}"), Some("\"r1\""), Some(MODIFIED)),
        ("\r\nETag: \"r1\"".to_owned(), Some("\"r1\""), None),
        (format!("\r\nETag: \"{}\"", "x".repeat(300)), None, None),
    ] {
        let beacon = Beacon::start(move |path, headers| {
            match headers.contains_key("if-none-match") || headers.contains_key("if-modified-since") {
                true => ("304 Not Modified".into(), String::new()),
                false => answer_of(&hand_out(1, ""), path, &stamp, |text| text),
            }
        });
        let agent = Agent::new();
        assert!(matches!(agent.ask(&beacon).await.polled, Polled::Updated(_)));
        assert_eq!(agent.ask(&beacon).await.polled, Polled::Unchanged);
        let last = beacon.questions().pop().unwrap();
        let sent = |name: &str| last.get(name).map(String::as_str);
        assert_eq!((sent("if-none-match"), sent("if-modified-since")), (by_tag, by_date));
    }
}

#[actix::test]
async fn a_policy_whose_name_does_not_fit_is_asked_for_once_more_and_then_taken() {
    let own_name = |text: String| {
        let (head, rest) = text.split_once("GUID=\"{").unwrap();
        format!("{head}GUID=\"{{0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001{}", &rest[36..])
    };
    let beacon = Beacon::start(move |path, _| answer_of(&hand_out(1, "[a]\n"), path, "", own_name));
    let agent = Agent::new();
    let polled = agent.ask(&beacon).await.polled;
    assert!(matches!(polled, Polled::Updated(_)), "{polled:?}");
    let questions = beacon.questions();
    let told: Vec<bool> = questions.iter().map(|headers| headers.contains_key("x-muster-published")).collect();
    assert_eq!(told, [true, false], "what was published is told once");
}

#[actix::test]
async fn what_is_refused_says_why_and_the_policy_in_force_stays() {
    let agent = Agent::new();
    let good = Beacon::start(|path, _| answer_of(&hand_out(1, "[a]\n"), path, "", |text| text));
    assert!(matches!(agent.ask(&good).await.polled, Polled::Updated(_)));
    let kept = std::fs::read(agent.folder.path().join("policy").join("policy.json")).unwrap();
    type Change = fn(String) -> String;
    let changes: [(u64, Change, &str); 4] = [
        (2, |_| "<Policy".into(), "does not read"),
        (2, |text| text.replacen("AppliesTo=\"*\"", "AppliesTo=\"no-such-host\"", 1), "applies to `no-such-host`"),
        (u64::MAX, |text| text, "more than a year ahead"),
        (2, |text| text.replace(".osd", "/../x"), "no path below"),
    ];
    for (revision, change, why) in changes {
        let bad = Beacon::start(move |path, _| answer_of(&hand_out(revision, "[b]\n"), path, "", change));
        let Answered { polled, refused, .. } = agent.ask(&bad).await;
        assert_eq!(polled, Polled::NotTaken, "{why}");
        assert!(refused.as_ref().is_some_and(|refused| refused.contains(why)), "{refused:?}");
    }
    assert_eq!(std::fs::read(agent.folder.path().join("policy").join("policy.json")).unwrap(), kept);
}
