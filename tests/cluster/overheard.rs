//! The limit of a conversation counts what all nodes send to it, those without sessions of its
//! members included.

use serde_json::{Value, json};

use super::rooms::{backend, room};
use crate::harness::{Demo, eventually};

const WASTED: &str = "narrowcast_bus_received_total{outcome=\"wasted\"}";

async fn say(url: &str, from: &str, body: u32) -> (u16, Value) {
    let message = json!({"from": from, "conversation": "room.busy", "body": body});
    backend(url, "POST", "/v1/messages", &message).await
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
