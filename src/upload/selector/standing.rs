//! How one server stands with one call.

use std::net::IpAddr;

use super::address::{common_bits, tells_place};
use super::chain::Algorithm;
use super::device::{Device, computer_name, host_labels_from_right};
use super::measure::{Measured, Ping};
use super::reason::Fact;
use crate::formats::failover::Server;

/// Whether a server matches. In the order of the result: what is not known yet stands between what matches and what is
/// known not to, and is never discarded, or a device would cut itself off before its first measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Match,
    Unknown,
    Foreign,
}

/// How a server stands with a call: by class, then by rank, the smaller the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) class: Class,
    pub(super) rank: u64,
    pub(super) fact: Fact,
}

impl Standing {
    fn matches(rank: u64, fact: Fact) -> Standing {
        Standing { class: Class::Match, rank, fact }
    }

    /// The more the better.
    fn matches_by(amount: u64, fact: Fact) -> Standing {
        Standing::matches(u64::MAX - amount, fact)
    }

    fn unknown(fact: Fact) -> Standing {
        Standing { class: Class::Unknown, rank: 0, fact }
    }

    fn foreign(fact: Fact) -> Standing {
        Standing { class: Class::Foreign, rank: 0, fact }
    }
}

/// How `server` stands with `algorithm`; chance is drawn elsewhere and leaves everybody equal here.
///
/// Source: section 3.3, the table of algorithms.
pub(super) fn standing(
    algorithm: Algorithm,
    device: &Device,
    server: &Server,
    measured: Option<&Measured>,
) -> Standing {
    match algorithm {
        Algorithm::Random => Standing::matches(0, Fact::Drawn),
        Algorithm::Ping { max_hops } => ping(max_hops, measured),
        Algorithm::Subnet => subnet(device, server, measured),
        Algorithm::Address => address(device, server, measured),
        Algorithm::Domain => domain(device, server),
        Algorithm::Name { ignores_case } => name(ignores_case, device, server),
        Algorithm::Bandwidth { minimum_kb_per_s } => bandwidth(minimum_kb_per_s, measured),
        Algorithm::Site => site(device, server),
    }
}

fn ping(max_hops: u8, measured: Option<&Measured>) -> Standing {
    match measured.and_then(|measured| measured.probe.as_ref()).map(|probe| probe.ping) {
        None => Standing::unknown(Fact::NotMeasured),
        Some(Ping::Unreachable) => Standing::foreign(Fact::Silent),
        Some(Ping::Reached { hops: Some(hops), .. }) if hops > max_hops => Standing::foreign(Fact::Hops(hops)),
        Some(Ping::Reached { round_trip_ms, .. }) => {
            Standing::matches(u64::from(round_trip_ms), Fact::Answers(round_trip_ms))
        }
    }
}

/// The addresses of a server that tell a place: its host when that is one, then the resolved ones.
fn addresses(server: &Server, measured: Option<&Measured>) -> Vec<IpAddr> {
    let resolved = measured.map_or(&[][..], Measured::addresses);
    let all = server.host.parse().into_iter().chain(resolved.iter().copied());
    all.map(|address: IpAddr| address.to_canonical()).filter(|address| tells_place(*address)).collect()
}

fn subnet(device: &Device, server: &Server, measured: Option<&Measured>) -> Standing {
    if device.places().next().is_none() {
        return Standing::unknown(Fact::DeviceUnknown);
    }
    let addresses = addresses(server, measured);
    if addresses.is_empty() {
        return Standing::unknown(Fact::NoAddress);
    }
    let is_inside = device.places().any(|network| addresses.iter().any(|address| network.contains(*address)));
    if is_inside { Standing::matches(0, Fact::InSubnet) } else { Standing::foreign(Fact::OutsideSubnet) }
}

fn address(device: &Device, server: &Server, measured: Option<&Measured>) -> Standing {
    if device.places().next().is_none() {
        return Standing::unknown(Fact::DeviceUnknown);
    }
    let addresses = addresses(server, measured);
    if addresses.is_empty() {
        return Standing::unknown(Fact::NoAddress);
    }
    let common = |own: IpAddr| addresses.iter().filter_map(move |address| common_bits(own, *address));
    match device.places().flat_map(|own| common(own.address()).max()).max() {
        Some(bits) => Standing::matches_by(u64::from(bits), Fact::Bits(bits)),
        None => Standing::foreign(Fact::OtherFamily),
    }
}

fn domain(device: &Device, server: &Server) -> Standing {
    let own = device.labels_from_right();
    if own.is_empty() {
        return Standing::unknown(Fact::DeviceUnknown);
    }
    let pairs = own.into_iter().zip(host_labels_from_right(&server.host));
    amount(pairs.take_while(|(own, label)| own.eq_ignore_ascii_case(label)).count(), Fact::Labels)
}

fn name(ignores_case: bool, device: &Device, server: &Server) -> Standing {
    let own = device.short_name();
    if own.is_empty() {
        return Standing::unknown(Fact::DeviceUnknown);
    }
    let is_same = |(a, b): &(char, char)| if ignores_case { a.eq_ignore_ascii_case(b) } else { a == b };
    amount(own.chars().zip(computer_name(&server.host).chars()).take_while(is_same).count(), Fact::Characters)
}

/// Nothing in common is foreign.
fn amount(common: usize, fact: fn(u16) -> Fact) -> Standing {
    let common = u16::try_from(common).unwrap_or(u16::MAX);
    if common == 0 { Standing::foreign(fact(0)) } else { Standing::matches_by(u64::from(common), fact(common)) }
}

fn bandwidth(minimum_kb_per_s: u32, measured: Option<&Measured>) -> Standing {
    match measured.and_then(|measured| measured.throughput.kb_per_s()) {
        None => Standing::unknown(Fact::NoTransfer),
        Some(kb_per_s) if kb_per_s < u64::from(minimum_kb_per_s) => Standing::foreign(Fact::Throughput(kb_per_s)),
        Some(kb_per_s) => Standing::matches_by(kb_per_s, Fact::Throughput(kb_per_s)),
    }
}

/// Labels are compared without regard to ASCII case and outer blanks: people write them in two files.
fn site(device: &Device, server: &Server) -> Standing {
    let own = device.site.trim();
    if own.is_empty() {
        return Standing::unknown(Fact::DeviceUnknown);
    }
    if own.eq_ignore_ascii_case(server.site.trim()) {
        Standing::matches(0, Fact::SameSite)
    } else {
        Standing::foreign(Fact::OtherSite)
    }
}
