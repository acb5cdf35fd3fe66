//! What became of an installation: who took it, and what every licence that covers it answered.
//!
//! A fleet has many installations and few verdicts: each distinct one of an application is kept once.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::estate::Number;
use crate::model::licensing::Exemption;

/// How an installation came to a licence: the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// The operator allocated the device or the user.
    Allocated,
    /// It went with the suite that it is in.
    Suite,
    /// It is free beside a primary.
    Supplementary,
    /// Every licence was full, and this one stood first.
    Overflow,
    /// It stood first among those with room.
    Priority,
}

impl How {
    /// The word in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Allocated => "allocated",
            How::Suite => "suite",
            How::Supplementary => "supplementary",
            How::Overflow => "overflow",
            How::Priority => "priority",
        }
    }
}

/// Why a licence did not take an installation: the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is allocated, but not to this licence.
    AllocatedElsewhere,
    /// The licence has a bad cell.
    BadData,
    /// The device, or every person, is outside the group that may use it.
    OutOfScope,
    /// The licence takes only what is allocated to it.
    NotAllocated,
    /// It is free beside a primary only, and there is none.
    PrimaryMissing,
    /// So many as are free beside the primaries are taken.
    RatioUsedUp,
    /// What a virtual machine runs on is not known.
    HostMissing,
    /// Cores are not known.
    CoreCountMissing,
    /// Processors are not known.
    ProcessorCountMissing,
    /// No rule gives points.
    NoPointsRule,
    /// The edition is for smaller servers.
    TooManySockets,
    /// Virtual machines need maintenance.
    MaintenanceMissing,
    /// The edition is not for virtual machines.
    VirtualUseNotAllowed,
    /// All rights are used.
    Full,
}

impl Reason {
    /// The word in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::AllocatedElsewhere => "allocated_elsewhere",
            Reason::BadData => "bad_data",
            Reason::OutOfScope => "out_of_scope",
            Reason::NotAllocated => "not_allocated",
            Reason::PrimaryMissing => "primary_missing",
            Reason::RatioUsedUp => "ratio_used_up",
            Reason::HostMissing => "host_missing",
            Reason::CoreCountMissing => "core_count_missing",
            Reason::ProcessorCountMissing => "processor_count_missing",
            Reason::NoPointsRule => "no_points_rule",
            Reason::TooManySockets => "too_many_sockets",
            Reason::MaintenanceMissing => "maintenance_missing",
            Reason::VirtualUseNotAllowed => "virtual_use_not_allowed",
            Reason::Full => "full",
        }
    }

    /// Whether something has to be found out before one can say what the licence is used for.
    /// Source: reconcile-files reference, section 7.
    pub fn is_missing_data(self) -> bool {
        matches!(
            self,
            Reason::HostMissing | Reason::CoreCountMissing | Reason::ProcessorCountMissing | Reason::NoPointsRule
        )
    }
}

/// As its word.
impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A licence took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Taken {
    /// Which one.
    pub licence: Number,
    /// Why this one.
    pub how: How,
    /// Set: it needs no right.
    pub exemption: Option<Exemption>,
    /// The exemption is that of another device of the same user, which counts.
    pub second_use: bool,
}

/// What became of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A licence took it.
    Taken(Taken),
    /// None did.
    Unlicensed,
    /// It needs none.
    NotLicensable,
}

impl Outcome {
    /// What took it.
    pub fn taken(self) -> Option<Taken> {
        match self {
            Outcome::Taken(taken) => Some(taken),
            Outcome::Unlicensed | Outcome::NotLicensable => None,
        }
    }
}

/// See the module's head. A licence that covers the application and is in neither field was not asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// What became of it.
    pub outcome: Outcome,
    /// Licences that did not take it, in the order in which they were asked.
    pub rejected: Box<[(Number, Reason)]>,
}

/// What a licence answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It took the installation.
    Consumed(How),
    /// It did not.
    Rejected(Reason),
    /// It was not asked.
    NotAssessed,
}

impl Verdict {
    /// What a licence that covers the application answered.
    pub fn answer(&self, licence: Number) -> Answer {
        match self.outcome {
            Outcome::Taken(taken) if taken.licence == licence => Answer::Consumed(taken.how),
            _ => {
                let rejected = self.rejected.iter().find(|(rejecting, _)| *rejecting == licence);
                rejected.map_or(Answer::NotAssessed, |&(_, reason)| Answer::Rejected(reason))
            }
        }
    }
}

/// The distinct verdicts of an application, by their codes.
#[derive(Clone, Debug, Default)]
pub struct VerdictTable {
    list: Vec<Verdict>,
    /// Codes by what they stand for; empty while there are few.
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// So many are looked through one by one.
const FEW: usize = 8;

impl VerdictTable {
    /// The code of a verdict.
    pub fn code(&mut self, outcome: Outcome, rejected: &[(Number, Reason)], last: u32) -> u32 {
        let VerdictTable { list, codes, hasher } = self;
        let is_it = |known: &Verdict| known.outcome == outcome && *known.rejected == *rejected;
        // Neighbours mostly share their fate.
        if list.get(last as usize).is_some_and(is_it) {
            return last;
        }
        let hash = |outcome: &Outcome, rejected: &[(Number, Reason)]| hasher.hash_one((outcome, rejected));
        let found = match list.len() <= FEW {
            true => list.iter().position(is_it).map(|place| place as u32),
            false => codes.find(hash(&outcome, rejected), |&code| is_it(&list[code as usize])).copied(),
        };
        if let Some(code) = found {
            return code;
        }
        let code = list.len() as u32;
        list.push(Verdict { outcome, rejected: rejected.into() });
        let of = |code: u32| hash(&list[code as usize].outcome, &list[code as usize].rejected);
        // When they are no longer few, all at once.
        let new = if list.len() == FEW + 1 { 0..=code } else { code..=code };
        for code in new.filter(|_| list.len() > FEW) {
            codes.insert_unique(of(code), code, |&code| of(code));
        }
        code
    }

    /// The verdict with a code that came from here.
    pub fn verdict(&self, code: u32) -> &Verdict {
        &self.list[code as usize]
    }

    /// All verdicts in the order of their codes.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_has_one_code_and_answers_for_each_licence() {
        let mut table = VerdictTable::default();
        let taken = Taken { licence: 4, how: How::Priority, exemption: None, second_use: false };
        let rejected = [(2, Reason::Full), (1, Reason::OutOfScope)];
        let code = table.code(Outcome::Taken(taken), &rejected, u32::MAX);
        assert_eq!(table.code(Outcome::Unlicensed, &rejected, code), 1);
        assert_eq!(table.code(Outcome::Taken(taken), &rejected, 1), code);
        let verdict = table.verdict(code);
        assert_eq!(verdict.answer(4), Answer::Consumed(How::Priority));
        assert_eq!(verdict.answer(1), Answer::Rejected(Reason::OutOfScope));
        assert_eq!(verdict.answer(9), Answer::NotAssessed);
    }

    #[test]
    fn many_verdicts_are_told_apart_as_few_are() {
        let mut table = VerdictTable::default();
        for _ in 0..2 {
            for licence in 0..3 * FEW as Number {
                let code = table.code(Outcome::Unlicensed, &[(licence, Reason::Full)], u32::MAX);
                assert_eq!(code, licence);
                assert_eq!(table.code(Outcome::Unlicensed, &[(0, Reason::Full)], code), 0);
            }
        }
        assert_eq!(table.verdicts().len(), 3 * FEW);
    }
}
