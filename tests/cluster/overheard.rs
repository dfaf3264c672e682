//! The limit of a conversation counts what all nodes send to it, those without sessions of its
//! members included.

use serde_json::{Value, json};

use super::chat::{bodies_until, login};
use super::rooms::{backend, room};
use crate::harness::{Demo, eventually, token};

const WASTED: &str = "narrowcast_bus_received_total{outcome=\"wasted\"";

async fn say(url: &str, from: &str, body: u32) -> (u16, Value) {
    say_to(url, from, "room.busy", body).await
}

async fn say_to(url: &str, from: &str, conversation: &str, body: u32) -> (u16, Value) {
    let message = json!({"from": from, "conversation": conversation, "body": body});
    backend(url, "POST", "/v1/messages", &message).await
}

/// Ten messages at once. Of each of the eight from another node two copies come, one by the bucket of
/// each user, to a node that has both of them: it lets two more in.
#[tokio::test]
async fn a_direct_message_counts_once_where_both_are() {
    for workers in ["1", "3"] {
        let keys = [("WORKERS", workers), ("RATES__DM_BURST", "10"), ("RATES__DM_PER_S", "1")];
        let demo = Demo::start(2, &[], &keys);
        let [here, other] = &demo.nodes[..] else { panic!("two nodes") };
        let mut both = Vec::new();
        for user in ["ann", "ben"] {
            both.push(login(&here.url, &token(user)).await);
        }
        for number in 0..8 {
            assert_eq!(say_to(&other.url, "ann", "user.ben", number).await.0, 201);
        }
        for client in &mut both {
            bodies_until(client, &json!(7)).await;
        }
        for user in ["ann", "ben"] {
            let (status, answer) = say_to(&here.url, user, "dm.ann.ben", 8).await;
            assert_eq!(status, 201, "{answer}");
        }
    }
}

/// Twenty messages at once, and then one a second: what the two others send takes this node's
/// gate further over it than the test takes.
#[tokio::test]
async fn a_node_charges_what_others_send_to_a_room_that_it_only_writes_to() {
    for workers in ["1", "3"] {
        let keys = [("WORKERS", workers), ("RATES__ROOM_BURST", "20"), ("RATES__ROOM_PER_S", "1")];
        let demo = Demo::start(3, &[], &keys);
        let [here, others @ ..] = &demo.nodes[..] else { panic!("three nodes") };
        room(&here.url, "busy", "all", &["ann", "ben"]).await;
        assert_eq!(say(&here.url, "ann", 0).await.0, 201);
        for other in others {
            for body in 0..20 {
                assert_eq!(say(&other.url, "ann", body).await.0, 201);
            }
        }
        // The first of them may have come before this node listened.
        eventually("it is heard here", || here.operator.metric(WASTED) >= 35).await;
        let (status, refused) = say(&here.url, "ann", 1).await;
        assert_eq!(status, 429, "{refused}");
    }
}
