//! Agents that publish one report after the other and send each until it has a receipt.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use muster::formats::gzip;
use muster::formats::wire::header;
use muster::id::{Digest, Guid};
use muster::model::package::{Kind, Origin, PackageKey, Stream};
use muster::rng::RngStream;
use muster::time::{DAY_MS, Timestamp};
use muster::upload::answer::{Verdict, verdict};
use muster_actors::clock::{Clock, WallClock};
use muster_actors::upload_client::UploadClient;
use tokio::sync::watch;
use tokio::time::Instant;

use super::hierarchy::{Place, Role};

/// A report that had a receipt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Report {
    /// What names it.
    pub key: PackageKey,
    /// Its place in its agent's stream.
    pub sequence: u64,
    /// Number of its agent; its machine is called by it.
    pub agent: u64,
}

/// What the agents did.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Reports with a receipt, by agent and sequence.
    pub reports: Vec<Report>,
    /// The last report of the agent that is a process of its own.
    pub of_this_host: Option<PackageKey>,
    /// Receipts, those for duplicates included.
    pub receipts: u64,
    /// Uploads without a usable answer.
    pub unanswered: u64,
    /// Answers that no agent can deal with; none is expected.
    pub refused: Vec<String>,
    /// Reports that no node took before the agents' time was up; none is expected.
    pub undelivered: u64,
    /// Reports whose agent's clock was a day ahead or behind.
    pub skewed: u64,
}

/// To whom they send, the child more often than others.
const RECEIVERS: [Role; 6] = [Role::Child, Role::Child, Role::Child, Role::Spare, Role::Parent, Role::Server];

/// Agents at work, on a thread of their own.
pub struct Agents {
    /// Until when they may deliver what they have; `None` while they go on publishing.
    until: watch::Sender<Option<Instant>>,
    thread: JoinHandle<io::Result<Published>>,
}

/// Starts `count` agents. With `has_skew` their clocks are a day off now and then.
pub fn start(count: u32, seed: u64, place: Place, has_skew: bool) -> io::Result<Agents> {
    let (until, ends) = watch::channel(None);
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let agents =
            (0..count).map(|number| runtime.spawn(agent(u64::from(number), seed, place, has_skew, ends.clone())));
        let agents: Vec<_> = agents.collect();
        let mut all = Published::default();
        for task in agents {
            let one = runtime.block_on(task).map_err(io::Error::other)?;
            all.reports.extend(one.reports);
            all.receipts += one.receipts;
            all.unanswered += one.unanswered;
            all.refused.extend(one.refused);
            all.undelivered += one.undelivered;
            all.skewed += one.skewed;
        }
        all.reports.sort();
        Ok(all)
    };
    let thread = std::thread::Builder::new().name("agents".into()).spawn(work)?;
    Ok(Agents { until, thread })
}

impl Agents {
    /// Lets each agent deliver what it has published, for this long at most, and ends.
    pub fn finish(self, within: Duration) -> io::Result<Published> {
        self.until.send_replace(Some(Instant::now() + within));
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("an agent panicked")))
    }
}

/// Ends when what was delivered until then is all.
async fn time_is_up(mut until: watch::Receiver<Option<Instant>>) {
    let until = until.wait_for(Option::is_some).await.ok().and_then(|until| *until);
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

async fn agent(
    number: u64,
    seed: u64,
    place: Place,
    has_skew: bool,
    until: watch::Receiver<Option<Instant>>,
) -> Published {
    let mut rng = RngStream::new(seed, number + 1, 0);
    let (guid, epoch) = (Guid::from_random(rng.bytes()), rng.bits());
    let client = UploadClient::new().expect("an HTTP client");
    let mut done = Published::default();
    let mut sequence = 0;
    while until.borrow().is_none() {
        sequence += 1;
        let off_ms = match rng.below(20) {
            0 if has_skew => DAY_MS,
            1 if has_skew => -DAY_MS,
            _ => 0,
        };
        done.skewed += u64::from(off_ms != 0);
        let collected_at = Timestamp(WallClock.now().0 + off_ms);
        let body = body(number, sequence, collected_at);
        let digest = Digest::of(&body);
        let name = format!("root on pc{number} at {} (Full).ndi.gz", collected_at.to_stamp());
        let headers = [
            (header::AGENT, guid.to_string()),
            (header::SHA256, digest.to_string()),
            (header::STREAM, Stream::new(Kind::Inventories, "root", "Full").to_string()),
            (header::EPOCH, epoch.to_string()),
            (header::SEQUENCE, sequence.to_string()),
            (header::COLLECTED_AT, collected_at.to_rfc3339()),
        ];
        // Now and then it is sent again although it had its receipt: an answer that was lost behind it.
        let mut wanted = if rng.below(8) == 0 { 2 } else { 1 };
        let mut has_receipt = false;
        while wanted > 0 {
            let to = place.link(None, RECEIVERS[rng.below(RECEIVERS.len() as i64) as usize]);
            let url = format!("http://{to}/ManageSoftRL");
            let answer = tokio::select! {
                answer = client.put(&url, "Inventories", &name, &headers, body.clone()) => answer,
                () = time_is_up(until.clone()) => {
                    done.undelivered += 1;
                    break;
                }
            };
            match verdict(&answer, digest, body.len() as u64) {
                Verdict::Delivered => {
                    (has_receipt, wanted) = (true, wanted - 1);
                    done.receipts += 1;
                }
                // Full disks are part of a run; another node has room.
                Verdict::Later { .. } | Verdict::Full => done.unanswered += 1,
                other => {
                    done.refused.push(format!("{name} at {to}: {other:?}"));
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(rng.below(30) as u64)).await;
        }
        if has_receipt {
            let key = PackageKey { origin: Origin::agent(guid), kind: Kind::Inventories, digest };
            done.reports.push(Report { key, sequence, agent: number });
        }
    }
    done
}

/// A small inventory that is like no other.
fn body(agent: u64, sequence: u64, at: Timestamp) -> Bytes {
    let xml = format!(
        r#"<Inventory Tracker="0.1.0" Audience="Machine" Scope="pc{agent}.lab" MachineName="pc{agent}" UserName="root"
  DateTime="{}" Type="Full">
  <Hardware Class="MGS_ComputerSystem" Name="pc{agent}" Evidence="dmi">
    <Property Name="MachineID" Value="machine-{agent}"/>
    <Property Name="Model" Value="{sequence}"/>
  </Hardware>
  <Software><Package Name="counter" Version="{sequence}" Evidence="deb"/></Software>
</Inventory>
"#,
        at.to_stamp()
    );
    gzip::compress(xml.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn agents_end_although_every_node_puts_them_off_for_ever() {
        let place = Place::of(0xA6E7);
        let (tell, told) = std::sync::mpsc::channel();
        for role in Role::RECEIVERS {
            let listener = std::net::TcpListener::bind(place.link(None, role)).unwrap();
            let tell = tell.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let _ = stream.read(&mut [0; 65_536]);
                    let _ = stream.write_all(b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = tell.send(());
                }
            });
        }
        let agents = start(3, 1, place, false).unwrap();
        told.recv().unwrap();
        let published = agents.finish(Duration::from_millis(100)).unwrap();
        // One that had not begun its first report has nothing to deliver.
        assert!((1..=3).contains(&published.undelivered) && published.reports.is_empty(), "{published:?}");
    }
}
