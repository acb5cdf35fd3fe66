//! `muster servicenow close-run ID`: gives up an open import run, so that the next export may begin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::imports::RUNS;
use crate::secret;

/// The stand-in answers at once or not at all.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Account with which a stand-in is asked, when it is not the one of its data folder.
#[derive(Clone)]
pub struct Account {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Why the run is not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseRunError {
    /// A file of the data folder.
    #[error("cannot read `{}`: name the folder of the running stand-in with --data", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No answer.
    #[error("cannot reach the stand-in at {url}: is it running?")]
    Unreachable {
        /// Where it said it was.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// No such run.
    #[error("there is no import run `{0}`: the runs are listed at /api/now/table/{RUNS}")]
    Unknown(String),
    /// The stand-in says no.
    #[error("the stand-in does not close the run: HTTP status {status}, {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
}

/// Closes the run with the number (`IMR0000042`) or run id `id` on the stand-in that runs on `data`; the answer is its
/// number.
pub async fn close_run(id: &str, data: &Path, account: Option<Account>) -> Result<String, CloseRunError> {
    let file = |name: &str| {
        let path = data.join(name);
        secret::read(&path).map_err(|source| CloseRunError::File { path, source })
    };
    let path = data.join("address");
    let url = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(source) => return Err(CloseRunError::File { path, source }),
    };
    let account = match account {
        Some(account) => account,
        None => Account { user: "admin".to_owned(), password: file("password")? },
    };
    let unknown = || CloseRunError::Unknown(id.chars().take(60).flat_map(char::escape_debug).collect());
    // Nothing in it can widen the query.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(unknown());
    }
    let unreachable = |source| CloseRunError::Unreachable { url: url.clone(), source };
    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build().map_err(unreachable)?;
    let ask = |request: reqwest::RequestBuilder| async {
        let request = request.basic_auth(&account.user, Some(&account.password));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.map_err(unreachable)?).unwrap_or_default();
        if status == 200 {
            return Ok(body);
        }
        let detail = body["error"]["detail"].as_str().unwrap_or("no reason given").to_owned();
        Err(CloseRunError::Refused { status, detail })
    };
    let table = format!("{url}/api/now/table/{RUNS}");
    let lower = id.to_lowercase();
    let query = format!("?sysparm_query=number={id}%5EORrun_id={lower}&sysparm_fields=sys_id,number");
    let found = ask(client.get(format!("{table}{query}"))).await?;
    let run = &found["result"][0];
    let (Some(sys_id), Some(number)) = (run["sys_id"].as_str(), run["number"].as_str()) else { return Err(unknown()) };
    let body = json!({ "state": "Failed", "message": "closed by an operator" }).to_string();
    let request = client.patch(format!("{table}/{sys_id}")).header("Content-Type", "application/json").body(body);
    ask(request).await?;
    Ok(number.to_owned())
}
