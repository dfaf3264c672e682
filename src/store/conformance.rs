//! The behaviours that every backend is tested for.
//!
//! A backend runs them with `store_suite!(open)`, or with
//! `store_suite!(#[ignore = "…"] async open)`. `open()` returns a store and the values that must
//! live as long. Each behaviour uses names of its own, so all may share one store.

mod marks;
mod model;
pub(crate) mod queries;
mod rooms;
mod standing;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use super::{AppendError, Day, HistoryRange, Page, PageLimit, ReadError, Store};
use crate::cluster::sample::row;
use crate::domain::{Conversation, Message, MessageId, Micros, RoomId, UserId};
use crate::protocol::MessageText;

use queries::{active_on, directs_of, page_of, participant};

pub(crate) use marks::{
    a_head_is_the_newest_whatever_the_order, a_mark_does_not_bring_a_member_back,
    a_nonce_that_is_too_long_is_refused, an_expired_nonce_is_not_there,
    nonces_are_each_senders_own, of_a_nonces_records_the_largest_id_stays,
    read_marks_only_move_forward,
};
pub(crate) use model::pages_agree_with_a_model;
pub(crate) use rooms::{
    a_membership_is_read_from_both_sides, a_room_that_was_left_goes_off_the_list,
    members_are_walked_once_past_those_who_left, memberships_are_rooms_alone_and_bounded,
    memberships_only_move_forward, of_a_rooms_rows_the_larger_stamp_stays,
    of_adds_at_once_the_role_that_was_named_stays,
    of_equal_adds_the_smallest_is_when_the_member_joined, one_batch_may_hold_a_room_twice,
    rooms_and_users_that_begin_alike_are_apart, rooms_that_were_never_there_are_empty,
};
pub(crate) use standing::memberships_agree_with_a_model;
pub(crate) use windows::{
    a_full_hour_is_walked_from_both_ends, a_late_message_below_a_cursor_is_seen,
    a_repeated_append_moves_nothing_back, a_sparse_year_is_walked_from_both_ends,
    edges_of_hours_and_days_part_nothing, ids_of_a_millisecond_come_in_their_order,
    what_goes_on_is_read_above_any_bound,
};

/// Makes a test of every behaviour.
macro_rules! store_suite {
    (@all $attributes:tt $opened:expr) => {
        $crate::store::conformance::store_suite!(
            @each $attributes $opened;
            a_message_comes_back_as_it_was,
            history_reads_from_both_ends,
            bounds_are_exclusive,
            pages_walk_everything_once,
            pages_are_bounded_in_bytes,
            a_conversation_without_messages_is_an_empty_page,
            names_that_begin_alike_are_apart,
            storing_again_changes_nothing,
            activity_keeps_the_newest_of_each_day,
            activity_is_bounded,
            rooms_leave_no_activity,
            both_become_members_with_the_first_message,
            directs_are_there_for_ever_by_name,
            of_a_row_the_highest_counter_stays,
            a_closed_store_refuses,
            pages_agree_with_a_model,
            of_a_rooms_rows_the_larger_stamp_stays,
            one_batch_may_hold_a_room_twice,
            a_membership_is_read_from_both_sides,
            memberships_only_move_forward,
            a_room_that_was_left_goes_off_the_list,
            of_equal_adds_the_smallest_is_when_the_member_joined,
            of_adds_at_once_the_role_that_was_named_stays,
            members_are_walked_once_past_those_who_left,
            memberships_are_rooms_alone_and_bounded,
            rooms_that_were_never_there_are_empty,
            rooms_and_users_that_begin_alike_are_apart,
            a_head_is_the_newest_whatever_the_order,
            read_marks_only_move_forward,
            a_mark_does_not_bring_a_member_back,
            of_a_nonces_records_the_largest_id_stays,
            nonces_are_each_senders_own,
            a_nonce_that_is_too_long_is_refused,
            an_expired_nonce_is_not_there,
            memberships_agree_with_a_model,
            edges_of_hours_and_days_part_nothing,
            a_sparse_year_is_walked_from_both_ends,
            a_full_hour_is_walked_from_both_ends,
            ids_of_a_millisecond_come_in_their_order,
            a_late_message_below_a_cursor_is_seen,
            what_goes_on_is_read_above_any_bound,
            a_repeated_append_moves_nothing_back,
        );
    };
    (@each $attributes:tt $opened:expr; $($behaviour:ident),+ $(,)?) => {
        $($crate::store::conformance::store_suite!(@one $attributes $opened; $behaviour);)+
    };
    (@one [$(#[$attribute:meta])*] $opened:expr; $behaviour:ident) => {
        #[tokio::test]
        $(#[$attribute])*
        async fn $behaviour() {
            let (store, _kept) = $opened;
            $crate::store::conformance::$behaviour(store).await;
        }
    };
    (#[$attribute:meta] async $open:expr) => {
        $crate::store::conformance::store_suite!(@all [#[$attribute]] $open().await);
    };
    ($open:expr) => {
        $crate::store::conformance::store_suite!(@all [] $open());
    };
}
pub(crate) use store_suite;

/// When the suite's messages begin: an hour before a midnight.
pub(crate) const START: Micros = Micros(20_417 * 86_400_000_000 - 3_600_000_000);

/// A limit that no test reaches.
pub(crate) const WIDE: PageLimit = PageLimit { messages: 1000, bytes: 1 << 20 };

const OLDEST_FIRST: HistoryRange = HistoryRange::After(None);
const NEWEST_FIRST: HistoryRange = HistoryRange::Before(None);

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// A name that no other test has.
fn unique(name: &str) -> String {
    format!("{name}-{:016x}", rand::random::<u64>())
}

fn fresh_dm() -> Conversation {
    Conversation::between(&user(&unique("a")), &user(&unique("b")))
}

fn fresh_room() -> Conversation {
    Conversation::Room(RoomId::parse(&unique("r")).unwrap())
}

fn after(start: Micros, seconds: u64) -> Micros {
    start + Duration::from_secs(seconds)
}

fn message(conversation: &Conversation, time: Micros, body: &str) -> Arc<Message> {
    let from = match conversation {
        Conversation::Dm(one, _) => one.clone(),
        Conversation::Room(_) => user("sender"),
    };
    Arc::new(Message {
        id: MessageId::new(time, rand::random()),
        conversation: conversation.clone(),
        from,
        nonce: None,
        body: body.to_owned().into(),
    })
}

/// A message of `from` to `to`.
pub(crate) fn direct(from: &str, to: &str, time: Micros) -> Arc<Message> {
    message(&Conversation::between(&user(from), &user(to)), time, "\"Hi!\"")
}

/// Stores all at once, so that a backend that batches has something to batch.
async fn store_all(store: &dyn Store, messages: &[Arc<Message>]) {
    let pending: Vec<_> = messages.iter().map(|message| store.append(message.clone())).collect();
    for append in pending {
        append.await.unwrap();
    }
}

/// Stores a message at each of the seconds after the start, with a body of so many bytes.
async fn store_at(
    store: &dyn Store,
    conversation: &Conversation,
    seconds_and_bytes: &[(u64, usize)],
) -> Vec<Arc<Message>> {
    let at = |&(seconds, bytes)| message(conversation, after(START, seconds), &"7".repeat(bytes));
    let messages: Vec<_> = seconds_and_bytes.iter().map(at).collect();
    store_all(store, &messages).await;
    messages
}

fn seconds_of(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.id.time().since(START).as_secs()).collect()
}

async fn read(store: &dyn Store, conversation: &Conversation, range: HistoryRange) -> Page {
    store.history(page_of(conversation, range, WIDE)).await.unwrap()
}

/// Follows `next` to the end.
async fn walk(
    store: &dyn Store,
    conversation: &Conversation,
    mut range: HistoryRange,
    limit: PageLimit,
) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = store.history(page_of(conversation, range, limit)).await.unwrap();
        let next = page.next;
        pages.push(page);
        match next {
            Some(last) => range = range.beyond(last),
            None => return pages,
        }
    }
}

pub(crate) async fn a_message_comes_back_as_it_was(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let plain = message(&conversation, START, "{\"text\":\"grüße\\n\"}");
    let marked = Message { nonce: Some("ü-1".into()), ..Message::clone(&plain) };
    let marked = Message { id: MessageId::new(after(START, 1), 7), ..marked };
    let large = message(&conversation, after(START, 2), &"x".repeat(64 * 1024));
    let sent = [plain, Arc::new(marked), large];
    store_all(&*store, &sent).await;
    let page = read(&*store, &conversation, OLDEST_FIRST).await;
    assert_eq!(page.messages, sent.map(|message| Message::clone(&message)));
}

pub(crate) async fn history_reads_from_both_ends(store: Arc<dyn Store>) {
    for conversation in [fresh_dm(), fresh_room()] {
        let days = [3, 1, 4, 0, 2].map(|day| (day * 86_400, 1));
        store_at(&*store, &conversation, &days).await;
        let mut expected = [0, 1, 2, 3, 4].map(|day| day * 86_400);
        assert_eq!(seconds_of(&read(&*store, &conversation, OLDEST_FIRST).await), expected);
        expected.reverse();
        assert_eq!(seconds_of(&read(&*store, &conversation, NEWEST_FIRST).await), expected);
    }
}

pub(crate) async fn bounds_are_exclusive(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let sent = store_at(&*store, &conversation, &[(0, 1), (1, 1), (2, 1)]).await;
    let bound = Some(sent[1].id);
    let before = read(&*store, &conversation, HistoryRange::Before(bound)).await;
    let after = read(&*store, &conversation, HistoryRange::After(bound)).await;
    assert_eq!((seconds_of(&before), seconds_of(&after)), (vec![0], vec![2]));
    let below = read(&*store, &conversation, HistoryRange::Before(Some(sent[0].id))).await;
    let above = read(&*store, &conversation, HistoryRange::After(Some(sent[2].id))).await;
    for beyond in [below, above] {
        assert_eq!((beyond.messages.len(), beyond.next), (0, None));
    }
}

pub(crate) async fn pages_walk_everything_once(store: Arc<dyn Store>) {
    let conversation = fresh_room();
    let hours: Vec<_> = (0..9).map(|hour| (hour * 3600, 5)).collect();
    let mut sent = store_at(&*store, &conversation, &hours).await;
    for range in [OLDEST_FIRST, NEWEST_FIRST] {
        for (messages, sizes) in [(4, vec![4, 4, 1]), (3, vec![3, 3, 3]), (0, vec![1; 9])] {
            let limit = PageLimit { messages, ..WIDE };
            let pages = walk(&*store, &conversation, range, limit).await;
            let found: Vec<_> = pages.iter().map(|page| page.messages.len()).collect();
            assert_eq!(found, sizes, "{range:?} by {messages}");
            let walked: Vec<_> = pages.iter().flat_map(|page| &page.messages).collect();
            assert_eq!(walked, sent.iter().map(|sent| &**sent).collect::<Vec<_>>());
        }
        sent.reverse();
    }
}

pub(crate) async fn pages_are_bounded_in_bytes(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let sizes = [(0, 40), (1, 40), (2, 20), (3, 500), (4, 1), (5, 99), (6, 2)];
    let sent = store_at(&*store, &conversation, &sizes).await;
    let around = MessageText::bytes_at_most(&sent[0]) - 40;
    assert!(around < 400, "the message of 500 bytes fills a page");
    let limit = PageLimit { bytes: 100 + 3 * around, ..WIDE };
    let pages = walk(&*store, &conversation, OLDEST_FIRST, limit).await;
    let found: Vec<_> = pages.iter().map(seconds_of).collect();
    assert_eq!(found, [vec![0, 1, 2], vec![3], vec![4, 5], vec![6]]);
    let pages = walk(&*store, &conversation, NEWEST_FIRST, limit).await;
    let found: Vec<_> = pages.iter().map(seconds_of).collect();
    assert_eq!(found, [vec![6, 5], vec![4], vec![3], vec![2, 1, 0]]);
}

pub(crate) async fn a_conversation_without_messages_is_an_empty_page(store: Arc<dyn Store>) {
    for conversation in [fresh_dm(), fresh_room()] {
        for range in [OLDEST_FIRST, NEWEST_FIRST] {
            let page = read(&*store, &conversation, range).await;
            assert_eq!((page.messages.len(), page.next), (0, None));
        }
    }
}

pub(crate) async fn names_that_begin_alike_are_apart(store: Arc<dyn Store>) {
    let (one, other) = (unique("a"), unique("b"));
    let tails = ["", "0", "c", "~", "|"];
    let dms = tails.map(|tail| Conversation::between(&user(&one), &user(&(other.clone() + tail))));
    let rooms = tails.map(|tail| Conversation::Room(RoomId::parse(&(one.clone() + tail)).unwrap()));
    let all: Vec<_> = (0..).zip(dms.into_iter().chain(rooms)).collect();
    for (at, conversation) in &all {
        store_at(&*store, conversation, &[(*at, 1)]).await;
    }
    for (at, conversation) in &all {
        for range in [OLDEST_FIRST, NEWEST_FIRST] {
            let page = read(&*store, conversation, range).await;
            assert_eq!((seconds_of(&page), page.next), (vec![*at], None), "{conversation}");
        }
    }
    let active = store.activity(active_on(&user(&one), Day::of(START), 99)).await.unwrap();
    assert_eq!(active.len(), tails.len(), "the other users' names begin alike too");
    let active = store.activity(active_on(&user(&other), Day::of(START), 99)).await.unwrap();
    assert_eq!(active.len(), 1);
}

pub(crate) async fn storing_again_changes_nothing(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let sent = message(&conversation, START, "1");
    store_all(&*store, &[sent.clone(), sent.clone()]).await;
    store_all(&*store, std::slice::from_ref(&sent)).await;
    let page = read(&*store, &conversation, OLDEST_FIRST).await;
    assert_eq!(page.messages, [Message::clone(&sent)]);
    let active = store.activity(active_on(&sent.from, Day::of(START), 9)).await.unwrap();
    assert_eq!(active.len(), 1);
}

pub(crate) async fn activity_keeps_the_newest_of_each_day(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let Conversation::Dm(one, other) = &conversation else { unreachable!("it is direct") };
    // The start is an hour before midnight, so from 3,600 s on it is the next day.
    let together = store_at(&*store, &conversation, &[(5, 1), (9, 1), (7, 1), (4000, 1)]).await;
    store_at(&*store, &conversation, &[(8, 1), (3700, 1)]).await;
    let day = Day::of(START);
    for (day, expected) in [(day, &together[1]), (Day(day.0 + 1), &together[3])] {
        for who in [one, other] {
            let active = store.activity(active_on(who, day, 9)).await.unwrap();
            let found: Vec<_> = active.iter().map(|a| (&a.conversation, a.last)).collect();
            assert_eq!(found, [(&conversation, expected.id)], "{who} on {day:?}");
        }
    }
    let before = store.activity(active_on(one, Day(day.0 - 1), 9)).await.unwrap();
    assert_eq!(before, []);
}

pub(crate) async fn activity_is_bounded(store: Arc<dyn Store>) {
    let me = user(&unique("me"));
    let with: Vec<_> = (0..5).map(|n| user(&unique(&format!("c{n}")))).collect();
    let mut names = Vec::new();
    for other in &with {
        let conversation = Conversation::between(&me, other);
        store_at(&*store, &conversation, &[(0, 1)]).await;
        names.push(conversation);
    }
    names.sort_by_key(ToString::to_string);
    for limit in [0, 3, 5, 6] {
        let active = store.activity(active_on(&me, Day::of(START), limit)).await.unwrap();
        let found: Vec<_> = active.into_iter().map(|active| active.conversation).collect();
        assert_eq!(found, names[..limit.min(5)]);
    }
}

pub(crate) async fn rooms_leave_no_activity(store: Arc<dyn Store>) {
    let sender = user(&unique("s"));
    let sent = message(&fresh_room(), START, "1");
    let sent = Arc::new(Message { from: sender.clone(), ..Message::clone(&sent) });
    store.append(sent).await.unwrap();
    assert_eq!(store.activity(active_on(&sender, Day::of(START), 9)).await, Ok(Vec::new()));
}

pub(crate) async fn both_become_members_with_the_first_message(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    let Conversation::Dm(one, other) = &conversation else { unreachable!("it is direct") };
    let stranger = user(&unique("c"));
    let is_member = async |who| store.is_member(participant(who, &conversation)).await.unwrap();
    assert!(!is_member(one).await && !is_member(other).await);
    store_at(&*store, &conversation, &[(0, 1)]).await;
    assert!(is_member(one).await && is_member(other).await);
    assert!(!is_member(&stranger).await);
    store_at(&*store, &conversation, &[(86_400, 1)]).await;
    assert!(is_member(one).await && is_member(other).await);
    let elsewhere = Conversation::between(one, &stranger);
    assert_eq!(store.is_member(participant(one, &elsewhere)).await, Ok(false));
}

/// Names sort as text: `+` sorts below the `.` that ends an id.
pub(crate) async fn directs_are_there_for_ever_by_name(store: Arc<dyn Store>) {
    let me = user(&unique("m"));
    let others = ["a", "a+", "z", "z+"].map(|id| user(&unique(id)));
    let mut names: Vec<_> = others.iter().map(|other| Conversation::between(&me, other)).collect();
    names.push(Conversation::between(&me, &user(&format!("{me}+"))));
    names.push(Conversation::between(&me, &me));
    for (years, conversation) in names.iter().enumerate() {
        let time = Micros(START.0 - years as u64 * 365 * 86_400_000_000);
        store.append(message(conversation, time, "1")).await.unwrap();
        store.append(message(conversation, START, "1")).await.unwrap();
    }
    let of_another = Conversation::between(&others[0], &user(&format!("{me}-")));
    store.append(message(&of_another, START, "1")).await.unwrap();
    let room = rooms::said(&rooms::fresh_room_id(), &me, true, 1);
    store.put_membership(room).await.unwrap();
    names.sort_by_key(ToString::to_string);
    for (limit, first) in (0..8).flat_map(|limit| [0_usize, 1, 3, 6].map(|first| (limit, first))) {
        let after = first.checked_sub(1).map(|last| &names[last]);
        let found = store.directs(directs_of(&me, after, limit)).await.unwrap();
        assert_eq!(found, names[first..(first + limit).min(6)], "{limit} after {after:?}");
    }
    let between = Conversation::between(&me, &user("b"));
    let above = names.iter().filter(|name| name.to_string() > between.to_string());
    let above: Vec<_> = above.cloned().collect();
    assert_eq!(
        store.directs(directs_of(&me, Some(&between), 9)).await,
        Ok(above),
        "a bound need not be there"
    );
}

pub(crate) async fn of_a_row_the_highest_counter_stays(store: Arc<dyn Store>) {
    let (one, two) = (rand::random(), rand::random());
    for row in [row(one, 2), row(two, 1), row(one, 3), row(one, 1)] {
        store.write_heartbeat(row).await.unwrap();
    }
    let mut rows = store.heartbeats().await.unwrap();
    rows.retain(|row| [one, two].contains(&row.incarnation.0));
    rows.sort_by_key(|row| row.counter);
    assert_eq!(rows, [row(two, 1), row(one, 3)]);
}

pub(crate) async fn a_closed_store_refuses(store: Arc<dyn Store>) {
    let conversation = fresh_dm();
    store.close().await;
    let append = store.append(message(&conversation, START, "1")).await;
    assert!(matches!(append, Err(AppendError::Unavailable { .. })), "{append:?}");
    let read = store.history(page_of(&conversation, OLDEST_FIRST, WIDE)).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    store.close().await;
}
