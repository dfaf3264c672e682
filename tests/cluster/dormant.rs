//! Conversations that were silent for longer than it is known which were active.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::{MachineClock, WallClock};
use narrowcast::domain::{
    Conversation, MemberRole, MemberState, Membership, Message, MessageId, RoomId, UserId,
};
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::Store;
use serde_json::{Value, json};

use super::chat::{login, send};
use super::rooms::as_user;
use crate::harness::{eventually, token};

/// The active one, a silent room, and the dormant by name: as text `+` sorts below the `.` that ends
/// an id.
const LISTED: [&str; 5] = ["dm.mia.tom", "room.old", "dm.lee+.mia", "dm.lee.mia", "dm.mia.zoe"];

/// An id of so many days ago.
fn ago(days: u64) -> MessageId {
    MessageId::first_of(WallClock::system() - Duration::from_hours(24 * days))
}

async fn keep(store: &dyn Store, conversation: &str, days: u64) {
    let from = UserId::parse("mia").expect("an id");
    let conversation = Conversation::parse(conversation, &from).expect("a conversation");
    let (id, body) = (ago(days), days.to_string().into());
    let message = Message { id, conversation, from, nonce: None, body };
    store.append(Arc::new(message)).await.expect("it is stored");
}

async fn keep_all(store: &dyn Store) {
    for (conversation, days) in
        [("dm.lee.mia", 400), ("dm.lee+.mia", 40), ("dm.mia.zoe", 400), ("room.old", 400)]
    {
        keep(store, conversation, days).await;
    }
    // It was silent for as long before the latest message.
    keep(store, "dm.mia.tom", 50).await;
    let (room, user) = (RoomId::parse("old").expect("an id"), UserId::parse("mia").expect("an id"));
    let state = MemberState::UNKNOWN.add(MemberRole::Member, ago(410));
    store.put_membership(Membership { room, user, state }).await.expect("it is stored");
}

/// The names and the last bodies of pages, followed to the end.
async fn walk(mut page: impl AsyncFnMut(Option<String>) -> Value) -> Vec<(String, Value)> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let answer = page(next.take()).await;
        let entries = answer["conversations"].as_array().unwrap_or_else(|| panic!("{answer}"));
        all.extend(entries.iter().map(|entry| {
            let name = entry["conversation"].as_str().expect("a name");
            (name.to_owned(), entry["last"]["body"].clone())
        }));
        assert!(all.len() <= LISTED.len(), "{all:?}");
        match answer["next"].as_str() {
            Some(token) => next = Some(token.to_owned()),
            None => return all,
        }
    }
}

#[tokio::test]
async fn an_inbox_lists_dormant_conversations_last_and_once() {
    let home = tempfile::tempdir().expect("a directory");
    let plan = ClusterOptions { nodes: 1, unlimited: true, ..ClusterOptions::default() };
    let config = Arc::new(plan.config(1).expect("a configuration"));
    let store = open_store(&config, home.path()).expect("a store");
    keep_all(&*store).await;
    let (bus, machine) = (memory_bus(&config), MachineClock::default());
    let node = Node::start(&NodeOptions { config, bus, store: Arc::clone(&store), machine })
        .expect("it starts");
    eventually("it is ready", || node.readiness().verdict().1.is_empty()).await;
    let url = format!("ws://{}/v1/ws", node.clients());
    let mut mia = login(&url, &token("mia")).await;
    send(&mut mia, "tom", json!(0)).await;

    let expected: Vec<_> = LISTED
        .map(str::to_owned)
        .into_iter()
        .zip([0, 400, 40, 400, 400].map(Value::from))
        .collect();
    for limit in [1, 2, 5, 50] {
        let asked = async |next| {
            let request = json!({"op": "inbox", "limit": limit, "page": next});
            mia.ask(request).await.expect("the node answers")
        };
        assert_eq!(walk(asked).await, expected, "{limit} a page");
        let asked = async |next: Option<String>| {
            let next = next.map(|next| format!("&page={next}")).unwrap_or_default();
            let path = format!("/v1/users/mia/inbox?limit={limit}{next}");
            let (status, page) = as_user(&url, &token("mia"), "GET", &path, &Value::Null).await;
            assert_eq!(status, 200, "{page}");
            page
        };
        assert_eq!(walk(asked).await, expected, "{limit} a page over HTTP");
    }
    drop(mia);
    node.stop().await;
    store.close().await;
}
