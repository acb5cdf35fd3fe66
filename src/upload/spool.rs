//! How much a beacon may hold, and what it says to uploads when that comes near.
//!
//! Source: `agent-beacon-batch` reference, section 9.2: 20 GiB or 2 million packages; above 90 % senders come later, at
//! the limit they go to another beacon. What is held stays held whatever the limit says.

/// Most that is held; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolLimit {
    /// Packages.
    pub packages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// How much room is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Free,
    /// Less than a tenth: senders come again later.
    Tight,
    /// None: senders try another beacon.
    Full,
}

impl SpoolLimit {
    /// The room beside `packages` of `bytes` together.
    pub fn room(self, packages: u64, bytes: u64) -> Room {
        let of = |held: u64, most: u64| match most {
            0 => Room::Free,
            most if held >= most => Room::Full,
            most if held >= most - most / 10 => Room::Tight,
            _ => Room::Free,
        };
        match (of(packages, self.packages), of(bytes, self.bytes)) {
            (Room::Full, _) | (_, Room::Full) => Room::Full,
            (Room::Tight, _) | (_, Room::Tight) => Room::Tight,
            (Room::Free, Room::Free) => Room::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_nine_tenths_room_is_tight_and_at_the_limit_there_is_none() {
        let limit = SpoolLimit { packages: 1_000, bytes: 500 };
        for (packages, bytes, wanted) in [
            (0, 0, Room::Free),
            (899, 449, Room::Free),
            (900, 0, Room::Tight),
            (0, 450, Room::Tight),
            (999, 0, Room::Tight),
            (1_000, 0, Room::Full),
            (900, 500, Room::Full),
            (u64::MAX, u64::MAX, Room::Full),
        ] {
            assert_eq!(limit.room(packages, bytes), wanted, "{packages} {bytes}");
        }
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        assert_eq!(SpoolLimit::default().room(u64::MAX, u64::MAX), Room::Free);
        assert_eq!(SpoolLimit { packages: 1, bytes: 0 }.room(0, u64::MAX), Room::Free);
    }
}
