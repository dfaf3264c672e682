//! Peers that do not read, and handlers that cannot keep up.

use fastwebsockets::OpCode;

use super::*;
use crate::socket::outbox::Flush;

const CHUNK_BYTES: usize = 10_000;

fn chunk(number: usize) -> Bytes {
    vec![number as u8; CHUNK_BYTES].into()
}

/// Pushes and flushes numbered chunks until the outbox is full. Returns how many it took.
fn fill(link: &Link) -> usize {
    for number in 0.. {
        match link.push(OutboxItem::Binary(chunk(number))) {
            Ok(()) => link.flush(),
            Err(PushError::Full { wanted, bound }) => {
                assert_eq!((wanted, bound), (link.bytes() + CHUNK_BYTES + 4, OUTBOX_BYTES));
                return number;
            }
            Err(PushError::Closed) => panic!("closed"),
        };
    }
    unreachable!("the outbox is bounded")
}

impl Served {
    async fn expect_chunks(&mut self, count: usize) {
        for number in 0..count {
            assert_eq!(self.peer.receive().await, (OpCode::Binary, chunk(number).to_vec()));
        }
    }
}

#[test]
fn a_peer_that_does_not_read_gets_exactly_what_was_queued_when_it_does() {
    on_event_loop(async {
        let mut served = Served::narrow().await;
        served.peer.send(&text("pause")).await;
        served.until_seen(&["pause"]).await;
        let count = fill(&served.link);
        assert_eq!(served.link.flush(), Flush::Blocked);
        assert!(served.link.blocked_since().is_some());
        served.expect_chunks(count).await;
        assert_eq!((served.link.bytes(), served.link.blocked_since()), (0, None));
        served.link.resume_reading();
        served.peer.send(&text("fine")).await;
        assert_eq!(served.peer.receive_text().await, "fine");
    });
}

#[test]
fn an_evicted_peer_still_gets_whole_frames_and_the_reason() {
    on_event_loop(async {
        let mut served = Served::narrow().await;
        let count = fill(&served.link);
        served.link.evict(CloseFrame::new(4102, "slow consumer"));
        assert!(served.link.bytes() <= CHUNK_BYTES + 4 + 2 + 15);
        let mut received = 0;
        let last = loop {
            match served.peer.receive().await {
                (OpCode::Binary, payload) => assert_eq!(payload.len(), CHUNK_BYTES),
                other => break other,
            }
            received += 1;
        };
        assert_eq!(last, (OpCode::Close, b"\x10\x06slow consumer".to_vec()));
        assert!(received < count, "{received} of {count}");
        assert!(matches!(served.end().await, End::ClosedHere { code: 4102 }));
    });
}

#[test]
fn a_peer_that_does_not_read_is_still_heard() {
    on_event_loop(async {
        let mut served = Served::narrow().await;
        fill(&served.link);
        served.peer.send(&text("pause")).await;
        served.until_seen(&["pause"]).await;
        assert_eq!(served.link.flush(), Flush::Blocked);
    });
}

#[test]
fn a_paused_connection_keeps_the_rest_until_it_is_resumed() {
    on_event_loop(async {
        let mut served = Served::new().await;
        served.peer.send(&[text("pause"), text("a"), text("pause"), text("b")].concat()).await;
        served.until_seen(&["pause"]).await;
        served.peer.send(&text("c")).await;
        yield_now().await;
        served.until_seen(&["pause"]).await;
        served.link.resume_reading();
        served.until_seen(&["pause", "a", "pause"]).await;
        assert_eq!(served.peer.receive_text().await, "a");
        served.link.resume_reading();
        assert_eq!(served.peer.receive_text().await, "b");
        assert_eq!(served.peer.receive_text().await, "c");
    });
}

#[test]
fn a_draining_connection_goes_on_when_everything_was_written() {
    on_event_loop(async {
        let mut served = Served::narrow().await;
        let count = fill(&served.link);
        served.peer.send(&[text("drain"), text("after")].concat()).await;
        served.until_seen(&["drain"]).await;
        served.link.resume_reading();
        served.expect_chunks(count).await;
        assert_eq!(served.peer.receive_text().await, "after");
    });
}

#[test]
fn a_detach_waits_for_what_was_queued() {
    on_event_loop(async {
        let mut served = Served::narrow().await;
        let count = fill(&served.link);
        served.peer.send(&text("detach")).await;
        served.until_seen(&["detach"]).await;
        assert!(!served.task.is_finished());
        served.expect_chunks(count).await;
        let end = served.task.await.unwrap();
        assert!(matches!(end, End::Detached { unread, .. } if unread.is_empty()));
    });
}
