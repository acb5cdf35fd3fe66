//! Classes of equal keys, and the groups that NotEqual or NullInEither leaves of a class.
//!
//! Source: matching reference, sections 5 and 6.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::matcher::Matcher;
use super::normalise::Normalised;
use crate::model::computer::Property;

/// The groups that `matcher` finds in `pool`, each of two or more members in the order of the pool.
///
/// Members are indices into `values`. Cost: one hash per candidate, O(pool), never pairs.
pub(super) fn groups(matcher: &Matcher, values: &[&Normalised], pool: &[usize]) -> Vec<Vec<usize>> {
    let classed = classes(matcher, values, pool);
    let classes = classed.chunk_by(|a, b| a.0 == b.0).filter(|class| class.len() > 1);
    classes
        .flat_map(|class| {
            let members: Vec<usize> = class.iter().map(|&(_, member)| member).collect();
            group(matcher, values, &members)
        })
        .collect()
}

/// The candidates of `pool`, each behind the number of its class: ascending classes, within them the order of the pool.
/// Classes are numbered in order of first member, so nothing of the hash table's order shows.
fn classes(matcher: &Matcher, values: &[&Normalised], pool: &[usize]) -> Vec<(usize, usize)> {
    struct Class {
        hash: u64,
        number: usize,
        first: usize,
    }
    // Values come from strangers: a keyed hash, so that nobody can fill one bucket.
    let random = RandomState::new();
    let mut known: HashTable<Class> = HashTable::new();
    let mut classed = Vec::new();
    let mut bytes = Vec::new();
    for &member in pool {
        let candidate = values[member];
        if !matcher.admits(candidate) {
            continue;
        }
        bytes.clear();
        matcher.write_keys(candidate, &mut bytes);
        let hash = random.hash_one(&bytes);
        let number = known.len();
        let same = |class: &Class| class.hash == hash && matcher.same_keys(values[class.first], candidate);
        let number = match known.entry(hash, same, |class| class.hash) {
            Entry::Occupied(class) => class.get().number,
            Entry::Vacant(place) => place.insert(Class { hash, number, first: member }).get().number,
        };
        classed.push((number, member));
    }
    classed.sort_by_key(|&(number, _)| number);
    classed
}

/// The groups within one class of equal keys, or within what is left of a group; order of the class is kept.
///
/// Source: matching reference, section 6.
pub(super) fn group(matcher: &Matcher, values: &[&Normalised], class: &[usize]) -> Vec<Vec<usize>> {
    let groups = if let Some(property) = matcher.differs() {
        vec![differing(property, values, class)]
    } else if !matcher.null_in_either().is_empty() {
        null_in_either(matcher.null_in_either(), values, class)
    } else {
        vec![class.to_vec()]
    };
    groups.into_iter().filter(|group| group.len() > 1).collect()
}

/// NotEqual: all records with the property set, when at least two of its values differ; the complete multipartite graph
/// is connected.
fn differing(property: Property, values: &[&Normalised], class: &[usize]) -> Vec<usize> {
    let set: Vec<usize> = class.iter().copied().filter(|&member| values[member].get(property).is_some()).collect();
    if all_same(property, values, &set) { Vec::new() } else { set }
}

/// NullInEither: a record with a set value in a property that is conflicted in the class stays out; of the rest, two are
/// linked when no property is set in both, and the connected components are the groups.
///
/// "Null in either" is not transitive: joined through a null, two records that contradict each other would be one
/// device. Here no group ever holds two different values of such a property.
fn null_in_either(properties: &[Property], values: &[&Normalised], class: &[usize]) -> Vec<Vec<usize>> {
    let mut conflicted = 0_u32;
    for (place, &property) in properties.iter().enumerate() {
        conflicted |= u32::from(!all_same(property, values, class)) << place;
    }
    // Records with the same mask of set properties behave alike.
    let mut of_mask: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, &member) in class.iter().enumerate() {
        let is_set = |(bit, &property): (usize, &Property)| u32::from(values[member].get(property).is_some()) << bit;
        let mask: u32 = properties.iter().enumerate().map(is_set).sum();
        if mask & conflicted == 0 {
            of_mask.entry(mask).or_default().push(place);
        }
    }
    let mut groups = Vec::new();
    let mut unvisited: Vec<u32> = of_mask.keys().copied().collect();
    while let Some(start) = unvisited.pop() {
        let mut component = vec![start];
        let mut next = 0;
        while let Some(&mask) = component.get(next) {
            component.extend(unvisited.extract_if(.., |other| *other & mask == 0));
            next += 1;
        }
        // Records of one mask that is not all-null have that property set in both: alone they are no group.
        if component.len() > 1 || start == 0 {
            let mut places: Vec<usize> = component.iter().flat_map(|mask| &of_mask[mask]).copied().collect();
            places.sort_unstable();
            groups.push(places);
        }
    }
    groups.sort_unstable_by_key(|places| places.first().copied());
    groups.into_iter().map(|places| places.into_iter().map(|place| class[place]).collect()).collect()
}

/// Whether all set values of a property are the same; a null says nothing.
fn all_same(property: Property, values: &[&Normalised], members: &[usize]) -> bool {
    let mut set = members.iter().filter_map(|&member| values[member].get(property));
    let Some(first) = set.next() else { return true };
    set.all(|value| value.eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::{matchers, normalised};

    /// Groups of the records that all have the same name; shown as their places in `texts`.
    fn grouped(rules: &str, texts: &[&str]) -> Vec<Vec<usize>> {
        let values: Vec<Normalised> = texts.iter().map(|text| normalised(&format!("ComputerName=pc|{text}"))).collect();
        let values: Vec<&Normalised> = values.iter().collect();
        let pool: Vec<usize> = (0..values.len()).collect();
        let matchers = matchers(&[&format!("1: => ComputerName; {rules}")]);
        let matcher = matchers.iter().next().unwrap();
        groups(matcher, &values, &pool)
    }

    const NONE: [Vec<usize>; 0] = [];

    #[test]
    fn without_a_pair_test_the_class_is_the_group() {
        assert_eq!(grouped("", &["", "", ""]), [[0, 1, 2]]);
        assert_eq!(grouped("", &[""]), NONE);
    }

    #[test]
    fn not_equal_joins_all_set_values_as_soon_as_two_differ() {
        let differ = |texts: &[&str]| grouped("ModelNo NotEqual", texts);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=b"]), [[0, 1]]);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=A", "ModelNo=b"]), [[0, 1, 2]]);
        assert_eq!(differ(&["ModelNo=a", "ModelNo=A"]), NONE);
        assert_eq!(differ(&["ModelNo=a", "", "ModelNo=b", ""]), [[0, 2]]);
        assert_eq!(differ(&["ModelNo=a", ""]), NONE);
        assert_eq!(differ(&["", ""]), NONE);
    }

    #[test]
    fn with_one_null_in_either_property_a_null_record_joins_everything_that_agrees() {
        let either = |texts: &[&str]| grouped("Manufacturer NullInEither", texts);
        assert_eq!(either(&["", ""]), [[0, 1]]);
        assert_eq!(either(&["", "Manufacturer=IBM"]), [[0, 1]]);
        assert_eq!(either(&["Manufacturer=IBM", "", "Manufacturer=ibm"]), [[0, 1, 2]]);
        assert_eq!(either(&["Manufacturer=IBM", "Manufacturer=IBM"]), NONE, "equal values are no null");
        assert_eq!(either(&["Manufacturer=IBM"]), NONE);
    }

    #[test]
    fn records_with_conflicting_values_stay_out_and_the_null_ones_still_join() {
        let either = |texts: &[&str]| grouped("Manufacturer NullInEither", texts);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP", ""]), [[0, 3]]);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP"]), NONE);
        assert_eq!(either(&["Manufacturer=IBM", "Manufacturer=HP"]), NONE);
        assert_eq!(either(&["", "Manufacturer=IBM", "Manufacturer=HP", "Manufacturer=ibm"]), NONE);
    }

    #[test]
    fn with_two_null_in_either_properties_the_masks_decide() {
        let either = |texts: &[&str]| grouped("HostType NullInEither; Manufacturer NullInEither", texts);
        let (first, second, both) = ("HostType=T", "Manufacturer=M", "HostType=T|Manufacturer=M");
        assert_eq!(either(&[first, second]), [[0, 1]]);
        assert_eq!(either(&[first, first]), NONE);
        assert_eq!(either(&[second, second]), NONE);
        assert_eq!(either(&[both, both]), NONE);
        assert_eq!(either(&[first, both, second, second]), [[0, 2, 3]]);
        assert_eq!(either(&[both, first]), NONE);
        assert_eq!(either(&[both, ""]), [[0, 1]]);
        assert_eq!(either(&[both, first, "", second]), [[0, 1, 2, 3]]);
        assert_eq!(either(&["", ""]), [[0, 1]]);
        assert_eq!(either(&[""]), NONE);
    }

    #[test]
    fn a_conflict_in_one_of_two_properties_drops_only_the_records_that_have_it_set() {
        let either = |texts: &[&str]| grouped("HostType NullInEither; Manufacturer NullInEither", texts);
        assert_eq!(either(&["HostType=T", "HostType=U", "Manufacturer=M", ""]), [[2, 3]]);
        assert_eq!(either(&["HostType=T|Manufacturer=M", "HostType=U", "Manufacturer=N", "", ""]), [[3, 4]]);
        assert_eq!(either(&["HostType=T", "HostType=U", "Manufacturer=M", "Manufacturer=M"]), NONE);
    }

    #[test]
    fn three_properties_can_leave_two_groups_in_one_class() {
        // a-b and c-d are linked; a-c, a-d, b-c and b-d share a set property.
        let either = |texts: &[&str]| {
            grouped(
                "HostType NullInEither; Manufacturer NullInEither; ModelNo NullInEither; HostID NullInEither",
                texts,
            )
        };
        let (a, b) = ("HostType=1|Manufacturer=2", "ModelNo=3|HostID=4");
        let (c, d) = ("HostType=1|ModelNo=3", "Manufacturer=2|HostID=4");
        assert_eq!(either(&[a, c, b, d]), [[0, 2], [1, 3]]);
        assert_eq!(either(&[d, a, c, b]), [[0, 2], [1, 3]]);
        assert_eq!(either(&[a, c]), NONE);
        // A chain: "1" with "3", "3" with "1 2", "1 2" with "3 4".
        assert_eq!(either(&["HostType=1", "ModelNo=3", a, b]), [[0, 1, 2, 3]]);
    }

    #[test]
    fn groups_come_in_the_order_of_the_pool_and_leave_candidates_alone_that_share_nothing() {
        let values: Vec<Normalised> =
            ["MachineID=b", "MachineID=a", "MachineID=c", "", "MachineID=A", "MachineID=B"].map(normalised).into();
        let values: Vec<&Normalised> = values.iter().collect();
        let matchers = matchers(&["1: => MachineID"]);
        let matcher = matchers.iter().next().unwrap();
        assert_eq!(groups(matcher, &values, &[0, 1, 2, 3, 4, 5]), [[0, 5], [1, 4]]);
        assert_eq!(groups(matcher, &values, &[5, 4, 3, 1, 0]), [[5, 0], [4, 1]]);
        assert_eq!(groups(matcher, &values, &[5, 4, 2]), NONE);
    }
}
