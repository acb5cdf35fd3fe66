//! The schedule `.nds`: what an agent does and when, one file for all agents of a beacon.
//!
//! A schedule is taken as a whole or not at all: the agent keeps the last good one. All times are UTC.
//!
//! Source: `agent-beacon-batch` reference, sections 2.4 and 7.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;

use super::xml::{Kept, MissingAttribute, Tag, XmlError, XmlReader, XmlWriter};
use crate::id::{Guid, IdError, shorten};
use crate::time::Timestamp;

/// Events of one schedule. The product has three.
pub const EVENTS_MAX: usize = 256;
/// Triggers of one event.
pub const TRIGGERS_MAX: usize = 64;
/// Longest repetition, duration or window: a year and a day, so that sums of them stay far from overflow.
pub const SECONDS_MAX: u32 = 366 * 86_400;
/// The day of the month after which months differ. Source: section 7, "day 1-28, 0 = last".
const MONTH_DAY_MAX: u32 = 28;

/// Why a schedule is refused.
#[derive(Debug, thiserror::Error)]
pub enum NdsError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("schedule XML is refused")]
    Xml(#[from] XmlError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `Schedule`")]
    Root(String),
    /// An element lacks what it must have.
    #[error(transparent)]
    Missing(#[from] MissingAttribute),
    /// A value that means nothing.
    #[error("`{attribute}` is `{met}`, which is not {expected}")]
    Value {
        /// The attribute.
        attribute: &'static str,
        /// What stands there, shortened.
        met: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// An event without a usable id.
    #[error("an event has no usable ID")]
    Id(#[source] IdError),
    /// Two events of one id: what ran last could not be remembered.
    #[error("two events have the ID {0}")]
    Twice(Guid),
    /// An event has to have exactly one command.
    #[error("event {event} has {commands} commands, not one")]
    Commands {
        /// Its id.
        event: Guid,
        /// How many it has.
        commands: usize,
    },
    /// Repetition without an end, or an end of none.
    #[error("REPEAT and DURATION stand together or not at all")]
    Repeat,
    /// Too many events.
    #[error("more than {EVENTS_MAX} events")]
    Events,
    /// Too many triggers.
    #[error("an event has more than {TRIGGERS_MAX} triggers")]
    Triggers,
}

/// One schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nds {
    /// `SCHEDSCHEMA`; 60 in every file seen.
    pub schema: u32,
    /// Name for people.
    pub name: String,
    /// When it was made, in whole seconds.
    pub made_at: Timestamp,
    /// In document order; no two have one id.
    pub events: Vec<Event>,
}

/// Something to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `Generate Inventory`, `Update Machine Policy` or `Upload Client Files`.
    pub name: String,
    /// Handed to the scheduling agent; the last occurrence is remembered by it.
    pub id: Guid,
    /// Needs a connection.
    pub needs_network: bool,
    /// What becomes of missed occurrences.
    pub catch_up: CatchUp,
    /// Seconds of idleness wanted; parsed, not enforced.
    pub idle_secs: u32,
    /// What to run.
    pub command: Command,
    /// When to run it.
    pub triggers: Vec<Trigger>,
}

/// What becomes of missed occurrences. Many missed ones are caught up by one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// Nothing.
    #[default]
    Never,
    /// One run at start when the latest occurrence was missed.
    OnStartup,
    /// Also when the clock jumps.
    Always,
}

/// `LogicalCommand`: what an event runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// `PolicyClient`, `Tracker` or `Uploader`.
    pub component: String,
    /// `Apply`, `Report` or `Upload`.
    pub action: String,
    /// Its parameters, as one text.
    pub param: String,
}

/// When an event runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What makes it due.
    pub kind: TriggerKind,
    /// First occurrence, in whole seconds. Always there for `Once`, `Daily`, `Weekly` and `Monthly`.
    pub start: Option<Timestamp>,
    /// Repetition within an occurrence's day.
    pub repeat: Option<Repeat>,
    /// Each occurrence is moved by a random time within this many seconds; 0 for none.
    pub window_secs: u32,
}

/// What makes a trigger due; `TYPE` with its `TYPE_PARAM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// When the schedule arrives.
    Now,
    /// At its start.
    Once,
    /// Every so many days, at least one.
    Daily {
        /// Days from one occurrence to the next.
        every_days: u32,
    },
    /// On days of the week.
    Weekly {
        /// Bit mask: Monday 1, Tuesday 2, Wednesday 4 and so on; 1 to 127.
        days: u8,
    },
    /// On a day of the month.
    Monthly {
        /// 1 to 28; 0 is the last day.
        day: u8,
    },
    /// When the agent starts.
    OnStartup,
    /// When the network comes up.
    OnConnect,
    /// When somebody logs on.
    Logon,
}

/// Occurrences at `start + n * every_secs` while `n * every_secs < for_secs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Seconds between two, at least one.
    pub every_secs: u32,
    /// Seconds that it goes on.
    pub for_secs: u32,
}

impl Nds {
    /// Reads a schedule.
    pub fn read(xml: impl Read) -> Result<Nds, NdsError> {
        let mut xml = XmlReader::new(xml);
        let mut kept = Kept::default();
        let mut schedule = match xml.child()? {
            Some(tag) if tag.name() == "Schedule" => {
                let made_at = tag.required("TIMEDATESTAMP")?;
                Nds {
                    schema: number(&tag, "SCHEDSCHEMA", 0..=u32::MAX)?.unwrap_or(0),
                    name: tag.get("NAME").unwrap_or("").into(),
                    made_at: Timestamp::from_stamp(made_at)
                        .ok_or_else(|| value("TIMEDATESTAMP", made_at, "YYYYMMDDThhmmssZ"))?,
                    events: Vec::new(),
                }
            }
            other => return Err(NdsError::Root(shorten(other.map_or("", |tag| tag.name())))),
        };
        while let Some(tag) = xml.child()? {
            if tag.name() != "Event" {
                xml.skip()?;
                continue;
            }
            if schedule.events.len() == EVENTS_MAX {
                return Err(NdsError::Events);
            }
            let mut event = Event::read(&tag)?;
            if schedule.events.iter().any(|known| known.id == event.id) {
                return Err(NdsError::Twice(event.id));
            }
            event.read_children(&mut xml)?;
            kept.add(event.memory_bytes())?;
            schedule.events.push(event);
        }
        // A document that goes on after its root is not well-formed.
        xml.child()?;
        Ok(schedule)
    }

    /// Prints the schedule; equal schedules give equal bytes.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut xml = XmlWriter::new(out, Some(r#"Schedule PUBLIC "muster Schedule" "urn:muster:schedule""#))?;
        xml.open("Schedule")?;
        xml.number("SCHEDSCHEMA", u64::from(self.schema))?;
        xml.attribute("NAME", &self.name)?;
        xml.attribute("TIMEDATESTAMP", &(self.made_at.to_stamp() + "Z"))?;
        xml.children()?;
        for event in &self.events {
            event.write(&mut xml)?;
        }
        xml.close("Schedule")?;
        xml.into_inner().map(|_| ())
    }
}

impl Event {
    fn read(tag: &Tag) -> Result<Event, NdsError> {
        Ok(Event {
            name: tag.required("NAME")?.into(),
            id: tag.required("ID")?.parse().map_err(NdsError::Id)?,
            needs_network: match tag.get("NETWORK").unwrap_or("false") {
                text if text.eq_ignore_ascii_case("true") => true,
                text if text.eq_ignore_ascii_case("false") => false,
                text => return Err(value("NETWORK", text, "true or false")),
            },
            catch_up: match tag.get("CATCHUP").unwrap_or("Never") {
                "Never" => CatchUp::Never,
                "OnStartup" => CatchUp::OnStartup,
                "Always" => CatchUp::Always,
                text => return Err(value("CATCHUP", text, "Never, OnStartup or Always")),
            },
            idle_secs: number(tag, "IDLEDURATION", 0..=SECONDS_MAX)?.unwrap_or(0),
            ..Event::default()
        })
    }

    fn read_children<R: Read>(&mut self, xml: &mut XmlReader<R>) -> Result<(), NdsError> {
        let mut commands = 0;
        while let Some(tag) = xml.child()? {
            match tag.name() {
                "LogicalCommand" => {
                    commands += 1;
                    self.command = Command {
                        component: tag.required("COMPONENT")?.into(),
                        action: tag.required("ACTION")?.into(),
                        param: tag.get("PARAM").unwrap_or("").into(),
                    };
                }
                "Trigger" if self.triggers.len() == TRIGGERS_MAX => return Err(NdsError::Triggers),
                "Trigger" => self.triggers.push(Trigger::read(&tag)?),
                _ => {}
            }
            xml.skip()?;
        }
        if commands == 1 { Ok(()) } else { Err(NdsError::Commands { event: self.id, commands }) }
    }

    fn memory_bytes(&self) -> usize {
        let Command { component, action, param } = &self.command;
        let texts = self.name.len() + component.len() + action.len() + param.len();
        size_of::<Event>() + texts + self.triggers.len() * size_of::<Trigger>()
    }

    fn write<W: Write>(&self, xml: &mut XmlWriter<W>) -> io::Result<()> {
        xml.open("Event")?;
        xml.attribute("NAME", &self.name)?;
        xml.attribute("ID", &format!("{{{}}}", self.id))?;
        xml.wrap("<Event ".len())?;
        xml.attribute("NETWORK", if self.needs_network { "true" } else { "false" })?;
        xml.attribute("CATCHUP", &self.catch_up.to_string())?;
        xml.number("IDLEDURATION", u64::from(self.idle_secs))?;
        xml.children()?;
        xml.open("LogicalCommand")?;
        xml.attribute("COMPONENT", &self.command.component)?;
        xml.attribute("ACTION", &self.command.action)?;
        xml.attribute("PARAM", &self.command.param)?;
        xml.empty()?;
        for trigger in &self.triggers {
            trigger.write(xml)?;
        }
        xml.close("Event")
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CatchUp::Never => "Never",
            CatchUp::OnStartup => "OnStartup",
            CatchUp::Always => "Always",
        })
    }
}

impl Trigger {
    fn read(tag: &Tag) -> Result<Trigger, NdsError> {
        let param = |range| read_number(tag.required("TYPE_PARAM")?, "TYPE_PARAM", range);
        let kind = match tag.required("TYPE")? {
            "Now" => TriggerKind::Now,
            "Once" => TriggerKind::Once,
            "Daily" => TriggerKind::Daily { every_days: number(tag, "TYPE_PARAM", 1..=366)?.unwrap_or(1) },
            "Weekly" => TriggerKind::Weekly { days: param(1..=127)? as u8 },
            "Monthly" => TriggerKind::Monthly { day: param(0..=MONTH_DAY_MAX)? as u8 },
            "OnStartup" => TriggerKind::OnStartup,
            "OnConnect" => TriggerKind::OnConnect,
            "Logon" => TriggerKind::Logon,
            text => {
                let kinds = "Now, Once, Daily, Weekly, Monthly, OnStartup, OnConnect or Logon";
                return Err(value("TYPE", text, kinds));
            }
        };
        let repeat = match (number(tag, "REPEAT", 1..=SECONDS_MAX)?, number(tag, "DURATION", 1..=SECONDS_MAX)?) {
            (None, None) => None,
            (Some(every_secs), Some(for_secs)) => Some(Repeat { every_secs, for_secs }),
            _ => return Err(NdsError::Repeat),
        };
        let window_secs = number(tag, "TIMEWINDOW", 0..=SECONDS_MAX)?.unwrap_or(0);
        Ok(Trigger { kind, start: read_start(tag, kind)?, repeat, window_secs })
    }

    fn write<W: Write>(&self, xml: &mut XmlWriter<W>) -> io::Result<()> {
        let (kind, param) = match self.kind {
            TriggerKind::Now => ("Now", 1),
            TriggerKind::Once => ("Once", 0),
            TriggerKind::Daily { every_days } => ("Daily", every_days),
            TriggerKind::Weekly { days } => ("Weekly", u32::from(days)),
            TriggerKind::Monthly { day } => ("Monthly", u32::from(day)),
            TriggerKind::OnStartup => ("OnStartup", 0),
            TriggerKind::OnConnect => ("OnConnect", 0),
            TriggerKind::Logon => ("Logon", 0),
        };
        xml.open("Trigger")?;
        xml.attribute("TYPE", kind)?;
        xml.number("TYPE_PARAM", u64::from(param))?;
        if let Some(start) = self.start {
            let stamp = start.to_stamp();
            let (date, time) = stamp.split_once('T').unwrap_or((&stamp, ""));
            xml.attribute("DATESTART", date)?;
            xml.attribute("TIMESTART", time)?;
        }
        if let Some(repeat) = self.repeat {
            xml.wrap("<Trigger ".len())?;
            xml.number("REPEAT", u64::from(repeat.every_secs))?;
            xml.number("DURATION", u64::from(repeat.for_secs))?;
        }
        xml.number("TIMEWINDOW", u64::from(self.window_secs))?;
        xml.empty()
    }
}

/// `DATESTART` and `TIMESTART`: both or, where no clock makes the trigger due, none.
fn read_start(tag: &Tag, kind: TriggerKind) -> Result<Option<Timestamp>, NdsError> {
    use TriggerKind::{Daily, Logon, Monthly, Now, OnConnect, OnStartup, Once, Weekly};
    let is_timed = match kind {
        Once | Daily { .. } | Weekly { .. } | Monthly { .. } => true,
        Now | OnStartup | OnConnect | Logon => false,
    };
    let (date, time) = match (tag.get("DATESTART"), tag.get("TIMESTART")) {
        (None, None) if !is_timed => return Ok(None),
        _ => (tag.required("DATESTART")?, tag.required("TIMESTART")?),
    };
    if date.len() != 8 || Timestamp::from_stamp(&format!("{date}T000000")).is_none() {
        return Err(value("DATESTART", date, "a date YYYYMMDD"));
    }
    let start =
        Some(time).filter(|time| time.len() == 6).and_then(|time| Timestamp::from_stamp(&format!("{date}T{time}")));
    start.map(Some).ok_or_else(|| value("TIMESTART", time, "a time hhmmss"))
}

fn number(tag: &Tag, attribute: &'static str, range: RangeInclusive<u32>) -> Result<Option<u32>, NdsError> {
    tag.get(attribute).map(|text| read_number(text, attribute, range)).transpose()
}

fn read_number(text: &str, attribute: &'static str, range: RangeInclusive<u32>) -> Result<u32, NdsError> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| value(attribute, text, "a number of its range"))
}

fn value(attribute: &'static str, met: &str, expected: &'static str) -> NdsError {
    NdsError::Value { attribute, met: shorten(met), expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: &str = include_str!("../../tests/golden/formats/default.nds");

    fn write(schedule: &Nds) -> String {
        let mut out = Vec::new();
        schedule.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn reason(document: &str) -> String {
        Nds::read(document.as_bytes()).expect_err(document).to_string()
    }

    #[test]
    fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
        let schedule = Nds::read(DEFAULT.as_bytes()).unwrap();
        assert_eq!(schedule.made_at.to_stamp(), "20250314T000000");
        let [inventory, policy, upload] = &schedule.events[..] else { panic!("three events") };
        assert_eq!((inventory.idle_secs, inventory.triggers[0].window_secs), (60, 14_400));
        assert_eq!(
            policy.triggers[0],
            Trigger {
                kind: TriggerKind::Daily { every_days: 1 },
                start: Timestamp::from_stamp("20250314T000500"),
                repeat: Some(Repeat { every_secs: 43_200, for_secs: 86_400 }),
                window_secs: 43_200,
            }
        );
        assert_eq!(policy.triggers[1].kind, TriggerKind::Now);
        assert_eq!((upload.catch_up, upload.needs_network), (CatchUp::OnStartup, true));
        assert_eq!(upload.command, Command { component: "Uploader".into(), action: "Upload".into(), param: "".into() });
        assert_eq!(write(&schedule), DEFAULT.replace("utf-8", "UTF-8"));
    }

    #[test]
    fn a_schedule_that_leaves_a_doubt_is_refused() {
        assert_eq!(reason("<Policy/>"), "the root element is `Policy`, not `Schedule`");
        for (from, to, expected) in [
            ("20250314T000000Z", "2025-03-14", "`TIMEDATESTAMP` is `2025-03-14`, which is not YYYYMMDDThhmmssZ"),
            ("CATCHUP=\"Never\"", "CATCHUP=\"never\"", "`CATCHUP` is `never`, which is not Never, OnStartup or Always"),
            ("NETWORK=\"true\"", "NETWORK=\"1\"", "`NETWORK` is `1`, which is not true or false"),
            ("{11111111", "{1111111", "an event has no usable ID"),
            ("000000000003", "000000000002", "two events have the ID 11111111-0000-4000-8000-000000000002"),
            (
                "TYPE=\"Now\"",
                "TYPE=\"Hourly\"",
                "`TYPE` is `Hourly`, which is not Now, Once, Daily, Weekly, Monthly, OnStartup, OnConnect or Logon",
            ),
            ("TYPE_PARAM=\"1\"", "TYPE_PARAM=\"0\"", "`TYPE_PARAM` is `0`, which is not a number of its range"),
            (
                "\"Daily\" TYPE_PARAM=\"1\"",
                "\"Weekly\" TYPE_PARAM=\"128\"",
                "`TYPE_PARAM` is `128`, which is not a number of its range",
            ),
            ("\"Daily\" TYPE_PARAM=\"1\"", "\"Weekly\"", "`Trigger` has no attribute `TYPE_PARAM`"),
            (
                "\"Daily\" TYPE_PARAM=\"1\"",
                "\"Monthly\" TYPE_PARAM=\"29\"",
                "`TYPE_PARAM` is `29`, which is not a number of its range",
            ),
            (
                "DATESTART=\"20250314\"",
                "DATESTART=\"20250229\"",
                "`DATESTART` is `20250229`, which is not a date YYYYMMDD",
            ),
            ("TIMESTART=\"010000\"", "TIMESTART=\"250000\"", "`TIMESTART` is `250000`, which is not a time hhmmss"),
            ("TIMESTART=\"010000\"", "TIMESTART=\"01000Z\"", "`TIMESTART` is `01000Z`, which is not a time hhmmss"),
            ("TIMESTART=\"010000\"", "", "`Trigger` has no attribute `TIMESTART`"),
            ("REPEAT=\"43200\"", "REPEAT=\"0\"", "`REPEAT` is `0`, which is not a number of its range"),
            (
                "REPEAT=\"43200\"",
                "REPEAT=\"99999999999\"",
                "`REPEAT` is `99999999999`, which is not a number of its range",
            ),
            ("REPEAT=\"43200\"", "", "REPEAT and DURATION stand together or not at all"),
            ("TIMEWINDOW=\"14400\"", "TIMEWINDOW=\"-1\"", "`TIMEWINDOW` is `-1`, which is not a number of its range"),
            ("ACTION=\"Report\"", "", "`LogicalCommand` has no attribute `ACTION`"),
            (
                "<LogicalCommand COMPONENT=\"Tracker\" ACTION=\"Report\" PARAM=\"\"/>",
                "",
                "event 11111111-0000-4000-8000-000000000001 has 0 commands, not one",
            ),
        ] {
            let document = DEFAULT.replace(from, to);
            assert_ne!(document, DEFAULT, "{from}");
            assert_eq!(reason(&document), expected);
        }
    }

    #[test]
    fn events_and_triggers_are_bounded() {
        let event = |number: usize, triggers: usize| {
            format!(
                "<Event NAME='e' ID='{number:032x}'><LogicalCommand COMPONENT='c' ACTION='a'/>{}</Event>",
                "<Trigger TYPE='Logon'/>".repeat(triggers)
            )
        };
        let schedule = |events: String| format!("<Schedule TIMEDATESTAMP='20250314T000000'>{events}</Schedule>");
        let many = |count| schedule((0..count).map(|number| event(number, 0)).collect());
        assert_eq!(Nds::read(many(EVENTS_MAX).as_bytes()).unwrap().events.len(), EVENTS_MAX);
        assert_eq!(reason(&many(EVENTS_MAX + 1)), "more than 256 events");
        assert!(Nds::read(schedule(event(1, TRIGGERS_MAX)).as_bytes()).is_ok());
        assert_eq!(reason(&schedule(event(1, TRIGGERS_MAX + 1))), "an event has more than 64 triggers");
    }

    #[test]
    fn a_schedule_cut_anywhere_is_refused() {
        for end in 0..DEFAULT.trim_end().len() {
            assert!(Nds::read(&DEFAULT.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    fn triggers() -> impl Strategy<Value = Trigger> {
        let kind = prop_oneof![
            Just(TriggerKind::Now),
            Just(TriggerKind::Once),
            (1..=366u32).prop_map(|every_days| TriggerKind::Daily { every_days }),
            (1..=127u8).prop_map(|days| TriggerKind::Weekly { days }),
            (0..=28u8).prop_map(|day| TriggerKind::Monthly { day }),
            Just(TriggerKind::OnStartup),
            Just(TriggerKind::OnConnect),
            Just(TriggerKind::Logon),
        ];
        let seconds = || 1..=SECONDS_MAX;
        let repeat = proptest::option::of((seconds(), seconds()));
        (kind, 0..253_402_300_800i64, repeat, 0..=SECONDS_MAX).prop_map(|(kind, start, repeat, window_secs)| Trigger {
            kind,
            start: Some(Timestamp(start * 1_000)),
            repeat: repeat.map(|(every_secs, for_secs)| Repeat { every_secs, for_secs }),
            window_secs,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            names in proptest::collection::vec("[^\\p{Cc}\u{fffe}\u{ffff}]*", 0..4),
            triggers in proptest::collection::vec(triggers(), 0..4),
            made_at in 0..253_402_300_800i64,
            seed: u128,
            schema: u32,
        ) {
            let events = names.iter().enumerate().map(|(number, name)| Event {
                name: name.clone(),
                id: Guid::from_random((seed.wrapping_add(number as u128)).to_be_bytes()),
                catch_up: [CatchUp::Never, CatchUp::OnStartup, CatchUp::Always][number % 3],
                triggers: triggers.clone(),
                command: Command { component: name.clone(), action: name.clone(), param: name.clone() },
                ..Event::default()
            });
            let made_at = Timestamp(made_at * 1_000);
            let schedule = Nds { schema, name: names.concat(), made_at, events: events.collect() };
            prop_assert_eq!(Nds::read(write(&schedule).as_bytes()).unwrap(), schedule);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Nds::read(&bytes[..]);
        }
    }
}
