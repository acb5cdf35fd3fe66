//! `proc/meminfo`: how much memory the kernel has.

use super::{colon_value, lines};

/// The memory of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel can use; a little less than what is built in. `None` when not told.
    pub total_bytes: Option<u64>,
    /// Swap space; `None` when not told.
    pub swap_bytes: Option<u64>,
}

/// Reads the file; its numbers are in units of 1024 bytes, which it calls `kB`.
pub fn read_meminfo(bytes: &[u8]) -> Memory {
    let mut memory = Memory::default();
    for line in lines(bytes) {
        if let Some(value) = colon_value(&line, "MemTotal") {
            memory.total_bytes = kibibytes(value);
        } else if let Some(value) = colon_value(&line, "SwapTotal") {
            memory.swap_bytes = kibibytes(value);
        }
    }
    memory
}

fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_totals_are_read_in_bytes() {
        let memory =
            read_meminfo(b"MemTotal:       24684084 kB\nMemFree:        24513972 kB\nSwapTotal:             0 kB\n");
        assert_eq!(memory, Memory { total_bytes: Some(24_684_084 * 1_024), swap_bytes: Some(0) });
    }

    #[test]
    fn a_number_that_does_not_fit_is_none() {
        assert_eq!(read_meminfo(b"MemTotal: 18446744073709551615 kB\n"), Memory::default());
        assert_eq!(read_meminfo(b"MemTotal: -1 kB\n"), Memory::default());
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            read_meminfo(&bytes);
        }
    }
}
