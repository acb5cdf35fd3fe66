//! Which beacons an agent is told to use: the server's side of the failover list.
//!
//! Source: `agent-beacon-batch` reference, sections 3.1, 3.2 and 9.2.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::formats::failover::{ENTRIES_MAX, Failover, Password, Protocol, Server};
use crate::id::Guid;
use crate::rng::mix;
use crate::time::Timestamp;

/// A beacon that was not heard for this long leaves the list. Source: section 9.2, where 0 stands for never.
pub const LIMIT_AGE: Duration = Duration::from_secs(15 * 60);
/// Servers of one list: a file holds a list of downloads and one of uploads.
pub const SERVERS_MAX: usize = ENTRIES_MAX / 2;
/// Bytes of a name or a site label, so that two full lists stay below the size of a file.
const TEXT_BYTES_MAX: usize = 100;

/// What a beacon reported of how it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The beacon.
    pub beacon: Guid,
    /// When its last status came, by the server's clock.
    pub heard_at: Timestamp,
    /// How to talk to it.
    pub protocol: Protocol,
    /// Full name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// First part of the path for downloads: `ManageSoftDL`.
    pub download_path: String,
    /// First part of the path for uploads: `ManageSoftRL`.
    pub upload_path: String,
    /// Whether it wants an account and a password; such a beacon is in no list.
    pub credentials_required: bool,
    /// Its site label; may be empty.
    pub site: String,
}

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Where to download.
    Downloads,
    /// Where to upload.
    Uploads,
}

/// The servers that agents are told to use, ascending by beacon: every beacon heard less than `limit_age` ago (zero for
/// ever) that wants no credentials. An empty list means that no such beacon was heard: agents keep the list they have.
///
/// Of several endpoints of one beacon the one heard last counts, the first of those heard at once. An endpoint whose
/// entry an agent could not read is left out. Of more than 500 beacons those of `first` stay, which are the ones that
/// somebody would have none without, and a part of the others.
pub fn failover_list(
    endpoints: &[Endpoint],
    limit_age: Duration,
    now: Timestamp,
    first: &BTreeSet<Guid>,
    direction: Direction,
) -> Vec<Server> {
    let is_heard = |at: Timestamp| limit_age.is_zero() || now.since(at) < limit_age;
    let mut newest: BTreeMap<Guid, &Endpoint> = BTreeMap::new();
    for endpoint in endpoints {
        let known = newest.entry(endpoint.beacon).or_insert(endpoint);
        if endpoint.heard_at > known.heard_at {
            *known = endpoint;
        }
    }
    let usable = newest.into_values().filter(|endpoint| is_heard(endpoint.heard_at) && !endpoint.credentials_required);
    let mut servers: Vec<Server> = usable.filter_map(|endpoint| entry(endpoint, direction)).collect();
    if servers.len() > SERVERS_MAX {
        servers.sort_by_key(|server| (!first.contains(&server.id), mix(0, server.id.seed()), server.id));
        servers.truncate(SERVERS_MAX);
        servers.sort_by_key(|server| server.id);
    }
    servers
}

/// The entry of one endpoint as an agent will read it, or `None` when it could not: the reader alone knows its rules.
fn entry(endpoint: &Endpoint, direction: Direction) -> Option<Server> {
    let (directory, place) = match direction {
        Direction::Downloads => (&endpoint.download_path, "Download Location"),
        Direction::Uploads => (&endpoint.upload_path, "Upload Location"),
    };
    let server = Server {
        id: endpoint.beacon,
        protocol: endpoint.protocol,
        host: endpoint.host.clone(),
        port: endpoint.port,
        directory: directory.clone(),
        name: short(format!("{} {place}", endpoint.host)),
        user: String::new(),
        password: Password::default(),
        proxy: String::new(),
        auto_priority: true,
        priority: None,
        site: short(endpoint.site.clone()),
    };
    let list = Failover {
        selector: Vec::new(),
        highest_priority: 1,
        lowest_priority: 1,
        downloads: Vec::new(),
        uploads: vec![server],
    };
    let (mut read, findings) = Failover::read(list.write().as_bytes()).ok()?;
    if findings.is_empty() { read.uploads.pop() } else { None }
}

/// A text that is too long is none: a part of a site label could be another site's.
fn short(text: String) -> String {
    if text.len() > TEXT_BYTES_MAX { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{DAY_MS, MINUTE_MS};

    const NOW: Timestamp = Timestamp(DAY_MS);

    fn guid(number: u16) -> Guid {
        format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
    }

    fn beacon(number: u16) -> Endpoint {
        Endpoint {
            beacon: guid(number),
            heard_at: NOW,
            protocol: Protocol::Https,
            host: format!("beacon{number}.lab.example"),
            port: 7082,
            download_path: "ManageSoftDL".into(),
            upload_path: "ManageSoftRL".into(),
            credentials_required: false,
            site: "lab-a".into(),
        }
    }

    fn hosts(endpoints: &[Endpoint], limit_age: Duration) -> Vec<String> {
        let list = failover_list(endpoints, limit_age, NOW, &BTreeSet::new(), Direction::Uploads);
        list.into_iter().map(|server| server.host.split('.').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_entry_says_how_to_reach_the_beacon_and_leaves_its_priority_to_the_agent() {
        let list = |direction| failover_list(&[beacon(1)], LIMIT_AGE, NOW, &BTreeSet::new(), direction);
        let [download] = &list(Direction::Downloads)[..] else { panic!("one server") };
        let [upload] = &list(Direction::Uploads)[..] else { panic!("one server") };
        assert_eq!((&upload.directory[..], &upload.name[..]), ("ManageSoftRL", "beacon1.lab.example Upload Location"));
        assert_eq!(
            (&download.directory[..], &download.name[..]),
            ("ManageSoftDL", "beacon1.lab.example Download Location")
        );
        assert_eq!((upload.id, upload.protocol, upload.port), (guid(1), Protocol::Https, 7082));
        assert_eq!((upload.auto_priority, upload.priority, &upload.site[..]), (true, None, "lab-a"));
        let settings = Failover {
            selector: Vec::new(),
            highest_priority: 1,
            lowest_priority: 100,
            downloads: list(Direction::Downloads),
            uploads: list(Direction::Uploads),
        };
        assert_eq!(Failover::read(settings.write().as_bytes()).unwrap(), (settings, Vec::new()));
    }

    #[test]
    fn a_beacon_that_was_not_heard_for_a_quarter_of_an_hour_is_left_out_unless_the_limit_is_zero() {
        let aged = |number, ms: i64| Endpoint { heard_at: NOW.plus_ms(-ms), ..beacon(number) };
        let limit = 15 * MINUTE_MS;
        let endpoints = [aged(1, limit - 1), aged(2, limit), aged(3, DAY_MS), aged(4, -limit)];
        assert_eq!(hosts(&endpoints, LIMIT_AGE), ["beacon1", "beacon4"]);
        assert_eq!(hosts(&endpoints, Duration::from_secs(3_600)), ["beacon1", "beacon2", "beacon4"]);
        assert_eq!(hosts(&endpoints, Duration::ZERO), ["beacon1", "beacon2", "beacon3", "beacon4"]);
    }

    #[test]
    fn without_a_beacon_that_was_heard_lately_the_list_is_empty() {
        let silent = Endpoint { heard_at: Timestamp(0), ..beacon(1) };
        assert_eq!(hosts(&[silent], LIMIT_AGE), [""; 0]);
        assert_eq!(hosts(&[], Duration::ZERO), [""; 0]);
    }

    #[test]
    fn a_beacon_that_wants_credentials_is_in_no_list() {
        let closed = Endpoint { credentials_required: true, ..beacon(2) };
        assert_eq!(hosts(&[beacon(1), closed], LIMIT_AGE), ["beacon1"]);
    }

    #[test]
    fn of_two_reports_of_one_beacon_the_later_counts_even_if_it_takes_the_beacon_out() {
        let old = Endpoint { heard_at: NOW.plus_ms(-1), host: "old.example".into(), ..beacon(1) };
        assert_eq!(hosts(&[old.clone(), beacon(1)], LIMIT_AGE), ["beacon1"]);
        assert_eq!(hosts(&[beacon(1), old.clone()], LIMIT_AGE), ["beacon1"]);
        let closed = Endpoint { credentials_required: true, ..beacon(1) };
        assert_eq!(hosts(&[old, closed], LIMIT_AGE), [""; 0]);
        let second = Endpoint { host: "second.example".into(), ..beacon(1) };
        assert_eq!(hosts(&[beacon(1), second], LIMIT_AGE), ["beacon1"], "of two heard at once the first");
    }

    #[test]
    fn an_endpoint_that_no_agent_could_read_is_left_out_and_takes_no_other_away() {
        let broken = [
            Endpoint { host: String::new(), ..beacon(2) },
            Endpoint { host: "a b".into(), ..beacon(3) },
            Endpoint { host: "a\n[x]".into(), ..beacon(4) },
            Endpoint { port: 0, ..beacon(5) },
            Endpoint { upload_path: "../etc".into(), ..beacon(6) },
        ];
        let endpoints = [&broken[..], &[beacon(1)]].concat();
        assert_eq!(hosts(&endpoints, LIMIT_AGE), ["beacon1"]);
        let ipv6 = Endpoint { host: "2001:db8::7".into(), ..beacon(7) };
        assert_eq!(hosts(&[ipv6], LIMIT_AGE), ["2001:db8::7"]);
    }

    #[test]
    fn a_label_that_is_too_long_is_dropped_and_not_cut() {
        let long = Endpoint { site: "s".repeat(TEXT_BYTES_MAX + 1), ..beacon(1) };
        let fits = Endpoint { site: "s".repeat(TEXT_BYTES_MAX), ..beacon(2) };
        let list = failover_list(&[long, fits], LIMIT_AGE, NOW, &BTreeSet::new(), Direction::Uploads);
        assert_eq!((list[0].site.len(), list[1].site.len()), (0, TEXT_BYTES_MAX));
    }

    #[test]
    fn two_full_lists_fit_into_one_file_and_beacons_of_groups_stay_in_them() {
        let long = |number| Endpoint {
            host: format!("b{number}.{}", "x".repeat(240)),
            download_path: "d".repeat(250),
            upload_path: "u".repeat(250),
            site: "s".repeat(TEXT_BYTES_MAX),
            ..beacon(number)
        };
        let endpoints: Vec<Endpoint> = (0..700).map(long).collect();
        let of_groups: BTreeSet<Guid> = (0..300).map(|number| guid(number * 2 + 1)).collect();
        let list = |direction| failover_list(&endpoints, LIMIT_AGE, NOW, &of_groups, direction);
        let (downloads, uploads) = (list(Direction::Downloads), list(Direction::Uploads));
        assert_eq!((downloads.len(), uploads.len()), (SERVERS_MAX, SERVERS_MAX));
        let ids: BTreeSet<Guid> = uploads.iter().map(|server| server.id).collect();
        assert!(of_groups.is_subset(&ids) && downloads.iter().all(|server| ids.contains(&server.id)));
        let settings = Failover { selector: Vec::new(), highest_priority: 1, lowest_priority: 100, downloads, uploads };
        let (read, findings) = Failover::read(settings.write().as_bytes()).unwrap();
        assert_eq!((read.uploads.len(), findings.len()), (SERVERS_MAX, 0));
    }

    proptest! {
        #[test]
        fn the_list_does_not_depend_on_the_order_of_the_reports(
            numbers in prop::collection::btree_map(0..40u16, (0..3i64, any::<bool>()), 0..20), turn: u8
        ) {
            let mut endpoints: Vec<Endpoint> = (numbers.into_iter())
                .map(|(number, (age, credentials_required))| {
                    Endpoint { heard_at: NOW.plus_ms(-age * 8 * MINUTE_MS), credentials_required, ..beacon(number) }
                })
                .collect();
            let list = hosts(&endpoints, LIMIT_AGE);
            let by = usize::from(turn) % endpoints.len().max(1);
            endpoints.rotate_left(by);
            prop_assert_eq!(hosts(&endpoints, LIMIT_AGE), list);
        }

        #[test]
        fn whatever_beacons_report_every_entry_can_be_read(host: String, path: String, port: u16, site: String) {
            let endpoint = Endpoint { host, upload_path: path, port, site, ..beacon(1) };
            let uploads = failover_list(&[endpoint], LIMIT_AGE, NOW, &BTreeSet::new(), Direction::Uploads);
            if !uploads.is_empty() {
                let (selector, downloads) = (Vec::new(), Vec::new());
                let settings = Failover { selector, highest_priority: 1, lowest_priority: 9, downloads, uploads };
                let (read, findings) = Failover::read(settings.write().as_bytes()).unwrap();
                prop_assert_eq!((read, findings), (settings, Vec::new()));
            }
        }
    }
}
