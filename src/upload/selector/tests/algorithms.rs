//! What each algorithm does, with every limit and with discardForeign, for both families of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::*;
use super::fixture::*;
use crate::formats::failover::{Priority, Server};
use crate::rng::RngStream;

/// Five servers: one that nothing matches (`far`), one of which nothing is known (`lan`), three that get better.
fn lab() -> (Vec<Server>, Device, Measures) {
    let mut servers = list(&["far.test", "lan.example", "lab-a.example", "lab-b.lab.example", "lab-pb.x.lab.example"]);
    let mut measures = Measures::default();
    probe(&mut measures, &servers[0], None, &["2001:db8::1"]);
    probe(&mut measures, &servers[2], Some((30, 20)), &["10.9.0.1"]);
    probe(&mut measures, &servers[3], Some((20, 9)), &["10.0.9.1"]);
    probe(&mut measures, &servers[4], Some((5, 1)), &["10.0.1.9"]);
    for (server, kb_per_s) in [(0, 50), (2, 200), (3, 400), (4, 900)] {
        measures.transferred(servers[server].id, kb_per_s * 1_000_000, 1_000_000);
    }
    for (server, site) in [(0, "lab-z"), (1, "lab-z"), (3, "lab-a"), (4, " LAB-A ")] {
        servers[server].site = site.into();
    }
    let device = Device {
        host_name: "lab-pc".into(),
        domain: "x.lab.example".into(),
        site: "lab-a".into(),
        ..device_at(&[("10.0.1.5", 20)])
    };
    (servers, device, measures)
}

/// `pb b a lan far | -`: who is tried in which order, and who is not used.
fn outcome(chain: &str) -> String {
    let (servers, device, measures) = lab();
    let order = order(&settings(chain), &servers, &device, &measures, &mut rng()).unwrap();
    assert_eq!(order.findings, [], "{chain}");
    let short = |host: &str| host.split('.').next().unwrap().trim_start_matches("lab-").to_owned();
    let out: Vec<String> = (order.left_out.iter())
        .map(|out| short(&servers.iter().find(|server| server.id == out.id).unwrap().host))
        .collect();
    let used: Vec<String> = tried(&order, &servers).iter().map(|host| short(host)).collect();
    format!("{} | {}", used.join(" "), if out.is_empty() { "-".to_owned() } else { out.join(" ") })
}

fn check(rows: &[(&str, &str)]) {
    for (chain, wanted) in rows {
        assert_eq!(outcome(chain), *wanted, "{chain}");
    }
}

#[test]
fn the_fastest_answer_goes_first_and_silence_last() {
    check(&[
        ("MgsPing", "pb b a lan far | -"),
        ("MgsPing(1)", "pb a b lan far | -"),
        ("MgsPing(0)", "a b pb lan far | -"),
        ("MgsPing(9)", "pb b a lan far | -"),
        ("MgsPing(,true)", "pb b a lan | far"),
        ("MgsPing(1,true)", "pb a b lan | far"),
        ("MgsPing(,,20)", "pb b a lan far | -"),
        ("MgsPing(,,9)", "pb b lan far a | -"),
        ("MgsPing(,true,9)", "pb b lan | far a"),
        ("MgsPing(,true,1)", "pb lan | far a b"),
    ]);
}

#[test]
fn servers_of_the_subnet_go_first_and_keep_their_order() {
    check(&[
        ("MgsSubnetMatch", "b pb lan far a | -"),
        ("MgsSubnetMatch(1)", "b pb lan far a | -"),
        ("MgsSubnetMatch(0)", "b pb lan far a | -"),
        ("MgsSubnetMatch(,true)", "b pb lan | far a"),
        ("MgsSubnetMatch(1,true)", "b pb lan | far a"),
        ("MgsPing;MgsSubnetMatch", "pb b lan a far | -"),
    ]);
}

#[test]
fn the_longest_common_prefix_of_the_addresses_goes_first_and_another_family_is_foreign() {
    check(&[
        ("MgsIPMatch", "pb b a lan far | -"),
        ("MgsIPMatch(1)", "pb a b lan far | -"),
        ("MgsIPMatch(,true)", "pb b a lan | far"),
        ("MgsIPMatch(2,true)", "pb b a lan | far"),
    ]);
}

#[test]
fn the_most_equal_labels_from_the_right_go_first() {
    check(&[
        ("MgsDomainMatch", "pb b lan a far | -"),
        ("MgsDomainMatch(1)", "pb lan a b far | -"),
        ("MgsDomainMatch(,true)", "pb b lan a | far"),
        ("MgsDomainMatch(1,true)", "pb lan a b | far"),
    ]);
}

#[test]
fn the_longest_common_prefix_of_the_names_goes_first() {
    check(&[
        ("MgsNameMatch", "pb a b lan far | -"),
        ("MgsNameMatch(1)", "pb lan a b far | -"),
        ("MgsNameMatch(2)", "pb a lan b far | -"),
        ("MgsNameMatch(20,,true)", "pb a b lan far | -"),
        ("MgsNameMatch(,true)", "pb a b lan | far"),
        ("MgsNameMatch(,true,false)", "pb a b lan | far"),
    ]);
}

#[test]
fn the_highest_throughput_goes_first_and_the_unmeasured_follow_the_measured() {
    check(&[
        ("MgsBandwidth", "pb b a far lan | -"),
        ("MgsBandwidth(1)", "pb far a b lan | -"),
        ("MgsBandwidth(,true)", "pb b a far lan | -"),
        ("MgsBandwidth(,,200)", "pb b a lan far | -"),
        ("MgsBandwidth(,,201)", "pb b lan far a | -"),
        ("MgsBandwidth(1,true,200)", "pb a b lan | far"),
    ]);
}

#[test]
fn servers_of_the_site_go_first_and_keep_their_order() {
    for name in ["MgsSiteMatch", "MgsADSiteMatch"] {
        for (arguments, wanted) in [
            ("", "b pb far lan a | -"),
            ("(1)", "b pb far lan a | -"),
            ("(,true)", "b pb | far lan a"),
            ("(1,true)", "b pb | far lan a"),
        ] {
            assert_eq!(outcome(&format!("{name}{arguments}")), wanted, "{name}{arguments}");
        }
    }
}

#[test]
fn a_limit_on_chance_draws_so_many_to_the_front_and_leaves_the_others_as_they_were() {
    let servers = list(&["a", "b", "c", "d"]);
    let mut rng = rng();
    let mut firsts = [0; 4];
    for _ in 0..400 {
        let order =
            order(&settings("MgsRandom(1)"), &servers, &Device::default(), &Measures::default(), &mut rng).unwrap();
        let places = order.servers();
        assert!(places[1..].is_sorted(), "{places:?}");
        firsts[usize::from(places[0])] += 1;
    }
    assert!(firsts.iter().all(|count| (60..140).contains(count)), "{firsts:?}");
    check(&[("MgsRandom(0)", "far lan a b pb | -")]);
}

#[test]
fn each_call_orders_the_result_of_the_one_before_and_the_last_weighs_most() {
    check(&[
        ("MgsIPMatch;MgsNameMatch", "pb b a lan far | -"),
        ("MgsNameMatch;MgsIPMatch", "pb b a lan far | -"),
        ("MgsPing;MgsSiteMatch", "pb b a lan far | -"),
        ("MgsSiteMatch;MgsBandwidth(0)", "b pb far a lan | -"),
        ("MgsPing(,true,9);MgsSiteMatch", "pb b lan | far a"),
        ("MgsPing(,true,9);MgsSiteMatch(,true)", "pb b | far a lan"),
    ]);
}

#[test]
fn the_default_chain_takes_the_fastest_of_the_own_site() {
    check(&[("", "pb b a lan far | -"), ("MgsRandom;MgsPing;MgsSiteMatch", "pb b a lan far | -")]);
}

#[test]
fn the_reasons_say_what_weighed_most_first() {
    let (servers, device, measures) = lab();
    let order = order(&settings("MgsPing(,,9);MgsSiteMatch;MgsRandom(0)"), &servers, &device, &measures, &mut rng());
    let told: Vec<String> = order.unwrap().choices.iter().map(|choice| choice.reason.to_string()).collect();
    assert_eq!(
        told,
        [
            "past the limit, same site, answers in 5 ms",
            "past the limit, same site, answers in 20 ms",
            "past the limit, other site, not measured yet",
            "past the limit, other site, does not answer",
            "past the limit, other site, 20 hops away",
        ]
    );
}

/// The subnet example of the reference with addresses in another writing.
fn check_subnet_example(write: impl Fn(Ipv4Addr) -> IpAddr, prefix: u8) {
    let addresses = ["172.16.45.40", "169.15.13.12", "172.16.34.40", "172.16.34.60"].map(|text| text.parse().unwrap());
    let hosts = addresses.map(|address| write(address).to_string());
    let mut servers = list(&hosts.each_ref().map(String::as_str));
    for (server, incoming) in servers.iter_mut().zip([1, 2, 4, 3]) {
        server.priority = Some(Priority::Number(incoming));
    }
    let interfaces = vec![Interface::new(write("172.16.34.53".parse().unwrap()), prefix)];
    let device = Device { interfaces, ..Device::default() };
    let measures = Measures::default();
    let order = order(&settings("MgsSubnetMatch"), &servers, &device, &measures, &mut rng()).unwrap();
    assert_eq!(priorities(&order, &servers), [Some(3), Some(4), Some(2), Some(1)]);
    assert_eq!(order.choices[0].reason.to_string(), "same subnet");
}

/// An IPv6 address that has the IPv4 one's bits behind 32 bits of its own.
fn twin(address: Ipv4Addr) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(address.to_bits()) << 64) | 1))
}

#[test]
fn the_subnet_example_comes_out_as_in_the_reference_in_every_writing() {
    check_subnet_example(IpAddr::V4, 21);
    check_subnet_example(twin, 32 + 21);
    check_subnet_example(|address| IpAddr::V6(address.to_ipv6_mapped()), 96 + 21);
}

#[test]
fn common_address_bits_order_both_families_alike() {
    let addresses = ["123.3.45.56", "123.3.44.46", "123.5.45.56", "123.3.45.32"];
    for write in [IpAddr::V4, twin] {
        let hosts = addresses.map(|text| write(text.parse().unwrap()).to_string());
        let servers = list(&hosts.each_ref().map(String::as_str));
        let interfaces = vec![Interface::new(write("123.3.45.44".parse().unwrap()), 8)];
        let device = Device { interfaces, ..Device::default() };
        let order = order(&settings("MgsIPMatch"), &servers, &device, &Measures::default(), &mut rng()).unwrap();
        assert_eq!(priorities(&order, &servers), [Some(2), Some(3), Some(4), Some(1)]);
    }
}

#[test]
fn the_domain_example_comes_out_as_in_the_reference() {
    let servers = list(&["d.test", "c.example", "B.Lab.Example", "lab.example.test", "10.0.0.1"]);
    let device = Device { host_name: "a.lab.example".into(), ..Device::default() };
    let of = |chain: &str| order(&settings(chain), &servers, &device, &Measures::default(), &mut rng()).unwrap();
    let order = of("MgsDomainMatch");
    assert_eq!(tried(&order, &servers), ["B", "c", "d", "lab", "10"]);
    assert_eq!(order.choices[0].reason.to_string(), "2 domain labels in common");
    assert_eq!(tried(&of("MgsDomainMatch(,true)"), &servers), ["B", "c"]);
}

#[test]
fn names_are_compared_with_and_without_regard_to_case() {
    let servers = list(&["bEACON", "beach", "be", "sea", "10.0.0.1"]);
    let device = Device { host_name: "beacon7.lab.example".into(), ..Device::default() };
    let of = |chain: &str| order(&settings(chain), &servers, &device, &Measures::default(), &mut rng()).unwrap();
    let order = of("MgsNameMatch");
    assert_eq!(tried(&order, &servers), ["bEACON", "beach", "be", "sea", "10"]);
    assert_eq!(order.choices[0].reason.to_string(), "6 name characters in common");
    assert_eq!(tried(&of("MgsNameMatch(,,false)"), &servers), ["beach", "be", "bEACON", "sea", "10"]);
    assert_eq!(tried(&of("MgsNameMatch(,true,false)"), &servers), ["beach", "be", "bEACON"]);
}

#[test]
fn families_never_match_each_other_and_a_mapped_address_is_of_the_fourth() {
    let mut servers = list(&["v4", "v6", "both", "mapped"]);
    let mut measures = Measures::default();
    let addresses: [&[&str]; 4] =
        [&["10.0.1.9"], &["2001:db8:1::9"], &["192.0.2.1", "2001:db8:1::8"], &["::ffff:10.0.1.8"]];
    for (server, addresses) in servers.iter().zip(addresses) {
        probe(&mut measures, server, None, addresses);
    }
    let of = |servers: &[Server], interfaces: &[(&str, u8)], chain: &str| {
        let order = order(&settings(chain), servers, &device_at(interfaces), &measures, &mut rng()).unwrap();
        tried(&order, servers)
    };
    assert_eq!(of(&servers, &[("10.0.1.5", 24)], "MgsSubnetMatch(,true)"), ["v4", "mapped"]);
    assert_eq!(of(&servers, &[("2001:db8:1::5", 64)], "MgsSubnetMatch(,true)"), ["v6", "both"]);
    assert_eq!(of(&servers, &[("::ffff:10.0.1.5", 120)], "MgsSubnetMatch(,true)"), ["v4", "mapped"]);
    assert_eq!(of(&servers, &[("10.0.1.5", 24), ("2001:db8:1::5", 64)], "MgsSubnetMatch(,true)").len(), 4);
    assert_eq!(of(&servers, &[("10.0.1.5", 24)], "MgsIPMatch(,true)"), ["v4", "mapped", "both"]);
    servers.reverse();
    assert_eq!(of(&servers, &[("10.0.1.8", 24)], "MgsIPMatch(,true)"), ["mapped", "v4", "both"]);
}

#[test]
fn link_local_addresses_match_nothing() {
    let servers = list(&["other", "local"]);
    let mut measures = Measures::default();
    probe(&mut measures, &servers[0], None, &["2001:db8:2::1"]);
    probe(&mut measures, &servers[1], None, &["fe80::1"]);
    for chain in ["MgsSubnetMatch(,true)", "MgsIPMatch(,true)"] {
        let of = |interfaces: &[(&str, u8)]| {
            let order = order(&settings(chain), &servers, &device_at(interfaces), &measures, &mut rng());
            order.map(|order| tried(&order, &servers))
        };
        let only_local = of(&[("fe80::5", 64)]).unwrap();
        assert_eq!(only_local, ["other", "local"], "{chain}: as if the device had no address");
        let both = of(&[("fe80::5", 64), ("2001:db8:2::5", 64)]).unwrap();
        assert_eq!(both, ["other", "local"], "{chain}: as if the server's was not known");
    }
}

#[test]
fn what_the_device_does_not_know_neither_orders_nor_discards() {
    let (servers, _, _) = lab();
    for chain in [
        "MgsPing(,true)",
        "MgsSubnetMatch(,true)",
        "MgsIPMatch(,true)",
        "MgsDomainMatch(,true)",
        "MgsNameMatch(,true)",
        "MgsBandwidth(,true,100)",
        "MgsSiteMatch(,true)",
    ] {
        let order = order(&settings(chain), &servers, &Device::default(), &Measures::default(), &mut rng()).unwrap();
        assert_eq!(order.servers()[..], [0, 1, 2, 3, 4], "{chain}");
        assert!(order.choices.iter().all(|choice| choice.reason == Reason::Selected(Vec::new())), "{chain}");
    }
}

#[test]
fn a_ping_whose_hops_nobody_counted_is_not_too_far() {
    let servers = list(&["far", "uncounted"]);
    let mut measures = Measures::default();
    probe(&mut measures, &servers[0], Some((1, 2)), &[]);
    let ping = Ping::Reached { round_trip_ms: 9, hops: None };
    measures.probed(servers[1].id, Probe { at: crate::time::Timestamp(0), ping, addresses: Vec::new() });
    let settings = settings("MgsPing(,true,1)");
    let order = order(&settings, &servers, &Device::default(), &measures, &mut rng()).unwrap();
    assert_eq!(tried(&order, &servers), ["uncounted"]);
    assert_eq!(order.left_out[0].why.to_string(), "discarded by MgsPing: 2 hops away");
}

#[test]
fn chance_is_fair_to_every_order() {
    let (servers, mut counts) = (list(&["a", "b", "c", "d"]), std::collections::BTreeMap::new());
    let (settings, mut rng) = (settings("MgsRandom"), RngStream::new(1, 1, 0));
    let draws = 12_000;
    for _ in 0..draws {
        let order = order(&settings, &servers, &Device::default(), &Measures::default(), &mut rng).unwrap();
        *counts.entry(order.servers().to_vec()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 24);
    let expected = f64::from(draws) / 24.0;
    let chi_square: f64 = counts.values().map(|&met: &i32| (f64::from(met) - expected).powi(2) / expected).sum();
    // 23 degrees of freedom: a fair draw passes 49.7 once in a thousand streams, and this stream is always the same.
    assert!(chi_square < 49.7, "{chi_square}");
}

proptest! {
    #[test]
    fn the_sixth_family_is_ordered_as_the_fourth(
        own: Ipv4Addr, prefix in 0..=32u8, near in prop::collection::vec((0..=32u32, any::<u32>()), 1..8)
    ) {
        // Servers that share some leading bits with the device.
        let mask = |bits: u32| u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        let addresses: Vec<Ipv4Addr> = (near.into_iter())
            .map(|(bits, rest)| Ipv4Addr::from_bits((own.to_bits() & mask(bits)) | (rest & !mask(bits))))
            .filter(|address| !address.is_unspecified())
            .collect();
        prop_assume!(!addresses.is_empty() && !own.is_unspecified());
        for chain in ["MgsSubnetMatch", "MgsIPMatch", "MgsIPMatch(1);MgsSubnetMatch", "MgsIPMatch;MgsSubnetMatch(1)"] {
            let places = |write: &dyn Fn(Ipv4Addr) -> IpAddr, prefix: u8| {
                let hosts: Vec<String> = addresses.iter().map(|address| write(*address).to_string()).collect();
                let servers = list(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
                let device = Device { interfaces: vec![Interface::new(write(own), prefix)], ..Device::default() };
                order(&settings(chain), &servers, &device, &Measures::default(), &mut rng()).unwrap().servers()
            };
            prop_assert_eq!(places(&IpAddr::V4, prefix), places(&twin, prefix + 32));
        }
    }
}
