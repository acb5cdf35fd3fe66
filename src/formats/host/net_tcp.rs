//! `proc/net/tcp` and `proc/net/tcp6`: where this host listens.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 17234 1 ...
//! ```
//!
//! The kernel prints an address as 32-bit words in the byte order of the machine, so 127.0.0.1 is `0100007F` on x86-64
//! and arm64 and `7F000001` on s390x; ports are always plain. Only listening sockets are read: whom this host talks to
//! is nobody's business.
//!
//! Source: manual page `proc(5)`, Linux `net/ipv4/tcp_ipv4.c`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Findings, lines};

/// Listening sockets read of one file at most.
pub const SOCKETS_LIMIT: usize = 65_536;

/// Number of the state in which a socket listens.
const LISTENING: &str = "0A";

/// Byte order of the machine whose kernel printed the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// x86-64, arm64, ppc64le.
    Little,
    /// s390x, ppc64.
    Big,
}

/// One listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListeningSocket {
    /// Where it listens, unspecified for everywhere; an IPv4 address that is mapped into IPv6 is shown as IPv4.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Number of the socket, as in the links of `proc/PID/fd`; 0 when it has none.
    pub inode: u64,
}

/// The listening sockets of one file, in its order; either family. A line that cannot be read is a finding.
pub fn read_net_tcp(bytes: &[u8], order: ByteOrder) -> (Vec<ListeningSocket>, Findings) {
    let mut sockets = Vec::new();
    let mut findings = Findings::default();
    for (number, line) in (1u64..).zip(lines(bytes)) {
        let mut words = line.split_ascii_whitespace();
        if line.trim().is_empty() || words.next() == Some("sl") {
            continue;
        }
        let (local, state, inode) = (words.next(), words.nth(1), words.nth(5));
        if state.is_some_and(|state| state.len() == 2 && state != LISTENING) {
            continue;
        }
        let socket = local.zip(inode).filter(|_| state.is_some()).and_then(|(local, inode)| {
            let (address, port) = local.split_once(':')?;
            let port = u16::try_from(hex(port, 4)?).ok()?;
            Some(ListeningSocket { address: read_address(address, order)?, port, inode: inode.parse().ok()? })
        });
        match socket {
            Some(_) if sockets.len() == SOCKETS_LIMIT => {
                findings.add(number, "more listening sockets than are read");
                break;
            }
            Some(socket) => sockets.push(socket),
            None => findings.add(number, "line that is no socket"),
        }
    }
    (sockets, findings)
}

/// The number in a link `socket:[17234]` of `proc/PID/fd`; `None` for any other link.
pub fn socket_inode(link: &str) -> Option<u64> {
    let digits = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn read_address(text: &str, order: ByteOrder) -> Option<IpAddr> {
    let word = |text: &str| {
        let word = hex(text, 8)?;
        Some(if order == ByteOrder::Little { word.swap_bytes() } else { word })
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from_bits(word(text)?).into());
    }
    if text.len() != 32 {
        return None;
    }
    let mut bits = 0u128;
    for place in 0..4 {
        bits = (bits << 32) | u128::from(word(text.get(place * 8..place * 8 + 8)?)?);
    }
    Some(IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())
}

/// Exactly `digits` hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let is_hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   110        0 17234 1 000000003831be7a 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1656 1 000000003831be7b 100 0 0 10 0
   2: 0711140A:8B08 507100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 460097 1 00000000f248ed18 20 4 26 15 -1
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:05F1 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 29871 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   110        0 17233 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000711140A:0CEA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   111        0 31000 1 0000000000000000 100 0 0 10 0
   3: B80D0120000000000000000007000000:0CEA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   111        0 31001 1 0000000000000000 100 0 0 10 0
";

    fn read(text: &str, order: ByteOrder) -> Vec<(String, u16, u64)> {
        let (sockets, findings) = read_net_tcp(text.as_bytes(), order);
        assert!(findings.is_empty(), "{findings:?}");
        sockets.into_iter().map(|socket| (socket.address.to_string(), socket.port, socket.inode)).collect()
    }

    #[test]
    fn listening_sockets_are_read_and_connections_are_not() {
        let expected = [("127.0.0.1".into(), 5432, 17234), ("0.0.0.0".into(), 22, 1656)];
        assert_eq!(read(TCP, ByteOrder::Little), expected);
        let expected = [
            ("::".into(), 1521, 29871),
            ("::1".into(), 5432, 17233),
            ("10.20.17.7".into(), 3306, 31000),
            ("2001:db8::7".into(), 3306, 31001),
        ];
        assert_eq!(read(TCP6, ByteOrder::Little), expected);
    }

    #[test]
    fn a_machine_of_the_other_byte_order_prints_its_words_the_other_way_round() {
        let four = TCP.replace("0100007F", "7F000001");
        assert_eq!(read(&four, ByteOrder::Big)[0], ("127.0.0.1".into(), 5432, 17234));
        let six = TCP6.replace("FFFF00000711140A", "0000FFFF0A141107").replace("B80D0120", "20010DB8");
        let addresses: Vec<String> = read(&six, ByteOrder::Big).into_iter().map(|(address, ..)| address).collect();
        assert_eq!(addresses[2..], ["10.20.17.7", "2001:db8::700:0"]);
    }

    #[test]
    fn a_line_that_is_no_socket_is_a_finding_and_the_others_stay() {
        for (from, to) in [
            ("0100007F:1538", "0100007F"),
            ("0100007F:1538", "0100007:1538"),
            ("0100007F:1538", "0100007G:1538"),
            ("0100007F:1538", "+100007F:1538"),
            ("0100007F:1538", "0100007F:11538"),
            ("17234", "-1"),
            ("00000000   110        0 17234 1 000000003831be7a 100 0 0 10 0", ""),
        ] {
            let text = TCP.replacen(from, to, 1);
            assert_ne!(text, TCP, "{from}");
            let (sockets, findings) = read_net_tcp(text.as_bytes(), ByteOrder::Little);
            assert_eq!(sockets.len(), 1, "{to}");
            assert_eq!(findings.kept()[0].to_string(), "line that is no socket at 2", "{to}");
        }
    }

    #[test]
    fn sockets_are_bounded() {
        let line = TCP.lines().nth(1).unwrap();
        let file = |count: usize| format!("{line}\n").repeat(count);
        let (sockets, findings) = read_net_tcp(file(SOCKETS_LIMIT).as_bytes(), ByteOrder::Little);
        assert_eq!((sockets.len(), findings.is_empty()), (SOCKETS_LIMIT, true));
        let (sockets, findings) = read_net_tcp(file(SOCKETS_LIMIT + 2).as_bytes(), ByteOrder::Little);
        assert_eq!((sockets.len(), findings.kept().len()), (SOCKETS_LIMIT, 1));
    }

    #[test]
    fn only_the_link_of_a_socket_names_one() {
        assert_eq!(socket_inode("socket:[17234]"), Some(17234));
        for link in ["pipe:[17234]", "socket:[]", "socket:[+1]", "socket:[1", "/socket:[1]", "anon_inode:[eventfd]"] {
            assert_eq!(socket_inode(link), None, "{link}");
        }
    }

    proptest! {
        #[test]
        fn an_address_reads_as_the_kernel_prints_it(v4: [u8; 4], v6: [u8; 16], port: u16, inode: u64) {
            for (order, word) in [
                (ByteOrder::Little, u32::from_le_bytes as fn([u8; 4]) -> u32),
                (ByteOrder::Big, u32::from_be_bytes),
            ] {
                let print = |bytes: &[u8]| -> String {
                    bytes.chunks(4).map(|four| format!("{:08X}", word(four.try_into().unwrap()))).collect()
                };
                for (bytes, address) in
                    [(&v4[..], IpAddr::from(v4)), (&v6[..], IpAddr::from(v6).to_canonical())]
                {
                    let address_text = print(bytes);
                    let line = format!("0: {address_text}:{port:04X} x:0 0A 0:0 0:0 0 110 0 {inode} 1");
                    let (sockets, _) = read_net_tcp(line.as_bytes(), order);
                    prop_assert_eq!(sockets, vec![ListeningSocket { address, port, inode }]);
                }
            }
        }

        #[test]
        fn any_bytes_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            text in "([0-9A-Fa-f]{0,40}|:|0A| |\n|é){0,60}",
        ) {
            read_net_tcp(&bytes, ByteOrder::Little);
            read_net_tcp(text.as_bytes(), ByteOrder::Big);
            socket_inode(&text);
        }
    }
}
