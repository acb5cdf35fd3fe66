//! A thousand small estates, contested ones included: the engine writes what the slow reading writes, byte for byte.

use super::estates::{AS_OF, estate};
use super::{real, slow};

/// Estates that are compared.
const SEEDS: u64 = 1_000;

/// In parts, so that as many run at once as there are threads.
fn compare(part: u64) {
    for seed in (0..SEEDS).filter(|seed| seed % 4 == part) {
        let files = estate(seed);
        let (real, slow) = (real(&files, AS_OF), slow::reconcile(&files, AS_OF));
        let (real, slow) = (real.expect("a sound estate"), slow.expect("a sound estate"));
        for (file, text) in &slow {
            assert_eq!(&real[file], text, "seed {seed}, {file}");
        }
    }
}

#[test]
fn small_estates_are_settled_as_the_slow_reading_settles_them() {
    compare(0);
}

#[test]
fn a_second_quarter_of_them_too() {
    compare(1);
}

#[test]
fn a_third_quarter_of_them_too() {
    compare(2);
}

#[test]
fn and_the_last_quarter() {
    compare(3);
}
