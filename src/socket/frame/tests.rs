use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::socket::peer::client_frame;

const LIMITS: FrameLimits =
    FrameLimits { frame_bytes: 70_000, message_bytes: 70_000, fragments: 4 };

fn violation(bytes: &[u8]) -> ProtocolViolation {
    scan(bytes, &LIMITS).expect_err("must be refused")
}

#[test]
fn every_form_of_length_is_read() {
    for (length, header) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14), (70_000, 14)] {
        let bytes = client_frame(true, OpCode::Binary, &vec![7; length]);
        let Ok(Scan::Frame(head)) = scan(&bytes, &LIMITS) else { panic!("{length} refused") };
        assert_eq!((head.header_len, head.payload_len), (header, length));
        assert_eq!(head.frame_len(), bytes.len());
    }
}

#[test]
fn a_frame_is_refused_at_the_first_byte_that_condemns_it() {
    assert_eq!(violation(&[0b1101_0001]), ProtocolViolation::ReservedBits(0b101));
    assert_eq!(violation(&[0x83]), ProtocolViolation::Opcode(3));
    assert_eq!(violation(&[0x8b]), ProtocolViolation::Opcode(11));
    assert_eq!(violation(&[0x09]), ProtocolViolation::ControlFragmented);
    assert_eq!(violation(&[0x81, 0x05]), ProtocolViolation::Unmasked);
    assert_eq!(violation(&[0x89, 0xfe]), ProtocolViolation::ControlLength);
    assert_eq!(violation(&[0x88, 0xff]), ProtocolViolation::ControlLength);
    assert_eq!(violation(&[0x81, 0xfe, 0, 125]), ProtocolViolation::LengthEncoding(125));
    assert_eq!(
        violation(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ProtocolViolation::LengthEncoding(65_535)
    );
    assert_eq!(
        violation(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0]),
        ProtocolViolation::LengthTopBit
    );
}

#[test]
fn an_announced_length_above_the_bound_is_refused_without_its_body() {
    let length = 70_001;
    let expected = ProtocolViolation::FrameLength { length, bound: 70_000 };
    assert_eq!(violation(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x71]), expected);
    assert_eq!(expected.to_string(), "frame of 70001 bytes, at most 70000 allowed");
    assert_eq!(expected.code(), 1009);
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(
        violation(&huge),
        ProtocolViolation::FrameLength { length: i64::MAX as u64, bound: 70_000 }
    );
}

#[test]
fn a_control_frame_passes_a_smaller_bound_on_data() {
    let tiny = FrameLimits { frame_bytes: 3, ..LIMITS };
    let ping = client_frame(true, OpCode::Ping, &[0; 125]);
    assert!(matches!(scan(&ping, &tiny), Ok(Scan::Frame(_))));
    let text = client_frame(true, OpCode::Text, b"four");
    assert_eq!(scan(&text, &tiny), Err(ProtocolViolation::FrameLength { length: 4, bound: 3 }));
}

/// Reads a slice that holds a complete header by RFC 6455, 5.2, bit by bit.
fn model(bytes: &[u8; 14], limits: &FrameLimits) -> Option<(bool, u8, usize, usize)> {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let number =
        |from: usize, to: usize| (from..to).fold(0_u128, |n, at| n * 2 + u128::from(bit(at)));
    let opcode = number(4, 8) as u8;
    let known = [0, 1, 2, 8, 9, 10].contains(&opcode);
    let (length, end, minimal) = match number(9, 16) {
        126 => (number(16, 32), 32, number(16, 32) > 125),
        127 => (number(16, 80), 80, number(16, 80) > 65_535 && bit(16) == 0),
        short => (short, 16, true),
    };
    let control = opcode >= 8;
    let fits = if control {
        length <= 125 && end == 16 && bit(0) == 1
    } else {
        length <= u128::from(limits.frame_bytes)
    };
    let valid = number(1, 4) == 0 && known && bit(8) == 1 && minimal && fits;
    valid.then_some((bit(0) == 1, opcode, end / 8 + 4, length as usize))
}

/// Headers that are valid in most fields, so that every rule decides some cases.
fn header() -> impl Strategy<Value = [u8; 14]> {
    let first = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0, 1, 2, 9])
    ];
    let second = prop_oneof![any::<u8>(), 0x80..=0xff_u8, Just(0xfe), Just(0xff)];
    let rest = prop_oneof![
        any::<[u8; 12]>(),
        any::<[u8; 5]>().prop_map(|b| [0, 0, 0, 0, 0, b[0] & 1, b[1], b[2], b[3], b[4], 1, 2]),
        any::<[u8; 12]>().prop_map(|mut b| {
            b[0] = 0;
            b
        }),
    ];
    (first, second, rest).prop_map(|(first, second, rest)| {
        let mut bytes = [0; 14];
        bytes[0] = first;
        bytes[1] = second;
        bytes[2..].copy_from_slice(&rest);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_scanner_agrees_with_the_model(header in header()) {
        match (model(&header, &LIMITS), scan(&header, &LIMITS)) {
            (None, Err(_)) => {}
            (Some((.., header_len, payload_len)), Ok(Scan::Incomplete { need })) => {
                prop_assert_eq!(need, header_len + payload_len);
                prop_assert!(need > header.len());
            }
            (Some((fin, opcode, header_len, payload_len)), Ok(Scan::Frame(head))) => {
                prop_assert_eq!((head.fin, head.opcode as u8), (fin, opcode));
                prop_assert_eq!((head.header_len, head.payload_len), (header_len, payload_len));
                prop_assert_eq!(&head.mask, &header[header_len - 4..header_len]);
            }
            (model, scan) => prop_assert!(false, "model {model:?}, scan {scan:?}"),
        }
    }

    #[test]
    fn more_bytes_never_change_the_verdict(bytes in vec(any::<u8>(), 0..40), cut in 0..40_usize) {
        let cut = cut.min(bytes.len());
        match scan(&bytes[..cut], &LIMITS) {
            Err(violation) => prop_assert_eq!(scan(&bytes, &LIMITS), Err(violation)),
            Ok(Scan::Frame(head)) => prop_assert_eq!(scan(&bytes, &LIMITS), Ok(Scan::Frame(head))),
            Ok(Scan::Incomplete { need }) => {
                prop_assert!(need > cut);
                let short = &bytes[..bytes.len().min(need - 1)];
                prop_assert!(!matches!(scan(short, &LIMITS), Ok(Scan::Frame(_))));
            }
        }
    }
}
