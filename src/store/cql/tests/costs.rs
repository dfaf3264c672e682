//! How many statements calls are.

use super::*;
use crate::store::cql::statements::Kind;
use crate::store::suite::{START, direct};

/// The statements that were issued since a count of them, by kind, those of none left out.
fn since(wire: &Wire, before: &[u64]) -> Vec<(Kind, u64)> {
    let counts = Kind::all().zip(before).map(|(kind, before)| (kind, wire.issued(kind) - before));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn counts(wire: &Wire) -> Vec<u64> {
    Kind::all().map(|kind| wire.issued(kind)).collect()
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_message_costs_what_was_promised() {
    let store = open().await;
    let (one, two) = (unique("a"), unique("b"));
    let minutes = |n: u64| START + Duration::from_mins(n);
    let mut before = counts(&store.wire);
    let mut cost = async |message: Arc<Message>| {
        store.append(message).await.unwrap();
        let cost = since(&store.wire, &before);
        before = counts(&store.wire);
        cost
    };
    // The first of a conversation writes six rows, any later one three, and the first of a day one
    // more.
    let first = cost(direct(&one, &two, minutes(0))).await;
    let all = [(Kind::Message, 1), (Kind::Window, 1), (Kind::Activity, 2), (Kind::Membership, 2)];
    assert_eq!(first, all);
    let running = cost(direct(&one, &two, minutes(1))).await;
    assert_eq!(running, [(Kind::Message, 1), (Kind::Activity, 2)]);
    let next_day = cost(direct(&one, &two, minutes(61))).await;
    assert_eq!(next_day, [(Kind::Message, 1), (Kind::Window, 1), (Kind::Activity, 2)]);
    let note = cost(direct(&one, &one, minutes(2))).await;
    let alone = [(Kind::Message, 1), (Kind::Window, 1), (Kind::Activity, 1), (Kind::Membership, 1)];
    assert_eq!(note, alone);

    let room = Conversation::Room(RoomId::parse(&unique("r")).unwrap());
    let said = |at| Message { conversation: room.clone(), ..Message::clone(&direct("a", "b", at)) };
    let first = cost(Arc::new(said(minutes(0)))).await;
    assert_eq!(first, [(Kind::Message, 1), (Kind::Window, 1), (Kind::Head, 1)]);
    let running = cost(Arc::new(said(minutes(1)))).await;
    assert_eq!(running, [(Kind::Message, 1), (Kind::Head, 1)]);
}
