//! What this backend promises beyond the suite.

use super::*;
use crate::clock::WallClock;
use crate::cluster::sample::row;
use crate::domain::{MemberRole, MemberState};
use crate::store::conformance::queries::{
    members_of, membership_of, page_of, rooms_of, send_key, sent_under,
};
use crate::store::conformance::{START, WIDE, direct};
use crate::store::cql::statements::StatementKind;

/// For what is kept for a second to be gone.
const FORGET_TIMEOUT: Duration = Duration::from_mins(1);

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn of_one_nonce_sent_through_two_nodes_the_largest_id_stays() {
    let (one, other) = (open().await, open().await);
    let now = WallClock::system();
    for n in 0..20 {
        let (sender, nonce) = (user(&unique("u")), format!("n{n}"));
        let record = |content| IdempotencyRecord {
            id: MessageId::new(Micros(now.0 + rand::random_range(0..5_000_000)), rand::random()),
            content,
        };
        let records: Vec<_> = (0..6).map(record).collect();
        let noting: Vec<_> = records
            .iter()
            .zip([&one, &other].into_iter().cycle())
            .map(|(record, store)| store.put_idempotency(sent_under(&sender, &nonce, *record)))
            .collect();
        for noted in noting {
            noted.await.unwrap();
        }
        let largest = records.iter().max_by_key(|record| record.id).copied();
        for store in [&one, &other] {
            assert_eq!(store.idempotency(send_key(&sender, &nonce)).await.unwrap(), largest);
        }
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_change_that_reached_one_side_alone_is_seen() {
    let store = open().await;
    let stamp = |seconds| MessageId::new(START + Duration::from_secs(seconds), rand::random());
    for (side, is_of_room) in [(&writes::OF_ROOM, true), (&writes::OF_USER, false)] {
        let (room, who) = (RoomId::parse(&unique("r")).unwrap(), user(&unique("u")));
        let of = |state| Membership { room: room.clone(), user: who.clone(), state };
        let whole = of(MemberState::UNKNOWN.add(MemberRole::Member, stamp(1)));
        store.put_membership(whole.clone()).await.unwrap();
        let removal = MemberState::removal(stamp(2));
        let half = of(whole.state.merge(removal));
        let conversation = format!("room.{room}");
        let (first, second) = if is_of_room {
            (room.to_string(), who.to_string())
        } else {
            (who.to_string(), conversation)
        };
        let executor = Arc::clone(&store.executor);
        let written = store.thread.spawn(async move {
            let cells = writes::put_state(&executor, side, (&first, &second), &removal).await;
            cells.into_iter().flatten().for_each(|cell| cell.unwrap());
        });
        written.await.unwrap();
        assert_eq!(store.membership(membership_of(&room, &who)).await.unwrap(), Some(half.clone()));
        // Repeating the call repairs it, and the earlier change does not come back.
        store.put_membership(of(removal)).await.unwrap();
        store.put_membership(whole).await.unwrap();
        assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), [half]);
        assert_eq!(store.members(members_of(&room, None, 9)).await.unwrap().members, []);
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn the_newest_row_of_an_incarnation_stays_among_many_nodes() {
    let stores = [open().await, open().await];
    let incarnation = rand::random();
    let writing: Vec<_> = [5, 2, 9, 1, 7, 3]
        .into_iter()
        .zip(stores.iter().cycle())
        .map(|(counter, store)| store.write_heartbeat(row(incarnation, counter)))
        .collect();
    for written in writing {
        written.await.unwrap();
    }
    for store in &stores {
        let mut rows = store.heartbeats().await.unwrap();
        rows.retain(|row| row.incarnation.0 == incarnation);
        assert_eq!(rows, [row(incarnation, 9)]);
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn the_store_tells_the_time() {
    let store = open().await;
    assert!(store.shared_clocks().is_none());
    let coordinators = store.coordinators();
    assert!(!coordinators.is_empty());
    let before = WallClock::system();
    let told = store.time(Arc::clone(&coordinators[0])).await.unwrap();
    let after = WallClock::system();
    // It is this machine's, to the millisecond.
    assert!(told.millis() >= before.millis() && told <= after, "{before} {told} {after}");
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_finds_its_bound_reached_is_refused_before_it_is_issued() {
    let narrow = with(shared().await, |cql| {
        cql.writes_in_flight = 2;
        cql.reads_in_flight = 1;
    });
    let store = Cql::open(&narrow).await.unwrap();
    let (a, b) = (unique("a"), unique("b"));
    let message = direct(&a, &b, START);
    let conversation = &message.conversation;
    let issued =
        |store: &Cql| StatementKind::all().map(|kind| store.executor.issued(kind)).sum::<u64>();
    let before = issued(&store);
    let under_way = [store.writes.enter().unwrap(), store.writes.enter().unwrap()];
    let refused = store.append(Arc::clone(&message)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "nothing was stored: 2 calls are under way already, which is the bound"
    );
    drop(under_way);
    let under_way = store.reads.enter().unwrap();
    let refused = store.history(page_of(conversation, HistoryRange::After(None), WIDE)).await;
    assert_eq!(refused, Err(ReadError::Overloaded { waiting: 1 }));
    drop(under_way);
    assert_eq!(issued(&store), before, "nothing left the node");
    store.append(Arc::clone(&message)).await.unwrap();
    let read = store.history(page_of(conversation, HistoryRange::After(None), WIDE)).await.unwrap();
    assert_eq!(read.messages, [Message::clone(&message)]);
}

/// Everything of a conversation, by the windows that are listed.
async fn listed(store: &Cql, conversation: &Conversation) -> Vec<Message> {
    store.history(page_of(conversation, HistoryRange::Before(None), WIDE)).await.unwrap().messages
}

/// Waits until nothing of a conversation is listed.
async fn forgotten(store: &Cql, conversation: &Conversation) {
    let until = std::time::Instant::now() + FORGET_TIMEOUT;
    while !listed(store, conversation).await.is_empty() {
        assert!(std::time::Instant::now() < until, "it expires");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_is_kept_for_a_time_is_gone_after_it() {
    let kept = Some(Duration::from_secs(1));
    let fresh = with(options(&unique("short")), |cql| cql.nodes = vec![address()]);
    let options = with(fresh, |cql| cql.retention = kept);
    apply_schema(&options).await.unwrap();
    let store = Cql::open(&options).await.unwrap();
    let message = direct("alice", "bob", START);
    store.append(Arc::clone(&message)).await.unwrap();
    forgotten(&store, &message.conversation).await;
    assert_eq!(store.retention(), kept);
    // A node with another setting keeps its own without end, and goes by the tables for the rows of
    // others.
    let other = with(options.clone(), |cql| cql.retention = None);
    let other = Cql::open(&other).await.unwrap();
    assert_eq!(other.retention(), kept);
    let (ours, theirs) = (direct("alice", "carol", START), direct("alice", "dave", START));
    other.append(Arc::clone(&ours)).await.unwrap();
    store.append(Arc::clone(&theirs)).await.unwrap();
    forgotten(&other, &theirs.conversation).await;
    assert_eq!(listed(&other, &ours.conversation).await, [Message::clone(&ours)]);
    drop_keyspace(&options).await;
}

/// A row of `windows` that a node wrote which keeps messages for a second.
async fn list_briefly(conversation: &Conversation) {
    let (keyspace, window) =
        (shared().await.cql.keyspace, window::MessageWindow::of(conversation, START));
    let insert = format!(
        "INSERT INTO {keyspace}.windows (conversation, window) VALUES ('{conversation}', {}) \
         USING TTL 1 AND TIMESTAMP {}",
        window.millis(),
        START.0,
    );
    raw(&shared().await, &insert).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_window_is_listed_as_long_as_who_wrote_to_it_last_says() {
    let (brief, longer) = (unique("b"), unique("l"));
    let (brief, later) = (
        direct("alice", &brief, START),
        direct("alice", &longer, START + Duration::from_micros(1)),
    );
    // It was written with its window; none of these was yet.
    let insert = format!(
        "INSERT INTO {}.messages (conversation, window, id, sender, nonce, body) \
         VALUES ('{}', {}, {}, 'alice', '', '1')",
        shared().await.cql.keyspace,
        brief.conversation,
        window::MessageWindow::of(&brief.conversation, START).millis(),
        brief.id,
    );
    raw(&shared().await, &insert).await;
    list_briefly(&brief.conversation).await;
    list_briefly(&later.conversation).await;
    let store = open().await;
    store.append(Arc::clone(&later)).await.unwrap();
    forgotten(&store, &brief.conversation).await;
    assert_eq!(listed(&store, &later.conversation).await, [Message::clone(&later)]);
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn work_goes_on_when_its_answer_is_dropped() {
    let store = open().await;
    let message = direct(&unique("a"), &unique("b"), START);
    drop(store.append(Arc::clone(&message)));
    store.close().await;
    let again = open().await;
    let page = again
        .history(page_of(&message.conversation, HistoryRange::After(None), WIDE))
        .await
        .unwrap();
    assert_eq!(page.messages, [Message::clone(&message)]);
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_row_without_its_cells_is_absent() {
    let store = open().await;
    let message = direct(&unique("a"), &unique("b"), START);
    store.append(Arc::clone(&message)).await.unwrap();
    let (keyspace, conversation) = (shared().await.cql.keyspace, &message.conversation);
    let erase = format!(
        "DELETE sender, nonce, body FROM {keyspace}.messages WHERE conversation = '{conversation}' \
         AND window = {} AND id = {}",
        window::MessageWindow::of(conversation, START).millis(),
        message.id,
    );
    raw(&shared().await, &erase).await;
    let page = store.history(page_of(conversation, HistoryRange::After(None), WIDE)).await.unwrap();
    assert_eq!((page.messages.len(), page.next), (0, None));
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn without_enough_replicas_nothing_was_written_and_that_is_certain() {
    let options = with(options(&unique("three")), |cql| cql.nodes = vec![address()]);
    apply_schema(&options).await.unwrap();
    let store = Cql::open(&options).await.unwrap();
    let before = direct("alice", "bob", START);
    store.append(Arc::clone(&before)).await.unwrap();
    let more = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 3}";
    let keyspace = &options.cql.keyspace;
    raw(&options, &format!("ALTER KEYSPACE {keyspace} WITH replication = {more}")).await;
    for n in 1..20 {
        let refused = store.append(direct("alice", &format!("b{n}"), START)).await;
        assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    }
    let read = store.history(page_of(&before.conversation, HistoryRange::After(None), WIDE)).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    drop_keyspace(&options).await;
}
