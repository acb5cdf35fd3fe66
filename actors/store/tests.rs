//! What every backend of [`Store`] must do.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::file_lock;

fn at(segment: u64, offset: u32) -> Position {
    Position { segment, offset }
}

fn put(key: &str, value: &str) -> RowWrite {
    (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
}

fn texts(rows: Vec<Row>) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn conforms(store: &dyn Store) {
    assert_eq!(store.covered().unwrap(), Position::default());
    store.apply(vec![put("a/2", "x"), put("a/1", "y"), put("b/1", "z"), put("a/2", "newer")], at(1, 7)).unwrap();
    assert_eq!(store.covered().unwrap(), at(1, 7));
    assert_eq!(store.get(b"a/2").unwrap().as_deref(), Some(&b"newer"[..]));
    assert_eq!(store.get(b"a/3").unwrap(), None);
    let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(texts(store.scan(b"a/", None, 9).unwrap()), [row("a/1", "y"), row("a/2", "newer")]);
    assert_eq!(texts(store.scan(b"a/", Some(b"a/1"), 9).unwrap()), [row("a/2", "newer")]);
    assert_eq!(texts(store.scan(b"a/", Some(b"Z"), 1).unwrap()), [row("a/1", "y")]);
    assert_eq!(store.scan(b"a/", Some(b"b"), 9).unwrap(), []);
    store.apply(vec![(b"a/1".to_vec(), None), (b"none".to_vec(), None)], at(2, 0)).unwrap();
    assert_eq!(texts(store.scan(b"a/", None, 9).unwrap()), [row("a/2", "newer")]);
    assert_eq!(store.covered().unwrap(), at(2, 0));
    store.sync().unwrap();
    store.apply(vec![(b"big".to_vec(), Some(vec![7; 100 << 10]))], at(2, 1)).unwrap();
    assert_eq!(store.get(b"big").unwrap().unwrap().len(), 100 << 10);
    assert!(store.size_bytes() > 0);
}

#[test]
fn memory_conforms() {
    conforms(&MemStore::default());
}

#[test]
fn sled_conforms_and_keeps_its_rows_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view");
    let store = SledStore::open(&path).unwrap();
    conforms(&store);
    drop(store);
    let store = SledStore::open(&path).unwrap();
    assert_eq!((store.covered().unwrap(), store.scan(b"a/", None, 9).unwrap().len()), (at(2, 1), 1));
}

#[test]
fn a_store_whose_file_is_let_go_late_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view");
    drop(SledStore::open(&path).unwrap());
    let held = std::fs::File::open(path.join("db")).unwrap();
    assert!(file_lock::lock(&held, Duration::from_secs(10)).unwrap());
    let opened = std::thread::scope(|scope| {
        let opening = scope.spawn(|| SledStore::open(&path).map(drop));
        std::thread::sleep(Duration::from_millis(50));
        drop(held);
        opening.join().unwrap()
    });
    opened.unwrap();
}

#[test]
fn a_damaged_sled_says_so_and_does_not_take_the_process_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view");
    drop(SledStore::open(&path).unwrap());
    for name in ["db", "conf"] {
        std::fs::write(path.join(name), vec![0xa5; 70_000]).unwrap();
    }
    assert!(SledStore::open(&path).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn sled_and_memory_hold_the_same_rows(
        batches in prop::collection::vec(prop::collection::vec((0u8..20, prop::option::of(0u8..9)), 1..9), 1..9),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (sled, mem) = (SledStore::open(folder.path()).unwrap(), MemStore::default());
        for (number, batch) in (1..).zip(batches) {
            let rows: Vec<RowWrite> =
                batch.into_iter().map(|(key, value)| (vec![b'k', key], value.map(|value| vec![value]))).collect();
            sled.apply(rows.clone(), at(number, 0)).unwrap();
            mem.apply(rows, at(number, 0)).unwrap();
            prop_assert_eq!(sled.scan(b"k", None, 99).unwrap(), mem.scan(b"k", None, 99).unwrap());
            prop_assert_eq!(sled.covered().unwrap(), mem.covered().unwrap());
        }
    }
}
