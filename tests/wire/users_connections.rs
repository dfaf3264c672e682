//! How many sessions and HTTP connections one user may have on a node.

use serde_json::json;

use super::http::{ask, bearing, problem, service};
use super::raw::{Raw, text};
use super::tokens::token;
use super::{WORKERS, closes, node_with, url};
use crate::harness::eventually;

const TOO_MANY: (u16, &str) = (4004, "too many sessions: limits.sessions_per_user_here");

fn description(token: &str) -> String {
    bearing(token, "GET", "/v1/openapi.json", "")
}

#[tokio::test]
async fn one_session_too_many_closes_the_oldest() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("LIMITS__SESSIONS_PER_USER_HERE", "2")]);
        let (node, operator) = (url(&demo), &demo.nodes[0].operator);
        let mut other = Raw::greeted(node, &token("bob")).await;
        let mut first = Raw::greeted(node, &token("alice")).await;
        let mut second = Raw::greeted(node, &token("alice")).await;
        let mut third = Raw::greeted(node, &token("alice")).await;
        assert_eq!(operator.metric("narrowcast_sessions"), 3, "it counts no more");
        assert_eq!(first.receive_close().await, (TOO_MANY.0, TOO_MANY.1.to_owned()));
        let send = json!({"op": "send", "conversation": "user.alice", "body": "to all"});
        other.send(&text(&send.to_string())).await;
        for session in [&mut second, &mut third] {
            assert_eq!(session.receive_op("message").await["message"]["body"], "to all");
        }
        let _fourth = Raw::greeted(node, &token("alice")).await;
        assert_eq!(second.receive_close().await.0, TOO_MANY.0);
        drop(third);
        eventually("who left counts no more", || operator.metric("narrowcast_sessions") == 2).await;
        let _fifth = Raw::greeted(node, &token("alice")).await;
        assert_eq!(closes(operator, TOO_MANY.0), 2);
        assert_eq!(operator.metric("narrowcast_sessions"), 3);
    }
}

#[tokio::test]
async fn a_user_has_so_many_http_connections() {
    for workers in WORKERS {
        let demo = node_with(workers, &[("LIMITS__HTTP_CONNECTIONS_PER_USER", "2")]);
        let node = url(&demo);
        let (alice, bob, shop) = (token("alice"), token("bob"), service());
        let mut kept = [Raw::connect(node).await, Raw::connect(node).await];
        for raw in &mut kept {
            for _ in 0..3 {
                assert_eq!(raw.http(&description(&alice)).await.status, 200);
            }
        }
        let answer = ask(node, &description(&alice)).await;
        assert_eq!((answer.status, answer.header("connection")), (429, Some("close")));
        assert_eq!(answer.header("retry-after"), Some("10"));
        let (code, detail) = problem(&answer);
        let told = "2 HTTP connections of the user are open here, as many as \
                    `limits.http_connections_per_user` allows";
        assert_eq!((&*code, &*detail), ("limit_reached", told));

        let mut pool = Vec::new();
        for _ in 0..5 {
            let mut raw = Raw::connect(node).await;
            assert_eq!(raw.http(&description(&shop)).await.status, 200, "a service pools");
            pool.push(raw);
        }
        assert_eq!(pool[0].http(&description(&alice)).await.status, 429);
        assert_eq!(kept[0].http(&description(&bob)).await.status, 200, "it is another user's now");
        assert_eq!(pool[1].http(&description(&alice)).await.status, 200, "a place came back");
        assert_eq!(ask(node, &description(&alice)).await.status, 429);
    }
}
