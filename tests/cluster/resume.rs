//! A device that comes back with its cursor: what it gets, in which order, and what it is told.

use std::collections::BTreeSet;
use std::path::Path;

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::chat::{login, next, send};
use crate::harness::{Demo, Served, eventually, token};

/// What a `hello` with a cursor was answered with.
pub struct Resumed {
    pub client: Client,
    /// Bodies of the messages before the cursor, in order.
    pub missed: Vec<Value>,
    pub cursor: Value,
}

/// Comes back with a cursor, or with none.
pub async fn resume(url: &str, token: &str, cursor: Option<&str>) -> Resumed {
    let mut client = Client::connect(url).await.expect("the node is there");
    let mut hello = json!({"op": "hello", "token": token});
    if let Some(cursor) = cursor {
        hello["cursor"] = json!(cursor);
    }
    client.send(&hello.to_string()).await.expect("it reads");
    assert_eq!(next(&mut client).await["op"], "ready");
    let mut missed = Vec::new();
    loop {
        let frame = next(&mut client).await;
        match frame["op"].as_str() {
            Some("message") => missed.push(frame["message"]["body"].clone()),
            Some("cursor") => return Resumed { client, missed, cursor: frame },
            _ => panic!("neither a message nor a cursor: {frame}"),
        }
    }
}

impl Resumed {
    pub fn text(&self) -> String {
        self.cursor["cursor"].as_str().expect("a cursor").to_owned()
    }

    /// All that was missed came before the cursor. What changed beside messages is to be loaded.
    pub fn assert_whole(&self) {
        assert_eq!(self.cursor["reload"], json!(["inbox"]), "{}", self.cursor);
        let told = (&self.cursor["resumed"], &self.cursor["gaps"]);
        assert_eq!(told, (&json!(true), &json!([])), "{}", self.cursor);
    }
}

impl Resumed {
    /// Anything may be missing, and all is to be loaded.
    pub fn assert_not_resumed(&self, reason: &str) {
        let told = ["resumed", "reason", "gaps", "reload"].map(|name| &self.cursor[name]);
        let expected = [json!(false), json!(reason), json!([]), json!(["inbox", "history"])];
        assert_eq!(told, expected.each_ref(), "{}", self.cursor);
    }

    /// The gaps: for each its conversation, and whether it has an end.
    fn gaps(&self) -> Vec<(&str, bool)> {
        let gaps = self.cursor["gaps"].as_array().expect("a list").iter();
        gaps.map(|gap| (gap["conversation"].as_str().expect("a name"), gap["before"].is_string()))
            .collect()
    }
}

/// Changes something as a backend.
async fn backend(url: &str, method: &str, path: &str, body: Value) {
    let (status, answer) = super::rooms::backend(url, method, path, &body).await;
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
}

fn numbers(range: std::ops::Range<u64>) -> Vec<Value> {
    range.map(|number| json!(number)).collect()
}

async fn send_all(client: &mut Client, to: &str, bodies: &[Value]) {
    for body in bodies {
        send(client, to, body.clone()).await;
    }
}

/// Sends a few messages at once, all of which must be acknowledged.
async fn send_together(client: &mut Client, to: &str, bodies: &[Value]) {
    for body in bodies {
        let request =
            json!({"op": "send", "id": 1, "conversation": format!("user.{to}"), "body": body});
        client.send(&request.to_string()).await.expect("it reads");
    }
    let mut sent = 0;
    while sent < bodies.len() {
        let frame = next(client).await;
        assert!(frame["op"] == "sent" || frame["op"] == "cursor", "{frame}");
        sent += usize::from(frame["op"] == "sent");
    }
}

async fn what_was_missed_comes_in_order_then_the_cursor(workers: &str) {
    let demo = Demo::start(2, &[], &[("WORKERS", workers)]);
    let [here, there] = [0, 1].map(|node| demo.nodes[node].url.clone());
    let mut alice = login(&here, &demo.alice).await;
    let fresh = resume(&here, &demo.bob, None).await;
    assert_eq!(fresh.missed, Vec::<Value>::new());
    fresh.assert_not_resumed("no_cursor");
    let cursor = fresh.text();
    drop(fresh);
    send_all(&mut alice, "bob", &numbers(0..10)).await;
    for url in [&here, &there] {
        let back = resume(url, &demo.bob, Some(&cursor)).await;
        assert_eq!(back.missed, numbers(0..10), "from the same cursor, on {url}");
        back.assert_whole();
    }
    let mut back = resume(&there, &demo.bob, Some(&cursor)).await;
    send(&mut alice, "bob", json!("live")).await;
    let frame = next(&mut back.client).await;
    assert_eq!(frame["message"]["body"], "live", "{frame}");
    let later = back.text();
    drop(back);
    let again = resume(&here, &demo.bob, Some(&later)).await;
    assert!(again.missed.ends_with(&[json!("live")]), "{:?}", again.missed);
    again.assert_whole();
}

#[tokio::test]
async fn what_was_missed_comes_in_order_with_one_worker() {
    what_was_missed_comes_in_order_then_the_cursor("1").await;
}

#[tokio::test]
async fn what_was_missed_comes_in_order_with_three_workers() {
    what_was_missed_comes_in_order_then_the_cursor("3").await;
}

/// The newest are sent, the recently active conversations first, and the rest is named.
#[tokio::test]
async fn more_than_is_sent_is_named() {
    let keys = [("REPAIR__CONVERSATION_MESSAGES", "5"), ("REPAIR__RESUME_MESSAGES", "7")];
    let demo = Demo::start(1, &[], &keys);
    let url = &demo.nodes[0].url;
    let cursor = resume(url, &demo.bob, None).await.text();
    let mut alice = login(url, &demo.alice).await;
    let [mut carol, mut dave] =
        [login(url, &token("carol")).await, login(url, &token("dave")).await];
    send_all(&mut dave, "bob", &[json!("first")]).await;
    send_all(&mut alice, "bob", &numbers(0..8)).await;
    let back = resume(url, &demo.bob, Some(&cursor)).await;
    assert_eq!(back.missed, [&numbers(3..8)[..], &[json!("first")]].concat());
    assert_eq!(back.cursor["resumed"], true, "{}", back.cursor);
    assert_eq!(back.gaps(), [("dm.alice.bob", true)]);
    send_all(&mut carol, "bob", &numbers(10..15)).await;
    let back = resume(url, &demo.bob, Some(&cursor)).await;
    assert_eq!(back.missed, [&numbers(10..15)[..], &numbers(6..8)[..]].concat());
    assert_eq!(back.gaps(), [("dm.alice.bob", true), ("dm.bob.dave", false)]);
}

/// Asks for what lies in a gap, page by page: everything after its beginning and before its end.
async fn fill(client: &mut Client, gap: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let mut request = json!({
        "op": "history", "conversation": gap["conversation"], "after": gap["after"], "limit": 2,
    });
    loop {
        let page = client.ask(request.clone()).await.expect("a page");
        for message in page["messages"].as_array().expect("a list") {
            if gap["before"].as_str().is_some_and(|before| message["id"].as_str() >= Some(before)) {
                return found;
            }
            found.push(message["body"].clone());
        }
        let Some(next) = page["next"].as_str() else { return found };
        request = json!({
            "op": "history", "conversation": gap["conversation"], "page": next, "limit": 2,
        });
    }
}

/// The device holds nothing but its cursor.
#[tokio::test]
async fn a_gap_is_filled_by_its_edges_alone() {
    let keys = [("REPAIR__CONVERSATION_MESSAGES", "3"), ("REPAIR__RESUME_MESSAGES", "3")];
    let demo = Demo::start(1, &[], &keys);
    let url = &demo.nodes[0].url;
    let mut alice = login(url, &demo.alice).await;
    let mut dave = login(url, &token("dave")).await;
    send_all(&mut alice, "bob", &[json!("had")]).await;
    let mut first = resume(url, &demo.bob, None).await;
    send_all(&mut alice, "bob", &[json!("live")]).await;
    assert_eq!(next(&mut first.client).await["message"]["body"], "live");
    let cursor = first.text();
    drop(first);
    send_all(&mut dave, "bob", &numbers(20..23)).await;
    send_all(&mut alice, "bob", &numbers(0..8)).await;
    let mut back = resume(url, &demo.bob, Some(&cursor)).await;
    assert_eq!(back.missed, numbers(5..8));
    let gaps = back.cursor["gaps"].as_array().expect("a list").clone();
    let [alices, daves] = &gaps[..] else { panic!("{gaps:?}") };
    let all = [vec![json!("live")], numbers(0..5)].concat();
    // A cursor may lie a little before the newest message that its device has.
    let filled = fill(&mut back.client, alices).await;
    assert!(filled.ends_with(&all), "{filled:?}");
    assert_eq!(fill(&mut back.client, daves).await, numbers(20..23));
}

/// Marks, titles and memberships are not sent again: the frame names the inbox, which has them.
#[tokio::test]
async fn what_changed_beside_messages_is_in_what_the_cursor_names() {
    let demo = Demo::start(1, &[], &[]);
    let url = &demo.nodes[0].url;
    let put = |path: &'static str, body: Value| backend(url, "PUT", path, body);
    for (path, body) in [
        ("/v1/rooms/old", json!({"title": "Old"})),
        ("/v1/rooms/gone", json!({})),
        ("/v1/rooms/old/members/bob", json!({})),
        ("/v1/rooms/gone/members/bob", json!({})),
    ] {
        put(path, body).await;
    }
    let mut alice = login(url, &demo.alice).await;
    let had = send(&mut alice, "bob", json!("had")).await;
    let away = resume(url, &demo.bob, None).await;
    let cursor = away.text();
    let mut phone = away.client;
    for (path, body) in [
        ("/v1/rooms/old", json!({"title": "New"})),
        ("/v1/rooms/fresh", json!({"title": "Fresh"})),
        ("/v1/rooms/fresh/members/bob", json!({})),
    ] {
        put(path, body).await;
    }
    backend(url, "DELETE", "/v1/rooms/gone/members/bob", Value::Null).await;
    let mark = json!({"op": "mark_read", "conversation": "user.alice", "upto": had});
    while phone.ask(mark.clone()).await.expect("an answer")["op"] != "ok" {}
    drop(phone);
    let mut back = resume(url, &demo.bob, Some(&cursor)).await;
    assert_eq!(back.cursor["reload"], json!(["inbox"]), "{}", back.cursor);
    let inbox = back.client.ask(json!({"op": "inbox"})).await.expect("an inbox");
    let entries = inbox["conversations"].as_array().expect("a list");
    let mut held: Vec<_> = entries
        .iter()
        .map(|it| ["conversation", "title", "read_upto"].map(|name| it[name].as_str()))
        .collect();
    held.sort_unstable();
    let expected = [
        [Some("dm.alice.bob"), None, Some(had.as_str())],
        [Some("room.fresh"), Some("Fresh"), None],
        [Some("room.old"), Some("New"), None],
    ];
    assert_eq!(held, expected);
}

/// A cursor with another character at one place.
fn altered(cursor: &str, at: usize) -> String {
    let other = if cursor.as_bytes()[at] == b'A' { "B" } else { "A" };
    [&cursor[..at], other, &cursor[at + 1..]].concat()
}

#[tokio::test]
async fn a_cursor_that_is_altered_or_of_another_user_or_store_is_of_no_use() {
    let [demo, other] = [Demo::start(1, &[], &[]), Demo::start(1, &[], &[])];
    let url = &demo.nodes[0].url;
    let foreign_user = resume(url, &demo.alice, None).await.text();
    let foreign_store = resume(&other.nodes[0].url, &demo.bob, None).await.text();
    let mut alice = login(url, &demo.alice).await;
    send(&mut alice, "bob", json!("missed")).await;
    let long = "A".repeat(5000);
    let bobs = resume(url, &demo.bob, None).await.text();
    // A cursor names its store, its user and a time, and ends with a seal.
    let [store, owner, time, seal] = [3, 8, 16, 30].map(|at| altered(&bobs, at));
    for (cursor, reason) in [
        (foreign_user.as_str(), "other_user"),
        (&foreign_store, "other_store"),
        (&store, "unreadable"),
        (&owner, "unreadable"),
        (&time, "unreadable"),
        (&seal, "unreadable"),
        ("", "unreadable"),
        ("no cursor", "unreadable"),
        (&long, "unreadable"),
    ] {
        let mut back = resume(url, &demo.bob, Some(cursor)).await;
        back.assert_not_resumed(reason);
        assert_eq!(back.missed, Vec::<Value>::new(), "it loads its inbox");
        let cursor = back.text();
        send(&mut alice, "bob", json!("after")).await;
        assert_eq!(next(&mut back.client).await["message"]["body"], "after");
        drop(back);
        let missed = resume(url, &demo.bob, Some(&cursor)).await.missed;
        assert!(missed.contains(&json!("after")), "the cursor that it got is good: {missed:?}");
    }
}

/// A catch-up that is larger than what a kernel and an outbox hold waits for its client.
#[tokio::test]
async fn a_catch_up_that_is_given_up_half_way_begins_again() {
    const MESSAGES: u64 = 1500;
    /// Their acknowledgements fit the outbox.
    const AT_ONCE: usize = 4;
    let keys = [
        ("LIMITS__OUTBOX_BYTES", "65536"),
        ("LIMITS__HISTORY_BYTES", "16384"),
        ("RATES__FRAME_BURST", "100000"),
        ("RATES__BYTE_BURST", "1073741824"),
        ("REPAIR__CONVERSATION_MESSAGES", "10000"),
        ("REPAIR__RESUME_MESSAGES", "10000"),
    ];
    let demo = Demo::start(1, &[], &keys);
    let url = &demo.nodes[0].url;
    let cursor = resume(url, &demo.bob, None).await.text();
    let mut alice = login(url, &demo.alice).await;
    let filler = "x".repeat(7000);
    let body = |number: u64| json!({"number": number, "filler": filler});
    let bodies: Vec<Value> = (0..MESSAGES).map(body).collect();
    for few in bodies.chunks(AT_ONCE) {
        send_together(&mut alice, "bob", few).await;
    }
    let mut half = Client::connect(url).await.expect("the node is there");
    let hello = json!({"op": "hello", "token": demo.bob, "cursor": cursor});
    half.send(&hello.to_string()).await.expect("it reads");
    assert_eq!(next(&mut half).await["op"], "ready");
    assert_eq!(next(&mut half).await["message"]["body"]["number"], 0);
    // What comes live meanwhile waits behind what it does not read, and is more than may wait.
    let live = MESSAGES..MESSAGES + 20;
    for number in live.clone() {
        send(&mut alice, "bob", body(number)).await;
    }
    let mut seen = BTreeSet::from([0]);
    let mut cursors = 0;
    while seen.len() < live.end as usize {
        let frame = next(&mut half).await;
        match frame["op"].as_str() {
            Some("message") => {
                seen.insert(frame["message"]["body"]["number"].as_u64().expect("a number"));
            }
            Some("cursor") => cursors += 1,
            _ => panic!("{frame}"),
        }
    }
    assert_eq!(seen, (0..live.end).collect());
    assert!(cursors > 0, "what it had read counted before all was there");
    drop(half);
    let back = resume(url, &demo.bob, Some(&cursor)).await;
    assert_eq!(back.missed.len() as u64, live.end, "the old cursor is as good as before");
    back.assert_whole();
}

fn configuration(directory: &Path) -> String {
    let path = json!(directory.join("data"));
    format!(
        "[listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n[store]\npath = {path}\n"
    )
}

#[tokio::test]
async fn a_cursor_outlives_the_node_that_gave_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("node.toml");
    std::fs::write(&config, configuration(directory.path())).expect("it can be written");
    let [alice, bob] = ["alice", "bob"].map(token);
    let mut first = Served::start(&config);
    eventually("the node is ready", || first.operator.readiness().1 == "ready").await;
    let cursor = resume(&first.url, &bob, None).await.text();
    let mut sender = login(&first.url, &alice).await;
    send_all(&mut sender, "bob", &numbers(0..5)).await;
    first.process.signal("KILL");
    first.process.wait();
    let second = Served::start(&config);
    eventually("the node is ready", || second.operator.readiness().1 == "ready").await;
    let back = resume(&second.url, &bob, Some(&cursor)).await;
    assert_eq!(back.missed, numbers(0..5));
    back.assert_whole();
}
