//! What a further try of a send costs: what is read, and what is pushed again.

use narrowcast::domain::MessageId;
use serde_json::{Value, json};

use super::chat::{bodies_until, send};
use super::lies::Pair;
use crate::harness::{eventually, token};
use crate::wire::http::{ask, request};

/// Where Alice sends: a session of its own, or a request.
#[derive(Debug, Clone, Copy)]
enum Road {
    Socket,
    Http,
}

const ROADS: [Road; 2] = [Road::Socket, Road::Http];

/// Alice sends to Bob on a connection of its own: the message that was answered.
async fn send_to_bob(pair: &Pair, node: usize, road: Road, nonce: Option<&str>) -> Value {
    let url = pair.url(node);
    match road {
        Road::Socket => {
            let mut frame = json!({"op": "send", "conversation": "user.bob", "body": "Hi!"});
            if let Some(nonce) = nonce {
                frame["nonce"] = json!(nonce);
            }
            let mut alice = pair.login(node, "alice").await;
            let sent = alice.ask(frame).await.expect("the node answers");
            assert_eq!((&sent["op"], &sent["nonce"]), (&json!("sent"), &json!(nonce)), "{sent}");
            sent["message"].clone()
        }
        Road::Http => {
            let bearer = format!("Bearer {}", token("alice"));
            let mut headers = vec![("authorization", &*bearer)];
            headers.extend(nonce.map(|nonce| ("idempotency-key", nonce)));
            let body = json!({"conversation": "user.bob", "body": "Hi!"}).to_string();
            let answer = ask(&url, &request("POST", "/v1/messages", &headers, &body)).await;
            let document: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(answer.status, 201, "{document}");
            document["message"].clone()
        }
    }
}

/// Waits until what was sent before is recorded: the store takes writes in their order.
async fn recorded(pair: &Pair) {
    send(&mut pair.login(0, "alice").await, "alice", json!("behind the record")).await;
}

#[tokio::test]
async fn a_send_reads_the_record_of_its_nonce_unless_it_is_fresh() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 0).await;
    let mut looked_up = 0;
    let mut reads = |what: &str, count: usize| {
        let now = pair.store.looked_up();
        assert_eq!(now - looked_up, count, "{what}");
        looked_up = now;
    };
    for (road, nonce) in ROADS.into_iter().zip(["a", "b"]) {
        send_to_bob(&pair, 0, road, None).await;
        reads("without a nonce", 0);
        send_to_bob(&pair, 0, road, Some(nonce)).await;
        reads("a first try that does not say so", 1);
        recorded(&pair).await;
        send_to_bob(&pair, 0, road, Some(nonce)).await;
        reads("a further try", 1);
    }
    let mut alice = pair.login(0, "alice").await;
    let fresh = json!({
        "op": "send", "conversation": "user.bob", "body": 1, "nonce": "c", "fresh": true,
    });
    let sent = alice.ask(fresh.clone()).await.expect("the node answers");
    reads("a first try that says so", 0);
    recorded(&pair).await;
    let again = alice.ask(fresh).await.expect("the node answers");
    assert_eq!(again["message"], sent["message"], "the session knows the nonce");
    reads("a nonce that the session used lately", 1);
    drop(alice);
    pair.stop().await;
}

/// Bob's sessions forget what they were handed once the watermark has passed it.
#[tokio::test]
async fn what_the_watermark_has_passed_is_not_pushed_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 0).await;
    let (mut here, mut there) = (pair.login(0, "bob").await, pair.login(1, "bob").await);
    let sent = send_to_bob(&pair, 0, Road::Socket, Some("n")).await;
    let id: MessageId = sent["id"].as_str().expect("an id").parse().expect("an id");
    eventually("both watermarks pass it", || {
        let passed = |node: &narrowcast::node::Node| {
            node.metrics().watermark.micros.get() as u64 > id.time().0
        };
        pair.nodes.iter().all(passed)
    })
    .await;
    for node in [0, 1] {
        for road in ROADS {
            let again = send_to_bob(&pair, node, road, Some("n")).await;
            assert_eq!(again, sent, "{road:?} of n{}", node + 1);
        }
        send(&mut pair.login(node, "alice").await, "bob", json!(node)).await;
    }
    for bob in [&mut here, &mut there] {
        assert_eq!(bodies_until(bob, &json!(1)).await, [json!("Hi!"), json!(0), json!(1)]);
    }
    drop((here, there));
    pair.stop().await;
}
