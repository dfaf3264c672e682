//! The library's device against real nodes.

use narrowcast::client::{ClientError, Cursor, Device, DeviceOptions, Seen, SendOutcomeSeen};
use serde_json::json;

use super::load::come_back;
use crate::cluster::chat::PATIENT;
use crate::harness::{Demo, PATIENCE};

const NODES: usize = 2;

fn device(demo: &Demo, token: &str) -> Device {
    let urls = demo.nodes.iter().map(|node| node.url.clone()).collect();
    Device::new(DeviceOptions::new(urls, token.to_owned(), "phone".into())).expect("addresses")
}

async fn next(device: &mut Device) -> Result<Seen, ClientError> {
    tokio::time::timeout(PATIENCE, device.next()).await.expect("something is seen")
}

/// A session begins on a node.
async fn begins(device: &mut Device, name: &str) {
    assert_eq!(next(device).await.unwrap(), Seen::Connected { node: name.into() });
    let cursor = next(device).await.unwrap();
    assert!(matches!(cursor, Seen::Cursor { .. }), "{cursor:?}");
}

#[tokio::test]
async fn a_device_goes_on_at_another_node() {
    let demo = Demo::start(NODES, &[], &PATIENT);
    let (mut alice, mut bob) = (device(&demo, &demo.alice), device(&demo, &demo.bob));
    begins(&mut alice, "n1").await;
    begins(&mut bob, "n1").await;
    for (round, node) in [(0, 1), (1, 0), (2, 1)] {
        bob.reconnect(node);
        assert!(matches!(next(&mut bob).await.unwrap(), Seen::Lost { .. }));
        begins(&mut bob, ["n1", "n2"][node]).await;
        let nonce = alice.send("user.bob", json!(round)).expect("there is room");
        let answer = next(&mut alice).await.unwrap();
        let Seen::Message { id, conversation, from, body, .. } = next(&mut bob).await.unwrap()
        else {
            panic!("no message")
        };
        assert_eq!((conversation.as_str(), from.as_str()), ("dm.alice.bob", "alice"));
        assert_eq!(body, json!(round));
        assert_eq!(answer, Seen::Answered { nonce, outcome: SendOutcomeSeen::Sent { id } });
    }
}

#[tokio::test]
async fn more_sends_than_may_be_unanswered_are_all_answered_in_their_order() {
    const SENDS: u64 = 100;
    let demo = Demo::start(NODES, &[], &PATIENT);
    let mut alice = device(&demo, &demo.alice);
    begins(&mut alice, "n1").await;
    let send = |body| alice.send("user.bob", json!(body)).expect("there is room");
    let nonces: Vec<_> = (0..SENDS).map(send).collect();
    let mut ids = std::collections::HashMap::new();
    for _ in 0..SENDS {
        match next(&mut alice).await.unwrap() {
            Seen::Answered { nonce, outcome: SendOutcomeSeen::Sent { id } } => {
                ids.insert(nonce, id)
            }
            other => panic!("{other:?}"),
        };
    }
    let in_order: Vec<_> = nonces.iter().map(|nonce| ids[nonce]).collect();
    assert!(in_order.is_sorted(), "{in_order:?}");
}

/// Polls a device, and gives it up again if it has nothing by then.
async fn glance(device: &mut Device) -> Option<Seen> {
    tokio::select! {
        biased;
        seen = device.next() => Some(seen.expect("the node keeps it")),
        () = tokio::task::yield_now() => None,
    }
}

#[tokio::test]
async fn a_device_can_be_given_up_and_taken_up_at_any_time() {
    const SENDS: usize = 50;
    let demo = Demo::start(NODES, &[], &PATIENT);
    let (mut alice, mut bob) = (device(&demo, &demo.alice), device(&demo, &demo.bob));
    bob.reconnect(1);
    let (mut sent, mut heard) = (0, Vec::new());
    let all = async {
        while heard.len() < SENDS {
            match glance(&mut bob).await {
                Some(Seen::Message { id, body, .. }) => heard.push((id, body)),
                Some(Seen::Cursor { .. }) => sent = 1,
                Some(Seen::Connected { .. }) | None => {}
                Some(other) => panic!("{other:?}"),
            }
            if (1..=SENDS).contains(&sent) {
                alice.send("user.bob", json!(sent)).expect("there is room");
                sent += 1;
            }
            glance(&mut alice).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("everything is heard");
    // Ids are in the order of sending; what is stored sooner may overtake on the way.
    heard.sort_by_key(|(id, _)| *id);
    let heard: Vec<_> = heard.into_iter().map(|(_, body)| body).collect();
    let expected: Vec<_> = (1..=SENDS).map(|number| json!(number)).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_node_says_that_it_cannot_resume_from_what_is_no_cursor() {
    let demo = Demo::start(1, &[], &PATIENT);
    let urls = vec![demo.nodes[0].url.clone()];
    let plan = DeviceOptions::new(urls, demo.bob.clone(), "phone".into());
    let cursor = Some(Cursor::new("nonsense"));
    let (claim, seen) = come_back(DeviceOptions { cursor, ..plan }, 0).await;
    assert!(claim.excuses("dm.alice.bob"), "{claim:?}");
    assert_eq!(seen, [Seen::Connected { node: "n1".into() }]);
}

#[tokio::test]
async fn a_device_that_is_not_wanted_stops() {
    let demo = Demo::start(1, &[], &[]);
    let mut device = device(&demo, "no token");
    for _ in 0..2 {
        let end = next(&mut device).await.unwrap_err();
        assert!(matches!(end, ClientError::Closed { code: 4001, .. }), "{end}");
    }
}

#[tokio::test]
async fn a_device_comes_back_to_a_node_that_is_there() {
    let mut first = Demo::start(1, &[], &PATIENT);
    let second = Demo::start(1, &[], &PATIENT);
    let urls = vec![first.nodes[0].url.clone(), second.nodes[0].url.clone()];
    let plan = DeviceOptions::new(urls, first.alice.clone(), "phone".into());
    let mut device = Device::new(plan).expect("addresses");
    begins(&mut device, "n1").await;
    first.process.finish();
    assert!(matches!(next(&mut device).await.unwrap(), Seen::Lost { .. }));
    begins(&mut device, "n1").await;
    let nonce = device.send("user.bob", json!("still here")).expect("there is room");
    let answer = next(&mut device).await.unwrap();
    let Seen::Answered { nonce: of, outcome: SendOutcomeSeen::Sent { .. } } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(of, nonce);
}
