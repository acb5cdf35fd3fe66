//! What the meter reports: one period of all users, and the usage file that says it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::formats::mmi::{AppUsage, ManagedDevice, Mmi, Period, PeriodType};
use crate::formats::wire;
use crate::id::Guid;
use crate::model::usage::{Application, Usage};
use crate::time::{SECOND_MS, Timestamp};

/// Version of the format that is written. Source: agent-beacon-batch reference, section 5.1.
const FORMAT_VERSION: &str = "1.00";
/// Bytes of the machine's part of a file name. Source: agent-beacon-batch reference, section 4.4.
const NAME_PART_BYTES_MAX: usize = 64;

/// What had no room in a period. A finding for the operator; all zero when nothing was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Processes beyond those that are kept: most in one sample.
    pub processes: u64,
    /// Processes that would have made one pair of user and application too many.
    pub pairs: u64,
    /// Processes that would have made one user too many.
    pub users: u64,
    /// Reports that waited so long that newer ones took their place.
    pub reports: u64,
}

/// The use of one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// How long the period is.
    pub kind: PeriodType,
    /// When it began.
    pub start: Timestamp,
    /// When it ends by the calendar.
    pub end: Timestamp,
    /// Ascending by name; each ran something.
    pub users: Vec<UserUsage>,
    /// What had no room.
    pub dropped: Dropped,
}

/// The use of one user in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserUsage {
    /// The account.
    pub user: Box<str>,
    /// Idempotency key: made from agent, user, type and start of the period.
    pub guid: Guid,
    /// Ascending; each ran or was started.
    pub applications: Vec<(Arc<Application>, Usage)>,
}

/// Who reports, as the file names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reporter {
    /// Short name of the machine.
    pub machine: String,
    /// Domain of the machine; its users are taken to be of it.
    pub domain: String,
    /// GUID of the agent.
    pub agent: Guid,
    /// Version of the agent.
    pub agent_version: String,
}

impl UsageReport {
    /// The usage file of this report. Numbers beyond 32 bits are written as the largest.
    pub fn to_mmi(&self, reporter: &Reporter) -> Mmi {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let row = |(application, usage): &(Arc<Application>, Usage)| AppUsage {
            name: application.name.to_string(),
            version: application.version.to_string(),
            file_name: application.file_name.to_string(),
            file_company: application.publisher.to_string(),
            file_product_name: application.product.to_string(),
            runs: number(usage.runs),
            run_secs: number(usage.run_secs),
            active_secs: number(usage.active_secs),
            last_used: usage.last_used.map(whole_second),
            evidence: application.evidence.to_string(),
            ..AppUsage::default()
        };
        let period = |user: &UserUsage| Period {
            user: user.user.to_string(),
            domain: reporter.domain.clone(),
            kind: self.kind,
            start: self.start,
            guid: user.guid,
            applications: user.applications.iter().map(row).collect(),
        };
        Mmi {
            version: FORMAT_VERSION.into(),
            usage_agent: reporter.agent_version.clone(),
            device: ManagedDevice {
                name: reporter.machine.clone(),
                domain: reporter.domain.clone(),
                guid: Some(reporter.agent),
            },
            periods: self.users.iter().map(period).collect(),
        }
    }
}

/// The second that `at` lies in, since files have no more.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(SECOND_MS).saturating_mul(SECOND_MS))
}

/// The name under which a report made at `at` is uploaded: `{machine} at {stamp}.mmi.gz`. A second report of the same
/// second takes the next one.
///
/// Source: agent-beacon-batch reference, section 4.4.
pub fn upload_name(machine: &str, at: Timestamp) -> String {
    let mut machine = wire::name_part(machine);
    // Receivers refuse a leading dot and `..`.
    if machine.starts_with('.') || machine.contains("..") {
        machine = machine.replace('.', "=2E");
        machine.truncate(NAME_PART_BYTES_MAX);
    }
    format!("{machine} at {}.mmi.gz", at.to_stamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mmi::read_mmi;

    #[test]
    fn a_report_becomes_the_file_that_the_server_reads() {
        let draw = Application {
            name: "Acme Draw".into(),
            version: "9.1".into(),
            publisher: "Acme".into(),
            file_name: "acmedraw".into(),
            product: "Acme Suite".into(),
            evidence: "deb".into(),
        };
        let usage = Usage {
            runs: 6,
            run_secs: 18_230,
            active_secs: u64::from(u32::MAX) + 1,
            last_used: Timestamp::from_stamp("20250313T164200").map(|at| at.plus_ms(999)),
        };
        let guid = Guid::from_random([7; 16]);
        let report = UsageReport {
            kind: PeriodType::WeeklySummary,
            start: Timestamp::from_stamp("20250310T000000").unwrap(),
            end: Timestamp::from_stamp("20250317T000000").unwrap(),
            users: vec![UserUsage { user: "kim".into(), guid, applications: vec![(Arc::new(draw), usage)] }],
            dropped: Dropped::default(),
        };
        let reporter = Reporter {
            machine: "web07".into(),
            domain: "lab.example".into(),
            agent: Guid::from_random([9; 16]),
            agent_version: "0.1.0".into(),
        };
        let file = report.to_mmi(&reporter);
        let (read, findings) = read_mmi(&file.write(Vec::new()).unwrap()[..]).unwrap();
        assert_eq!((&read, findings), (&file, vec![]));
        assert_eq!(read.device.guid, Some(reporter.agent));
        let [period] = &read.periods[..] else { panic!() };
        assert_eq!((&*period.user, &*period.domain, period.guid), ("kim", "lab.example", guid));
        let row = &period.applications[0];
        assert_eq!((&*row.name, &*row.version, &*row.file_company), ("Acme Draw", "9.1", "Acme"));
        assert_eq!((&*row.file_name, &*row.file_product_name, &*row.evidence), ("acmedraw", "Acme Suite", "deb"));
        assert_eq!((row.runs, row.run_secs, row.active_secs), (6, 18_230, u32::MAX));
        assert_eq!(row.last_used.unwrap().to_stamp(), "20250313T164200");
    }

    #[test]
    fn every_machine_gives_a_name_that_receivers_take() {
        let at = Timestamp::from_stamp("20250314T031522").unwrap();
        assert_eq!(upload_name("web07", at), "web07 at 20250314T031522.mmi.gz");
        assert_eq!(upload_name("web 07", at), "web=2007 at 20250314T031522.mmi.gz");
        for machine in ["..", ".hidden", "a..b", "a/b\\c:d", "\u{202e}x", "", &".".repeat(300), &"\u{e9}".repeat(300)] {
            let name = upload_name(machine, at);
            let taken = wire::upload_name("UsageData", &wire::percent_encode(&name)).unwrap();
            assert_eq!((taken.folder, &*taken.name), ("UsageData", &*name), "{machine}");
        }
    }
}
