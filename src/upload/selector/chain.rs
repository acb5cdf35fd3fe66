//! The chain of algorithm calls of a failover list, checked.

use std::fmt;

use crate::formats::failover::SelectorCall;
use crate::id::shorten;

/// Calls of one chain that are applied. Every algorithm twice fits.
pub const CALLS_MAX: usize = 16;
/// Hops that a ping may take when the call names none. Source: section 3.3, MgsPing.
const HOPS: u8 = 127;

/// The calls of a chain that can be applied, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    calls: Vec<Call>,
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it orders by.
    pub algorithm: Algorithm,
    /// How many matching servers it puts in its order; `None` for all. After 0 those that match only stand before those
    /// that do not.
    pub limit: Option<u32>,
    /// Whether the servers that do not match are not used at all.
    pub discards_foreign: bool,
}

/// What a call orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Chance.
    Random,
    /// The round trip of a ping.
    Ping {
        /// Servers that are further away do not match.
        max_hops: u8,
    },
    /// Being in a subnet of the device.
    Subnet,
    /// The length of the common prefix of the addresses.
    Address,
    /// The number of equal domain labels from the right.
    Domain,
    /// The length of the common prefix of the host names.
    Name {
        /// Whether `B` is `b`.
        ignores_case: bool,
    },
    /// The throughput of past transfers.
    Bandwidth {
        /// Servers that are slower do not match, in KB/s.
        minimum_kb_per_s: u32,
    },
    /// Having the device's site label.
    Site,
}

impl Algorithm {
    /// Its name in a failover list.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Random => "MgsRandom",
            Algorithm::Ping { .. } => "MgsPing",
            Algorithm::Subnet => "MgsSubnetMatch",
            Algorithm::Address => "MgsIPMatch",
            Algorithm::Domain => "MgsDomainMatch",
            Algorithm::Name { .. } => "MgsNameMatch",
            Algorithm::Bandwidth { .. } => "MgsBandwidth",
            Algorithm::Site => "MgsSiteMatch",
        }
    }

    /// The chain of a list that names none: near servers, then quick ones, and many agents spread over equal ones.
    const DEFAULT: [Algorithm; 3] = [Algorithm::Random, Algorithm::Ping { max_hops: HOPS }, Algorithm::Site];
}

/// A call that is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorFinding {
    /// Its place in the chain, counted from 1.
    pub call: usize,
    /// Its name, shortened.
    pub name: String,
    /// Why.
    pub fault: SelectorFault,
}

/// Why a call is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorFault {
    /// No such algorithm.
    #[error("no such algorithm")]
    Unknown,
    /// An algorithm that only Windows has.
    #[error("needs {needs}, which only Windows has")]
    WindowsOnly {
        /// What it asks.
        needs: &'static str,
    },
    /// An algorithm that is not built in.
    #[error("needs {needs}, which is not asked here")]
    Unavailable {
        /// What it asks.
        needs: &'static str,
    },
    /// More arguments than it has.
    #[error("has {met} arguments, at most {most} are known")]
    Arguments {
        /// How many stand there.
        met: usize,
        /// How many may.
        most: usize,
    },
    /// An argument that means nothing.
    #[error("argument {position} is `{met}`, which is not {expected}")]
    Argument {
        /// Its place, counted from 1.
        position: usize,
        /// What stands there, shortened.
        met: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// After too many others.
    #[error("only {CALLS_MAX} calls are applied")]
    Calls,
}

impl fmt::Display for SelectorFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}, {}: {}", self.call, self.name, self.fault)
    }
}

impl Chain {
    /// The calls that can be applied, and why the others are skipped; [`Chain::default`] when there is no call at all.
    /// `is_windows` only decides what is said of algorithms that need Windows.
    pub fn read(calls: &[SelectorCall], is_windows: bool) -> (Chain, Vec<SelectorFinding>) {
        if calls.is_empty() {
            return (Chain::default(), Vec::new());
        }
        let (mut chain, mut findings) = (Chain { calls: Vec::new() }, Vec::new());
        for (number, call) in calls.iter().enumerate() {
            let read =
                if chain.calls.len() < CALLS_MAX { Call::read(call, is_windows) } else { Err(SelectorFault::Calls) };
            match read {
                Ok(call) => chain.calls.push(call),
                Err(fault) => findings.push(SelectorFinding { call: number + 1, name: shorten(&call.name), fault }),
            }
        }
        (chain, findings)
    }

    /// The calls, from left to right.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Whether a call looks at pings or at addresses that have to be resolved.
    pub fn needs_probes(&self) -> bool {
        let needs =
            |call: &Call| matches!(call.algorithm, Algorithm::Ping { .. } | Algorithm::Subnet | Algorithm::Address);
        self.calls.iter().any(needs)
    }
}

impl Default for Chain {
    /// `MgsRandom;MgsPing;MgsSiteMatch`. Source: section 3.3.
    fn default() -> Chain {
        let call = |algorithm| Call { algorithm, limit: None, discards_foreign: false };
        Chain { calls: Algorithm::DEFAULT.map(call).into() }
    }
}

impl Call {
    /// Reads one call. Names are compared without regard to ASCII case, as keys of the file are.
    fn read(call: &SelectorCall, is_windows: bool) -> Result<Call, SelectorFault> {
        let arguments = Arguments(&call.arguments);
        let is = |name: &str| call.name.eq_ignore_ascii_case(name);
        let needs_windows = |needs| match is_windows {
            true => SelectorFault::Unavailable { needs },
            false => SelectorFault::WindowsOnly { needs },
        };
        let (algorithm, most) = if is("MgsRandom") {
            (Algorithm::Random, 1)
        } else if is("MgsPing") {
            let max_hops = arguments.number(3, 1, u32::from(u8::MAX), "a number of hops from 1 to 255")?;
            (Algorithm::Ping { max_hops: max_hops.and_then(|hops| u8::try_from(hops).ok()).unwrap_or(HOPS) }, 3)
        } else if is("MgsSubnetMatch") {
            (Algorithm::Subnet, 2)
        } else if is("MgsIPMatch") {
            (Algorithm::Address, 2)
        } else if is("MgsDomainMatch") {
            (Algorithm::Domain, 2)
        } else if is("MgsNameMatch") {
            (Algorithm::Name { ignores_case: arguments.flag(3)?.unwrap_or(true) }, 3)
        } else if is("MgsBandwidth") {
            let minimum = arguments.number(3, 0, u32::MAX, "a whole number of KB/s")?;
            (Algorithm::Bandwidth { minimum_kb_per_s: minimum.unwrap_or(0) }, 3)
        } else if is("MgsSiteMatch") {
            (Algorithm::Site, 2)
        } else if is("MgsADSiteMatch") {
            // No directory is asked, on no system: the configured label stands for the directory's site, and there is
            // no domain controller for the third argument to choose.
            arguments.flag(3)?;
            (Algorithm::Site, 3)
        } else if is("MgsDHCP") {
            return Err(needs_windows("the DHCP client"));
        } else if is("MgsServersFromAD") {
            return Err(needs_windows("Active Directory"));
        } else {
            return Err(SelectorFault::Unknown);
        };
        if call.arguments.len() > most {
            return Err(SelectorFault::Arguments { met: call.arguments.len(), most });
        }
        let limit = arguments.number(1, 0, u32::MAX, "a whole number of servers")?;
        let discards_foreign = arguments.flag(2)?.unwrap_or(false);
        Ok(Call { algorithm, limit, discards_foreign })
    }
}

/// Arguments by position, counted from 1; one that is empty or not there stands for its default.
struct Arguments<'a>(&'a [String]);

impl Arguments<'_> {
    fn text(&self, position: usize) -> Option<&str> {
        let text = self.0.get(position.checked_sub(1)?)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn number(
        &self,
        position: usize,
        least: u32,
        most: u32,
        expected: &'static str,
    ) -> Result<Option<u32>, SelectorFault> {
        let Some(text) = self.text(position) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| SelectorFault::Argument { position, met: shorten(text), expected })
    }

    fn flag(&self, position: usize) -> Result<Option<bool>, SelectorFault> {
        match self.text(position) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(SelectorFault::Argument { position, met: shorten(text), expected: "true or false" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::settings;
    use super::*;

    fn read(text: &str) -> Result<Call, String> {
        let (chain, findings) = Chain::read(&settings(text).selector, false);
        match (&chain.calls[..], &findings[..]) {
            ([call], []) => Ok(*call),
            ([], [finding]) => Err(finding.to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_algorithm_has_the_arguments_and_defaults_of_the_reference() {
        let check = |text: &str, algorithm: Algorithm, limit: Option<u32>, discards_foreign: bool| {
            assert_eq!(read(text), Ok(Call { algorithm, limit, discards_foreign }), "{text}");
        };
        check("MgsRandom", Algorithm::Random, None, false);
        check("MgsRandom(3)", Algorithm::Random, Some(3), false);
        check("MgsPing", Algorithm::Ping { max_hops: 127 }, None, false);
        check("MgsPing(20,true,255)", Algorithm::Ping { max_hops: 255 }, Some(20), true);
        check("MgsPing(,,1)", Algorithm::Ping { max_hops: 1 }, None, false);
        check("MgsSubnetMatch(2,TRUE)", Algorithm::Subnet, Some(2), true);
        check("MgsIPMatch(2,False)", Algorithm::Address, Some(2), false);
        check("MgsDomainMatch(,true)", Algorithm::Domain, None, true);
        check("MgsNameMatch(20,,true)", Algorithm::Name { ignores_case: true }, Some(20), false);
        check("MgsNameMatch", Algorithm::Name { ignores_case: true }, None, false);
        check("MgsNameMatch(,,false)", Algorithm::Name { ignores_case: false }, None, false);
        check("MgsBandwidth", Algorithm::Bandwidth { minimum_kb_per_s: 0 }, None, false);
        check("MgsBandwidth(0,true,56)", Algorithm::Bandwidth { minimum_kb_per_s: 56 }, Some(0), true);
        check("MgsSiteMatch(1,true)", Algorithm::Site, Some(1), true);
        check("MgsADSiteMatch(1,true,true)", Algorithm::Site, Some(1), true);
        check("mgssubnetmatch", Algorithm::Subnet, None, false);
    }

    #[test]
    fn a_call_that_means_nothing_is_skipped_and_told() {
        let check = |text: &str, told: &str| assert_eq!(read(text), Err(told.into()), "{text}");
        check("MgsMoon(1)", "call 1, MgsMoon: no such algorithm");
        check("MgsRandom(-1)", "call 1, MgsRandom: argument 1 is `-1`, which is not a whole number of servers");
        check("MgsRandom(1,true)", "call 1, MgsRandom: has 2 arguments, at most 1 are known");
        check("MgsPing(,,0)", "call 1, MgsPing: argument 3 is `0`, which is not a number of hops from 1 to 255");
        check("MgsPing(,,256)", "call 1, MgsPing: argument 3 is `256`, which is not a number of hops from 1 to 255");
        check("MgsPing(,yes)", "call 1, MgsPing: argument 2 is `yes`, which is not true or false");
        check("MgsNameMatch(,,1)", "call 1, MgsNameMatch: argument 3 is `1`, which is not true or false");
        check(
            "MgsBandwidth(,,fast)",
            "call 1, MgsBandwidth: argument 3 is `fast`, which is not a whole number of KB/s",
        );
        check("MgsADSiteMatch(,,2)", "call 1, MgsADSiteMatch: argument 3 is `2`, which is not true or false");
        check("MgsSiteMatch(1,true,true)", "call 1, MgsSiteMatch: has 3 arguments, at most 2 are known");
        check("MgsDHCP", "call 1, MgsDHCP: needs the DHCP client, which only Windows has");
        check("MgsServersFromAD(,,CN=X)", "call 1, MgsServersFromAD: needs Active Directory, which only Windows has");
    }

    #[test]
    fn what_needs_windows_is_not_asked_there_either() {
        let calls = settings("MgsDHCP;MgsServersFromAD;MgsADSiteMatch").selector;
        let (chain, findings) = Chain::read(&calls, true);
        assert_eq!(chain.calls.len(), 1);
        let told: Vec<String> = findings.iter().map(SelectorFinding::to_string).collect();
        assert_eq!(
            told,
            [
                "call 1, MgsDHCP: needs the DHCP client, which is not asked here",
                "call 2, MgsServersFromAD: needs Active Directory, which is not asked here"
            ]
        );
    }

    #[test]
    fn a_bad_call_leaves_the_others_in_their_order() {
        let (chain, findings) = Chain::read(&settings("MgsSiteMatch;MgsMoon;MgsPing(x);MgsRandom").selector, false);
        let names: Vec<&str> = chain.calls.iter().map(|call| call.algorithm.name()).collect();
        assert_eq!(names, ["MgsSiteMatch", "MgsRandom"]);
        assert_eq!(findings.iter().map(|finding| finding.call).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_list_without_calls_has_the_default_chain() {
        let (chain, findings) = Chain::read(&[], false);
        let (written, _) = Chain::read(&settings("MgsRandom;MgsPing;MgsSiteMatch").selector, false);
        assert_eq!((chain, findings), (written, Vec::new()));
    }

    #[test]
    fn calls_past_the_bound_are_told_and_skipped() {
        let (chain, findings) = Chain::read(&settings(&"MgsRandom;".repeat(CALLS_MAX + 2)).selector, false);
        assert_eq!(chain.calls.len(), CALLS_MAX);
        assert_eq!(findings.len(), 2);
        assert_eq!((findings[0].call, &findings[0].fault), (CALLS_MAX + 1, &SelectorFault::Calls));
    }

    proptest! {
        #[test]
        fn arbitrary_calls_are_applied_or_told(
            name in "Mgs[A-Za-z]{0,12}|.{0,80}", arguments: Vec<String>, is_windows: bool
        ) {
            let known = ["MgsPing", "MgsBandwidth", "MgsNameMatch", "MgsADSiteMatch"];
            for name in known.map(String::from).into_iter().chain([name]) {
                let call = SelectorCall { name, arguments: arguments.clone() };
                let (chain, findings) = Chain::read(&[call], is_windows);
                prop_assert_eq!(chain.calls.len() + findings.len(), 1);
            }
        }
    }
}
