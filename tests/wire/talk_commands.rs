//! `send`, `publish`, `sub` and `tail` against a node.

use std::process::Command;

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

/// What a command prints that is answered.
fn printed(node: &str, arguments: &[&str]) -> Value {
    let ended = run(node, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
    json(&ended.output)
}

fn wait_for_subscription(sub: &mut Process) {
    sub.error_line(|line| line.contains("subscribed").then_some(()));
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).expect("a line of JSON")
}

/// A command whose output is a terminal.
fn on_a_terminal(node: &str, arguments: &str, no_colour: &str) -> Process {
    let program = env!("CARGO_BIN_EXE_narrowcast");
    let mut command = Command::new("script");
    let line = format!("{program} {arguments} --url {node}");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    Process::start(command.env("NO_COLOR", no_colour))
}

#[test]
fn sub_prints_what_publish_publishes() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut sub = start(node, &["sub", "topic.scores.>", "topic.news", "--as", "bob"]);
        wait_for_subscription(&mut sub);
        let answer = printed(node, &["publish", "topic.scores.goal", r#"{"by": "ann"}"#]);
        assert_eq!(answer["op"], "ok");
        let event = json(&sub.line());
        assert_eq!(
            (&event["subject"], &event["data"]["by"]),
            (&"topic.scores.goal".into(), &"ann".into())
        );
        printed(node, &["publish", "topic.news", "what is no JSON is a text"]);
        assert_eq!(json(&sub.line())["data"], "what is no JSON is a text");
    }
}

#[test]
fn tail_prints_history_then_what_comes() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        for text in ["1", "2", "3"] {
            let message = printed(node, &["send", "user.bob", text, "--as", "alice"]);
            assert_eq!(message["body"], text, "a text is a text");
        }
        printed(node, &["send", "user.carol", "0", "--as", "alice"]);
        let mut tail = start(node, &["tail", "user.alice", "--as", "bob", "--history", "2"]);
        let bodies = [tail.line(), tail.line()].map(|line| json(&line)["body"].clone());
        assert_eq!(bodies, ["2", "3"], "the newest of history, the oldest first");
        printed(node, &["send", "user.bob", "0", "--as", "carol"]);
        printed(node, &["send", "dm.alice.bob", r#""Hi!""#, "--as", "alice"]);
        let message = json(&tail.line());
        assert_eq!((&message["from"], &message["body"]), (&"alice".into(), &r#""Hi!""#.into()));
        printed(node, &["send", "user.alice", r#"{"a":4}"#, "--json-body", "--as", "bob"]);
        assert_eq!(json(&tail.line())["body"]["a"], 4, "the user's own from elsewhere too");
    }
}

#[test]
fn users_are_named_by_their_raw_ids() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let bob = "bob@example.com";
    let mut tail = start(node, &["tail", "user.al ice", "--as", bob, "--history", "1"]);
    for arguments in [&["--user", bob, "1"][..], &["user.bob@example.com", "1"]] {
        let message = printed(node, &[&["send"], arguments, &["--as", "al ice"]].concat());
        assert_eq!(json(&tail.line())["id"], message["id"], "{arguments:?}");
    }
}

#[test]
fn a_terminal_shows_time_who_and_text() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let mut tail = on_a_terminal(node, "tail user.alice --as bob@example.com", "1");
    let mut coloured = on_a_terminal(node, "tail user.alice --as bob@example.com", "");
    let mut sent = on_a_terminal(node, "send --user bob@example.com Hi! --as alice", "1");
    let line = sent.line().trim_end().to_owned();
    assert!(line.ends_with("Z  alice  Hi!"), "{line:?}");
    assert_eq!(tail.line().trim_end(), line, "both show the same");
    let with_colours = coloured.line();
    assert!(with_colours.contains("\u{1b}[1malice\u{1b}[0m  Hi!"), "{with_colours:?}");
    let mut sub = on_a_terminal(node, "sub topic.a --as bob", "1");
    assert_eq!(sub.line().trim_end(), "subscribed");
    printed(node, &["publish", "topic.a", "7"]);
    let line = sub.line();
    assert!(line.trim_end().ends_with("Z  topic.a  7"), "{line:?}");
}

#[test]
fn an_address_needs_no_path() {
    let demo = node_with("1", &[]);
    let address = url(&demo).strip_suffix("/v1/ws").expect("the path of a node");
    for node in [address, &format!("{address}/")] {
        assert_eq!(printed(node, &["send", "user.bob", "1"])["body"], "1", "{node}");
    }
}

#[test]
fn refusals_are_told_and_end_with_1() {
    let demo = node_with("1", &[]);
    let node = url(&demo);
    let bare = granting("alice", &[], &[]);
    let table = [
        (vec!["send", "dm.bob.carol", "1"], "no such conversation (not_found)"),
        (vec!["send", "room.x", "1"], "(not_found)"),
        (vec!["publish", "topic.a", "1", "--token", &bare], "`topic.a` is not granted (forbidden)"),
        (vec!["sub", "topic.a", "--token", &bare], "`topic.a` is not granted (forbidden)"),
        (vec!["sub", "topic.>", "--token", &bare], "`topic.>` is not granted (forbidden)"),
        (vec!["sub", "topic"], "(bad_request)"),
        (vec!["tail", "dm.bob.carol"], "(not_found)"),
        (vec!["send", "user.bob", "1", "--token", "nonsense"], "4001"),
    ];
    for (arguments, part) in table {
        let ended = run(node, &arguments);
        assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.errors.contains(part), "{arguments:?}: {}", ended.errors);
    }
}

/// A mistake of the caller is told before anything is sent, and by what was typed.
#[test]
fn what_names_no_conversation_ends_with_2() {
    for (arguments, part) in [
        (&["send", "bob", "Hi"][..], "CONVERSATION: `bob` must begin with `user.`"),
        (&["send", "topic.a", "Hi"], "events of a subject go by `publish`"),
        (&["send", "user.", "Hi"], "CONVERSATION: `user.`: an empty token"),
        (&["send", "Hi"], "<CONVERSATION>"),
        (&["send", "user.bob", "{", "--json-body"], "TEXT: `{` is not JSON"),
        (&["tail", "bob"], "CONVERSATION: `bob`"),
        (&["tail", "user.bob", "--user", "bob"], "cannot be used with"),
    ] {
        let ended = run("ws://127.0.0.1:1", arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains(part), "{arguments:?}: {}", ended.errors);
    }
}

#[test]
fn a_node_that_is_not_there_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    drop(taken);
    let ended = run(&format!("ws://{address}"), &["send", "user.bob", "1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("cannot connect"), "{}", ended.errors);
    let ended = run("http://example", &["send", "user.bob", "1"]);
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
