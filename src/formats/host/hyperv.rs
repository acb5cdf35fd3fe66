//! What Hyper-V tells a guest about itself: the key and value pools that its integration daemon keeps in
//! `var/lib/hyperv/.kvp_pool_3`, records of a key in 512 bytes and a value in 2048, both ended by a NUL.
//!
//! Source: Linux `include/uapi/linux/hyperv.h` (`HV_KVP_EXCHANGE_MAX_KEY_SIZE`, `HV_KVP_EXCHANGE_MAX_VALUE_SIZE`).

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 2_048;

/// Bytes of a pool at most: far more records than a host sends.
pub const POOL_BYTES_LIMIT: usize = 256 * (KEY_BYTES + VALUE_BYTES);

/// Name of this virtual machine on its host; empty when the pool does not tell.
pub fn read_virtual_machine_name(pool: &[u8]) -> String {
    let records = pool[..pool.len().min(POOL_BYTES_LIMIT)].chunks_exact(KEY_BYTES + VALUE_BYTES);
    let named = records.map(|record| record.split_at(KEY_BYTES)).find(|(key, _)| text(key) == "VirtualMachineName");
    named.map(|(_, value)| text(value).trim().to_owned()).unwrap_or_default()
}

fn text(field: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in pairs {
            let start = out.len();
            out.extend(key.as_bytes());
            out.resize(start + KEY_BYTES, 0);
            out.extend(value.as_bytes());
            out.resize(start + KEY_BYTES + VALUE_BYTES, 0);
        }
        out
    }

    #[test]
    fn the_name_is_found_among_the_pairs() {
        let pool = pool(&[("PhysicalHostName", "HV01"), ("VirtualMachineName", "web 07")]);
        assert_eq!(read_virtual_machine_name(&pool), "web 07");
        assert_eq!(read_virtual_machine_name(&pool[..KEY_BYTES + VALUE_BYTES + 9]), "");
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..6_000)) {
            read_virtual_machine_name(&bytes);
        }
    }
}
