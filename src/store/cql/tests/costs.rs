//! How many statements calls are.

use super::*;
use crate::store::conformance::queries::page_of;
use crate::store::conformance::{START, direct};
use crate::store::cql::statements::StatementKind;

/// The statements that were issued since a count of them, by kind, those of none left out.
fn since(executor: &Executor, before: &[u64]) -> Vec<(StatementKind, u64)> {
    let counts = StatementKind::all()
        .zip(before)
        .map(|(kind, before)| (kind, executor.issued(kind) - before));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn counts(executor: &Executor) -> Vec<u64> {
    StatementKind::all().map(|kind| executor.issued(kind)).collect()
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_message_costs_what_was_promised() {
    let store = open().await;
    let (one, two) = (unique("a"), unique("b"));
    let minutes = |n: u64| START + Duration::from_mins(n);
    let mut before = counts(&store.executor);
    let mut cost = async |message: Arc<Message>| {
        store.append(message).await.unwrap();
        let cost = since(&store.executor, &before);
        before = counts(&store.executor);
        cost
    };
    // The first of a conversation writes six rows, any later one three, and the first of a day one
    // more.
    let first = cost(direct(&one, &two, minutes(0))).await;
    let all = [
        (StatementKind::Message, 1),
        (StatementKind::Window, 1),
        (StatementKind::Activity, 2),
        (StatementKind::Direct, 2),
    ];
    assert_eq!(first, all);
    let running = cost(direct(&one, &two, minutes(1))).await;
    assert_eq!(running, [(StatementKind::Message, 1), (StatementKind::Activity, 2)]);
    let next_day = cost(direct(&one, &two, minutes(61))).await;
    assert_eq!(
        next_day,
        [(StatementKind::Message, 1), (StatementKind::Window, 1), (StatementKind::Activity, 2)]
    );
    let note = cost(direct(&one, &one, minutes(2))).await;
    let alone = [
        (StatementKind::Message, 1),
        (StatementKind::Window, 1),
        (StatementKind::Activity, 1),
        (StatementKind::Direct, 1),
    ];
    assert_eq!(note, alone);

    let room = Conversation::Room(RoomId::parse(&unique("r")).unwrap());
    let said = |at| Message { conversation: room.clone(), ..Message::clone(&direct("a", "b", at)) };
    let first = cost(Arc::new(said(minutes(0)))).await;
    assert_eq!(
        first,
        [(StatementKind::Message, 1), (StatementKind::Window, 1), (StatementKind::Head, 1)]
    );
    let running = cost(Arc::new(said(minutes(1)))).await;
    assert_eq!(running, [(StatementKind::Message, 1), (StatementKind::Head, 1)]);
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn history_reads_the_windows_that_there_are_and_few_where_few_can_be() {
    let store = open().await;
    let limit = crate::store::PageLimit { messages: 10, bytes: 1 << 20 };
    let (one, two) = (unique("a"), unique("b"));
    let now = crate::clock::WallClock::system();
    let ago = |minutes| direct(&one, &two, now - Duration::from_mins(minutes));
    let bound = ago(9);
    for message in [Arc::clone(&bound), ago(5), ago(1)] {
        store.append(message).await.unwrap();
    }
    let before = counts(&store.executor);
    let above = HistoryRange::After(Some(bound.id));
    let page = store.history(page_of(&bound.conversation, above, limit)).await.unwrap();
    assert_eq!(page.messages.len(), 2);
    let cost = since(&store.executor, &before);
    // One window, or two and the next where a day ends about now.
    assert!(matches!(cost[..], [(StatementKind::MessagesAbove, 1..=3)]), "{cost:?}");
    assert_eq!(page.reads as u64, cost[0].1, "and it says so");

    let years: Vec<_> =
        (0..30).map(|n| direct(&one, &one, START - Duration::from_hours(24 * 100 * n))).collect();
    for message in &years {
        store.append(Arc::clone(message)).await.unwrap();
    }
    let before = counts(&store.executor);
    let newest = HistoryRange::Before(None);
    let page = store.history(page_of(&years[0].conversation, newest, limit)).await.unwrap();
    assert_eq!(page.messages.len(), 10);
    // Rounds of 1, 2, 4 and 8 windows: the last is begun for the eleventh message.
    let expected = [(StatementKind::MessagesBelow, 15), (StatementKind::WindowsBelow, 1)];
    assert_eq!(since(&store.executor, &before), expected);
    assert_eq!(page.reads, 16);
    let figures = store.figures().unwrap();
    assert!(figures.attempts > 100 && figures.connections >= 2, "{figures:?}");
    assert!(
        figures
            .statements
            .contains(&("write_window", store.executor.issued(StatementKind::Window)))
    );
}
