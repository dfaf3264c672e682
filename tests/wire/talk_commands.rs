//! `pub`, `sub` and `tail` against a node.

use serde_json::Value;

use super::tokens::granting;
use super::{WORKERS, node_with, url};
use crate::harness::{Finished, Process};

fn start(node: &str, arguments: &[&str]) -> Process {
    Process::start(Process::narrowcast().args(arguments).args(["--url", node]))
}

fn run(node: &str, arguments: &[&str]) -> Finished {
    start(node, arguments).ended()
}

fn publish(node: &str, arguments: &[&str]) -> Value {
    let ended = run(node, &[&["pub"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
    serde_json::from_str(&ended.output).expect("one line of JSON")
}

fn wait_for_subscription(sub: &mut Process) {
    sub.error_line(|line| line.contains("subscribed").then_some(()));
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).expect("a line of JSON")
}

#[test]
fn sub_prints_what_pub_publishes() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut sub = start(node, &["sub", "topic.scores.>", "topic.news", "--as", "bob"]);
        wait_for_subscription(&mut sub);
        assert_eq!(publish(node, &["topic.scores.goal", r#"{"by": "ann"}"#])["op"], "ok");
        let event = json(&sub.line());
        assert_eq!(
            (&event["subject"], &event["data"]["by"]),
            (&"topic.scores.goal".into(), &"ann".into())
        );
        publish(node, &["topic.news", "what is no JSON is a text"]);
        assert_eq!(json(&sub.line())["data"], "what is no JSON is a text");
    }
}

#[test]
fn tail_prints_history_then_what_comes() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        for body in ["1", "2", "3"] {
            assert_eq!(publish(node, &["user.bob", body, "--as", "alice"])["op"], "sent");
        }
        publish(node, &["user.carol", "0", "--as", "alice"]);
        let mut tail = start(node, &["tail", "user.alice", "--as", "bob", "--history", "2"]);
        let bodies = [tail.line(), tail.line()].map(|line| json(&line)["body"].clone());
        assert_eq!(bodies, [2, 3], "the newest of history, the oldest first");
        publish(node, &["user.bob", "0", "--as", "carol"]);
        publish(node, &["dm.alice.bob", r#""Hi!""#, "--as", "alice"]);
        let message = json(&tail.line());
        assert_eq!((&message["from"], &message["body"]), (&"alice".into(), &"Hi!".into()));
        publish(node, &["user.alice", "4", "--as", "bob"]);
        assert_eq!(json(&tail.line())["body"], 4, "his own from elsewhere too");
    }
}

#[test]
fn refusals_are_told_and_end_with_1() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let bare = granting("alice", &[], &[]);
    let table = [
        (vec!["pub", "dm.bob.carol", "1"], "no such conversation (not_found)"),
        (vec!["pub", "room.x", "1"], "(not_found)"),
        (vec!["pub", "topic.a", "1", "--token", &bare], "`topic.a` is not granted (forbidden)"),
        (vec!["sub", "topic.a", "--token", &bare], "`topic.a` is not granted (forbidden)"),
        (vec!["sub", "topic.>", "--token", &bare], "`topic.>` is not granted (forbidden)"),
        (vec!["sub", "topic"], "(bad_request)"),
        (vec!["tail", "dm.bob.carol"], "(not_found)"),
        (vec!["pub", "user.bob", "1", "--token", "nonsense"], "4001"),
    ];
    for (arguments, part) in table {
        let ended = run(node, &arguments);
        assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.errors.contains(part), "{arguments:?}: {}", ended.errors);
    }
}

#[test]
fn a_node_that_is_not_there_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    drop(taken);
    let nowhere = format!("ws://{address}/v1/ws");
    let ended = run(&nowhere, &["pub", "user.bob", "1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("cannot connect"), "{}", ended.errors);
    let ended = run("http://example", &["pub", "user.bob", "1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("http://example"), "{}", ended.errors);
}

#[test]
fn a_node_that_ends_ends_who_listens() {
    let mut demo = node_with("1", &[]);
    let mut sub = start(url(&demo), &["sub", "topic.a"]);
    wait_for_subscription(&mut sub);
    demo.process.signal("TERM");
    let ended = sub.ended();
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("4200 draining"), "{}", ended.errors);
    assert_eq!(demo.process.wait().0, Some(0));
}
