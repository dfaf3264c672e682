//! Pings, close handshakes, and every other way to end in order.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use fastwebsockets::OpCode;
use tokio::time::Instant;

use super::*;
use crate::socket::closing::CLOSE_WAIT;
use crate::socket::outbox::Flush;
use crate::socket::peer::{client_frame, close, on_paused_clock};

#[test]
fn each_of_ten_pings_is_answered() {
    on_event_loop(async {
        let mut served = Served::new().await;
        let pings = (0..10_u8).flat_map(|number| client_frame(true, OpCode::Ping, &[number; 125]));
        served.peer.send(&pings.collect::<Vec<u8>>()).await;
        for number in 0..10 {
            assert_eq!(served.peer.receive().await, (OpCode::Pong, vec![number; 125]));
        }
        served.peer.send(&client_frame(true, OpCode::Pong, b"unasked")).await;
        served.peer.send(&text("still there")).await;
        assert_eq!(served.peer.receive_text().await, "still there");
    });
}

#[test]
fn what_is_no_message_is_told_and_may_end_the_connection() {
    on_event_loop(async {
        let mut served = Served::new().await;
        let frames = [
            client_frame(true, OpCode::Pong, b"unasked"),
            client_frame(false, OpCode::Text, b"who"),
            client_frame(true, OpCode::Ping, b"in between"),
            client_frame(true, OpCode::Continuation, b"le"),
            client_frame(true, OpCode::Ping, &[0; ENDING_BYTES]),
            text("never"),
        ];
        served.peer.send(&frames.concat()).await;
        for answer in [&b"in between"[..], &[0; ENDING_BYTES]] {
            while served.peer.receive().await != (OpCode::Pong, answer.to_vec()) {}
        }
        assert_eq!(served.peer.receive_close().await.0, 4000);
        let seen = served.seen.clone();
        assert!(matches!(served.end().await, End::ClosedHere { code: 4000 }));
        let told = ["another of 7", "another of 0", "another of 10", "whole", "another of 99"];
        assert_eq!(*seen.borrow(), told);
    });
}

#[test]
fn a_close_is_answered_with_its_code() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&[text("last"), close(4999), text("too late")].concat()).await;
        assert_eq!(served.peer.receive_text().await, "last");
        assert_eq!(served.peer.receive_close().await, (4999, String::new()));
        let seen = served.seen.clone();
        assert!(matches!(served.end().await, End::PeerClosed { code: 4999 }));
        assert_eq!(*seen.borrow(), ["last"]);
    });
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&client_frame(true, OpCode::Close, b"")).await;
        assert_eq!(served.peer.receive().await, (OpCode::Close, vec![]));
        served.peer.expect_end().await;
        assert!(matches!(served.end().await, End::PeerClosed { code: 1005 }));
    });
}

#[test]
fn a_verdict_closes_after_what_was_queued() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&[text("first"), text("close"), text("never")].concat()).await;
        assert_eq!(served.peer.receive_text().await, "first");
        let (opcode, payload) = served.peer.receive().await;
        assert_eq!((opcode, &payload[..]), (OpCode::Close, &b"\x0f\xa0as you wish"[..]));
        assert_eq!(*served.seen.borrow(), ["first", "close"]);
        served.peer.send(&close(4000)).await;
        served.peer.expect_end().await;
        assert!(matches!(served.end().await, End::ClosedHere { code: 4000 }));
    });
}

#[test]
fn a_close_from_outside_waits_for_the_peers() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&client_frame(false, OpCode::Text, b"open")).await;
        yield_now().await;
        served.link.close(CloseFrame::new(4200, "draining"));
        served.link.close(CloseFrame::new(4201, "second"));
        assert!(!served.link.is_open());
        assert_eq!(push_text(&served.link, "x"), Err(PushError::Closed));
        let (opcode, payload) = served.peer.receive().await;
        assert_eq!((opcode, &payload[2..]), (OpCode::Close, &b"draining"[..]));
        let late = [text("discarded"), client_frame(true, OpCode::Ping, b""), close(4200)];
        for byte in late.concat() {
            served.peer.send(&[byte]).await;
        }
        served.peer.expect_end().await;
        let seen = served.seen.clone();
        assert!(matches!(served.end().await, End::ClosedHere { code: 4200 }));
        assert!(seen.borrow().iter().all(|it| it.starts_with("another")), "no message is taken");
    });
}

/// Returns how long a close takes, after a message of `bytes`, if the peer does nothing.
async fn unanswered(served: Served, bytes: usize) -> Duration {
    let start = Instant::now();
    served.link.push(OutboxItem::Binary(vec![0; bytes].into())).unwrap();
    served.link.close(CloseFrame::new(4200, ""));
    let Served { task, peer: _peer, .. } = served;
    assert!(matches!(task.await.unwrap(), End::ClosedHere { code: 4200 }));
    start.elapsed()
}

#[test]
fn a_close_is_not_waited_for_forever() {
    on_paused_clock(async {
        // The timer wheel of the runtime counts in milliseconds and rounds up.
        let most = CLOSE_WAIT + Duration::from_millis(1);
        let read = unanswered(Served::new().await, 10).await;
        assert!((CLOSE_WAIT..=most).contains(&read), "{read:?}");
        let unread = unanswered(Served::narrow().await, OUTBOX_BYTES - 10).await;
        assert!((CLOSE_WAIT..=most).contains(&unread), "{unread:?}");
    });
}

#[test]
fn a_close_reaches_a_paused_connection() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&[text("pause"), text("held"), close(1000)].concat()).await;
        served.until_seen(&["pause"]).await;
        served.link.close(CloseFrame::new(4200, "draining"));
        assert_eq!(served.peer.receive_close().await, (4200, "draining".to_owned()));
        assert!(matches!(served.end().await, End::ClosedHere { code: 4200 }));
    });
}

#[test]
fn a_peer_that_leaves_without_a_word() {
    on_event_loop(async {
        let served = Served::new().await;
        assert!(matches!(served.end().await, End::Eof));
    });
}

#[test]
fn a_reset_ends_the_connection_and_its_link() {
    on_event_loop(async {
        let Served { peer, link, task, .. } = Served::new().await;
        SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert!(matches!(task.await.unwrap(), End::Io(_)));
        assert!(!link.is_open());
        assert_eq!(push_text(&link, "x"), Err(PushError::Closed));
        link.evict(CloseFrame::new(4102, ""));
        assert_eq!((link.flush(), link.bytes()), (Flush::Empty, 0));
    });
}

#[test]
fn a_failed_write_by_others_ends_a_paused_connection() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&text("pause")).await;
        served.until_seen(&["pause"]).await;
        let Served { peer, link, task, .. } = served;
        SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        while push_text(&link, "x").is_ok() {
            link.flush();
            yield_now().await;
        }
        assert!(matches!(task.await.unwrap(), End::Io(_)));
    });
}

struct Unheard;

impl Wake for Unheard {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_link_that_outlives_its_connection_holds_no_task() {
    on_event_loop(async {
        let (stream, peer) = pair().await;
        let (mut connection, link, _seen) = obedient(stream, b"");
        let task = Arc::new(Unheard);
        let waker = Waker::from(task.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        drop(peer);
        while Pin::new(&mut connection).poll(&mut cx).is_pending() {
            yield_now().await;
        }
        drop(connection);
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
        assert!(!link.is_open());
    });
}

#[test]
fn a_dropped_task_ends_the_connection() {
    on_event_loop(async {
        let Served { mut peer, link, task, .. } = Served::new().await;
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        peer.expect_end().await;
        assert!(!link.is_open());
    });
}

#[test]
fn a_detached_stream_goes_on_elsewhere() {
    on_event_loop(async {
        let mut served = Served::new().await;
        let frames = [text("before"), text("detach"), text("one"), text("two")].concat();
        let (now, later) = frames.split_at(frames.len() - 5);
        served.peer.send(now).await;
        assert_eq!(served.peer.receive_text().await, "before");
        let Served { mut peer, link, task, .. } = served;
        let End::Detached { stream, unread } = task.await.unwrap() else { panic!("detached") };
        assert_eq!(unread, now[24..]);
        assert_eq!(push_text(&link, "x"), Err(PushError::Closed));
        let stream = TcpStream::from_std(stream.into_std().unwrap()).unwrap();
        let (connection, _link, seen) = obedient(stream, &unread);
        spawn_local(connection);
        peer.send(later).await;
        assert_eq!(peer.receive_text().await, "one");
        assert_eq!(peer.receive_text().await, "two");
        assert_eq!(*seen.borrow(), ["one", "two"]);
    });
}
