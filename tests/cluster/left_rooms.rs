//! Rooms that a user left long ago.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::{MachineClock, WallClock};
use narrowcast::domain::{MemberRole, MemberState, Membership, MessageId, RoomId, UserId};
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::{MembershipsQuery, Store};

use super::chat::login;
use crate::harness::{PATIENCE, eventually, token};

/// An id of so many days ago.
fn ago(days: u64) -> MessageId {
    MessageId::first_of(WallClock::system() - Duration::from_hours(24 * days))
}

/// Stores that mia is in a room, or was until so many days ago.
async fn keep(store: &dyn Store, room: &str, left: Option<u64>) {
    let (room, user) = (RoomId::parse(room).expect("an id"), UserId::parse("mia").expect("an id"));
    let added = MemberState::UNKNOWN.add(MemberRole::Member, ago(100));
    let state = left.map_or(added, |days| added.remove(ago(days)));
    store.put_membership(Membership { room, user, state }).await.expect("it is stored");
}

async fn listed(store: &dyn Store) -> Vec<String> {
    let user = UserId::parse("mia").expect("an id");
    let listed =
        store.memberships(MembershipsQuery { user, limit: 99 }).await.expect("they are read");
    listed.into_iter().map(|membership| membership.room.to_string()).collect()
}

#[tokio::test]
async fn rooms_left_go_off_the_list_after_35_days() {
    let home = tempfile::tempdir().expect("a directory");
    let plan = ClusterOptions { nodes: 1, unlimited: true, ..ClusterOptions::default() };
    let config = Arc::new(plan.config(1).expect("a configuration"));
    let store = open_store(&config, home.path()).expect("a store");
    for (room, left) in [("here", None), ("lately", Some(34)), ("long-ago", Some(36))] {
        keep(&*store, room, left).await;
    }
    let (bus, machine) = (memory_bus(&config), MachineClock::default());
    let node = Node::start(&NodeOptions { config, bus, store: Arc::clone(&store), machine })
        .expect("it starts");
    eventually("it is ready", || node.readiness().verdict().1.is_empty()).await;
    assert_eq!(listed(&*store).await, ["here", "lately", "long-ago"]);

    let url = format!("ws://{}/v1/ws", node.clients());
    let mia = login(&url, &token("mia")).await;
    let shrinks = async {
        while listed(&*store).await.len() == 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, shrinks).await.expect("the list shrinks");
    assert_eq!(listed(&*store).await, ["here", "lately"]);

    drop(mia);
    node.stop().await;
    store.close().await;
}
