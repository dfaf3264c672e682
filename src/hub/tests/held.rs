//! What a session holds back.

use std::time::Duration;

use tokio::time::{Instant, advance, pause};

use super::*;
use crate::limiter::{RateLimit, RateLimited, UserRate};

const HELD: SessionBounds = SessionBounds { held_frames: 4, held_bytes: 100, ..BOUNDS };

fn frame(op: HeldOp, text: &str) -> HeldFrame {
    HeldFrame { op, since: Instant::now(), text: text.into() }
}

fn refused(millis: u64, per_s: u32) -> RateLimited {
    let policy = RateLimit { name: "sends", burst: 1, per_s };
    RateLimited { policy, retry_after: Some(Duration::from_millis(millis)) }
}

#[test]
fn lanes_keep_their_order_and_nothing_is_left_of_an_empty_queue() {
    on_event_loop(async {
        let session = Peers::new().await.session("a").await;
        assert!(session.held_wake().is_none());
        assert!(session.hold(frame(HeldOp::Send, "1")), "it is not served yet");
        assert!(!session.hold(frame(HeldOp::History, "2")));
        assert!(!session.hold(frame(HeldOp::Publish, "3")));
        assert!(session.is_sending() && !session.stop_serving_held());
        let mut texts = Vec::new();
        for lane in Lane::ALL {
            while let Some(held) = session.take_first_held(lane) {
                texts.push(held.text);
            }
        }
        assert_eq!(texts, ["1", "3", "2"].map(Box::from));
        assert!(session.stop_serving_held() && session.held_wake().is_none());
    });
}

#[test]
fn a_queue_is_full_by_bytes_or_frames_until_half_of_it_is_free() {
    on_event_loop(async {
        let mut peers = Peers::new().await;
        let (by_bytes, by_count) = (peers.session("a").await, peers.session("a").await);
        let text = "x".repeat(49);
        by_bytes.hold(frame(HeldOp::Send, &text));
        by_bytes.hold(frame(HeldOp::Send, &text));
        assert!(!by_bytes.is_held_full(&HELD) && !by_bytes.has_held_room(&HELD));
        by_bytes.hold(frame(HeldOp::Inbox, "xx"));
        assert!(by_bytes.is_held_full(&HELD));
        by_bytes.take_first_held(Lane::Writes);
        assert!(!by_bytes.is_held_full(&HELD) && !by_bytes.has_held_room(&HELD));
        by_bytes.take_first_held(Lane::Writes);
        assert!(by_bytes.has_held_room(&HELD));
        for _ in 0..4 {
            by_count.hold(frame(HeldOp::MarkRead, ""));
        }
        assert!(by_count.is_held_full(&HELD));
        assert_eq!(by_count.take_all_held().len(), 4);
        assert!(!by_count.is_held_full(&HELD) && by_count.has_held_room(&HELD));
    });
}

/// At two a second 19 wait at most 10 s behind one that waits for half a second and one in flight.
#[test]
fn what_would_wait_for_too_long_is_taken_out_and_the_lane_is_closed_for_as_long() {
    on_event_loop(async {
        let session = Peers::new().await.session("a").await;
        for number in 0..30 {
            session.hold(frame(HeldOp::Send, &number.to_string()));
            // Events have a rate of their own.
            session.hold(frame(HeldOp::Publish, ""));
        }
        let taken = session.take_overdue(Lane::Writes, UserRate::Sends, &refused(500, 2), 1);
        let (wait, frames) = taken.expect("some would wait for too long");
        assert_eq!(wait, Duration::from_millis(10_500));
        assert_eq!((&*frames[0].text, frames.len()), ("19", 22));
        assert_eq!(
            session.take_overdue(Lane::Writes, UserRate::Sends, &refused(500, 2), 1).map(|it| it.0),
            None,
            "those that are left wait for less"
        );
        pause();
        assert!(session.closed_for(Lane::Writes).is_some());
        assert_eq!(session.held_closed_for(Lane::Writes), None, "those before are served");
        assert_eq!(session.closed_for(Lane::Reads), None, "other lanes are open");
        advance(wait).await;
        assert_eq!(session.closed_for(Lane::Writes), None, "until the time has passed");
    });
}

#[test]
fn a_send_waits_for_its_rate_as_long_as_it_may() {
    on_event_loop(async {
        let session = Peers::new().await.session("a").await;
        let until = Instant::now() + HELD_MAX;
        let wait = session.wait_for_rate(refused(9000, 1), until);
        assert_eq!(wait, Some(Duration::from_secs(9)));
        assert_eq!(session.closed_for(Lane::Writes), None);
        assert_eq!(session.wait_for_rate(refused(11_000, 1), until), None);
        assert!(session.held_closed_for(Lane::Writes).is_some(), "and what follows is refused");
        assert_eq!(session.wait_for_rate(refused(10, 1), until), None);
    });
}

#[test]
fn a_send_that_waits_for_its_rate_is_woken_when_its_session_leaves() {
    on_event_loop(async {
        pause();
        let session = Peers::new().await.session("a").await;
        let begun = Instant::now();
        session.wait_unless_leaving(Duration::from_secs(1)).await;
        assert!(!session.is_leaving() && begun.elapsed() >= Duration::from_secs(1));
        let leaves = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            session.take_no_sends();
        };
        let begun = Instant::now();
        tokio::join!(session.wait_unless_leaving(HELD_MAX), leaves);
        session.wait_unless_leaving(HELD_MAX).await;
        assert!(session.is_leaving() && begun.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_lane_that_is_closed_makes_no_queue_and_leaves_nothing_behind() {
    on_event_loop(async {
        pause();
        let session = Peers::new().await.session("a").await;
        session.close_lane(Lane::Writes, Closed::All, Duration::ZERO);
        assert!(session.held.closed.take().is_none(), "not even for no time");
        session.close_lane(Lane::Reads, Closed::All, HELD_MAX);
        assert!(session.held_wake().is_none(), "there is no queue");
        assert_eq!(session.closed_for(Lane::Reads), Some((Closed::All, HELD_MAX)));
        advance(HELD_MAX).await;
        assert_eq!(session.closed_for(Lane::Reads), None);
        assert!(session.held.closed.take().is_none());
    });
}

#[test]
fn frames_that_waited_for_the_rooms_have_their_time_from_then_on() {
    on_event_loop(async {
        pause();
        let session = Peers::new().await.session("a").await;
        session.hold(frame(HeldOp::Send, "1"));
        advance(HELD_MAX).await;
        session.load();
        let (_, since) = session.first_held(Lane::Writes).expect("it is held");
        assert_eq!(since, Instant::now());
    });
}
