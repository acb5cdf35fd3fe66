//! Phase 1: the loop, stealing, and records that an operator took apart.

use super::fixture::*;
use crate::matching::*;

fn sets(records: &[Record]) -> Vec<String> {
    sets_of(&standard(), records, &Forbidden::default())
}

#[test]
fn a_matcher_takes_its_records_out_of_the_pool() {
    // The topic's example: A and B share a MachineID, B and C an ILMTAgentID.
    let three = records(&["MachineID=m1", "MachineID=m1|ILMTAgentID=i1", "ILMTAgentID=i1"]);
    assert_eq!(sets(&three), ["30: 1 2", "3"]);
}

#[test]
fn a_chain_inside_one_matcher_is_closed() {
    let three =
        records(&["ComputerName=pc|ComplianceDomainID=d", "ComputerName=pc", "ComputerName=pc|ComplianceDomainID=d"]);
    let name_only = matchers(&["5: ComplianceDomainID NullInEither => ComputerName"]);
    assert_eq!(sets_of(&name_only, &three, &Forbidden::default()), ["5: 1 2 3"]);
}

#[test]
fn the_order_of_the_records_changes_no_set() {
    let mut list =
        records(&["MachineID=b", "MachineID=a", "ComputerName=x", "MachineID=A", "MachineID=B", "ComputerName=X"]);
    let expected = ["30: 1 5", "30: 2 4", "210: 3 6"];
    for _ in 0..list.len() {
        assert_eq!(sets(&list), expected);
        list.rotate_left(1);
    }
    list.reverse();
    assert_eq!(sets(&list), expected);
}

#[test]
fn a_set_of_one_has_no_matcher_and_sets_ascend_by_their_smallest_record() {
    assert_eq!(sets(&records(&["UUID=a", "MachineID=m", "UUID=a", "MachineID=m"])), ["1", "30: 2 4", "3"]);
    assert_eq!(sets(&[]), Vec::<String>::new());
}

#[test]
fn equality_keys_are_compared_one_by_one_and_not_run_together() {
    let list = records(&["SerialNo=ab|ComputerName=c", "SerialNo=a|ComputerName=bc"]);
    assert_eq!(sets(&list), ["1", "2"]);
}

#[test]
fn values_are_compared_without_regard_to_ascii_case_and_to_nothing_else() {
    assert_eq!(sets(&records(&["MachineID=Ab Z", "MachineID=aB z"])), ["30: 1 2"]);
    assert_eq!(sets(&records(&["MachineID=É1", "MachineID=é1"])), ["1", "2"]);
    assert_eq!(sets(&records(&["MachineID=a b", "MachineID=a  b"])), ["1", "2"]);
    assert_eq!(sets(&records(&["MachineID=a@b", "MachineID=a`b"])), ["1", "2"]);
    assert_eq!(sets(&records(&["MachineID=a[b", "MachineID=a{b"])), ["1", "2"]);
}

#[test]
fn a_custom_matcher_steals_records_from_the_standard_one_behind_it() {
    let custom = xml(&["25: => MachineID; ComputerName"]);
    let matchers = Matchers::load(standard_matchers(), Some(&custom)).unwrap();
    let list = records(&["MachineID=m|ComputerName=a", "MachineID=m|ComputerName=a", "MachineID=m|ComputerName=b"]);
    assert_eq!(sets_of(&matchers, &list, &Forbidden::default()), ["25: 1 2", "3"]);
    assert_eq!(sets(&list), ["30: 1 2 3"]);
}

#[test]
fn a_matcher_without_conditions_sees_the_whole_pool_but_needs_its_keys_set() {
    let all = matchers(&["1: => MachineID"]);
    let list = records(&["MachineID=m|VMType=x", "MachineID=m", "ComputerName=a", "ComputerName=b"]);
    assert_eq!(sets_of(&all, &list, &Forbidden::default()), ["1: 1 2", "3", "4"]);
}

#[test]
fn the_younger_record_of_a_forbidden_pair_goes_to_the_next_matcher() {
    let list = records(&["MachineID=m", "MachineID=m|ILMTAgentID=i", "MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(sets_of(&standard(), &list, &forbidden(&[(1, 2)])), ["30: 1 3", "170: 2 4"]);
    assert_eq!(sets_of(&standard(), &list, &forbidden(&[(2, 1)])), ["30: 1 3", "170: 2 4"]);
    assert_eq!(sets_of(&standard(), &list, &forbidden(&[(9, 1), (1, 1)])), ["30: 1 2 3", "4"]);
}

#[test]
fn younger_is_the_larger_record_id_whatever_the_external_ids_say() {
    let mut list = records(&["MachineID=m", "MachineID=m", "MachineID=m"]);
    list[0].record_id = 30;
    assert_eq!(sets_of(&standard(), &list, &forbidden(&[(1, 2)])), ["30: 2 3", "30"]);
}

#[test]
fn a_record_that_left_drives_no_other_out() {
    let list = records(&["MachineID=m", "MachineID=m", "MachineID=m"]);
    assert_eq!(sets_of(&standard(), &list, &forbidden(&[(1, 2), (2, 3)])), ["30: 1 3", "2"]);
}

#[test]
fn a_group_that_one_who_leaves_held_together_falls_apart() {
    // 1 and 2 have the same domain set: only 3, which has none, links them.
    let name_only = matchers(&["5: ComplianceDomainID NullInEither => ComputerName"]);
    let list =
        records(&["ComputerName=p|ComplianceDomainID=d", "ComputerName=p|ComplianceDomainID=d", "ComputerName=p"]);
    assert_eq!(sets_of(&name_only, &list, &forbidden(&[(1, 3)])), ["1", "2", "3"]);
    assert_eq!(sets_of(&name_only, &list, &forbidden(&[(1, 2)])), ["5: 1 3", "2"]);
    let differ = matchers(&["5: => ComputerName; HostID NotEqual"]);
    let list = records(&["ComputerName=p|HostID=a", "ComputerName=p|HostID=a", "ComputerName=p|HostID=b"]);
    assert_eq!(sets_of(&differ, &list, &forbidden(&[(1, 3)])), ["1", "2", "3"]);
}
