//! Messages apart and together in time: edges of hours and days, long gaps, full hours, and what is
//! going on at the moment.

use std::time::Duration;

use super::queries::{active_on, page_of};
use super::{
    Arc, HistoryRange, Message, MessageId, Micros, NEWEST_FIRST, OLDEST_FIRST, PageLimit, START,
    Store, WIDE, after, fresh_dm, fresh_room, message, read, store_all, walk,
};
use crate::clock::WallClock;
use crate::domain::Conversation;
use crate::store::Day;

const HOUR: Duration = Duration::from_hours(1);

/// Reads everything from both ends, in pages of so many, and compares.
async fn walks_agree(
    store: &dyn Store,
    conversation: &Conversation,
    sent: &[Arc<Message>],
    messages: usize,
) {
    let mut expected: Vec<MessageId> = sent.iter().map(|message| message.id).collect();
    expected.sort();
    for range in [OLDEST_FIRST, NEWEST_FIRST] {
        let limit = PageLimit { messages, bytes: 1 << 24 };
        let pages = walk(store, conversation, range, limit).await;
        let found: Vec<_> = pages.iter().flat_map(|page| &page.messages).map(|m| m.id).collect();
        assert_eq!(found, expected, "{range:?} by {messages}");
        let full = pages.len() - 1;
        assert!(pages[..full].iter().all(|page| page.messages.len() == messages), "{range:?}");
        expected.reverse();
    }
}

pub(crate) async fn edges_of_hours_and_days_part_nothing(store: Arc<dyn Store>) {
    // The start is an hour before a midnight: edges of an hour there, and of a day after it.
    for conversation in [fresh_dm(), fresh_room()] {
        let edges = [START, START + HOUR];
        let times = edges.map(|edge| [Micros(edge.0 - 1), edge, Micros(edge.0 + 1)]).concat();
        let sent: Vec<_> = times.iter().map(|at| message(&conversation, *at, "1")).collect();
        store_all(&*store, &sent).await;
        walks_agree(&*store, &conversation, &sent, 1).await;
        walks_agree(&*store, &conversation, &sent, 4).await;
        for (place, one) in sent.iter().enumerate() {
            let before = read(&*store, &conversation, HistoryRange::Before(Some(one.id))).await;
            let above = read(&*store, &conversation, HistoryRange::After(Some(one.id))).await;
            let ids = |messages: &[Message]| messages.iter().map(|m| m.id).collect::<Vec<_>>();
            let mut below: Vec<_> = sent[..place].iter().map(|m| m.id).collect();
            below.reverse();
            assert_eq!(ids(&before.messages), below);
            let rest: Vec<_> = sent[place + 1..].iter().map(|m| m.id).collect();
            assert_eq!(ids(&above.messages), rest);
        }
    }
    let conversation = fresh_dm();
    let Conversation::Dm(one, _) = &conversation else { unreachable!("it is direct") };
    let midnight = START + HOUR;
    let last = message(&conversation, Micros(midnight.0 - 1), "1");
    let first = message(&conversation, midnight, "1");
    store_all(&*store, &[first.clone(), last.clone()]).await;
    for (day, expected) in [(Day::of(START), last), (Day::of(midnight), first)] {
        assert_eq!(store.activity(active_on(one, day, 9)).await.unwrap()[0].last, expected.id);
    }
}

pub(crate) async fn a_sparse_year_is_walked_from_both_ends(store: Arc<dyn Store>) {
    for conversation in [fresh_dm(), fresh_room()] {
        let weeks = (0..52).map(|week| message(&conversation, after(START, week * 604_800), "1"));
        let sent: Vec<_> = weeks.collect();
        store_all(&*store, &sent).await;
        walks_agree(&*store, &conversation, &sent, 7).await;
        walks_agree(&*store, &conversation, &sent, 60).await;
    }
}

pub(crate) async fn a_full_hour_is_walked_from_both_ends(store: Arc<dyn Store>) {
    let conversation = fresh_room();
    let all = (0..450).map(|n| message(&conversation, after(START, n * 7), "1"));
    let sent: Vec<_> = all.collect();
    for part in sent.chunks(50) {
        store_all(&*store, part).await;
    }
    walks_agree(&*store, &conversation, &sent, 100).await;
    walks_agree(&*store, &conversation, &sent, 1000).await;
}

pub(crate) async fn ids_of_a_millisecond_come_in_their_order(store: Arc<dyn Store>) {
    let conversation = fresh_room();
    let time = |n: u64| Micros(START.0 + n % 7 * 100 + n % 3 * 1_000_000);
    let sent: Vec<_> = (0..60).map(|n| message(&conversation, time(n), "1")).collect();
    store_all(&*store, &sent).await;
    walks_agree(&*store, &conversation, &sent, 11).await;
}

pub(crate) async fn a_late_message_below_a_cursor_is_seen(store: Arc<dyn Store>) {
    for conversation in [fresh_dm(), fresh_room()] {
        let at = |seconds| message(&conversation, after(START, seconds), "1");
        let (bound, newest) = (at(0), at(90_000));
        store_all(&*store, &[bound.clone(), newest.clone()]).await;
        let above = HistoryRange::After(Some(bound.id));
        let seen = read(&*store, &conversation, above).await;
        assert_eq!(seen.messages, [Message::clone(&newest)]);
        // Of a window that nothing was written in before, and of one that was read.
        for late in [at(50_000), at(1)] {
            store_all(&*store, std::slice::from_ref(&late)).await;
            let seen = read(&*store, &conversation, above).await;
            assert_eq!(seen.messages[0], *late);
        }
    }
}

pub(crate) async fn what_goes_on_is_read_above_any_bound(store: Arc<dyn Store>) {
    let now = WallClock::system();
    for conversation in [fresh_dm(), fresh_room()] {
        let ago = |seconds| message(&conversation, now - Duration::from_secs(seconds), "1");
        // And one of a node whose clock runs ahead.
        let ahead = message(&conversation, now + Duration::from_secs(9), "1");
        let sent = [200_000, 100_000, 5000, 60, 1, 0].map(ago);
        store_all(&*store, &sent).await;
        store_all(&*store, std::slice::from_ref(&ahead)).await;
        for (place, bound) in sent.iter().enumerate() {
            let page =
                store.history(page_of(&conversation, HistoryRange::After(Some(bound.id)), WIDE));
            let found: Vec<_> = page.await.unwrap().messages.iter().map(|m| m.id).collect();
            let rest = sent[place + 1..].iter().chain([&ahead]);
            assert_eq!(found, rest.map(|m| m.id).collect::<Vec<_>>(), "{place}");
        }
        let above = HistoryRange::After(Some(ahead.id));
        assert_eq!(read(&*store, &conversation, above).await.messages, []);
    }
}

pub(crate) async fn a_repeated_append_moves_nothing_back(store: Arc<dyn Store>) {
    for conversation in [fresh_dm(), fresh_room()] {
        let sent = [1, 2, 3].map(|n| message(&conversation, after(START, n), "1"));
        for place in [0, 2, 1, 0, 2, 0] {
            store_all(&*store, std::slice::from_ref(&sent[place])).await;
        }
        match &conversation {
            Conversation::Dm(one, other) => {
                for who in [one, other] {
                    let active = store.activity(active_on(who, Day::of(START), 9)).await.unwrap();
                    assert_eq!(active[0].last, sent[2].id);
                }
            }
            Conversation::Room(room) => {
                assert_eq!(store.head(room.clone()).await, Ok(Some(sent[2].id)));
            }
        }
        assert_eq!(read(&*store, &conversation, OLDEST_FIRST).await.messages.len(), 3);
    }
}
