//! Why two records are one device, or are not: the Matcher that joined them, and where each earlier one failed.
//!
//! Source: matching reference, sections 4 to 6; interfaces, `GET /devices/{id}/explain`.

use serde::{Deserialize, Serialize};

use super::condition::Test;
use super::matcher::Matcher;
use super::matchers::Matchers;
use super::normalise::Normalised;
use crate::formats::matcher_xml::{Method, Place};
use crate::model::computer::Property;

/// What two records are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tie {
    /// Records of one set or device: the Order by which each of them came to the others, if one did.
    One([Option<i64>; 2]),
    /// Records of different ones.
    Apart,
    /// Records that an operator took apart.
    TakenApart,
}

/// Why a pair of records is, or is not, one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What they are to each other.
    pub tie: Tie,
    /// The Matcher that joined them; `None` when none did, or when it is there no more.
    pub joined: Option<Joined>,
    /// The Matchers tried before, in order; all of them when none joined the pair.
    pub tried: Vec<Tried>,
}

/// The Matcher that joined a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its Order.
    pub order: i64,
    /// Its title.
    pub name: String,
    /// The values its Rules compared, in the order of the Rules.
    pub compared: Vec<Compared>,
    /// Whether its tests hold for these two by themselves; else others of its group lie between, or it was earlier.
    pub direct: bool,
}

/// A property and its value in both records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The property.
    pub property: Property,
    /// Its value in the first record, in the case the source wrote it.
    pub first: Option<String>,
    /// Its value in the second record.
    pub second: Option<String>,
}

/// A Matcher that did not join a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its Order.
    pub order: i64,
    /// Its title.
    pub name: String,
    /// The first Condition or Rule that failed. `None` when all hold for the pair: then a third record contradicted one
    /// of them, or one was already taken by another Matcher, or the pair is forbidden.
    pub failed: Option<Failed>,
}

/// A Condition or Rule that a pair fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Where it is written.
    pub place: Place,
    /// How it compares.
    pub method: Method,
    /// With what, when it names a text.
    pub value: Option<String>,
    /// Who failed it.
    pub by: FailedBy,
    /// What it looked at.
    pub values: Compared,
}

/// Who fails a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedBy {
    /// The first record.
    First,
    /// The second record.
    Second,
    /// Each of them.
    Both,
    /// Only the two together.
    Pair,
}

/// Explains a pair.
///
/// Of the Matchers by which the two came to their device the first one that links them is named. When none does, it is the
/// last one: they were joined through others of its group or at an earlier import, and then some of the values compared
/// differ or are null.
pub fn explain_pair(matchers: &Matchers, tie: Tie, first: &Normalised, second: &Normalised) -> Explanation {
    let orders = match tie {
        Tie::One(orders) => orders,
        Tie::Apart | Tie::TakenApart => [None; 2],
    };
    let own = || matchers.iter().filter(|matcher| orders.contains(&Some(matcher.order())));
    let last = own().map(Matcher::order).max();
    let joining = own()
        .find(|matcher| failed(matcher, first, second).is_none())
        .or_else(|| own().find(|matcher| Some(matcher.order()) == last));
    let before = matchers.iter().take_while(|matcher| !joining.is_some_and(|joining| std::ptr::eq(joining, *matcher)));
    let tried = before.map(|matcher| Tried {
        order: matcher.order(),
        name: matcher.name().to_owned(),
        failed: failed(matcher, first, second),
    });
    let joined = joining.map(|matcher| Joined {
        order: matcher.order(),
        name: matcher.name().to_owned(),
        compared: rules(matcher).map(|rule| compared(rule.property, first, second)).collect(),
        direct: failed(matcher, first, second).is_none(),
    });
    Explanation { tie, joined, tried: tried.collect() }
}

/// The tests of a Matcher that compare two records.
pub(super) fn rules(matcher: &Matcher) -> impl Iterator<Item = &Test> {
    matcher.tests().iter().filter(|test| !test.is_alone())
}

fn failed(matcher: &Matcher, first: &Normalised, second: &Normalised) -> Option<Failed> {
    let test = matcher.tests().iter().find(|test| !test.links(first, second))?;
    let by = match (test.admits(first), test.admits(second)) {
        (false, true) => FailedBy::First,
        (true, false) => FailedBy::Second,
        (false, false) => FailedBy::Both,
        (true, true) => FailedBy::Pair,
    };
    let values = compared(test.property, first, second);
    Some(Failed { place: test.place, method: test.method, value: test.value.clone(), by, values })
}

pub(super) fn compared(property: Property, first: &Normalised, second: &Normalised) -> Compared {
    let text = |values: &Normalised| values.get(property).map(str::to_owned);
    Compared { property, first: text(first), second: text(second) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::{matchers, normalised, standard};

    fn compared(property: Property, first: &str, second: &str) -> Compared {
        let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        Compared { property, first: text(first), second: text(second) }
    }

    #[test]
    fn a_joined_pair_names_its_matcher_the_compared_values_and_why_each_earlier_one_failed() {
        let (first, second) = (normalised("MachineID=M1|Manufacturer=Dell"), normalised("MachineID=m1"));
        let explanation = explain_pair(&standard(), Tie::One([Some(30), None]), &first, &second);
        let joined = explanation.joined.unwrap();
        assert_eq!((joined.order, joined.name.as_str()), (30, "physical: machine ID"));
        assert_eq!(joined.compared, [compared(Property::MachineID, "M1", "m1")]);
        let tried: Vec<_> = explanation.tried.into_iter().map(|tried| (tried.order, tried.failed.unwrap())).collect();
        let failed = Failed {
            place: Place::Condition,
            method: Method::Set,
            value: None,
            by: FailedBy::Second,
            values: compared(Property::Manufacturer, "Dell", ""),
        };
        assert_eq!(tried, [(10, failed.clone()), (20, failed)]);
    }

    #[test]
    fn a_pair_that_nobody_joined_lists_every_matcher() {
        let explanation = explain_pair(&standard(), Tie::Apart, &normalised("UUID=a"), &normalised("UUID=b"));
        assert_eq!(explanation.joined, None);
        let orders: Vec<i64> = explanation.tried.iter().map(|tried| tried.order).collect();
        assert_eq!(orders, Vec::from_iter((1..=21).map(|row| row * 10)));
        assert!(explanation.tried.iter().all(|tried| tried.failed.is_some()));
    }

    fn failure(line: &str, first: &str, second: &str) -> Option<(Place, Property, FailedBy)> {
        let explanation = explain_pair(&matchers(&[line]), Tie::Apart, &normalised(first), &normalised(second));
        let failed = explanation.tried.into_iter().next().unwrap().failed?;
        Some((failed.place, failed.values.property, failed.by))
    }

    #[test]
    fn the_first_failing_test_is_named_with_who_failed_it() {
        let line = "1: VMType Equal:LPAR; HostID NullInEither => MachineID; UUID";
        let good = "VMType=lpar|MachineID=m|UUID=u";
        let fails = |first: &str, second: &str| failure(line, &format!("{good}|{first}"), &format!("{good}|{second}"));
        assert_eq!(fails("VMType=x", "UUID="), Some((Place::Condition, Property::VMType, FailedBy::First)));
        assert_eq!(fails("", "VMType="), Some((Place::Condition, Property::VMType, FailedBy::Second)));
        assert_eq!(fails("VMType=", "VMType=x"), Some((Place::Condition, Property::VMType, FailedBy::Both)));
        assert_eq!(fails("HostID=h", "HostID=h"), Some((Place::Condition, Property::HostID, FailedBy::Pair)));
        assert_eq!(fails("MachineID=n", "UUID=x"), Some((Place::Rule, Property::MachineID, FailedBy::Pair)));
        assert_eq!(fails("UUID=", ""), Some((Place::Rule, Property::UUID, FailedBy::First)));
        assert_eq!(fails("HostID=h", ""), None);
        assert_eq!(
            failure("1: => MachineID; UUID NotEqual", good, good),
            Some((Place::Rule, Property::UUID, FailedBy::Pair))
        );
    }

    #[test]
    fn a_matcher_that_would_link_the_pair_but_did_not_join_it_shows_no_failure() {
        let list = matchers(&["1: => MachineID", "2: => UUID"]);
        let (first, second) = (normalised("MachineID=m|UUID=u"), normalised("MachineID=m|UUID=u"));
        let explanation = explain_pair(&list, Tie::One([Some(2), None]), &first, &second);
        assert_eq!(explanation.joined.unwrap().order, 2);
        assert_eq!((explanation.tried[0].order, explanation.tried[0].failed.clone()), (1, None));
        assert_eq!(explanation.tried.len(), 1);
    }

    #[test]
    fn of_two_matchers_of_one_order_the_one_that_links_the_pair_is_named() {
        let list = matchers(&["5: => HostID", "5: => MachineID", "5: => UUID"]);
        let (first, second) = (normalised("MachineID=m|UUID=u"), normalised("MachineID=m|UUID=u"));
        let explanation = explain_pair(&list, Tie::One([Some(5), None]), &first, &second);
        assert_eq!(explanation.joined.unwrap().compared, [compared(Property::MachineID, "m", "m")]);
        assert_eq!(explanation.tried.len(), 1);
    }

    #[test]
    fn a_pair_joined_through_a_third_record_still_names_the_matcher() {
        let domain = "ComputerName=pc|ComplianceDomainID=d";
        let explanation =
            explain_pair(&standard(), Tie::One([Some(210), None]), &normalised(domain), &normalised(domain));
        let joined = explanation.joined.unwrap();
        let both = compared(Property::ComplianceDomainID, "d", "d");
        assert_eq!((joined.order, joined.compared), (210, vec![both, compared(Property::ComputerName, "pc", "pc")]));
        assert_eq!(explanation.tried.last().unwrap().failed, None, "Matcher 200 would have linked them");
    }

    #[test]
    fn of_two_orders_the_one_that_links_the_pair_is_named() {
        // A{m,i} and B{i} were joined by 170; C{m} came later by 30.
        let (first, second) = (normalised("MachineID=m|ILMTAgentID=i"), normalised("MachineID=m"));
        let joined = explain_pair(&standard(), Tie::One([Some(170), Some(30)]), &first, &second).joined.unwrap();
        assert_eq!((joined.order, joined.direct), (30, true));
        let through_others =
            explain_pair(&standard(), Tie::One([Some(30), Some(170)]), &normalised("ILMTAgentID=i"), &second);
        assert_eq!(through_others.joined.map(|joined| (joined.order, joined.direct)), Some((170, false)));
    }

    #[test]
    fn a_matcher_that_is_there_no_more_is_not_named() {
        let explanation =
            explain_pair(&standard(), Tie::One([Some(25), Some(25)]), &normalised("UUID=a"), &normalised("UUID=b"));
        assert_eq!((explanation.joined, explanation.tried.len()), (None, 21));
    }

    #[test]
    fn an_explanation_survives_message_pack() {
        let explanation = explain_pair(
            &standard(),
            Tie::One([Some(30), None]),
            &normalised("MachineID=m"),
            &normalised("MachineID=m"),
        );
        let bytes = rmp_serde::to_vec(&explanation).unwrap();
        assert_eq!(rmp_serde::from_slice::<Explanation>(&bytes).unwrap(), explanation);
    }
}
