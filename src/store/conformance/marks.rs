//! Heads, read marks and nonces.

use std::time::Duration;

use super::queries::{
    members_of, membership_of, participant, read_upto, rooms_of, send_key, sent_under,
};
use super::rooms::{fresh_room_id, said, stamp};
use super::{Arc, START, Store, after, fresh_dm, fresh_room, message, store_all, unique, user};
use crate::clock::WallClock;
use crate::domain::{Conversation, Membership, MessageId, NONCE_BYTES_MAX, UserId};
use crate::store::{AppendError, IDEMPOTENCY_KEPT, IdempotencyRecord};

pub(crate) async fn a_head_is_the_newest_whatever_the_order(store: Arc<dyn Store>) {
    let room = fresh_room_id();
    let conversation = Conversation::Room(room.clone());
    // Hours apart, and over a midnight.
    let sent =
        [5, 90, 7, 1, 80].map(|hours| message(&conversation, after(START, hours * 3600), "1"));
    for (part, newest) in [(&sent[..1], 0), (&sent[1..3], 1), (&sent[3..], 1), (&sent[1..2], 1)] {
        store_all(&*store, part).await;
        assert_eq!(store.head(room.clone()).await, Ok(Some(sent[newest].id)));
    }
}

pub(crate) async fn read_marks_only_move_forward(store: Arc<dyn Store>) {
    let (who, other) = (user(&unique("u")), user(&unique("v")));
    for conversation in [fresh_dm(), fresh_room()] {
        let ids = [1, 2, 3, 4].map(stamp);
        for (mark, expected) in [(1, 1), (0, 1), (1, 1), (2, 2), (1, 2)] {
            store.mark_read(read_upto(&who, &conversation, ids[mark])).await.unwrap();
            assert_eq!(
                store.read_mark(participant(&who, &conversation)).await,
                Ok(Some(ids[expected]))
            );
        }
        let together =
            [0, 3, 2].map(|mark| store.mark_read(read_upto(&who, &conversation, ids[mark])));
        for mark in together {
            mark.await.unwrap();
        }
        assert_eq!(store.read_mark(participant(&who, &conversation)).await, Ok(Some(ids[3])));
        assert_eq!(
            store.read_mark(participant(&other, &conversation)).await,
            Ok(None),
            "each user has a mark \
            of their own"
        );
    }
}

pub(crate) async fn a_mark_does_not_bring_a_member_back(store: Arc<dyn Store>) {
    let (room, who) = (fresh_room_id(), user(&unique("u")));
    let conversation = Conversation::Room(room.clone());
    let added = said(&room, &who, true, 1);
    store.put_membership(added.clone()).await.unwrap();
    let left = Membership { state: added.state.remove(stamp(2)), ..added };
    store.put_membership(left.clone()).await.unwrap();
    store.mark_read(read_upto(&who, &conversation, stamp(9))).await.unwrap();
    assert_eq!(store.membership(membership_of(&room, &who)).await, Ok(Some(left.clone())));
    assert_eq!(store.memberships(rooms_of(&who, 9)).await, Ok(vec![left]));
    assert_eq!(store.members(members_of(&room, None, 9)).await.unwrap().members, []);
    let stranger = user(&unique("v"));
    store.mark_read(read_upto(&stranger, &conversation, stamp(9))).await.unwrap();
    assert_eq!(store.membership(membership_of(&room, &stranger)).await, Ok(None));
    assert_eq!(store.memberships(rooms_of(&stranger, 9)).await, Ok(vec![]));
}

/// What was sent so long ago, by the wall clock that expiry goes by.
fn sent_ago(age: Duration, content: u128) -> IdempotencyRecord {
    IdempotencyRecord { id: MessageId::new(WallClock::system() - age, rand::random()), content }
}

async fn noted(store: &dyn Store, sender: &UserId, nonce: &str) -> Option<IdempotencyRecord> {
    store.idempotency(send_key(sender, nonce)).await.unwrap()
}

pub(crate) async fn of_a_nonces_records_the_largest_id_stays(store: Arc<dyn Store>) {
    let sender = user(&unique("u"));
    let minutes = |minutes| Duration::from_mins(minutes);
    let record = |ago, content| sent_ago(minutes(ago), content);
    // The content goes with its id: who retries with another one is found out by it.
    let [first, second, third] = [record(3, u128::MAX), record(2, 1), record(1, 0)];
    for (note, expected) in
        [(first, first), (third, third), (second, third), (third, third), (first, third)]
    {
        store.put_idempotency(sent_under(&sender, "n", note)).await.unwrap();
        assert_eq!(noted(&*store, &sender, "n").await, Some(expected));
    }
    let together =
        [second, first, third].map(|note| store.put_idempotency(sent_under(&sender, "m", note)));
    for note in together {
        note.await.unwrap();
    }
    assert_eq!(noted(&*store, &sender, "m").await, Some(third));
}

pub(crate) async fn nonces_are_each_senders_own(store: Arc<dyn Store>) {
    let base = unique("u");
    let senders = [user(&base), user(&format!("{base}n"))];
    // Any text is a nonce: empty, the longest, with what keys are parted by in it.
    let longest = "ü".repeat(NONCE_BYTES_MAX / 2);
    let nonces = ["", "n", "nn", "\0", "n\0n", &longest];
    let all: Vec<_> = senders
        .iter()
        .flat_map(|sender| nonces.map(|nonce| (sender, nonce)))
        .zip(0..)
        .map(|((sender, nonce), content)| (sender, nonce, sent_ago(Duration::ZERO, content)))
        .collect();
    for (sender, nonce, record) in &all {
        assert_eq!(noted(&*store, sender, nonce).await, None);
        store.put_idempotency(sent_under(sender, nonce, *record)).await.unwrap();
    }
    for (sender, nonce, record) in &all {
        assert_eq!(noted(&*store, sender, nonce).await, Some(*record), "{sender} {nonce:?}");
    }
}

pub(crate) async fn a_nonce_that_is_too_long_is_refused(store: Arc<dyn Store>) {
    let (sender, nonce) = (user(&unique("u")), "n".repeat(NONCE_BYTES_MAX + 1));
    let refused =
        store.put_idempotency(sent_under(&sender, &nonce, sent_ago(Duration::ZERO, 0))).await;
    assert!(
        matches!(&refused, Err(AppendError::Unavailable { reason }) if reason.contains("65 bytes")),
        "{refused:?}"
    );
    assert_eq!(noted(&*store, &sender, &nonce).await, None);
    assert_eq!(noted(&*store, &sender, &"n".repeat(100_000)).await, None);
}

pub(crate) async fn an_expired_nonce_is_not_there(store: Arc<dyn Store>) {
    let sender = user(&unique("u"));
    let expired = sent_ago(IDEMPOTENCY_KEPT + Duration::from_mins(1), 1);
    let old = sent_ago(IDEMPOTENCY_KEPT / 100 * 99, 2);
    let fresh = sent_ago(Duration::ZERO, 3);
    store.put_idempotency(sent_under(&sender, "gone", expired)).await.unwrap();
    assert_eq!(noted(&*store, &sender, "gone").await, None);
    for (note, expected) in [(expired, None), (fresh, Some(fresh)), (expired, Some(fresh))] {
        store.put_idempotency(sent_under(&sender, "again", note)).await.unwrap();
        assert_eq!(noted(&*store, &sender, "again").await, expected);
    }
    let together =
        [expired, fresh, old].map(|note| store.put_idempotency(sent_under(&sender, "all", note)));
    for note in together {
        note.await.unwrap();
    }
    assert_eq!(noted(&*store, &sender, "all").await, Some(fresh));
    store.put_idempotency(sent_under(&sender, "old", old)).await.unwrap();
    assert_eq!(noted(&*store, &sender, "old").await, Some(old), "kept for as long as was said");
}
