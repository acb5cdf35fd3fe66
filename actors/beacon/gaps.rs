//! Passes gap reports to the parent behind each status, and asks it what agents are to send again.

use std::time::Duration;

use muster::id::Guid;
use muster::upload::gaps::{RESENDS_BYTES_MAX, Resends};
use reqwest::header::IF_NONE_MATCH;

use super::upward::read_bounded;
use crate::errors::Chain;
use crate::hierarchy::Gaps;

/// Longest wait for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// About how many bytes of reports go in one body.
const PAGE_BYTES: usize = 1 << 20;
/// Most bodies in one turn; what is left goes with the next status.
const PAGES_MAX: usize = 16;

/// Both. Reports stay until the parent has answered that it keeps them.
pub(super) async fn exchange(client: &reqwest::Client, node: Guid, gaps: &Gaps, parent: &str) -> Result<(), String> {
    for _ in 0..PAGES_MAX {
        let (numbers, page) = gaps.page(PAGE_BYTES);
        if page.is_empty() {
            break;
        }
        let body = serde_json::to_vec(&page).map_err(|error| error.to_string())?;
        let address = format!("{parent}/inventory-beacons/{node}/status/gaps");
        let sent = client.put(address).timeout(ANSWER_TIME).body(body).send().await;
        let status = sent.map_err(|error| Chain(&error).to_string())?.status();
        if !status.is_success() {
            return Err(format!("the parent answered {} to gap reports", status.as_u16()));
        }
        gaps.passed(&numbers);
    }
    fetch(client, node, gaps, parent).await
}

async fn fetch(client: &reqwest::Client, node: Guid, gaps: &Gaps, parent: &str) -> Result<(), String> {
    let address = format!("{parent}/inventory-beacons/{node}/resend");
    let asked = client.get(address).timeout(ANSWER_TIME).header(IF_NONE_MATCH, gaps.etag()).send().await;
    let answer = asked.map_err(|error| Chain(&error).to_string())?;
    match answer.status().as_u16() {
        304 => return Ok(()),
        200 => {}
        status => return Err(format!("the parent answered {status} when asked what is to be sent again")),
    }
    let bytes = read_bounded(answer, RESENDS_BYTES_MAX).await.map_err(|(_, why)| why)?;
    gaps.ask_for(Resends::read(&bytes).map_err(|error| Chain(&error).to_string())?);
    Ok(())
}
