//! Phase 2, step by step of section 7.

use super::fixture::*;
use crate::id::DeviceId;
use crate::matching::*;
use crate::model::device::Device;

/// Aligns and shows: `group -> device how`, then `loser => winner`, then reports.
fn aligned_by(matchers: &Matchers, records: &[Record], devices: &[Device], forbidden: &Forbidden) -> Vec<String> {
    let rows = Records::new(records);
    let sets = sets_in(matchers, &rows, forbidden);
    let outcome = aligned_in(matchers, &rows, &sets, devices, forbidden);
    let mut lines: Vec<String> = Vec::new();
    for set in &outcome.sets {
        let device = set.device.map(|device| format!("{device} ")).unwrap_or_default();
        let how = match set.how {
            How::Matcher(order) => order.to_string(),
            How::Binding => "binding".into(),
            How::New => "new".into(),
        };
        lines.push(format!("{} -> {device}{how}", set.group));
    }
    lines.extend(outcome.merges.iter().map(|merge| format!("{} => {}", merge.loser, merge.winner)));
    for report in &outcome.duplicates {
        let devices: Vec<String> = report.devices.iter().map(DeviceId::to_string).collect();
        lines.push(format!("{}: devices {} by sets {:?}", report.matcher, devices.join(" "), report.groups));
    }
    lines
}

fn aligned(records: &[Record], devices: &[Device]) -> Vec<String> {
    aligned_by(&standard(), records, devices, &Forbidden::default())
}

#[test]
fn a_hit_updates_the_device_and_no_hit_makes_a_new_one() {
    let devices = [device(7, "MachineID=M1"), device(8, "MachineID=M2")];
    let list = records(&["MachineID=m2", "MachineID=m3", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 8 30", "2 -> new", "3 -> new"]);
}

#[test]
fn new_devices_are_numbered_by_the_smallest_record_of_their_set() {
    let list = records(&["UUID=a", "MachineID=m", "UUID=b", "MachineID=m"]);
    let rows = Records::new(&list);
    let sets = sets_in(&standard(), &rows, &Forbidden::default());
    let devices = [device(3, "MachineID=m")];
    let mut outcome = aligned_in(&standard(), &rows, &sets, &devices, &Forbidden::default());
    assert_eq!(outcome.number_new_devices(DeviceId(40)), DeviceId(42));
    let ids: Vec<_> = outcome.sets.iter().map(|set| (set.group, set.device.unwrap().0, set.how)).collect();
    assert_eq!(ids, [(1, 40, How::New), (2, 3, How::Matcher(30)), (3, 41, How::New)]);
}

#[test]
fn a_stored_device_is_normalised_again_and_its_object_type_computed() {
    // A stored type would keep the device from Matcher 200, a stored placeholder would join strangers.
    let name = "ComputerName=pc|ComplianceDomainID=d";
    let devices =
        [device(1, &format!("{name}|ObjectType=Complete")), device(2, "MachineID=None"), device(3, " MachineID= m ")];
    assert_eq!(
        aligned(&records(&[name, "MachineID=None", "MachineID=m"]), &devices),
        ["1 -> 1 200", "2 -> new", "3 -> 3 30"]
    );
    let list = Placeholders::new(["m"]);
    let (one, plan, none) = (records(&["MachineID=m"]), Plan::new(&standard()), Forbidden::default());
    let rows = Records::new(&one);
    let keys = Keys::new(&plan, &rows, &Placeholders::default());
    let sets = phase1(&plan, &rows, &keys, &none);
    let fleet = Devices::new(&devices[2..], &list);
    let stored = Stored { devices: &fleet, keys: &Keys::new(&plan, &fleet, &list) };
    let outcome = phase2(&plan, &rows, &keys, &sets, stored, &none);
    assert_eq!(outcome.sets[0].how, How::New, "the given placeholders count");
}

#[test]
fn every_member_of_a_set_is_tested() {
    let devices = [device(4, "ILMTAgentID=i")];
    for list in [["MachineID=m", "MachineID=m|ILMTAgentID=i"], ["MachineID=m|ILMTAgentID=i", "MachineID=m"]] {
        assert_eq!(aligned(&records(&list), &devices), ["1 -> 4 170"]);
    }
}

#[test]
fn a_set_with_a_hit_takes_no_further_part_but_the_device_does() {
    // Set 1 hits device 1 at Matcher 30, so it does not also hit device 2 at 170; set 2 still finds device 1 at 170.
    let devices = [device(1, "MachineID=m|ILMTAgentID=i"), device(2, "ILMTAgentID=j")];
    let list = records(&["MachineID=m|ILMTAgentID=j", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 1 30", "2 -> 1 170"]);
}

#[test]
fn several_sets_that_hit_one_device_are_that_device() {
    let devices = [device(5, "MachineID=m|ILMTAgentID=i")];
    // Cut in phase 1 by stealing: 1 and 2 are a set, 3 is alone.
    let list = records(&["MachineID=x|ILMTAgentID=i", "MachineID=x", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 5 170", "3 -> 5 170"]);
}

#[test]
fn a_set_never_hits_a_device_made_in_the_same_import() {
    let list = records(&["MachineID=m|ILMTAgentID=i", "MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &[]), ["1 -> new", "3 -> new"]);
}

#[test]
fn of_several_devices_hit_the_oldest_wins_and_the_others_become_aliases() {
    let devices = [device(9, "MachineID=m"), device(3, "MachineID=m"), device(6, "MachineID=m")];
    assert_eq!(aligned(&records(&["MachineID=m"]), &devices), ["1 -> 3 30", "6 => 3", "9 => 3"]);
}

#[test]
fn devices_that_share_a_key_without_a_set_are_left_alone() {
    let devices = [device(1, "MachineID=m"), device(2, "MachineID=m"), device(3, "MachineID=n")];
    assert_eq!(aligned(&records(&["MachineID=n"]), &devices), ["1 -> 3 30"]);
}

#[test]
fn sets_chain_devices_within_one_matcher() {
    // Set {1,2} hits 1 and 2, set {3,4} hits 2 and 3: one chain.
    let two_keys = matchers(&["1: => ComputerName", "9: => MachineID"]);
    let devices = [device(1, "MachineID=a"), device(2, "MachineID=b"), device(3, "MachineID=c")];
    let list = records(&[
        "ComputerName=x|MachineID=a",
        "ComputerName=x|MachineID=b",
        "ComputerName=y|MachineID=b",
        "ComputerName=y|MachineID=c",
    ]);
    let expected = ["1 -> 1 9", "3 -> 1 9", "2 => 1", "3 => 1"];
    assert_eq!(aligned_by(&two_keys, &list, &devices, &Forbidden::default()), expected);
}

#[test]
fn a_device_merged_at_one_matcher_is_its_winner_at_the_next() {
    let devices = [device(1, "MachineID=m"), device(2, "MachineID=m|ILMTAgentID=i"), device(3, "ILMTAgentID=i")];
    let list = records(&["MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 1 30", "2 -> 1 170", "2 => 1", "3 => 1"]);
}

#[test]
fn a_winner_that_is_merged_later_hands_on_its_sets_and_its_losers() {
    let devices = [device(1, "ILMTAgentID=i"), device(2, "MachineID=m|ILMTAgentID=i"), device(3, "MachineID=m")];
    let list = records(&["MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 1 30", "2 -> 1 170", "2 => 1", "3 => 1"]);
}

#[test]
fn a_chain_of_five_devices_is_merged_and_one_of_six_is_reported() {
    let devices: Vec<Device> = (1..=6).map(|id| device(id, "MachineID=m")).collect();
    let one = records(&["MachineID=m"]);
    assert_eq!(aligned(&one, &devices[..5]), ["1 -> 1 30", "2 => 1", "3 => 1", "4 => 1", "5 => 1"]);
    assert_eq!(aligned(&one, &devices), ["1 -> 1 30", "30: devices 1 2 3 4 5 6 by sets [1]"]);
}

#[test]
fn in_a_chain_that_is_too_long_each_set_updates_the_oldest_device_it_hit() {
    let two_keys = matchers(&["1: => ComputerName", "9: => MachineID"]);
    let mut devices: Vec<Device> = (1..=4).map(|id| device(id, "MachineID=a")).collect();
    devices.extend((5..=6).map(|id| device(id, "MachineID=b")));
    devices.push(device(7, "MachineID=c"));
    let list = records(&[
        "ComputerName=y|MachineID=b",
        "ComputerName=y|MachineID=c",
        "ComputerName=x|MachineID=a",
        "ComputerName=x|MachineID=b",
        "MachineID=c",
    ]);
    let expected = ["1 -> 5 9", "3 -> 1 9", "5 -> 7 9", "9: devices 1 2 3 4 5 6 7 by sets [1, 3, 5]"];
    assert_eq!(aligned_by(&two_keys, &list, &devices, &Forbidden::default()), expected);
}

#[test]
fn a_merged_device_counts_once_in_a_chain() {
    // 1 and 2 are one device since Matcher 30; at 170 the chain then holds five.
    let mut devices = vec![device(1, "MachineID=m|ILMTAgentID=i"), device(2, "MachineID=m|ILMTAgentID=i")];
    devices.extend((3..=6).map(|id| device(id, "ILMTAgentID=i")));
    let list = records(&["MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(aligned(&list, &devices), ["1 -> 1 30", "2 -> 1 170", "2 => 1", "3 => 1", "4 => 1", "5 => 1", "6 => 1"]);
}

#[test]
fn an_alias_takes_no_part() {
    let alias = Device { merged_into: Some(DeviceId(2)), ..bound(device(1, "MachineID=m"), 2, "") };
    let devices = [alias, device(2, "MachineID=n")];
    assert_eq!(aligned(&records(&["MachineID=m", "UUID=u"]), &devices), ["1 -> new", "2 -> new"]);
}

#[test]
fn a_conflict_between_devices_keeps_them_out_of_a_null_in_either_group() {
    let host = |manufacturer: &str| format!("HostIdentifyingNumber=H|HostType=T|Manufacturer={manufacturer}");
    let (ibm, hp) = (device(1, &host("IBM")), device(2, &host("HP")));
    let unknown = records(&[&host("")]);
    assert_eq!(aligned(&unknown, std::slice::from_ref(&ibm)), ["1 -> 1 120"]);
    assert_eq!(aligned(&unknown, &[ibm, hp]), ["1 -> new"]);
}

#[test]
fn a_set_that_no_matcher_covers_returns_to_the_device_it_is_bound_to() {
    let text = "ComputerName=pc|UUID=u1|OperatingSystem=Windows";
    let devices = [device(1, text), bound(device(2, text), 1, text)];
    assert_eq!(aligned(&[record(1, text)], &devices), ["1 -> 2 binding"]);
    assert_eq!(aligned(&[record(2, text)], &devices), ["2 -> new"]);
}

#[test]
fn a_binding_needs_the_same_source_and_external_id() {
    let devices = [bound(device(2, ""), 1, "UUID=u1")];
    let mut other = record(1, "UUID=u1");
    other.source = "S".into();
    assert_eq!(aligned(&[other], &devices), ["1 -> new"]);
}

#[test]
fn a_binding_no_longer_counts_when_a_strong_key_has_changed() {
    let fields = ["FirmwareSerialNumber", "SerialNo", "UUID", "MachineID", "ILMTAgentID"];
    for field in fields {
        let devices = [bound(device(2, ""), 1, &format!("{field}=a1"))];
        let with = |text: &str| aligned(&[record(1, text)], &devices);
        assert_eq!(with(&format!("{field}=A1|HostID=h")), ["1 -> 2 binding"], "{field}");
        assert_eq!(with(&format!("{field}=b1")), ["1 -> new"], "{field}");
        assert_eq!(with("HostID=h"), ["1 -> 2 binding"], "{field} null now");
    }
    let untrusted = [bound(device(2, ""), 1, "SerialNo=a1|UntrustedSerialNo=1")];
    assert_eq!(
        aligned(&[record(1, "SerialNo=b1")], &untrusted),
        ["1 -> 2 binding"],
        "an untrusted serial says nothing"
    );
    let swapped = [bound(device(2, ""), 1, "UUID=00112233445566778899AABBCCDDEEFF")];
    let now = record(1, "UUID={33221100-5544-7766-8899-AABBCCDDEEFF}");
    assert_eq!(aligned(&[now], &swapped), ["1 -> 2 binding"]);
}

#[test]
fn of_several_bound_devices_the_oldest_is_updated_and_none_merged() {
    let devices = [bound(device(8, ""), 1, ""), bound(device(5, ""), 2, ""), bound(device(6, ""), 1, "UUID=x")];
    assert_eq!(aligned(&records(&["UUID=u", "HostID=h"]), &devices), ["1 -> 8 binding", "2 -> 5 binding"]);
    // Both in one set: the smaller of 8 and 5.
    let together = matchers(&["1: => ComputerName"]);
    let list = records(&["ComputerName=pc|UUID=u", "ComputerName=pc"]);
    assert_eq!(aligned_by(&together, &list, &devices, &Forbidden::default()), ["1 -> 5 binding"]);
}

#[test]
fn a_matcher_goes_before_a_binding() {
    let devices = [bound(device(1, ""), 1, "MachineID=m"), device(2, "MachineID=m")];
    assert_eq!(aligned(&records(&["MachineID=m"]), &devices), ["1 -> 2 30"]);
}

#[test]
fn a_binding_to_a_merged_device_leads_to_the_winner() {
    let devices = [device(1, "MachineID=m"), bound(device(2, "MachineID=m"), 2, "")];
    assert_eq!(aligned(&records(&["MachineID=m", "UUID=u"]), &devices), ["1 -> 1 30", "2 -> 1 binding", "2 => 1"]);
}

#[test]
fn neither_input_order_changes_the_outcome() {
    let mut devices = vec![
        device(4, "MachineID=m"),
        bound(device(2, "ILMTAgentID=i"), 3, "UUID=u"),
        device(3, "MachineID=m|ILMTAgentID=i"),
    ];
    let mut list = records(&["MachineID=m", "ILMTAgentID=i", "UUID=u", "HostID=h"]);
    let expected = aligned(&list, &devices);
    assert_eq!(expected, ["1 -> 2 30", "2 -> 2 170", "3 -> 2 binding", "4 -> new", "3 => 2", "4 => 2"]);
    for _ in 0..4 {
        list.rotate_left(1);
        devices.rotate_left(1);
        assert_eq!(aligned(&list, &devices), expected);
    }
}

fn taken_apart(records: &[Record], devices: &[Device], pairs: &[(u64, u64)]) -> Vec<String> {
    aligned_by(&standard(), records, devices, &forbidden(pairs))
}

#[test]
fn a_record_does_not_hit_the_device_that_its_forbidden_partner_is_bound_to() {
    let devices = [bound(device(1, "MachineID=m"), 1, "MachineID=m")];
    // Older or younger, partner in this import or not: never one device.
    assert_eq!(taken_apart(&[record(2, "MachineID=m")], &devices, &[(1, 2)]), ["2 -> new"]);
    let both = records(&["MachineID=m", "MachineID=m"]);
    assert_eq!(taken_apart(&both, &devices, &[(1, 2)]), ["1 -> 1 30", "2 -> new"]);
    let devices = [bound(device(1, "MachineID=m"), 2, "MachineID=m")];
    assert_eq!(taken_apart(&both, &devices, &[(1, 2)]), ["1 -> new", "2 -> 1 30"]);
}

#[test]
fn of_two_forbidden_records_that_hit_one_device_the_younger_goes_on_to_the_next_matcher() {
    let devices = [device(1, "MachineID=m"), device(2, "ILMTAgentID=i")];
    let list = records(&["MachineID=m|ILMTAgentID=i", "MachineID=m|ILMTAgentID=i"]);
    assert_eq!(taken_apart(&list, &devices, &[(1, 2)]), ["1 -> 1 30", "2 -> 2 170"]);
    assert_eq!(taken_apart(&list, &devices[..1], &[(1, 2)]), ["1 -> 1 30", "2 -> new"]);
}

#[test]
fn a_younger_record_in_the_older_set_still_gives_way() {
    let devices = [device(1, "MachineID=m")];
    // Sets {1,4} by name and {2}, {3}; 2 and 4 are apart: 4 is younger, so its set gives way though 1 is the oldest.
    let by_name = matchers(&["1: => ComputerName", "9: => MachineID"]);
    let list = records(&["ComputerName=a|MachineID=m", "MachineID=m", "MachineID=m", "ComputerName=a"]);
    let lines = aligned_by(&by_name, &list, &devices, &forbidden(&[(2, 4)]));
    assert_eq!(lines, ["1 -> new", "2 -> 1 9"]);
}

#[test]
fn a_chain_never_merges_the_devices_of_a_forbidden_pair() {
    let devices =
        [bound(device(1, "MachineID=m"), 1, ""), bound(device(2, "MachineID=m"), 2, ""), device(3, "MachineID=m")];
    let third = [record(3, "MachineID=m")];
    assert_eq!(taken_apart(&third, &devices, &[(1, 2)]), ["3 -> 1 30", "3 => 1"]);
    assert_eq!(taken_apart(&third, &devices, &[]), ["3 -> 1 30", "2 => 1", "3 => 1"]);
}

#[test]
fn a_later_matcher_cannot_bring_a_forbidden_pair_together() {
    // 1 and 2 find different devices at 30; at 170 the third record would merge them.
    let devices = [device(1, "MachineID=a|ILMTAgentID=i"), device(2, "MachineID=b|ILMTAgentID=i")];
    let list = records(&["MachineID=a", "MachineID=b", "ILMTAgentID=i"]);
    assert_eq!(taken_apart(&list, &devices, &[(1, 2)]), ["1 -> 1 30", "2 -> 2 30", "3 -> 1 170"]);
    assert_eq!(taken_apart(&list, &devices, &[]), ["1 -> 1 30", "2 -> 1 30", "3 -> 1 170", "2 => 1"]);
}

#[test]
fn merged_devices_keep_what_they_may_not_meet() {
    // 2 becomes 1 at Matcher 30, so what was bound to 2 keeps its partner away from 1.
    let devices = [device(1, "MachineID=m|ILMTAgentID=i"), bound(device(2, "MachineID=m"), 9, "")];
    let list = records(&["MachineID=m", "ILMTAgentID=i"]);
    assert_eq!(taken_apart(&list, &devices, &[(2, 9)]), ["1 -> 1 30", "2 -> new", "2 => 1"]);
}

#[test]
fn a_binding_is_no_way_to_the_partners_device() {
    let devices = [bound(bound(device(1, ""), 1, ""), 2, ""), bound(device(2, ""), 2, "")];
    let list = records(&["UUID=a", "UUID=b"]);
    assert_eq!(taken_apart(&list, &devices, &[(1, 2)]), ["1 -> 1 binding", "2 -> 2 binding"]);
    assert_eq!(taken_apart(&list[1..], &devices[..1], &[(1, 2)]), ["2 -> new"]);
}

#[test]
fn of_a_pair_bound_to_one_device_the_older_keeps_it() {
    let devices = [bound(bound(device(1, "MachineID=m"), 1, ""), 2, "")];
    let both = records(&["MachineID=m", "MachineID=m"]);
    assert_eq!(taken_apart(&both, &devices, &[(1, 2)]), ["1 -> 1 30", "2 -> new"]);
}

#[test]
fn sets_of_a_large_group_are_linked_to_all_its_devices_also_after_a_refusal() {
    // Set 1 may not hit device 1; set 3 hits 1 first and must still reach 3.
    let by_two = matchers(&["9: => MachineID"]);
    let devices =
        [bound(device(1, "MachineID=m"), 9, ""), bound(device(2, "MachineID=m"), 8, ""), device(3, "MachineID=m")];
    let list = [record(1, "MachineID=m"), record(3, "MachineID=m")];
    let apart = forbidden(&[(1, 9), (1, 3), (8, 9)]);
    let lines = aligned_by(&by_two, &list, &devices, &apart);
    assert_eq!(lines, ["1 -> 2 9", "3 -> 1 9", "3 => 2"]);
}
