//! An edit does what the folder with its rows written so would do.

use super::*;
use crate::model::decimal::Decimal;
use crate::model::licensing::{AllocationKind, Exemption, Total};
use crate::reconcile::changes::changes;
use crate::reconcile::engine::tests::Files;
use crate::reconcile::engine::tests::edits::{Rows, folder};
use crate::reconcile::engine::tests::estates::draw::Draw;
use crate::reconcile::engine::tests::estates::{AS_OF, estate};

/// What the edit changes, and what the folder that is written so changes.
fn both(files: &Files, other: &Files, edit: Edit) -> (Changes, Changes) {
    let (first, second) = (folder(files).expect("sound"), folder(other).expect("sound"));
    let day = AS_OF.parse().expect("a day");
    let plain = assign(&first.estate, &first.licensing, day).expect("no cycle").count();
    let written = assign(&second.estate, &second.licensing, day).expect("no cycle").count();
    (what_if(&plain, &[edit]).expect("an edit of this estate"), changes(&plain, &written))
}

const ENTITLEMENTS: [&str; 5] = ["license", "quantity", "effective", "expiry", "retired"];
const ALLOCATIONS: [&str; 5] = ["license", "device", "user", "kind", "exemption"];

#[test]
fn an_edit_does_what_the_folder_that_is_written_so_does() {
    for seed in 0..600 {
        let files = estate(seed);
        let read = folder(&files).expect("a sound estate");
        let mut draw = Draw::new(seed + 7);
        let devices: Vec<&str> = read.estate.device_ids.iter().collect();
        let licences: Vec<&str> = read.licensing.ids.iter().collect();
        let (device, licence) = (draw.pick(&devices), draw.pick(&licences));
        let mut other = files.clone();
        let edit = match seed % 3 {
            0 => {
                let mut rows = Rows::of(&files, "devices.csv", &[]);
                rows.remove(&[("device", device)]);
                rows.write(&mut other);
                Edit::RemoveDevice { device: device.into() }
            }
            1 => {
                let mut rows = Rows::of(&files, "entitlements.csv", &ENTITLEMENTS);
                rows.add(&[("license", licence), ("quantity", "3")]);
                rows.write(&mut other);
                let quantity = Total::Limited(Decimal::from(3_u64));
                Edit::AddEntitlement { licence: licence.into(), quantity }
            }
            _ => {
                let mut rows = Rows::of(&files, "allocations.csv", &ALLOCATIONS);
                rows.remove(&[("license", licence), ("device", device)]);
                rows.add(&[("license", licence), ("device", device), ("kind", "permanent"), ("exemption", "6")]);
                rows.write(&mut other);
                Edit::Allocate {
                    licence: licence.into(),
                    to: Holder::Device(device.into()),
                    kind: AllocationKind::Permanent,
                    exemption: Exemption::try_from(6).ok(),
                }
            }
        };
        // The row that is taken away may have had the bad cell.
        if other["licenses.csv"] != files["licenses.csv"] || folder(&other).is_none() {
            continue;
        }
        let (edited, written) = both(&files, &other, edit.clone());
        let is_spoilt = |changes: &Changes| format!("{changes:?}").contains("BadData");
        if !is_spoilt(&written) {
            assert_eq!(edited, written, "seed {seed} {edit:?}");
        }
    }
}

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

const FOLDER: &[(&str, &str)] = &[
    ("devices.csv", "device\nd1\nd2\nd3\n"),
    ("applications.csv", "application\na\nb\nc\n"),
    ("licenses.csv", "license,type\nL,2\n"),
    ("license_applications.csv", "license,application\nL,a\nL,b\n"),
    ("entitlements.csv", "license,quantity\nL,1\n"),
    ("installations.csv", "device,application\nd1,a\nd2,a\nd3,a\nd1,b\n"),
    ("usage.csv", "device,application,user\nd2,a,u1\n"),
];

/// What is used of `L` after edits, or what is wrong with them.
fn used(edits: &[Edit]) -> Result<String, String> {
    let folder = folder(&files(FOLDER)).expect("sound");
    let plain = assign(&folder.estate, &folder.licensing, AS_OF.parse().expect("a day")).expect("no cycle").count();
    let changes = what_if(&plain, edits).map_err(|error| error.to_string())?;
    let figures = changes.licences.first().and_then(|change| change.after.clone());
    Ok(figures.map_or("nothing changes".into(), |figures| {
        format!("{} of {}", figures.consumed.unwrap_or_default(), figures.total)
    }))
}

#[test]
fn applications_are_taken_away_where_it_is_said() {
    let remove = |application: &str, from| Edit::RemoveApplication { application: application.into(), from };
    assert_eq!(used(&[]).unwrap(), "nothing changes");
    assert_eq!(used(&[remove("a", Place::On("d3".into()))]).unwrap(), "3 of 1");
    assert_eq!(used(&[remove("a", Place::Unused)]).unwrap(), "2 of 1");
    assert_eq!(used(&[remove("a", Place::Everywhere)]).unwrap(), "1 of 1");
    let both = [remove("a", Place::Everywhere), remove("b", Place::Everywhere)];
    assert_eq!(used(&both).unwrap(), "0 of 1");
    let device = Edit::RemoveDevice { device: "d1".into() };
    assert_eq!(used(std::slice::from_ref(&device)).unwrap(), "2 of 1");
    assert_eq!(used(&[device, remove("a", Place::On("d3".into()))]).unwrap(), "1 of 1");
}

#[test]
fn an_edit_that_cannot_be_done_is_told_with_its_place() {
    let remove = |application: &str, from| Edit::RemoveApplication { application: application.into(), from };
    for (edit, wrong) in [
        (remove("z", Place::Everywhere), "edit 2, application: `z` is not known"),
        (remove("b", Place::On("d2".into())), "edit 2, device: `b` is not installed on it"),
        (remove("c", Place::Everywhere), "edit 2, application: `c` is installed nowhere"),
        (remove("b", Place::Unused), "edit 2, application: nothing is known of the use of `b`"),
        (Edit::RemoveDevice { device: "d9".into() }, "edit 2, device: `d9` is not known"),
        (Edit::AddEntitlement { licence: "M".into(), quantity: Total::Unlimited }, "edit 2, license: `M`"),
    ] {
        let said = used(&[remove("a", Place::Everywhere), edit]).unwrap_err();
        assert!(said.starts_with(wrong), "{said}");
    }
}

#[test]
fn whoever_is_allocated_again_is_allocated_once_and_as_said_last() {
    let allocate = |device: &str, kind| Edit::Allocate {
        licence: "L".into(),
        to: Holder::Device(device.into()),
        kind,
        exemption: None,
    };
    let folder = folder(&files(FOLDER)).expect("sound");
    let edits = [
        allocate("d1", AllocationKind::Permanent),
        allocate("d2", AllocationKind::Allocated),
        allocate("d1", AllocationKind::Allocated),
    ];
    let Edited { licensing, .. } = edited(&folder.estate, &folder.licensing, &edits).expect("they can be done");
    let licence = &licensing.licences[licensing.ids.find("L").expect("it is there") as usize];
    let device = |id: &str| Allocated::Device(folder.estate.device_ids.find(id).expect("it is there"));
    let of = |id: &str| {
        licence.allocations.iter().filter(|one| one.to == device(id)).map(|one| one.kind).collect::<Vec<_>>()
    };
    assert_eq!((of("d1"), of("d2")), (vec![AllocationKind::Allocated], vec![AllocationKind::Allocated]));
}
