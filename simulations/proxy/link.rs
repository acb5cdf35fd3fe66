//! One link: takes connections, carries their requests one after the other, and does what strikes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster::model::package::{Receipt, ReceiptState};
use muster::rng::RngStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::fault::{LinkFault, LinkWindow};
use super::framing::{Body, Head, with_length};
use super::side::Side;
use super::trap::Moment;
use super::{LinkPlace, Shared, Weather};

/// Connections that a link carries at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// Uploads that wait to arrive once more.
const LATE_MAX: usize = 64;
/// How late those come, in milliseconds.
const LATE_MS: [i64; 2] = [1_000, 6_000];
/// Longest time of a request with its answer: longer than a node is paused.
const EXCHANGE_TIME: Duration = Duration::from_secs(150);
/// Mean and most of a delay, in milliseconds.
const DELAY_MS: [f64; 2] = [80.0, 1_500.0];
/// Least and most bytes a second of a slow connection.
const BYTES_PER_S: [i64; 2] = [4 << 10, 64 << 10];
/// Pieces of a second in which slow bytes go.
const PIECES_PER_S: usize = 20;

/// See the module's head.
pub struct Link {
    number: usize,
    place: LinkPlace,
    shared: Arc<Shared>,
    weather: watch::Receiver<Arc<Weather>>,
    requests: AtomicU64,
    late: Arc<Semaphore>,
}

/// What comes after a request.
enum Next {
    /// Another one.
    Again,
    /// The connection's end.
    Close,
    /// Its reset, on both sides.
    Reset,
}

impl Link {
    /// Not serving yet.
    pub fn new(number: usize, place: LinkPlace, shared: Arc<Shared>, weather: watch::Receiver<Arc<Weather>>) -> Link {
        Link { number, place, shared, weather, requests: AtomicU64::new(0), late: Arc::new(Semaphore::new(LATE_MAX)) }
    }

    fn hit(&self, fault: LinkFault, times: u64) {
        self.shared.tally().hits[self.number][fault.place()] += times;
    }
}

/// Takes connections until the proxy ends.
pub async fn serve(link: Arc<Link>, listener: std::net::TcpListener) {
    let mut weather = link.weather.clone();
    let (cut, _) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut listener = TcpListener::from_std(listener).ok();
    loop {
        let now = weather.borrow_and_update().clone();
        let now_ms = now.now_ms();
        let refused = now.windows.refused(link.number);
        let in_force = refused.iter().find(|(from, to)| (*from..*to).contains(&now_ms));
        let next = match in_force {
            Some((_, to)) => Some(*to),
            None => refused.iter().map(|(from, _)| *from).find(|from| *from > now_ms),
        };
        if in_force.is_some() && listener.take().is_some() {
            while connections.try_join_next().is_some() {}
            // Who is turned away while nobody listens leaves no trace here.
            link.hit(LinkFault::Refuse, connections.len() as u64);
            cut.send_replace(());
        }
        if in_force.is_none() && listener.is_none() {
            listener = TcpListener::bind(link.place.listen).await.ok();
        }
        let due = async {
            match (next, in_force.is_none() && listener.is_none()) {
                // Its address is taken for a moment: try again.
                (_, true) => sleep(Duration::from_millis(20)).await,
                (Some(ms), false) => tokio::time::sleep_until(now.moment(ms)).await,
                (None, false) => std::future::pending().await,
            }
        };
        let has_room = connections.len() < CONNECTIONS_MAX;
        let accepted = async {
            match &listener {
                Some(listener) if has_room => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return },
            () = due => {}
            Some(_) = connections.join_next() => {}
            accepted = accepted => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(link.clone(), stream, cut.subscribe()))),
                // Too many open files, for instance: they are fewer in a moment.
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
        }
    }
}

async fn connection(link: Arc<Link>, stream: TcpStream, mut cut: watch::Receiver<()>) {
    let Ok(mut client) = Side::new(stream) else { return };
    let carried = tokio::select! {
        carried = carry(&link, &mut client) => carried,
        _ = cut.changed() => Ok(Next::Reset),
    };
    if !matches!(carried, Ok(Next::Close)) {
        client.reset_at_drop();
    }
}

/// Carries request after request. Never [`Next::Again`].
async fn carry(link: &Arc<Link>, client: &mut Side) -> io::Result<Next> {
    let mut node: Option<Side> = None;
    loop {
        let head = match &mut node {
            None => client.head(false).await?,
            Some(side) => tokio::select! {
                head = client.head(false) => head?,
                () = side.ended() => return Ok(Next::Close),
            },
        };
        let Some(head) = head else { return Ok(Next::Close) };
        let exchange = Exchange::of(link, head);
        let next = match timeout(EXCHANGE_TIME, exchange.run(client, &mut node)).await {
            Ok(next) => next?,
            Err(_) => Next::Reset,
        };
        match next {
            Next::Again => {}
            Next::Close => return Ok(Next::Close),
            Next::Reset => {
                node.iter().for_each(Side::reset_at_drop);
                return Ok(Next::Reset);
            }
        }
    }
}

/// One request and its answer.
struct Exchange<'l> {
    link: &'l Arc<Link>,
    head: Head,
    is_upload: bool,
    strike: Option<LinkWindow>,
    weather: Arc<Weather>,
    draws: RngStream,
}

impl Exchange<'_> {
    fn of(link: &Arc<Link>, head: Head) -> Exchange<'_> {
        let number = link.requests.fetch_add(1, Ordering::Relaxed);
        let is_upload = head.words[0] == "PUT" && matches!(head.body, Body::Length(1..));
        let weather = link.weather.borrow().clone();
        let strike = weather.windows.strike(link.number, number, is_upload, weather.now_ms());
        link.shared.tally().requests[link.number] += 1;
        let draws = weather.windows.draws(link.number, number);
        Exchange { link, head, is_upload, strike, weather, draws }
    }

    fn is(&self, fault: LinkFault) -> bool {
        self.strike.is_some_and(|window| window.fault == fault)
    }

    /// Counts the strike if it is one of these. A fault is counted where it has told, not where it was drawn: a request
    /// whose node is away meets nothing of it.
    fn told(&self, of: &[LinkFault]) {
        if let Some(window) = self.strike.filter(|window| of.contains(&window.fault)) {
            self.link.hit(window.fault, 1);
        }
    }

    /// Whether the node gets other bytes than were sent to it.
    fn is_changed(&self) -> bool {
        self.is(LinkFault::Corrupt) || self.is(LinkFault::Truncate)
    }

    async fn run(mut self, client: &mut Side, node: &mut Option<Side>) -> io::Result<Next> {
        if self.is(LinkFault::Blackhole) {
            self.told(&[LinkFault::Blackhole]);
            return self.hold(client).await;
        }
        if node.is_none() {
            *node = Some(Side::new(TcpStream::connect(self.link.place.node).await?)?);
        }
        let Some(node) = node else { return Ok(Next::Reset) };
        if self.is(LinkFault::CutRequests) {
            self.told(&[LinkFault::CutRequests]);
            return self.hold(client).await;
        }
        let length = self.head.length + if let Body::Length(length) = self.head.body { length as usize } else { 0 };
        let ends_request = self.is(LinkFault::HalfClose) && self.draws.below(2) == 0;
        if self.is(LinkFault::Reset) || ends_request {
            let end = self.draws.below(length as i64) as usize;
            let end = client.fill(end).await?;
            node.send(client.first(end)).await?;
            if self.is(LinkFault::Reset) {
                self.told(&[LinkFault::Reset]);
                return Ok(Next::Reset);
            }
            node.half_close().await?;
            self.told(&[LinkFault::HalfClose]);
            // Whatever the node makes of it is told: the other direction stands.
            if let Some(head) = node.head(true).await? {
                let answer = node.message(&head).await?;
                client.send(&answer).await?;
            }
            return Ok(Next::Close);
        }
        let request = client.message(&self.head).await?;
        let request = self.strike_request(request);
        self.late().await;
        let full_before = self.link.shared.full(self.link.place.receiver);
        self.send(node, &request).await?;
        // What the node refuses it never syncs.
        if self.is_upload && !self.is_changed() {
            self.link.shared.traps.pass(self.link.place.receiver, Moment::RequestPassed);
        }
        self.told(&[LinkFault::Delay, LinkFault::Bandwidth]);
        self.send_again(request);
        if self.is(LinkFault::HalfClose) {
            client.half_close().await?;
        }
        self.answer(client, node, full_before).await
    }

    /// Keeps everything for itself until the window ends.
    async fn hold(&self, client: &mut Side) -> io::Result<Next> {
        let Some(window) = self.strike else { return Ok(Next::Reset) };
        let mut weather = self.link.weather.clone();
        // The proxy's end is a change, too.
        let changed = weather.wait_for(|now| !Arc::ptr_eq(now, &self.weather));
        tokio::select! {
            // A sender that gives up leaves nothing to hold.
            () = client.swallow() => {}
            () = tokio::time::sleep_until(self.weather.moment(window.to_ms)) => {}
            _ = changed => {}
        }
        Ok(Next::Reset)
    }

    /// The request as it is passed on.
    fn strike_request(&mut self, mut request: Vec<u8>) -> Vec<u8> {
        let body = request.len() - self.head.length;
        match self.strike.map(|window| window.fault) {
            Some(LinkFault::Truncate) => {
                let kept = self.draws.below(body as i64) as usize;
                let mut part = with_length(&request[..self.head.length], kept);
                part.extend_from_slice(&request[self.head.length..self.head.length + kept]);
                return part;
            }
            Some(LinkFault::Corrupt) => {
                let at = self.head.length + self.draws.below(body as i64) as usize;
                request[at] ^= 1 << self.draws.below(8);
            }
            _ => {}
        }
        request
    }

    /// Sends what arrives twice once more, behind the first of the two, on a connection of its own; nobody hears of the
    /// answer. What has to wait is forgotten when the weather changes: in the end nothing is on its way any more.
    fn send_again(&mut self, request: Vec<u8>) {
        let wait_ms = match self.strike.map(|window| window.fault) {
            Some(LinkFault::Duplicate) => 0,
            Some(LinkFault::LateDuplicate) => LATE_MS[0] + self.draws.below(LATE_MS[1] - LATE_MS[0]),
            _ => return,
        };
        let Ok(permit) = self.link.late.clone().try_acquire_owned() else { return };
        let (link, fault) = (self.link.clone(), self.strike.map(|window| window.fault));
        let (mut weather, drawn_in) = (self.link.weather.clone(), self.weather.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = sleep(Duration::from_millis(wait_ms as u64)) => {}
                _ = weather.wait_for(|now| !Arc::ptr_eq(now, &drawn_in)), if wait_ms > 0 => return,
            }
            let attempt = async {
                let mut side = Side::new(TcpStream::connect(link.place.node).await?)?;
                side.send(&request).await?;
                match side.head(true).await? {
                    Some(head) => side.message(&head).await.map(|_| true),
                    None => Ok(false),
                }
            };
            // A node that is down gets no duplicate.
            let attempted: Result<io::Result<bool>, _> = timeout(EXCHANGE_TIME, attempt).await;
            if let (Ok(Ok(true)), Some(fault)) = (attempted, fault) {
                link.hit(fault, 1);
            }
        });
    }

    /// Waits as long as a delay wants it; exponential, since most of a network's delays are short and some are not.
    async fn late(&mut self) {
        if self.is(LinkFault::Delay) {
            let part = (self.draws.below(1 << 30) + 1) as f64 / (1u64 << 30) as f64;
            let ms = (-part.ln() * DELAY_MS[0]).min(DELAY_MS[1]);
            sleep(Duration::from_micros((ms * 1_000.0) as u64)).await;
        }
    }

    async fn send(&mut self, to: &mut Side, bytes: &[u8]) -> io::Result<()> {
        if !self.is(LinkFault::Bandwidth) {
            return to.send(bytes).await;
        }
        let rate = BYTES_PER_S[0] + self.draws.below(BYTES_PER_S[1] - BYTES_PER_S[0]);
        for (number, piece) in bytes.chunks(rate as usize / PIECES_PER_S).enumerate() {
            // Not behind the last one: who waits for the end of this must not be kept from it.
            if number > 0 {
                sleep(Duration::from_secs(1) / PIECES_PER_S as u32).await;
            }
            to.send(piece).await?;
        }
        Ok(())
    }

    /// `full_before` is the mark of [`Shared::full`] when the request was about to be passed on.
    async fn answer(mut self, client: &mut Side, node: &mut Side, full_before: Option<u64>) -> io::Result<Next> {
        let Some(mut head) = node.head(true).await? else { return Ok(Next::Reset) };
        if self.head.words[0] == "HEAD" {
            head.body = Body::Length(0);
        }
        self.told(&[LinkFault::Truncate, LinkFault::Corrupt]);
        let is_receipt = self.is_upload && head.words[1] == "200";
        let traps = &self.link.shared.traps;
        if is_receipt && traps.pass(self.link.place.receiver, Moment::AnswerCame) {
            return Ok(Next::Reset);
        }
        let mut answer = node.message(&head).await?;
        self.note(&head, &answer, full_before);
        self.told(&[LinkFault::CutAnswers, LinkFault::DropAnswer, LinkFault::HalfClose]);
        let body = answer.len() - head.length;
        match self.strike.map(|window| window.fault) {
            Some(LinkFault::CutAnswers) => return self.hold(client).await,
            Some(LinkFault::DropAnswer) => return Ok(Next::Reset),
            Some(LinkFault::HalfClose) => return Ok(Next::Close),
            Some(LinkFault::TruncateAnswer) => {
                let kept = self.draws.below(answer.len() as i64) as usize;
                client.send(&answer[..kept]).await?;
                self.told(&[LinkFault::TruncateAnswer]);
                return Ok(Next::Close);
            }
            Some(LinkFault::CorruptAnswer) if is_receipt && body > 0 => {
                let at = head.length + self.draws.below(body as i64) as usize;
                answer[at] ^= 1 << self.draws.below(8);
                self.told(&[LinkFault::CorruptAnswer]);
            }
            _ => {}
        }
        self.late().await;
        self.send(client, &answer).await?;
        if is_receipt {
            self.link.shared.traps.pass(self.link.place.receiver, Moment::AnswerPassed);
        }
        Ok(if self.head.closes || head.closes { Next::Close } else { Next::Again })
    }

    /// Counts the answer. A receipt for bytes that were changed here is false, and so is one of a node that had no room
    /// from before the request until now; one for a package that was there already is none for these bytes.
    fn note(&self, head: &Head, answer: &[u8], full_before: Option<u64>) {
        if !self.is_upload {
            return;
        }
        let receiver = self.link.place.receiver;
        let is_full = full_before.is_some() && self.link.shared.full(receiver) == full_before;
        let mut tally = self.link.shared.tally();
        *tally.statuses.entry(head.words[1].parse().unwrap_or_default()).or_default() += 1;
        tally.answers_without_room += u64::from(is_full);
        let receipt = serde_json::from_slice::<Receipt>(&answer[head.length..]).ok();
        let held = receipt.filter(|receipt| head.words[1] == "200" && receipt.state == ReceiptState::Held);
        let Some(Receipt { digest, .. }) = held else { return };
        if self.is_changed() {
            tally.false_receipts.push(format!("the {receiver} took changed bytes for {digest}"));
        }
        if is_full {
            tally.receipts_without_room.push(format!("the {receiver} had no room and a receipt for {digest}"));
        }
    }
}
