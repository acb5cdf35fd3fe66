//! Files of other tools: what they say of machines that agents report too, in runs with true contents.
//!
//! A tool tells of each of its machines once a day, at a moment of its own. The server settles such a file with the packages
//! that it loads next; how the file came to the server (`muster import`) is not simulated.

use std::io;

use bytes::Bytes;
use muster::formats::gzip;
use muster::formats::ndi::{Hardware, Head, NdiWriter, Property};
use muster::id::Digest;
use muster::model::device::RecordKey;
use muster::model::package::{Envelope, Kind, Origin, Stream};
use muster::model::staged::StagedReport;
use muster::rng::mix;
use muster::time::{DAY_MS, Timestamp};

use super::content::{self, Contents};
use super::machines::{draw, part, stays_ms};
use crate::scenario::{Range, Source};

impl Contents {
    /// The files of other tools that came after `since` and by `until`.
    pub fn others(&self, since: Timestamp, until: Timestamp) -> Vec<(Envelope, Bytes)> {
        let scenario = &self.scenario;
        if scenario.template.sources.is_empty() {
            return Vec::new();
        }
        let days = since.ms_since(scenario.start) / DAY_MS..=until.ms_since(scenario.start) / DAY_MS;
        let mut files = Vec::new();
        for machine in (0..scenario.agents).filter(|machine| scenario.is_installed(*machine)) {
            let node = self.layout.agent_node(machine);
            let (begins, leaves) = stays_ms(self.seed, scenario, node);
            for (source, place) in scenario.template.sources.iter().zip(0..) {
                if part(draw(self.seed, node, 0, place, 71)) >= source.share {
                    continue;
                }
                for day in days.clone() {
                    let drawn = mix(draw(self.seed, node, 0, place, 72), day as u64);
                    let at_ms = day * DAY_MS + Range([0, DAY_MS - 1]).pick(drawn);
                    let at = scenario.start.plus_ms(at_ms);
                    let is_there = at_ms > begins && leaves.is_none_or(|leaves| at_ms < leaves);
                    if is_there && since < at && at <= until {
                        files.push(self.other(source, machine, at).expect("a vector takes every byte"));
                    }
                }
            }
        }
        files
    }

    /// The bytes of the file that a record of another tool was staged from, which is not in the log of packages.
    pub fn body_of_other(&self, record: &RecordKey, report: &StagedReport) -> Result<Vec<u8>, String> {
        let source = self.scenario.template.sources.iter().find(|source| *source.name == *record.source);
        let of = source.zip(content::machine_of(&record.external_id));
        let (source, machine) = of.ok_or_else(|| format!("{record:?} is nobody's"))?;
        let (envelope, body) = self.other(source, machine, report.effective).map_err(|error| error.to_string())?;
        if envelope.digest == report.package.digest {
            Ok(body.to_vec())
        } else {
            Err("other bytes than were sent".into())
        }
    }

    fn other(&self, source: &Source, machine: u32, at: Timestamp) -> io::Result<(Envelope, Bytes)> {
        let (name, stamp, serial) = (content::name(machine), at.to_stamp(), content::serial(machine));
        let head = Head {
            tracker: "1",
            audience: "Machine",
            machine_name: &name,
            user_name: &source.name,
            has_hardware: true,
            date_time: &stamp,
            kind: "Full",
            ..Head::default()
        };
        let mut ndi = NdiWriter::new(Vec::new(), &head)?;
        let of = |name, value| Property { name, value };
        let mut hardware = |class, properties: &[Property<'_>]| {
            ndi.hardware(&Hardware { class, name: &name, evidence: "wmi", ..Hardware::default() }, properties)
        };
        hardware("MGS_ComputerSystem", &content::computer(&name))?;
        hardware("MGS_BIOS", &[of("SerialNumber", &serial)])?;
        hardware("MGS_OperatingSystem", &[of("Caption", self.system(machine))])?;
        let body = Bytes::from(gzip::compress(&ndi.finish()?));
        let file_name = format!("{}-{machine}-{stamp}.ndi.gz", source.name);
        let envelope = Envelope {
            // As a beacon calls a sender without identity.
            origin: Origin(format!("anon/server/{file_name}").into()),
            kind: Kind::IntermediateData,
            stream: Some(Stream::new(Kind::IntermediateData, &source.name, "Full")),
            file_name: file_name.into(),
            size: body.len() as u64,
            digest: Digest::of(&body),
            sequence: None,
            collected_at: Some(at),
            first_received: at,
            unproven: true,
            hops: Vec::new(),
        };
        Ok((envelope, body))
    }
}
