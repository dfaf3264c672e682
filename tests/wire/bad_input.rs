//! Frames that are wrong. Each is answered by name and leaves the connection, and the node, as
//! they were.

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::raw::{BINARY, CONTINUATION, FIN, Raw, TEXT, frame, text};
use super::tokens::{granting, token};
use super::{WORKERS, node_with, url};
use crate::harness::PATIENCE;

/// Above all that is sent here, so that the bounds within a frame are met and not its own.
const BIG_FRAMES: (&str, &str) = ("LIMITS__FRAME_BYTES", "65536");

/// Two other users of the node, between whom a message must get through after every breach.
struct Witnesses {
    sender: Client,
    receiver: Client,
    count: u64,
}

impl Witnesses {
    async fn of(node: &str) -> Self {
        let login = async |user| Client::login(node, &token(user)).await.expect("let in");
        Self { sender: login("wendy").await, receiver: login("will").await, count: 0 }
    }

    async fn check(&mut self, after: &str) {
        self.count += 1;
        let send = json!({"op": "send", "conversation": "user.will", "body": self.count});
        let answer = self.sender.ask(send).await.expect("an answer");
        assert_eq!(answer["op"], "sent", "after {after}: {answer}");
        let heard = self.receiver.next_within(PATIENCE).await.expect("the message");
        assert_eq!(heard["message"]["body"], self.count, "after {after}: {heard}");
    }
}

/// Sends each frame and expects this code, with this text in the message, on an open connection.
async fn refused(rows: &[(String, &str, &str)]) {
    for workers in WORKERS {
        let demo = node_with(workers, &[BIG_FRAMES]);
        let mut others = Witnesses::of(url(&demo)).await;
        let mut raw = Raw::greeted(url(&demo), &granting("alice", &[], &["topic.a.>"])).await;
        for (sent, code, part) in rows {
            raw.send(&text(sent)).await;
            let error = raw.receive_json().await;
            let shown: String = sent.chars().take(100).collect();
            assert_eq!(
                (&error["op"], &error["code"]),
                (&json!("error"), &json!(code)),
                "{shown}: {error}"
            );
            let message = error["detail"].as_str().expect("a text");
            assert!(message.contains(part), "{shown}: {message}");
            assert!(message.len() < 400, "it does not repeat what is long: {message}");
            others.check(&shown).await;
        }
        raw.send(&text(r#"{"op":"ping","id":"still here"}"#)).await;
        assert_eq!(raw.receive_json().await["id"], "still here");
    }
}

fn rows(table: &[(&str, &'static str, &'static str)]) -> Vec<(String, &'static str, &'static str)> {
    table.iter().map(|(sent, code, part)| ((*sent).to_owned(), *code, *part)).collect()
}

#[tokio::test]
async fn what_is_no_frame_is_refused() {
    let bad = "bad_request";
    refused(&rows(&[
        ("", bad, "not a frame"),
        ("{", bad, "not a frame"),
        ("null", bad, "an object with `op`"),
        ("5", bad, "an object with `op`"),
        (r#"["ping"]"#, bad, "an object with `op`"),
        (r#"{"op":"ping"} {"op":"ping"}"#, bad, "trailing"),
        (r#"{"op":"ping",}"#, bad, "not a frame"),
        (r"{'op':'ping'}", bad, "not a frame"),
        (r#"{"op":"ping","id":NaN}"#, bad, "not a frame"),
        (r#"{"op":"\ud800"}"#, bad, "`op`"),
        ("{\"op\":\"pi\nng\"}", bad, "control character"),
        ("\u{feff}{\"op\":\"ping\"}", bad, "not a frame"),
        (r#"{"op":"ping","op":"ping"}"#, bad, "`op` is given twice"),
        (
            r#"{"op":"send","conversation":"user.bob","body":1,"b\u006fdy":2}"#,
            bad,
            "`body` is given twice",
        ),
        ("{}", bad, "`op` is missing"),
        (r#"{"op":null}"#, bad, "`op` is missing"),
        (r#"{"op":["ping"]}"#, bad, "`op` must be a string, not [\"ping\"]"),
        (r#"{"op":"Ping"}"#, "unknown_op", "no such op"),
        (r#"{"op":""}"#, "unknown_op", "no such op"),
    ]))
    .await;
}

/// Frames of one op with these fields beside it, all of them bad requests.
async fn bad_requests(op: &str, table: &[(&str, &'static str)]) {
    let row = |(fields, part): &(&str, &'static str)| {
        (format!(r#"{{{fields},"op":"{op}"}}"#), "bad_request", *part)
    };
    refused(&table.iter().map(row).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn fields_that_any_op_may_have_are_refused_by_name() {
    let id = "`id` must be an integer or a string of at most 64 bytes";
    bad_requests(
        "ping",
        &[
            (r#""id":1.5"#, id),
            (r#""id":true"#, id),
            (r#""id":{}"#, id),
            (r#""id":18446744073709551616"#, id),
            (r#""extra":1"#, "`extra` is not a field of it"),
        ],
    )
    .await;
    bad_requests("hello", &[(r#""device":1"#, "`device` must be a string, not 1")]).await;
}

#[tokio::test]
async fn fields_of_a_send_are_refused_by_name() {
    let to_bob = |field: &str| format!(r#""conversation":"user.bob","body":1,{field}"#);
    let [number, empty, word, id, unknown] =
        [r#""nonce":1"#, r#""nonce":"""#, r#""fresh":"yes""#, r#""seen":"x""#, r#""to":"bob""#]
            .map(to_bob);
    bad_requests(
        "send",
        &[
            (r#""conversation":7,"body":1"#, "`conversation` must be a string, not 7"),
            (r#""body":1"#, "`conversation` or `user` is missing"),
            (r#""conversation":"user.bob""#, "`body` is missing"),
            (&number, "`nonce` must be a string, not 1"),
            (&empty, "`nonce` must be of 1 to 64 bytes, not 0"),
            (&word, "`fresh` must be true or false, not \"yes\""),
            (&id, "`seen` must be a message id"),
            (&unknown, "`to` is not a field of it"),
        ],
    )
    .await;
}

#[tokio::test]
async fn fields_of_a_history_are_refused_by_name() {
    let number = "`limit` must be a whole number";
    bad_requests(
        "history",
        &[
            (r#""limit":1"#, "`conversation` or `user` is missing"),
            (r#""conversation":"user.bob","limit":0"#, "`limit` must be from 1 to 200, not 0"),
            (r#""conversation":"user.bob","limit":201"#, "`limit` must be from 1 to 200, not 201"),
            (r#""conversation":"user.bob","limit":-1"#, number),
            (r#""conversation":"user.bob","limit":1e99"#, number),
            (r#""conversation":"user.bob","limit":"9""#, number),
        ],
    )
    .await;
}

#[tokio::test]
async fn fields_of_a_read_and_an_inbox_are_refused_by_name() {
    bad_requests(
        "mark_read",
        &[
            (
                r#""upto":"01a20bb7-7312-71f7-8000-000000000005""#,
                "`conversation` or `user` is missing",
            ),
            (r#""conversation":"user.bob""#, "`upto` is missing"),
            (r#""conversation":"user.bob","upto":7"#, "`upto` must be a string, not 7"),
            (
                r#""conversation":"user.bob","upto":"ffffffff-ffff-7fff-bfff-ffffffffffff""#,
                "ahead of this node's clock, at most 10 s are allowed",
            ),
        ],
    )
    .await;
    bad_requests(
        "inbox",
        &[
            (r#""limit":0"#, "`limit` must be from 1 to 100, not 0"),
            (r#""page":5"#, "`page` must be a string, not 5"),
            (r#""page":"""#, "`page` must be the `next` of an earlier page"),
        ],
    )
    .await;
}

#[tokio::test]
async fn fields_of_a_publish_and_a_signal_are_refused_by_name() {
    bad_requests(
        "publish",
        &[(r#""data":1"#, "`subject` is missing"), (r#""subject":"topic.a""#, "`data` is missing")],
    )
    .await;
    bad_requests(
        "signal",
        &[
            (r#""name":"x","data":1"#, "`conversation` or `user` is missing"),
            (r#""user":"bob","data":1"#, "`name` is missing"),
            (r#""user":"bob","name":"","data":1"#, "`name` must be of 1 to 64 bytes, not 0"),
            (r#""user":"bob","conversation":"user.bob","name":"x","data":1"#, "exclude each other"),
        ],
    )
    .await;
}

#[tokio::test]
async fn fields_of_a_subscribe_are_refused_by_name() {
    let list = "`patterns` must be a list of strings";
    for op in ["subscribe", "unsubscribe"] {
        bad_requests(
            op,
            &[
                (r#""id":1"#, "`patterns` is missing"),
                (r#""patterns":[]"#, "`patterns` must name at least one pattern"),
                (r#""patterns":"topic.a""#, list),
                (r#""patterns":["topic.a.b",1]"#, list),
                (r#""patterns":{}"#, list),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn both_sides_of_a_page_exclude_each_other() {
    let id = "01a20bb7-7312-71f7-8000-000000000005";
    let both = json!({"op": "history", "conversation": "user.bob", "before": id, "after": id});
    let old = "01a20bb7-7312-41f7-8000-000000000005";
    let fourth = json!({"op": "history", "conversation": "user.bob", "before": old});
    refused(&[
        (both.to_string(), "bad_request", "`page`, `before` and `after` exclude each other"),
        (fourth.to_string(), "bad_request", "`before` must be a message id"),
    ])
    .await;
}

fn send_to(conversation: &str) -> String {
    json!({"op": "send", "conversation": conversation, "body": 1}).to_string()
}

#[tokio::test]
async fn ids_that_decode_to_none_are_refused_with_the_place() {
    let bad = "bad_request";
    refused(&[
        (send_to("user."), bad, "an empty token at byte 0"),
        (send_to("user.%zz"), bad, "`%` at byte 0 must be followed by two hex digits"),
        (send_to("user.a%"), bad, "`%` at byte 1"),
        (send_to("user.%ff"), bad, "the id does not decode to UTF-8"),
        (send_to("dm.a.b.c"), bad, "one dot between them"),
        (send_to(&format!("user.{}", "a".repeat(251))), bad, "251 bytes, at most 250 are allowed"),
        (send_to(&format!("user.{}", "a".repeat(20_000))), bad, "20000 bytes"),
        (send_to("dm.bob.alice"), bad, "`alice` before `bob`"),
        (send_to("dm.alice"), bad, "must be `dm.<a>.<b>`"),
        (send_to("User.bob"), bad, "must be `dm.<a>.<b>`"),
        (send_to("room."), bad, "an empty token"),
    ])
    .await;
}

#[tokio::test]
async fn subjects_and_patterns_are_refused_with_what_is_wrong() {
    let bad = "bad_request";
    refused(&rows(&[
        (r#"{"op":"publish","subject":"topic","data":1}"#, bad, "1 tokens, 2 to 8 are allowed"),
        (r#"{"op":"publish","subject":"topic.1.2.3.4.5.6.7.8","data":1}"#, bad, "9 tokens"),
        (r#"{"op":"publish","subject":"topic.a.>","data":1}"#, bad, "byte 0x3E at 8"),
        (r#"{"op":"publish","subject":"dm.alice.bob","data":1}"#, bad, "not `dm`"),
        (
            r#"{"op":"subscribe","patterns":["topic.a.>.b"]}"#,
            bad,
            "`>` at byte 8 must be the last token",
        ),
        (r#"{"op":"subscribe","patterns":["*.a"]}"#, bad, "`*.a`"),
        (r#"{"op":"subscribe","patterns":[">"]}"#, bad, "1 tokens"),
        (r#"{"op":"subscribe","patterns":["user.*"]}"#, bad, "only `topic` and `presence`"),
        (
            r#"{"op":"subscribe","patterns":["topic.a.b","topic..c"]}"#,
            bad,
            "an empty token at byte 6",
        ),
        (r#"{"op":"subscribe","patterns":["topic.b"]}"#, "forbidden", "`topic.b` is not granted"),
        (r#"{"op":"subscribe","patterns":["topic.a"]}"#, "forbidden", "`topic.a` is not granted"),
        (
            r#"{"op":"subscribe","patterns":["topic.a.b","topic.>"]}"#,
            "forbidden",
            "`topic.>` is not granted",
        ),
        (
            r#"{"op":"publish","subject":"topic.a.b","data":1}"#,
            "forbidden",
            "`topic.a.b` is not granted",
        ),
    ]))
    .await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_with_its_bound() {
    let long = "x".repeat(8191);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let fields: Vec<String> = (0..17).map(|n| format!(r#""f{n}":1"#)).collect();
    let patterns: Vec<String> = (0..101).map(|n| format!("topic.a.t{n}")).collect();
    let body = json!({"op": "send", "conversation": "user.bob", "body": long});
    let data = json!({"op": "publish", "subject": "user.alice.x", "data": long});
    let many = json!({"op": "subscribe", "patterns": patterns});
    let name = "n".repeat(65);
    let nonce = json!({"op": "send", "conversation": "user.bob", "body": 1, "nonce": name});
    let event = json!({"op": "signal", "conversation": "user.bob", "name": name, "data": 1});
    refused(&[
        (body.to_string(), "too_large", "`body` has 8193 bytes, at most 8192 are allowed"),
        (data.to_string(), "too_large", "`data` has 8193 bytes, at most 8192 are allowed"),
        (many.to_string(), "bad_request", "101 patterns, at most 100 are allowed"),
        (nonce.to_string(), "bad_request", "`nonce` must be of 1 to 64 bytes, not 65"),
        (event.to_string(), "bad_request", "`name` must be of 1 to 64 bytes, not 65"),
        (json!({"op": "ping", "id": name}).to_string(), "bad_request", "`id` must be"),
        (json!({"op": name.repeat(100)}).to_string(), "unknown_op", "no such op"),
        (json!({"op": "ping", name.repeat(100): 1}).to_string(), "bad_request", "is not a field"),
        (
            format!(r#"{{"op":"send","conversation":"user.bob","body":{deep}}}"#),
            "bad_request",
            "10001 levels, at most 16",
        ),
        ("[".repeat(10_000), "bad_request", "10000 levels"),
        (format!("{{{}}}", fields.join(",")), "bad_request", "more than 16 fields"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_just_not_too_much_is_taken() {
    let demo = node_with("1", &[]);
    let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
    let longest = "x".repeat(8190);
    let sent = json!({"op": "send", "conversation": "user.bob", "body": longest});
    assert_eq!(alice.ask(sent).await.unwrap()["message"]["body"], longest);
    let published = json!({"op": "publish", "subject": "topic.a", "data": longest});
    assert_eq!(alice.ask(published).await.unwrap()["op"], "ok");
    let deepest =
        json!({"op": "send", "conversation": "user.bob", "body": [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]});
    assert_eq!(alice.ask(deepest).await.unwrap()["op"], "sent");
    let longest_id = format!("user.{}", "b".repeat(250));
    let sent =
        json!({"op": "send", "conversation": longest_id, "body": 1, "nonce": "n".repeat(64)});
    assert_eq!(alice.ask(sent).await.unwrap()["op"], "sent");
}

/// What is not there and what is not yours must not be told apart.
#[tokio::test]
async fn a_foreign_conversation_answers_as_one_that_is_not_there() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut bob = Client::login(node, &token("bob")).await.unwrap();
        let secret = json!({"op": "send", "conversation": "user.carol", "body": "secret"});
        assert_eq!(bob.ask(secret).await.unwrap()["op"], "sent");
        let mut alice = Client::login(node, &token("alice")).await.unwrap();
        for op in ["history", "send", "signal"] {
            let mut answers = Vec::new();
            for conversation in ["dm.bob.carol", "dm.x.y", "room.nowhere"] {
                let mut answer = alice.ask(naming(op, conversation)).await.unwrap();
                assert_eq!(answer["code"], "not_found", "{answer}");
                answer["id"] = Value::Null;
                answers.push(answer);
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
    }
}

fn naming(op: &str, conversation: &str) -> Value {
    match op {
        "history" => json!({"op": op, "conversation": conversation}),
        "send" => json!({"op": op, "conversation": conversation, "body": 1}),
        _ => json!({"op": op, "conversation": conversation, "name": "typing", "data": 1}),
    }
}

#[tokio::test]
async fn binary_frames_end_the_connection_and_nothing_else() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut others = Witnesses::of(url(&demo)).await;
        let expected = (1003, "binary messages are not accepted".to_owned());
        let mut fresh = Raw::upgraded(url(&demo)).await;
        fresh.send(&frame(FIN | BINARY, br#"{"op":"ping"}"#)).await;
        assert_eq!(fresh.receive_close().await, expected);
        let mut greeted = Raw::greeted(url(&demo), &token("alice")).await;
        greeted.send(&frame(FIN | BINARY, b"")).await;
        assert_eq!(greeted.receive_close().await, expected);
        others.check("binary frames").await;
    }
}

/// A frame above the bound is answered, with its id, and costs its sender nothing else.
#[tokio::test]
async fn a_frame_above_the_bound_is_refused_up_to_twice_the_bound() {
    const BOUND: usize = 16_384;
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::greeted(url(&demo), &token("alice")).await;
        let of_bytes = |bytes: usize| {
            let frame = json!({"op": "send", "conversation": "user.bob", "body": "", "id": "a"});
            let filled = "x".repeat(bytes - frame.to_string().len());
            json!({"op": "send", "conversation": "user.bob", "body": filled, "id": "a"}).to_string()
        };
        for bytes in [BOUND + 1, 2 * BOUND] {
            raw.send(&text(&of_bytes(bytes))).await;
            let error = raw.receive_json().await;
            let told = ["id", "for", "code", "retry"].map(|name| error[name].as_str().unwrap());
            assert_eq!(told, ["a", "send", "too_large", "never"], "{error}");
            let detail = format!("the frame has {bytes} bytes, at most {BOUND} are allowed");
            assert_eq!(error["detail"], detail);
        }
        let (space, rest) = (vec![b' '; BOUND], of_bytes(BOUND));
        let halves = [frame(TEXT, &space), frame(FIN | CONTINUATION, rest.as_bytes())].concat();
        raw.send(&halves).await;
        assert_eq!(raw.receive_json().await["code"], "too_large", "in fragments too");
        raw.send(&text(&of_bytes(2 * BOUND + 1))).await;
        assert_eq!(raw.receive_close().await.0, 1009);
    }
}
