//! The key under which a UUID equals its twin in the other byte order.

/// Bytes of a UUID.
const BYTES: usize = 16;

/// What two spellings of one UUID share.
///
/// Only the first three fields swap; a reversal of all 16 bytes is another UUID. Swapping twice gives the original, so
/// equality of keys is a true equivalence.
///
/// Source: matching reference, section 4 (*UUID key*).
#[derive(Clone, Copy, Debug)]
pub(super) enum UuidKey<'a> {
    /// The smaller of the two byte orders.
    Bytes([u8; BYTES]),
    /// A text that is no UUID; compared folded.
    Text(&'a str),
}

impl UuidKey<'_> {
    pub(super) fn of(text: &str) -> UuidKey<'_> {
        let Some(b) = digits(text) else { return UuidKey::Text(text) };
        let swapped =
            [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]];
        UuidKey::Bytes(b.min(swapped))
    }

    pub(super) fn same(self, other: UuidKey<'_>) -> bool {
        match (self, other) {
            (UuidKey::Bytes(a), UuidKey::Bytes(b)) => a == b,
            (UuidKey::Text(a), UuidKey::Text(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

/// The key of a UUID: `u:` and 32 hexadecimal digits when it is one, else `t:` and the folded text.
pub fn uuid_key(text: &str) -> String {
    match UuidKey::of(text) {
        UuidKey::Bytes(bytes) => {
            let mut key = String::with_capacity(2 + 2 * BYTES);
            key.push_str("u:");
            for byte in bytes {
                key.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[digit as usize])));
            }
            key
        }
        UuidKey::Text(text) => format!("t:{}", text.to_ascii_lowercase()),
    }
}

/// The 16 bytes of a text that, without `-`, space and braces, is 32 hexadecimal digits.
fn digits(text: &str) -> Option<[u8; BYTES]> {
    // Most texts that are none are too short.
    if text.len() < 2 * BYTES {
        return None;
    }
    let mut bytes = [0; BYTES];
    let mut count = 0;
    for c in text.bytes() {
        let digit = match VALUES[usize::from(c)] {
            IGNORED => continue,
            NONE => return None,
            digit => digit,
        };
        let byte = bytes.get_mut(count / 2)?;
        *byte = *byte << 4 | digit;
        count += 1;
    }
    (count == 2 * BYTES).then_some(bytes)
}

/// No digit, and nothing that may stand between digits.
const NONE: u8 = 0xff;
/// May stand between digits.
const IGNORED: u8 = 0xfe;

/// What each byte is worth as a hexadecimal digit.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            b'-' | b' ' | b'{' | b'}' => IGNORED,
            _ => NONE,
        };
        byte += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: &str = "00112233445566778899AABBCCDDEEFF";

    #[test]
    fn both_byte_orders_of_a_uuid_have_one_key() {
        // The pair of Broadcom article 344089.
        let key = uuid_key(BIG);
        assert_eq!(key, "u:00112233445566778899aabbccddeeff");
        assert_eq!(uuid_key("33221100-5544-7766-8899-AABBCCDDEEFF"), key);
        assert_eq!(uuid_key("{33221100-5544-7766-8899-aabbccddeeff}"), key);
        assert_eq!(uuid_key("3322 1100 5544 7766 8899 aabb ccdd eeff"), key);
    }

    #[test]
    fn a_partial_or_full_reversal_is_another_uuid() {
        for other in [
            "FFEEDDCCBBAA99887766554433221100",
            "33221100445566778899AABBCCDDEEFF",
            "00112233554466778899AABBCCDDEEFF",
            "00112233445577668899AABBCCDDEEFF",
            "33221100554477669988AABBCCDDEEFF",
            "33221100554477668899FFEEDDCCBBAA",
        ] {
            assert_ne!(uuid_key(other), uuid_key(BIG), "{other}");
        }
    }

    #[test]
    fn what_is_no_uuid_keeps_its_folded_text() {
        assert_eq!(uuid_key("Abc-1"), "t:abc-1");
        assert_eq!(uuid_key(&BIG[1..]), format!("t:{}", BIG[1..].to_ascii_lowercase()));
        assert_eq!(uuid_key(&format!("{BIG}0")), format!("t:{}0", BIG.to_ascii_lowercase()));
        assert_eq!(uuid_key("g0112233445566778899AABBCCDDEEFF"), "t:g0112233445566778899aabbccddeeff");
        assert_eq!(uuid_key("0x112233445566778899AABBCCDDEEFF"), "t:0x112233445566778899aabbccddeeff");
        assert_eq!(uuid_key("00112233.4455.6677.8899.AABBCCDDEEFF"), "t:00112233.4455.6677.8899.aabbccddeeff");
        assert_eq!(uuid_key(""), "t:");
    }

    proptest::proptest! {
        #[test]
        fn swapping_changes_no_key(bytes: [u8; 16]) {
            let hex = |order: [usize; 16]| order.map(|i| format!("{:02X}", bytes[i])).concat();
            let here = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
            let there = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
            proptest::prop_assert_eq!(uuid_key(&hex(here)), uuid_key(&hex(there)));
        }
    }
}
