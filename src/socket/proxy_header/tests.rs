use proptest::prelude::*;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n";

/// A header of version 2: its two bytes of command and family, and what its length counts.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [BINARY_PREFIX, &[command, family], &length, rest].concat()
}

/// Addresses and ports of version 2: from 192.0.2.1 to 10.0.0.1.
const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90];

fn ipv6() -> Vec<u8> {
    let client: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
    [&client.octets()[..], &[0; 16], &[0, 1, 0, 2]].concat()
}

/// Well-formed headers, with the client that each names.
fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let id = [5, 0, 128].iter().copied().chain([b'u'; 128]).collect::<Vec<u8>>();
    let unknown = [0xee, 0, 3, 1, 2, 3];
    let unix = [b'/'; 216];
    let named = |list: &[&[u8]]| binary(0x21, 0x11, &[&[&IPV4[..]], list].concat().concat());
    let filled = vec![0; PROXY_HEADER_BYTES_MAX - FIXED_BYTES - IPV4.len() - 3];
    let fill = [&[4], &u16::try_from(filled.len()).unwrap().to_be_bytes()[..], &filled].concat();
    vec![
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 8080\r\n".to_vec(), Some("192.0.2.1")),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), Some("2001:db8::7")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
        (named(&[]), Some("192.0.2.1")),
        (named(&[&id, &unknown]), Some("192.0.2.1")),
        (named(&[&fill]), Some("192.0.2.1")),
        (binary(0x21, 0x21, &ipv6()), Some("2001:db8::7")),
        (binary(0x21, 0x31, &unix), None),
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, &IPV4), None),
        (binary(0x21, 0x00, b"anything"), None),
        (binary(0x21, 0x12, &IPV4), None),
    ]
}

#[test]
fn every_good_header_names_its_client() {
    for (header, source) in good() {
        let source = source.map(|text| text.parse().unwrap());
        let whole = ProxyHeader { bytes: header.len(), source };
        assert_eq!(ProxyHeader::scan(&header), Ok(Some(whole)), "{header:?}");
        let with_request = [&header[..], REQUEST].concat();
        assert_eq!(ProxyHeader::scan(&with_request), Ok(Some(whole)), "{header:?}");
    }
}

/// Wherever a packet ends, the header is neither complete nor wrong.
#[test]
fn a_header_that_is_cut_short_is_awaited() {
    for (header, _) in good() {
        for end in 0..header.len() {
            assert_eq!(ProxyHeader::scan(&header[..end]), Ok(None), "{end} of {header:?}");
        }
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let mut oversized = binary(0x21, 0x11, &IPV4);
    let over = u16::try_from(PROXY_HEADER_BYTES_MAX - FIXED_BYTES + 1).unwrap();
    oversized[14..16].copy_from_slice(&over.to_be_bytes());
    let line = |end: &str| format!("PROXY {end}\r\n").into_bytes();
    for (bytes, part) in [
        (REQUEST.to_vec(), "missing"),
        (b"PROXX".to_vec(), "missing"),
        (b"\r\n\r\nGET".to_vec(), "missing"),
        (b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(), "missing"),
        (line("TCP4 192.0.2.256 10.0.0.1 1 2"), "version 1: "),
        (line("TCP4 192.0.2.1 10.0.0.1 1"), "version 1: "),
        (line("TCP4 192.0.2.1 10.0.0.1 1 65536"), "version 1: "),
        (line("TCP4 192.0.2.1 10.0.0.1 1 2 3"), "version 1: "),
        (line("TCP4 ::1 ::1 1 2"), "version 1: "),
        (line("TCP5 ::1 ::1 1 2"), "version 1: "),
        (line("TCP4  192.0.2.1 10.0.0.1 1 2"), "version 1: "),
        (line("TCP4 \u{e9} 10.0.0.1 1 2"), "version 1: "),
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n".to_vec(), "version 1: "),
        (b"PROXY UNKNOWN\r \n".to_vec(), "version 1: "),
        (line(&format!("UNKNOWN {}", "x".repeat(LINE_BYTES_MAX))), "longer than the 107 bytes"),
        (binary(0x11, 0x11, &IPV4), "version 2: "),
        (binary(0x22, 0x11, &IPV4), "version 2: "),
        (binary(0x21, 0x41, &IPV4), "version 2: "),
        (binary(0x21, 0x13, &IPV4), "version 2: "),
        (binary(0x21, 0x11, &IPV4[..11]), "version 2: "),
        (binary(0x21, 0x21, &IPV4), "version 2: "),
        (binary(0x21, 0x31, &[0; 215]), "version 2: "),
        (binary(0x21, 0x11, &[&IPV4[..], &[1, 0, 9, 1]].concat()), "version 2: "),
        (binary(0x21, 0x11, &[&IPV4[..], &[1, 0]].concat()), "version 2: "),
        (oversized, "longer than the 1024 bytes"),
    ] {
        let error = ProxyHeader::scan(&bytes).expect_err("it is refused").to_string();
        assert!(error.contains(part), "{error}: {bytes:?}");
    }
}

proptest! {
    /// No bytes panic, and more bytes change neither a header nor a mistake.
    #[test]
    fn arbitrary_bytes_are_judged_the_same_at_every_cut(
        head in prop_oneof![Just(&b""[..]), Just(LINE_PREFIX), Just(BINARY_PREFIX)],
        middle in prop_oneof![
            Just(&b""[..]), Just(&b"TCP4 "[..]), Just(&b"UNKNOWN"[..]), Just(&[0x21, 0x11, 0, 15][..]),
        ],
        tail in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
    ) {
        let bytes = [head, middle, &tail].concat();
        let whole = ProxyHeader::scan(&bytes);
        if let Ok(Some(header)) = &whole {
            prop_assert!(header.bytes <= bytes.len().min(PROXY_HEADER_BYTES_MAX));
        }
        for end in 0..bytes.len() {
            let part = ProxyHeader::scan(&bytes[..end]);
            if part != Ok(None) {
                prop_assert_eq!(&part, &whole, "the first {} bytes", end);
            }
        }
    }

    #[test]
    fn a_named_client_is_read_back(source: [u8; 4], port: u16, more in "[ -~]{0,40}") {
        let client = std::net::Ipv4Addr::from(source);
        let line = format!("PROXY TCP4 {client} 10.0.0.1 {port} 1\r\n{more}");
        let header = ProxyHeader::scan(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(header.source, Some(IpAddr::V4(client)));
        prop_assert_eq!(header.bytes, line.len() - more.len());
    }
}
