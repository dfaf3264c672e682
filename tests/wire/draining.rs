//! SIGTERM: sessions are told to go, what was asked is answered, and the process ends well.

use narrowcast::client::{Client, ClientError};
use serde_json::json;

use super::raw::{Raw, hello, text};
use super::tokens::token;
use super::{WORKERS, node_with, serve_with, url};
use crate::harness::PATIENCE;

const DRAINING: (u16, &str) = (4200, "draining");

/// Sessions that are asked to leave one by one, so that there is time for a second signal.
const CROWD: usize = 100;

async fn expect_draining(client: &mut Client) {
    match client.next_within(PATIENCE).await {
        Err(ClientError::Closed { code, reason }) => assert_eq!((code, &*reason), DRAINING),
        other => panic!("not closed: {other:?}"),
    }
}

#[tokio::test]
async fn every_session_is_told_and_the_demo_ends_with_0() {
    for workers in WORKERS {
        let mut demo = node_with(workers, &[]);
        let mut sessions = Vec::new();
        for user in ["alice", "alice", "bob", "carol", "dave"] {
            sessions.push(Client::login(url(&demo), &token(user)).await.unwrap());
        }
        demo.process.signal("TERM");
        for session in &mut sessions {
            expect_draining(session).await;
        }
        let (code, errors) = demo.process.wait();
        assert_eq!(code, Some(0), "{errors}");
    }
}

#[tokio::test]
async fn a_served_node_ends_with_0_by_either_signal() {
    for (workers, signal) in WORKERS.into_iter().zip(["TERM", "INT"]) {
        let (_store, mut served) = serve_with(&[("workers", workers)]).await;
        let mut session = Client::login(&served.url, &token("alice")).await.unwrap();
        served.process.signal(signal);
        expect_draining(&mut session).await;
        let (code, errors) = served.process.wait();
        assert_eq!(code, Some(0), "{errors}");
        assert!(errors.contains("stopping"), "{errors}");
    }
}

/// Sends that were in flight are answered before the goodbye.
#[tokio::test]
async fn what_was_asked_before_is_answered_first() {
    let demo = node_with("1", &[]);
    let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
    let send = |id| json!({"op": "send", "id": id, "conversation": "user.bob", "body": id});
    let packet: Vec<u8> = (1..=16).flat_map(|id| text(&send(id).to_string())).collect();
    raw.send(&packet).await;
    assert_eq!(raw.receive_json().await["op"], "sent", "they are being handled");
    demo.process.signal("TERM");
    for _ in 2..=16 {
        assert_eq!(raw.receive_json().await["op"], "sent");
    }
    assert_eq!(raw.receive_close().await.0, 4200);
}

/// A session that does not answer the goodbye holds nobody up for long, and one that only now
/// says hello is sent away like the others.
#[tokio::test]
async fn nobody_is_let_in_while_the_node_drains() {
    for workers in WORKERS {
        let keys = [("TIMEOUTS__DRAIN_TIMEOUT_MS", "4000"), ("TIMEOUTS__LAME_DUCK_MS", "0")];
        let mut demo = node_with(workers, &keys);
        let mut session = Client::login(url(&demo), &token("alice")).await.unwrap();
        let _mute = Raw::greeted(url(&demo), &token("alice")).await;
        let mut late = Raw::upgraded(url(&demo)).await;
        demo.process.signal("TERM");
        expect_draining(&mut session).await;
        let _sent = late.try_send(&hello(&token("alice"))).await;
        let heard = String::from_utf8_lossy(&late.drain().await).into_owned();
        assert!(!heard.contains("\"ready\""), "it was let in: {heard}");
        assert_eq!(demo.process.wait().0, Some(0));
    }
}

#[tokio::test]
async fn connections_that_have_not_said_hello_do_not_keep_the_node() {
    for workers in WORKERS {
        let mut demo = node_with(workers, &[("TIMEOUTS__HELLO_TIMEOUT_MS", "60000")]);
        let mut connected = Raw::connect(url(&demo)).await;
        let mut upgraded = Raw::upgraded(url(&demo)).await;
        demo.process.signal("TERM");
        upgraded.drain().await;
        connected.drain().await;
        assert_eq!(demo.process.wait().0, Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let mut demo = node_with("1", &[]);
    let mut sessions = Vec::new();
    for _ in 0..CROWD {
        sessions.push(Client::login(url(&demo), &demo.alice).await.unwrap());
    }
    demo.process.signal("TERM");
    expect_draining(&mut sessions[0]).await;
    demo.process.signal("TERM");
    assert_ne!(demo.process.wait().0, Some(0), "it did not go on as if nobody had asked again");
}
