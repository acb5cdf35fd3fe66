//! Laws that hold for every list, device and chain.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::*;
use super::fixture::*;
use crate::formats::failover::{Failover, Priority, SelectorCall, Server};
use crate::id::Guid;
use crate::rng::RngStream;
use crate::time::Timestamp;

/// Calls that compare; together with their twins that discard.
const COMPARING: [&str; 12] = [
    "MgsPing",
    "MgsPing(,true,9)",
    "MgsPing(2)",
    "MgsSubnetMatch",
    "MgsSubnetMatch(1,true)",
    "MgsIPMatch(3)",
    "MgsDomainMatch",
    "MgsNameMatch(2,,false)",
    "MgsBandwidth(,,300)",
    "MgsBandwidth(1,true,300)",
    "MgsSiteMatch",
    "MgsSiteMatch(,true)",
];

#[derive(Clone, Debug)]
struct Case {
    servers: Vec<Server>,
    device: Device,
    measures: Measures,
    seed: u64,
}

impl Case {
    fn order(&self, settings: &Failover) -> Result<Order, OrderError> {
        order(settings, &self.servers, &self.device, &self.measures, &mut RngStream::new(self.seed, 0, 0))
    }
}

fn near_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4u8, 0..4u8).prop_map(|(c, d)| IpAddr::from([10, 0, c, d])),
        (0..4u16, 0..4u16).prop_map(|(net, host)| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host])),
        any::<IpAddr>(),
    ]
}

fn a_host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,3}(\\.[ab]{1,2}){0,3}".prop_map(|text| text),
        near_address().prop_map(|address| address.to_string()),
        "\\PC{0,6}".prop_map(|text| text),
    ]
}

prop_compose! {
    fn a_case()(
        entries in prop::collection::vec(
            (a_host(), prop::bool::weighted(0.8), prop::option::of(prop::option::of(0..6u32)), "[ab ]{0,2}"), 1..10
        ),
        known in prop::collection::vec(
            (prop::option::of((prop::option::of((0..50u32, any::<Option<u8>>())),
                prop::collection::vec(near_address(), 0..3))), 0..600u64), 10
        ),
        interfaces in prop::collection::vec((near_address(), any::<u8>()), 0..3),
        (host_name, domain, site, is_windows, seed) in (a_host(), a_host(), "[ab]{0,2}", any::<bool>(), any::<u64>()),
    ) -> Case {
        let mut measures = Measures::default();
        let mut servers = list(&entries.iter().map(|(host, ..)| host.as_str()).collect::<Vec<_>>());
        let rows = servers.iter_mut().zip(entries).zip(known);
        for ((server, (_, auto_priority, priority, site)), (probed, kb_per_s)) in rows {
            server.auto_priority = auto_priority;
            server.priority = priority.map(|number| number.map_or(Priority::Invalid, Priority::Number));
            server.site = site;
            if let Some((answer, addresses)) = probed {
                let ping = answer.map_or(Ping::Unreachable, |(round_trip_ms, hops)| {
                    Ping::Reached { round_trip_ms, hops }
                });
                measures.probed(server.id, Probe { at: Timestamp(0), ping, addresses });
            }
            measures.transferred(server.id, kb_per_s * 1_000_000, 1_000_000);
        }
        let interfaces = interfaces.into_iter().map(|(address, prefix)| Interface::new(address, prefix)).collect();
        Case { servers, device: Device { interfaces, host_name, domain, site, is_windows }, measures, seed }
    }
}

proptest! {
    #[test]
    fn every_server_is_tried_or_told_once_and_priorities_ascend(
        case in a_case(), chain in prop::collection::vec(0..COMPARING.len() + 2, 0..5), range in (0..9u32, 0..9u32)
    ) {
        let call = |number: &usize| COMPARING.get(*number).copied().unwrap_or("MgsRandom(3)");
        let mut settings = settings(&chain.iter().map(call).collect::<Vec<_>>().join(";"));
        (settings.highest_priority, settings.lowest_priority) = range;
        let (choices, left_out) = match case.order(&settings) {
            Ok(order) => {
                prop_assert!(!order.choices.is_empty());
                (order.choices, order.left_out)
            }
            Err(OrderError::NoneUsable { left_out, .. }) => (Vec::new(), left_out),
            Err(OrderError::Empty) => return Err(TestCaseError::fail("the list has servers")),
        };
        let mut ids: Vec<Guid> =
            choices.iter().map(|choice| choice.id).chain(left_out.iter().map(|out| out.id)).collect();
        ids.sort_unstable();
        let mut wanted: Vec<Guid> = case.servers.iter().map(|server| server.id).collect();
        wanted.sort_unstable();
        prop_assert_eq!(ids, wanted);
        prop_assert!(choices.is_sorted_by_key(|choice| choice.priority));
        for choice in &choices {
            let server = &case.servers[usize::from(choice.server)];
            prop_assert_eq!(server.id, choice.id);
            if let (false, Some(Priority::Number(own))) = (server.auto_priority, server.priority) {
                prop_assert_eq!(choice.priority, own);
            }
        }
    }

    #[test]
    fn a_call_that_compares_changes_nothing_the_second_time(case in a_case(), number in 0..COMPARING.len()) {
        let call = COMPARING[number];
        let once = case.order(&settings(call)).map(|order| order.servers());
        let twice = case.order(&settings(&format!("{call};{call}"))).map(|order| order.servers());
        prop_assert_eq!(once.ok(), twice.ok());
    }

    #[test]
    fn the_same_stream_gives_the_same_order(case in a_case()) {
        let settings = settings("MgsRandom;MgsPing;MgsRandom(2);MgsSiteMatch");
        prop_assert_eq!(case.order(&settings), case.order(&settings));
    }

    #[test]
    fn a_call_without_a_limit_keeps_the_order_of_servers_it_cannot_tell_apart(case in a_case()) {
        // Everything that is compared is the same for all.
        let mut alike = case.clone();
        for server in &mut alike.servers {
            (server.host, server.site) = ("a.b".into(), "a".into());
            probe(&mut alike.measures, server, None, &[]);
        }
        let unmoved = alike.order(&settings("MgsRandom(0)")).map(|order| order.servers()).ok();
        let chain = "MgsPing;MgsSubnetMatch;MgsIPMatch;MgsDomainMatch;MgsNameMatch;MgsSiteMatch";
        prop_assert_eq!(alike.order(&settings(chain)).map(|order| order.servers()).ok(), unmoved);
    }

    #[test]
    fn without_discarding_only_an_own_invalid_priority_leaves_a_server_out(case in a_case()) {
        let chain = "MgsRandom(2);MgsPing(1,,5);MgsSubnetMatch;MgsIPMatch;MgsDomainMatch;MgsNameMatch;\
            MgsBandwidth(,,300);MgsSiteMatch";
        let left_out = match case.order(&settings(chain)) {
            Ok(order) => order.left_out,
            Err(OrderError::NoneUsable { left_out, .. }) => left_out,
            Err(OrderError::Empty) => Vec::new(),
        };
        prop_assert!(left_out.iter().all(|out| out.why == Exclusion::OwnPriority));
    }

    #[test]
    fn arbitrary_chains_are_followed_or_told(
        case in a_case(),
        calls in prop::collection::vec(("Mgs[A-Z][a-zA-Z]{1,9}|\\PC{0,9}", any::<Vec<String>>()), 0..20)
    ) {
        let mut settings = settings("MgsRandom");
        settings.selector = calls.into_iter().map(|(name, arguments)| SelectorCall { name, arguments }).collect();
        for choice in case.order(&settings).map(|order| order.choices).unwrap_or_default() {
            prop_assert!(!choice.reason.to_string().is_empty());
        }
        to_measure(&settings, &case.servers, &case.measures, Timestamp(i64::MIN));
    }
}
