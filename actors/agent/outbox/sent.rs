//! What was delivered and can be sent again: usage and logs, for 8 days.
//!
//! *Keep*: bytes and envelope durable in `sent/` under the time of the receipt, then removed from the queue. A crash
//! between leaves both copies; the one in the queue is sent once more, which a receiver tells from a new one. An inventory
//! is not kept: it is collected anew.
//!
//! What was sent again stays kept under its first time, so that it goes one day, and goes again once a day at most: a
//! server may ask for what waits somewhere for longer, or what a beacon will never let go.
//!
//! Source: delivery contract, section 2, promise of the agent, and section 5, gap healing.

use std::io;

use muster::formats::marks::{Mark, Told, marks_text};
use muster::formats::wire::BODY_BYTES_MAX;
use muster::id::Digest;
use muster::model::package::{Envelope, Kind, Sequence, Stream};
use muster::model::stored;
use muster::roles::agent::{PackageNumber, Queued, Resend, resend};
use muster::time::{DAY_MS, Timestamp};
use muster::upload::gaps::supersedes;
use tracing::{info, warn};

use super::files::{remove_leftover, store};
use super::{ENVELOPE, Item, Outbox, OutboxError, RECORD_BYTES_MAX};
use crate::errors::Chain;
use crate::log::{Disk, read_file};

/// How long a delivered package is kept.
const KEPT_MS: i64 = 8 * DAY_MS;
/// Most delivered packages that are kept.
const KEPT_MAX: usize = 1_000;
/// What was sent again is not sent once more before this has passed.
const AGAIN_APART_MS: i64 = DAY_MS;
/// Most streams that are remembered as ended.
const ENDED_MAX: usize = 64;
/// Most bytes of them together.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// A kept package.
pub(super) struct Kept {
    /// When its receipt came.
    since: Timestamp,
    /// Name of its file in the queue.
    name: String,
    stream: Stream,
    sequence: Sequence,
    bytes: u64,
    /// When it was last sent again, in this life.
    again: Option<Timestamp>,
}

impl Kept {
    fn of(name: String, since: Timestamp, envelope: &Envelope) -> Option<Kept> {
        let (stream, sequence) = (envelope.stream.clone()?, envelope.sequence?);
        Some(Kept { since, name, stream, sequence, bytes: envelope.size, again: None })
    }

    fn file(&self) -> String {
        format!("{} {}", self.since.to_stamp(), self.name)
    }
}

impl Outbox {
    /// `false` when inventories were published and no receiver ever took custody of one.
    pub fn is_heard(&self) -> bool {
        let is_inventory = |stream: &Stream| stream.as_str().split('/').next() == Some(Kind::Inventories.as_str());
        let counters = self.streams().iter().filter(|(stream, _)| is_inventory(stream)).map(|(_, counters)| counters);
        counters.clone().all(|counters| counters.published == 0) || counters.clone().any(|counters| counters.acked > 0)
    }

    /// Lets a delivered package go from the queue: a receiver has custody. What can be sent again is kept.
    pub fn deliver(&mut self, package: PackageNumber, now: Timestamp) {
        self.acknowledge(package);
        match self.item(package).and_then(|item| self.keep(item, now)) {
            Ok(kept) => self.kept.extend(kept),
            Err(error) => warn!(error = %Chain(&error), "a delivered report is not kept, it could not be sent again"),
        }
        self.delete(package);
        self.let_go_of_kept(now);
    }

    fn keep(&self, item: &Item, now: Timestamp) -> Result<Option<Kept>, OutboxError> {
        // To the second, as the name tells it after a restart.
        let since = Timestamp(now.0 - now.0.rem_euclid(1_000));
        let kept = Kept::of(item.name.clone(), since, &item.envelope);
        let Some(kept) = kept.filter(|kept| !supersedes(&kept.stream)) else { return Ok(None) };
        if self.kept.iter().any(|known| (&known.stream, known.sequence) == (&kept.stream, kept.sequence)) {
            // It was sent again.
            return Ok(None);
        }
        let (bytes, file) = (self.load(item.queued.package)?.bytes, kept.file());
        store(self.disks.sent.as_ref(), &format!("{file}{ENVELOPE}"), &stored::pack(&item.envelope))?;
        store(self.disks.sent.as_ref(), &file, &bytes)?;
        Ok(Some(kept))
    }

    /// Removes what is too old or too much, the oldest first.
    pub(super) fn let_go_of_kept(&mut self, now: Timestamp) {
        self.kept.sort_by_key(|kept| kept.since);
        let mut bytes: u64 = self.kept.iter().map(|kept| kept.bytes).sum();
        let mut surplus = self.kept.len().saturating_sub(KEPT_MAX);
        let is_old = |kept: &Kept| now.ms_since(kept.since) > KEPT_MS;
        while surplus > 0 || bytes > KEPT_BYTES_MAX || self.kept.first().is_some_and(is_old) {
            let kept = self.kept.remove(0);
            (surplus, bytes) = (surplus.saturating_sub(1), bytes - kept.bytes);
            remove(self.disks.sent.as_ref(), &kept.file());
        }
    }

    /// Reads what is kept. What does not read is removed: it was delivered, and is only a second copy.
    pub(super) fn recover_kept(&mut self, now: Timestamp) {
        let disk = self.disks.sent.clone();
        let names = disk.list().unwrap_or_else(|error| {
            warn!(%error, "what was delivered cannot be listed, it is not sent again");
            Vec::new()
        });
        self.kept.clear();
        for file in names.iter().filter(|file| !file.ends_with(".tmp")) {
            let of = file.strip_suffix(ENVELOPE).unwrap_or(file);
            if of != file && names.iter().any(|name| name == of) {
                continue;
            }
            match recovered(disk.as_ref(), of).filter(|_| of == file) {
                Some(kept) => self.kept.push(kept),
                None => remove(disk.as_ref(), of),
            }
        }
        self.let_go_of_kept(now);
    }

    /// What a policy question tells of the streams.
    pub fn told(&mut self, now: Timestamp) -> Told {
        self.let_go_of_kept(now);
        let epoch = self.state.epoch;
        let last = |stream: &Stream, number| Mark::one(stream.0.clone(), epoch, number);
        let streams = || self.state.streams.iter();
        let published: Vec<Mark> = streams().map(|(stream, counters)| last(stream, counters.published)).collect();
        // Of an ended one nothing can be made good.
        let is_told = |stream: &Stream| supersedes(stream) && !self.state.ended.contains(stream);
        let stocks = streams().filter(|(stream, counters)| is_told(stream) && counters.acked > 0);
        let mut acked: Vec<Mark> = stocks.map(|(stream, counters)| last(stream, counters.acked)).collect();
        let mut kept: Vec<(&Stream, Sequence)> = self.kept.iter().map(|kept| (&kept.stream, kept.sequence)).collect();
        kept.sort_unstable();
        for (stream, Sequence { epoch, number }) in kept {
            match acked.last_mut() {
                Some(mark)
                    if mark.stream == stream.0 && mark.epoch == epoch && mark.last.saturating_add(1) >= number =>
                {
                    mark.last = number;
                }
                _ => acked.push(Mark::one(stream.0.clone(), epoch, number)),
            }
        }
        let abandoned = &self.state.abandoned;
        Told {
            published: marks_text(&published),
            acked: marks_text(&acked),
            refused: marks_text(&abandoned.refused().marks()),
            superseded: marks_text(&abandoned.superseded().marks()),
        }
    }

    /// Queues again what is `asked` for and kept. Tells whether the host is to be collected anew.
    pub fn send_again(&mut self, asked: &[Mark], now: Timestamp) -> (Vec<Queued>, bool) {
        let kept: Vec<(Stream, Sequence)> = self.kept.iter().map(|kept| (kept.stream.clone(), kept.sequence)).collect();
        let published = |stream: &Stream| match self.state.ended.contains(stream) {
            true => u64::MAX,
            false => self.state.streams.get(stream).map_or(0, |counters| counters.published),
        };
        let Resend { again, collect } = resend(asked, self.state.epoch, published, &kept);
        let wanted: Vec<(Stream, u64)> = collect.iter().map(|stream| (stream.clone(), published(stream))).collect();
        if collect.iter().any(|stream| kind_of(stream) == Some(Kind::Discovery)) {
            self.must_tell_of_services();
        }
        self.wanted.extend(wanted);
        let mut queued = Vec::new();
        // From behind, so that places stay what they are.
        for at in again.into_iter().rev() {
            // Also after a clock that was set back.
            if self.kept[at].again.is_some_and(|last| now.ms_since(last).abs() < AGAIN_APART_MS) {
                continue;
            }
            match self.requeue(at, now) {
                Ok(again) => queued.extend(again),
                Err(error) => {
                    warn!(file = self.kept[at].name, error = %Chain(&error), "a lost report is not queued again now");
                }
            }
        }
        queued.reverse();
        if !queued.is_empty() {
            info!(reports = queued.len(), "reports that were lost on their way are sent again");
        }
        (queued, !collect.is_empty())
    }

    /// A whole collection is published. Wanted streams that it brought nothing of have ended: they are told of no more, and
    /// asking for them is in vain.
    pub fn collected(&mut self) {
        let published = |stream: &Stream| self.state.streams.get(stream).map_or(0, |counters| counters.published);
        let ended: Vec<Stream> = std::mem::take(&mut self.wanted)
            .into_iter()
            .filter(|(stream, before)| published(stream) <= *before)
            .map(|(stream, _)| stream)
            .collect();
        if ended.is_empty() {
            return;
        }
        info!(streams = ?ended, "this host has no such reports any more, they cannot be made good");
        self.state.ended.extend(ended);
        while self.state.ended.len() > ENDED_MAX {
            self.state.ended.pop_first();
        }
        self.note_state();
    }

    fn requeue(&mut self, at: usize, now: Timestamp) -> Result<Option<Queued>, OutboxError> {
        let Kept { name, stream, sequence, .. } = &self.kept[at];
        let is_it =
            |envelope: &Envelope| envelope.stream.as_ref() == Some(stream) && envelope.sequence == Some(*sequence);
        if self.envelopes().any(is_it) {
            return Ok(None);
        }
        let (name, file, sent) = (name.clone(), self.kept[at].file(), self.disks.sent.clone());
        let Some((envelope, bytes)) = read(sent.as_ref(), &file) else {
            warn!(file, "a delivered report is damaged, it cannot be sent again");
            remove(sent.as_ref(), &file);
            self.kept.remove(at);
            return Ok(None);
        };
        let disk = self.disk(envelope.kind);
        // Another package has its name: when that is gone.
        match disk.open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(OutboxError::Write { name, source }),
            Ok(_) => return Ok(None),
        }
        store(disk.as_ref(), &format!("{name}{ENVELOPE}"), &stored::pack(&envelope))?;
        store(disk.as_ref(), &name, &bytes)?;
        self.kept[at].again = Some(now);
        Ok(Some(self.enter(name, envelope)))
    }
}

/// The bytes first: an envelope alone is a leftover.
fn remove(disk: &dyn Disk, file: &str) {
    for file in [file.to_owned(), format!("{file}{ENVELOPE}")] {
        match disk.open(&file) {
            Ok(_) => remove_leftover(disk, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(file, %error, "a delivered report is not removed"),
        }
    }
}

fn envelope(disk: &dyn Disk, file: &str) -> Option<Envelope> {
    let envelope = read_file(disk, &format!("{file}{ENVELOPE}"), RECORD_BYTES_MAX).ok()??;
    stored::unpack(&envelope).ok()
}

fn recovered(disk: &dyn Disk, file: &str) -> Option<Kept> {
    let (stamp, name) = file.split_once(' ')?;
    let (since, envelope) = (Timestamp::from_stamp(stamp)?, envelope(disk, file)?);
    let is_whole = *envelope.file_name == *name && super::KINDS.contains(&envelope.kind);
    Kept::of(name.to_owned(), since, &envelope).filter(|kept| is_whole && kind_of(&kept.stream) == Some(envelope.kind))
}

fn kind_of(stream: &Stream) -> Option<Kind> {
    stream.as_str().split('/').next()?.parse().ok()
}

/// The very package that was delivered; `None` when it is not that any more.
fn read(disk: &dyn Disk, file: &str) -> Option<(Envelope, Vec<u8>)> {
    let (envelope, bytes) = (envelope(disk, file)?, read_file(disk, file, BODY_BYTES_MAX).ok()??);
    (bytes.len() as u64 == envelope.size && Digest::of(&bytes) == envelope.digest).then_some((envelope, bytes))
}
