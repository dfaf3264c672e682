//! The header `x-forwarded-for`, by which balancers that speak HTTP say whose request it is.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use super::client_address::{ClientAddress, TrustedNetworks};

/// The header, in lower case.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Most trusted balancers that a request may have passed.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// Returns whose request it is that came from `peer`, a trusted address. Each balancer appended the
/// address that it heard the request from, so the list is read from its end. The client is the last
/// address that is not trusted itself. What stands before it was written by the client.
///
/// If the list has a text that is no address before that, or too many trusted ones, then the one
/// behind it counts as the client: a client cannot escape the limits by such a text.
pub fn forwarded_for(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &TrustedNetworks,
) -> ClientAddress {
    let mut last = peer;
    for (hop, entry) in entries(headers).enumerate() {
        let named = entry.and_then(address).filter(|_| hop < FORWARDED_HOPS_MAX);
        let Some(named) = named else { return ClientAddress::Counted(last) };
        match trusted.judge(named) {
            ClientAddress::Exempt(address) => last = address,
            client @ ClientAddress::Counted(_) => return client,
        }
    }
    ClientAddress::Exempt(last)
}

/// Returns the entries of all lines, the last first; none for each that is no text. Empty entries do
/// not count (RFC 9110, section 5.6.1). Lines are parted as bytes: what a client wrote must not make
/// the entry unreadable that a balancer appended.
fn entries(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let parts = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let texts = parts.map(|part| str::from_utf8(part).ok());
    texts.map(|entry| entry.map(str::trim)).filter(|entry| *entry != Some(""))
}

/// Parses an address, which some balancers write with its port, or an IPv6 address in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok().map(IpAddr::V6)
    };
    bare().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn read(lines: &[&[u8]]) -> ClientAddress {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).expect("a value"));
        }
        let trusted = TrustedNetworks::parse(["10.0.0.0/8", "fd00::/8"]).expect("networks");
        forwarded_for(PEER.parse().unwrap(), &headers, &trusted)
    }

    fn counted(address: &str) -> ClientAddress {
        ClientAddress::Counted(address.parse().unwrap())
    }

    fn exempt(address: &str) -> ClientAddress {
        ClientAddress::Exempt(address.parse().unwrap())
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("\u{ff}, 192.0.2.1", "192.0.2.1"),
            ("198.51.100.9, 192.0.2.1, 10.0.0.7,10.0.0.8", "192.0.2.1"),
            ("10.9.9.9, 192.0.2.1", "192.0.2.1"),
            ("junk, \"<script>\", 192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 ,, ,", "192.0.2.1"),
            ("192.0.2.1:49152", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443, fd00::5", "2001:db8::1"),
            ("::ffff:192.0.2.1, ::ffff:10.0.0.3", "192.0.2.1"),
        ] {
            assert_eq!(read(&[list.as_bytes()]), counted(client), "{list}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(read(&[b"198.51.100.9", b"192.0.2.1", b"10.0.0.2"]), counted("192.0.2.1"));
        assert_eq!(read(&[b"192.0.2.1, 10.0.0.3", b"", b"10.0.0.2"]), counted("192.0.2.1"));
    }

    #[test]
    fn without_a_client_the_balancer_is_exempt() {
        assert_eq!(read(&[]), exempt(PEER));
        assert_eq!(read(&[b"", b" , "]), exempt(PEER));
        assert_eq!(read(&[b"10.0.0.9, 10.0.0.2"]), exempt("10.0.0.9"));
    }

    /// What cannot be read is one client, at the trusted address that wrote it.
    #[test]
    fn what_is_no_address_ends_the_list_and_counts() {
        let many = vec!["10.0.0.2"; FORWARDED_HOPS_MAX + 1].join(",");
        for (list, client) in [
            (&b"192.0.2.1, unknown"[..], PEER),
            (b"192.0.2.1, _hidden, 10.0.0.5", "10.0.0.5"),
            (b"192.0.2.1, \xff\xfe", PEER),
            (b"192.0.2.256", PEER),
            (b"192.0.2.1:70000", PEER),
            (b"[192.0.2.1]", PEER),
            (b"[2001:db8::1", PEER),
            (b"192.0.2.1 10.0.0.5", PEER),
            (b"010.0.0.5", PEER),
            (many.as_bytes(), "10.0.0.2"),
        ] {
            assert_eq!(read(&[list]), counted(client), "{}", String::from_utf8_lossy(list));
        }
    }

    /// The entries that a client sends stand before its own address, however long they are.
    #[test]
    fn a_long_list_of_a_client_changes_nothing() {
        let spoofed = "203.0.113.7, ".repeat(400);
        assert!(spoofed.len() > 4096);
        assert_eq!(read(&[format!("{spoofed}192.0.2.1").as_bytes()]), counted("192.0.2.1"));
        assert_eq!(read(&[&vec![b'x'; 4096]]), counted(PEER));
    }

    proptest! {
        /// No matter what a client sends, the address that the balancer appends counts.
        #[test]
        fn a_client_does_not_choose_its_address(
            lines in prop::collection::vec(prop::collection::vec(prop_oneof![
                Just(b','), Just(b' '), Just(b'['), Just(b':'), 0x21..=0x7e_u8, 0x80..=0xff_u8,
            ], 0..60), 0..4),
            own_line: bool,
        ) {
            let mut sent = lines;
            match sent.last_mut().filter(|_| !own_line) {
                Some(last) => last.extend(b", 192.0.2.1"),
                None => sent.push(b"192.0.2.1".to_vec()),
            }
            let lines: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(read(&lines), counted("192.0.2.1"));
        }
    }
}
