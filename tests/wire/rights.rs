//! A right that a session had when it asked, and has no more.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::tokens::granting;
use super::{WORKERS, node_with, url};
use crate::cluster::chat::{next, publish, subscribe};

async fn renew(client: &mut Client, token: &str) -> Value {
    client.ask(json!({"op": "renew", "token": token})).await.expect("the node answers")
}

#[tokio::test]
async fn a_token_with_less_ends_what_it_does_not_grant_at_once() {
    const ALL: [&str; 2] = ["topic.a.>", "topic.b.>"];
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut speaker =
            Client::login(url(&demo), &granting("ann", &["topic.>"], &[])).await.unwrap();
        let mut session = Client::login(url(&demo), &granting("bob", &ALL, &ALL)).await.unwrap();
        for pattern in ["topic.a.*", "topic.b.*", "topic.a.x.y"] {
            subscribe(&mut session, pattern).await;
        }
        let renewed = renew(&mut session, &granting("bob", &ALL[1..], &ALL[1..])).await;
        assert_eq!(renewed["op"], "renewed", "{renewed}");
        assert_eq!(renewed["refused"], json!(["topic.a.*", "topic.a.x.y"]), "they are named");
        for subject in ["topic.a.one", "topic.a.x.y", "topic.b.one"] {
            publish(&mut speaker, subject, json!(1)).await;
        }
        assert_eq!(next(&mut session).await["subject"], "topic.b.one", "and nothing before it");
        let refused = session
            .ask(json!({"op": "publish", "subject": "topic.a.one", "data": 1}))
            .await
            .expect("the node answers");
        assert_eq!(refused["code"], "forbidden", "{refused}");
        let same = renew(&mut session, &granting("bob", &ALL, &ALL)).await;
        assert_eq!(same["refused"], json!([]), "{same}");
        subscribe(&mut session, "topic.a.*").await;
        publish(&mut speaker, "topic.a.one", json!(2)).await;
        assert_eq!(next(&mut session).await["subject"], "topic.a.one");
    }
}
