//! Each way to break the protocol, over a socket: the close code, the reason, the end.

use fastwebsockets::OpCode;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::socket::peer::client_frame;

/// Sends `bytes`. The peer must receive the reason, and the connection must end with it.
async fn expect_violation(bytes: &[u8], code: u16, reason: &str) {
    let mut served = Served::new().await;
    served.peer.send(bytes).await;
    assert_eq!(served.peer.receive_close().await, (code, reason.to_owned()));
    assert!(!served.task.is_finished(), "only the write side is shut down yet");
    let end = served.end().await;
    assert!(matches!(&end, End::Breach(violation) if violation.to_string() == reason), "{end:?}");
}

#[test]
fn broken_frames_are_told_apart() {
    on_event_loop(async {
        expect_violation(&[0x81, 0x01, b'x'], 1002, "a client frame must be masked").await;
        expect_violation(&[0xc1, 0x80], 1002, "reserved bits are 100, must be 000").await;
        expect_violation(&[0x83, 0x80], 1002, "opcode 0x3 is not defined").await;
        let long_ping = client_frame(true, OpCode::Ping, &[0; 126]);
        expect_violation(&long_ping, 1002, "a control frame carries at most 125 bytes").await;
        let split_ping = client_frame(false, OpCode::Ping, b"");
        expect_violation(&split_ping, 1002, "a control frame must not be fragmented").await;
    });
}

#[test]
fn broken_messages_are_told_apart() {
    on_event_loop(async {
        let begin = client_frame(false, OpCode::Text, b"a");
        let inside = [&begin[..], &text("b")].concat();
        expect_violation(&inside, 1002, "a message began inside another one").await;
        let orphan = client_frame(true, OpCode::Continuation, b"a");
        expect_violation(&orphan, 1002, "a continuation frame without a message").await;
        let half = client_frame(true, OpCode::Text, &"\u{20ac}".as_bytes()[..2]);
        expect_violation(&half, 1007, "the text is not UTF-8").await;
        let last = client_frame(true, OpCode::Continuation, b"\xe2\x82");
        expect_violation(&[&begin[..], &last].concat(), 1007, "the text is not UTF-8").await;
    });
}

#[test]
fn broken_closes_are_told_apart() {
    on_event_loop(async {
        let close = |payload: &[u8]| client_frame(true, OpCode::Close, payload);
        expect_violation(&close(b"x"), 1002, "a close frame of 1 byte").await;
        expect_violation(&close(b"\x03\xed"), 1002, "close code 1005 must not be sent").await;
        expect_violation(&close(b"\x03\xe8\xc3"), 1007, "the close reason is not UTF-8").await;
    });
}

#[test]
fn sizes_are_bounded_on_what_is_announced() {
    on_event_loop(async {
        let claim = [0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0];
        let reason = "frame of 1073741824 bytes, at most 100000 allowed";
        expect_violation(&claim, 1009, reason).await;
        let begin = client_frame(false, OpCode::Binary, &vec![0; 90_000]);
        let more = client_frame(false, OpCode::Continuation, &vec![0; 60_001]);
        let reason = "message of 150001 bytes, at most 150000 allowed";
        expect_violation(&[begin, more].concat(), 1009, reason).await;
        let begin = client_frame(false, OpCode::Text, b"");
        let endless = client_frame(false, OpCode::Continuation, b"").repeat(100);
        let reason = "message of 9 fragments, at most 8 allowed";
        expect_violation(&[begin, endless].concat(), 1009, reason).await;
    });
}

#[test]
fn the_reason_survives_what_the_peer_still_sends() {
    on_event_loop(async {
        let flood = [&[0x81, 0x01, b'x'][..], &vec![0; 100_000]].concat();
        expect_violation(&flood, 1002, "a client frame must be masked").await;
    });
}

#[test]
fn a_peer_that_floods_after_a_breach_is_cut_off() {
    on_event_loop(async {
        let Served { mut peer, task, .. } = Served::new().await;
        peer.send(&[0x81, 0x01, b'x']).await;
        let flood = async { while peer.stream.write_all(&[0; 8192]).await.is_ok() {} };
        let (end, ()) = tokio::join!(task, flood);
        assert!(matches!(end.unwrap(), End::Breach(ProtocolViolation::Unmasked)));
    });
}

#[test]
fn a_handler_may_refuse_binary() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&client_frame(true, OpCode::Binary, b"x")).await;
        let (opcode, payload) = served.peer.receive().await;
        assert_eq!((opcode, &payload[..2]), (OpCode::Close, &1003_u16.to_be_bytes()[..]));
        assert!(matches!(served.end().await, End::ClosedHere { code: 1003 }));
    });
}
