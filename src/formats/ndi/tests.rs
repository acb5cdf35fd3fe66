//! Reader and writer against each other and against the example of the reference.

use super::*;

/// The example of `agent-beacon-batch` reference, section 4.3.
const WEB07: &[u8] = include_bytes!("../../../tests/golden/formats/web07.ndi");

/// Writes what was read.
fn write(file: &NdiFile) -> Vec<u8> {
    let mut ndi = NdiWriter::new(Vec::new(), &file.head()).unwrap();
    for (hardware, properties) in file.hardware() {
        ndi.hardware(&hardware, &properties.collect::<Vec<_>>()).unwrap();
    }
    for (package, properties) in file.packages() {
        ndi.package(&package, &properties.collect::<Vec<_>>()).unwrap();
    }
    file.files().for_each(|row| ndi.file(&row).unwrap());
    file.accesses().for_each(|row| ndi.access(&row).unwrap());
    file.services().for_each(|row| ndi.service(&row).unwrap());
    let mut open = 0;
    for Provider { provider, depth, properties, .. } in file.providers() {
        for _ in depth..open {
            ndi.end_provider().unwrap();
        }
        open = depth + 1;
        ndi.begin_provider(&provider, &properties.collect::<Vec<_>>()).unwrap();
    }
    ndi.finish().unwrap()
}

#[test]
fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
    let (file, findings) = read_ndi(WEB07).unwrap();
    assert_eq!(findings, []);
    assert_eq!(file.head().machine_name, "web07");
    assert_eq!(file.head().collected_at().unwrap().to_stamp(), "20250314T031522");
    let (system, properties) = file.hardware().next().unwrap();
    assert_eq!((system.class, properties.len()), ("MGS_ComputerSystem", 4));
    assert_eq!(properties.get("Model"), Some("R-220"));
    assert_eq!(file.files().next().unwrap().size, Some(914_233));
    assert_eq!(String::from_utf8(write(&file)).unwrap(), String::from_utf8(WEB07.to_vec()).unwrap());
}
