//! A server whose clock stands still, agents that upload to it, and answers with what is random taken out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster::config::server::ServerConfig;
use muster::formats::gzip;
use muster::formats::wire::header;
use muster::id::{Digest, Guid};
use muster::time::Timestamp;
use serde_json::Value;

use crate::clock::{Clock, SharedClock, WallClock};
use crate::node::FolderError;
use crate::server::run::{RunningServer, ServerError, start};

/// 2025-06-15T15:06:40Z.
pub const NOW: Timestamp = Timestamp(1_750_000_000_000);

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A server and the folder it has for itself.
pub struct Fixture {
    pub server: RunningServer,
    http: reqwest::Client,
    config: ServerConfig,
    folder: tempfile::TempDir,
    clock: SharedClock,
}

/// What one agent sends.
pub struct Package {
    agent: u8,
    name: String,
    sequence: Option<(u64, u64)>,
    body: Vec<u8>,
}

/// A full inventory of `agent` with these properties of its computer and these packages (name, version).
pub fn report(agent: u8, sequence: u64, properties: &[(&str, &str)], software: &[(&str, &str)]) -> Package {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let properties: String = properties
        .iter()
        .map(|(name, value)| format!("<Property Name=\"{name}\" Value=\"{}\"/>", escape(value)))
        .collect();
    let packages: String = software
        .iter()
        .map(|(name, version)| {
            format!("<Package Name=\"{}\" Version=\"{version}\" Publisher=\"Debian\" Evidence=\"deb\"/>", escape(name))
        })
        .collect();
    let xml = format!(
        "<Inventory Tracker=\"1\" Audience=\"Machine\" Scope=\"h{agent}.lab\" MachineName=\"h{agent}\" UserName=\"root\" \
         DateTime=\"202506150{}0000\" Type=\"Full\"><Hardware Class=\"MGS_ComputerSystem\" Name=\"h\">{properties}\
         </Hardware><Software>{packages}</Software></Inventory>",
        sequence % 10
    );
    package(agent, sequence, &gzip::compress(xml.as_bytes()))
}

/// Bytes that `agent` says are its inventory.
pub fn package(agent: u8, sequence: u64, body: &[u8]) -> Package {
    let name = format!("Inventories/root%20on%20h{agent}%20at%2020250615T120000%20(Full).ndi.gz");
    Package { agent, name, sequence: Some((7, sequence)), body: body.to_vec() }
}

impl Package {
    /// Under another name, which begins with the kind.
    pub fn named(self, name: &str) -> Package {
        Package { name: name.into(), ..self }
    }

    /// As another agent sends it.
    pub fn from(self, agent: u8) -> Package {
        Package { agent, ..self }
    }

    pub fn digest(&self) -> String {
        Digest::of(&self.body).to_string()
    }
}

/// The GUID of an agent or beacon.
pub fn guid(number: u8) -> Guid {
    Guid::from_random([number; 16])
}

impl Fixture {
    /// A server that imports on arrival; `more` goes into `[import]`.
    pub async fn start(more: impl FnOnce(&Path) -> String) -> Fixture {
        Fixture::importing(true, more).await
    }

    /// A server that imports the first report at once and the next ones a day later, which here never comes.
    pub async fn daily() -> Fixture {
        Fixture::importing(false, |_| String::new()).await
    }

    /// The same with a clock that goes, and this in place of that in its file of tasks.
    pub async fn ticking(that: &str, this: &str) -> Fixture {
        let tasks = muster::config::tasks::SHIPPED;
        assert!(tasks.contains(that), "{that}");
        Fixture::with(&tasks.replace(that, this), false, |_| String::new(), Arc::new(WallClock)).await
    }

    async fn importing(on_arrival: bool, more: impl FnOnce(&Path) -> String) -> Fixture {
        Fixture::with(muster::config::tasks::SHIPPED, on_arrival, more, Arc::new(StandingClock)).await
    }

    async fn with(tasks: &str, on_arrival: bool, more: impl FnOnce(&Path) -> String, clock: SharedClock) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        // Times of day are those of no machine.
        let tasks = tasks.replace("time_zone = \"\"", "time_zone = \"UTC\"");
        std::fs::write(folder.path().join("tasks.toml"), tasks).unwrap();
        let text = format!(
            "[server]\nname = \"hq\"\ntasks_file = \"{}\"\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
             [disk]\nreserve_bytes = 0\nreserve_percent = 0\n[import]\non_arrival = {on_arrival}\n{}",
            folder.path().join("tasks.toml").display(),
            folder.path().join("data").display(),
            more(folder.path())
        );
        let config = ServerConfig::parse(&text, "s.toml", []).unwrap();
        Fixture::of(config, folder, clock).await
    }

    async fn of(config: ServerConfig, folder: tempfile::TempDir, clock: SharedClock) -> Fixture {
        let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
        // The folder of an earlier life is let go of when its last effect has ended.
        for _ in 0..1_000 {
            match start(&config, clock.clone(), no_fatal.clone()).await {
                Ok(server) => return Fixture { server, http: reqwest::Client::new(), config, folder, clock },
                Err(ServerError::Folder(FolderError::InUse { .. })) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the folder stays in use");
    }

    /// The same server after a restart.
    pub async fn restarted(self) -> Fixture {
        let Fixture { server, config, folder, clock, .. } = self;
        server.stop().await;
        Fixture::of(config, folder, clock).await
    }

    /// Where its data and files stand.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An address of the operator listener.
    pub fn operator(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.operator)
    }

    /// An address of the upload listener.
    pub fn upload_address(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.upload)
    }

    pub async fn plain() -> Fixture {
        Fixture::start(|_| String::new()).await
    }

    /// Uploads, with a receipt; gives the digest.
    pub async fn upload(&self, package: Package) -> String {
        self.upload_by(package, None).await
    }

    /// The same as a beacon hands it on that took it first.
    pub async fn upload_by(&self, package: Package, beacon: Option<u8>) -> String {
        let digest = package.digest();
        let url = format!("http://{}/ManageSoftRL/{}", self.server.upload, package.name);
        let mut request = self.http.put(url).header(header::AGENT, guid(package.agent).to_string());
        if let Some((epoch, number)) = package.sequence {
            request = request.header(header::EPOCH, epoch.to_string()).header(header::SEQUENCE, number.to_string());
        }
        if let Some(beacon) = beacon {
            let via = format!("{};{}", guid(beacon), NOW.0);
            let origin = guid(package.agent).to_string();
            request = request.header(header::VIA, via).header(header::SHA256, &digest).header(header::ORIGIN, origin);
        }
        let answer = request.body(package.body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        digest
    }

    /// Uploads, and waits until the package has its final state.
    pub async fn settle(&self, package: Package) -> String {
        let digest = self.upload(package).await;
        let path = format!("/api/v1/packages/{digest}");
        self.until(&path, |package| package["state"] != "held").await;
        digest
    }

    /// Waits until every staged report is on a device and reconciled.
    pub async fn reconciled(&self) {
        use crate::server::fleet::Fleet;
        use muster::model::fact::FactKey;
        use muster::model::tenant::TenantState;
        let books = &self.server.books;
        for _ in 0..3_000 {
            let state = Fleet::of(books).fact::<TenantState>(&FactKey::Tenant(books.tenant.clone())).unwrap();
            if state.is_some_and(|state| state.imported == state.staged && state.reconciled == state.devices) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never reconciled");
    }

    /// Has the licences reconciled by one that begins from now on, and waits for it. One that follows an import may be under
    /// way: then ours is its duplicate, and is asked for again when that has ended.
    pub async fn run_reconcile(&self) {
        let task = r#"{"type": "LicenseReconcile", "tenant": "default"}"#;
        loop {
            let (status, answer) = self.post("/api/v1/tasks", task).await;
            assert!(status < 300, "{answer}");
            let other = answer["duplicate_of"].as_str();
            let path = format!("/api/v1/tasks/{}", other.or(answer["id"].as_str()).unwrap());
            let done = self.until(&path, |task| task["finished"].is_string()).await;
            assert_eq!(done["status"], "Success", "{done}");
            if other.is_none() {
                return;
            }
        }
    }

    /// Reports the status of a beacon, as it does to its parent.
    pub async fn report_status(&self, beacon: u8, status: Value) {
        let url = format!("http://{}/inventory-beacons/{}/status", self.server.upload, guid(beacon));
        let answer = self.http.put(url).body(status.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// Status and body of what the operator listener answers.
    pub async fn raw(&self, method: reqwest::Method, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.server.operator);
        let answer = self.http.request(method, url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Status and answer of what is asked with a body.
    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let answer = self.http.post(self.operator(path)).body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// The text of a page.
    pub async fn text(&self, path: &str) -> String {
        let (status, text) = self.raw(reqwest::Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// An answer.
    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// Status and error of a question that is refused.
    pub async fn refused(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.raw(reqwest::Method::GET, path).await;
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {status} {text}"));
        (status, answer["error"].clone())
    }

    /// The first answer for which `is_so`.
    pub async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..3_000 {
            let (status, text) = self.raw(reqwest::Method::GET, path).await;
            if let Ok(answer) = serde_json::from_str(&text)
                && status == 200
                && is_so(&answer)
            {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {path}: {}", self.raw(reqwest::Method::GET, path).await.1);
    }

    /// Waits until the list of devices at `path` is so long. Its total is of the facts, which its items follow.
    pub async fn until_devices(&self, path: &str, count: usize) -> Value {
        let is_so =
            |list: &Value| list["total"] == count && list["items"].as_array().is_some_and(|all| all.len() == count);
        self.until(path, is_so).await
    }

    /// An answer as it is compared: the server's own GUID and the given texts have names.
    pub fn pretty(&self, value: &Value, names: &[(&str, &str)]) -> String {
        let mut text = serde_json::to_string_pretty(value).unwrap();
        text = text.replace(&self.server.node.to_string(), "HQ").replace(&NOW.to_rfc3339(), "NOW");
        for (what, name) in names {
            text = text.replace(what, name);
        }
        for number in 1..=9 {
            text = text.replace(&guid(number).to_string(), &format!("GUID-{number}"));
        }
        text
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}
