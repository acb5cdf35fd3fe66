//! Why a server stands where it stands, in the words of the operator.

use std::fmt;

/// What one call found out about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Its place was drawn.
    Drawn,
    /// It answers to pings after so many milliseconds.
    Answers(u32),
    /// It does not answer to pings.
    Silent,
    /// It is further away than the call allows.
    Hops(u8),
    /// It was never measured.
    NotMeasured,
    /// It is in a subnet of the device.
    InSubnet,
    /// It is in no subnet of the device.
    OutsideSubnet,
    /// Bits that its address has in common with the device's.
    Bits(u8),
    /// None of its addresses is of a family that the device has.
    OtherFamily,
    /// Its address is not known.
    NoAddress,
    /// Domain labels it has in common with the device.
    Labels(u16),
    /// Characters that its name has in common with the device's.
    Characters(u16),
    /// It took past transfers with so many KB/s.
    Throughput(u64),
    /// It took no transfer yet that was large enough.
    NoTransfer,
    /// It has the device's site label.
    SameSite,
    /// It has another site label, or none.
    OtherSite,
    /// The device does not know what the call compares.
    DeviceUnknown,
    /// It matched, but others filled the call's limit.
    PastLimit,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Drawn => f.write_str("drawn by chance"),
            Fact::Answers(ms) => write!(f, "answers in {ms} ms"),
            Fact::Silent => f.write_str("does not answer"),
            Fact::Hops(hops) => write!(f, "{hops} hops away"),
            Fact::NotMeasured => f.write_str("not measured yet"),
            Fact::InSubnet => f.write_str("same subnet"),
            Fact::OutsideSubnet => f.write_str("other subnet"),
            Fact::Bits(bits) => write!(f, "{bits} address bits in common"),
            Fact::OtherFamily => f.write_str("other address family"),
            Fact::NoAddress => f.write_str("address not known"),
            Fact::Labels(labels) => write!(f, "{labels} domain labels in common"),
            Fact::Characters(characters) => write!(f, "{characters} name characters in common"),
            Fact::Throughput(kb_per_s) => write!(f, "took {kb_per_s} KB/s"),
            Fact::NoTransfer => f.write_str("no transfer yet"),
            Fact::SameSite => f.write_str("same site"),
            Fact::OtherSite => f.write_str("other site"),
            Fact::DeviceUnknown => f.write_str("nothing to compare with"),
            Fact::PastLimit => f.write_str("past the limit"),
        }
    }
}

/// Why a server stands where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// AutoPriority is False: the list itself says it.
    OwnPriority,
    /// What the calls found out that did distinguish servers, the first call's fact first. The last call weighs most.
    /// Empty when the place in the list decided alone.
    Selected(Vec<Fact>),
}

impl fmt::Display for Reason {
    /// `same site, answers in 3 ms, drawn by chance`: what weighs most comes first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::OwnPriority => f.write_str("its own priority"),
            Reason::Selected(facts) if facts.is_empty() => f.write_str("its place in the list"),
            Reason::Selected(facts) => {
                let facts: Vec<String> = facts.iter().rev().map(Fact::to_string).collect();
                f.write_str(&facts.join(", "))
            }
        }
    }
}

/// Why a server is not used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// AutoPriority is False and its Priority is `invalid`.
    OwnPriority,
    /// A call with discardForeign did not match it.
    Foreign {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// What it found out.
        fact: Fact,
    },
    /// It stands behind the thousand servers that are looked at.
    PastList,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exclusion::OwnPriority => f.write_str("its own priority is `invalid`"),
            Exclusion::Foreign { algorithm, fact } => write!(f, "discarded by {algorithm}: {fact}"),
            Exclusion::PastList => f.write_str("the list is too long"),
        }
    }
}
