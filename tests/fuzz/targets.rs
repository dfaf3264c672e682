//! What is fed, with samples that it accepts.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use narrowcast::auth::{Claims, Mint, TokenKey, Verifier};
use narrowcast::bus::{BootId, Envelope, EnvelopeKind, EnvelopeMac, StoreTag};
use narrowcast::config::{Config, TokenRules};
use narrowcast::domain::{Micros, RoutingKey, UserId};
use narrowcast::protocol::{CursorSeal, Request, RequestBounds, RequestHead};
use narrowcast::socket::{
    ClientAddress, FrameLimits, PROXY_HEADER_BYTES_MAX, ProxyHeader, Scan, TrustedNetworks,
    forwarded_for, scan,
};

const KEY: [u8; 32] = [7; 32];

const NOW: u64 = 1_795_492_901;

/// The bounds of the default configuration.
static BOUNDS: LazyLock<RequestBounds> = LazyLock::new(|| Config::default().limits.requests);

const LIMITS: FrameLimits =
    FrameLimits { frame_bytes: 16_384, message_bytes: 16_384, fragments: 16 };

/// Reads an input: whether it is accepted.
type Read = Box<dyn Fn(&[u8]) -> bool>;

/// A parser of bytes that strangers send.
pub struct Target {
    pub name: &'static str,
    pub samples: Vec<Vec<u8>>,
    pub read: Read,
}

pub fn targets() -> Vec<Target> {
    vec![frames(), requests(), envelopes(), cursors(), tokens(), proxy_headers(), forwarded()]
}

/// The text of an error: making it must not panic either.
fn is_ok<T, E: std::fmt::Display>(read: Result<T, E>) -> bool {
    read.map_err(|error| assert!(!error.to_string().is_empty(), "an error says what is wrong"))
        .is_ok()
}

fn frames() -> Target {
    let masked = |head: &[u8], payload: &[u8]| [head, &[1, 2, 3, 4], payload].concat();
    let samples = vec![
        masked(&[0x81, 0x84], b"ping"),
        masked(&[0x89, 0x80], b""),
        masked(&[0x01, 0xfe, 0x01, 0x00], &[0x20; 256]),
        masked(&[0x88, 0x82], &[0x03, 0xe8]),
    ];
    let read = |mut bytes: &[u8]| loop {
        match scan(bytes, &LIMITS) {
            Ok(Scan::Frame(head)) if head.frame_len() < bytes.len() => {
                bytes = &bytes[head.frame_len()..];
            }
            Ok(Scan::Frame(head)) => break head.frame_len() == bytes.len(),
            Ok(Scan::Incomplete { need }) => {
                assert!(need > bytes.len() && need <= 14 + LIMITS.frame_bytes as usize, "{need}");
                break false;
            }
            Err(violation) => break is_ok::<(), _>(Err(violation)),
        }
    };
    Target { name: "frames", samples, read: Box::new(read) }
}

fn requests() -> Target {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/transcripts/v1");
    let read = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let request = Request::read(&text, &BOUNDS);
        if request.op.is_ok() {
            assert_eq!(RequestHead::scan(&text).id, request.id);
        }
        request.op.is_ok()
    };
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder).expect("the transcripts are there") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("it is text");
        let sent = text.lines().filter_map(|line| line.strip_prefix("> "));
        samples.extend(sent.map(|line| line.as_bytes().to_vec()).filter(|line| read(line)));
    }
    assert!(samples.len() > 10, "the transcripts hold requests");
    Target { name: "requests", samples, read: Box::new(read) }
}

fn envelopes() -> Target {
    let mac = EnvelopeMac::of_store(&KEY);
    let key = RoutingKey::parse("topic.scores").expect("a key");
    let envelope = Envelope {
        kind: EnvelopeKind::Event,
        tap_copy: false,
        boot: BootId([1; 16]),
        store: StoreTag(2),
        id: [3; 16],
        keys: [key].into_iter().collect(),
        about: "topic.scores.goal".into(),
        frame: Bytes::from_static(b"{\"op\":\"event\"}"),
    };
    let samples = vec![envelope.encode_for(&envelope.keys, &mac).to_vec()];
    let read = move |bytes: &[u8]| is_ok(Envelope::decode(&Bytes::copy_from_slice(bytes), &mac));
    Target { name: "envelopes", samples, read: Box::new(read) }
}

fn cursors() -> Target {
    let seal = CursorSeal::new(&KEY, 5);
    let alice = UserId::parse("alice").expect("an id");
    let samples = vec![seal.seal(&alice, Micros(NOW * 1_000_000)).into_bytes()];
    let read = move |bytes: &[u8]| is_ok(seal.open(&alice, &String::from_utf8_lossy(bytes)));
    Target { name: "cursors", samples, read: Box::new(read) }
}

fn tokens() -> Target {
    let key = TokenKey::hs256("k1", &KEY);
    let mut claims = Claims::of_user("alice", NOW, 3600);
    let plain = Mint::new(&key).token(&claims);
    claims.nc.subscribe = vec!["topic.>".into(), "presence.*".into()];
    let samples = [plain, Mint::new(&key).token(&claims)].map(String::into_bytes).to_vec();
    let rules = TokenRules {
        audience: None,
        issuer: None,
        leeway: Duration::from_secs(5),
        max_life: Duration::from_hours(24),
    };
    let verifier = Verifier::new(&[key], rules);
    let read = move |bytes: &[u8]| is_ok(verifier.verify(&String::from_utf8_lossy(bytes), NOW));
    Target { name: "tokens", samples, read: Box::new(read) }
}

fn proxy_headers() -> Target {
    let binary = |rest: &[u8]| {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, rest].concat()
    };
    let samples = vec![
        b"PROXY TCP4 192.0.2.1 10.0.0.1 40000 8080\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 40000 8080\r\nGET /".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(&[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4]),
        binary(&[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4, 5, 0, 2, 7, 7, 0xee, 0, 1, 9]),
    ];
    let read = |bytes: &[u8]| match ProxyHeader::scan(bytes) {
        Ok(Some(header)) => {
            assert!(header.bytes <= bytes.len().min(PROXY_HEADER_BYTES_MAX), "{header:?}");
            let alone = ProxyHeader::scan(&bytes[..header.bytes]);
            assert_eq!(alone, Ok(Some(header)), "what follows changes nothing");
            true
        }
        Ok(None) => {
            assert!(bytes.len() < PROXY_HEADER_BYTES_MAX, "it waits for no more than it may");
            false
        }
        Err(error) => is_ok::<(), _>(Err(error)),
    };
    Target { name: "proxy headers", samples, read: Box::new(read) }
}

/// The value that a client sends counts as accepted if it names an address. In any case the address
/// that a balancer appends is the client's.
fn forwarded() -> Target {
    let samples = ["192.0.2.1", "junk, [2001:db8::1]:80, 10.0.0.9", "198.51.100.1, 192.0.2.7:1"];
    let samples = samples.map(|text| text.as_bytes().to_vec()).to_vec();
    let trusted = TrustedNetworks::parse(["10.0.0.0/8"]).expect("a network");
    let [peer, client] = ["10.0.0.1", "203.0.113.5"].map(|text| text.parse().expect("it"));
    let read = move |bytes: &[u8]| {
        let Ok(sent) = HeaderValue::from_bytes(bytes) else { return false };
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", sent);
        let named = forwarded_for(peer, &headers, &trusted);
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.5, 10.0.0.2"));
        assert_eq!(forwarded_for(peer, &headers, &trusted), ClientAddress::Counted(client));
        named.counted().is_some_and(|address| trusted.judge(address).counted().is_some())
    };
    Target { name: "forwarded", samples, read: Box::new(read) }
}
