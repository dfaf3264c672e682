use super::*;
use proptest::prelude::*;

const BOUNDS: RequestBounds = RequestBounds {
    body_bytes: 20,
    data_bytes: 20,
    json_depth: 8,
    patterns: 2,
    history_messages: 200,
};

fn refusal(text: &str) -> (Code, String) {
    let refusal = Request::read(text, &BOUNDS).op.unwrap_err();
    let ErrorReply { code, message, op, .. } = refusal;
    (code, op.map_or_else(|| message.to_string(), |op| format!("{op}: {message}")))
}

#[test]
fn refusals_name_the_op_the_field_the_bound_and_the_value() {
    let table = [
        (r#"{"op":"send","conversation":"room.x"}"#, Code::BadRequest, "send: `body` is missing"),
        (
            r#"{"op":"send","conversation":1,"body":1}"#,
            Code::BadRequest,
            "send: `conversation` must be a string, not 1",
        ),
        (
            r#"{"op":"send","conversation":"user.b","body":"0123456789012345678901"}"#,
            Code::TooLarge,
            "send: `body` has 24 bytes, at most 20 are allowed",
        ),
        (
            r#"{"op":"send","conversation":"user.b","body":1e999}"#,
            Code::BadRequest,
            "send: `body` is not JSON that every reader accepts: number out of range at line 1 \
             column 5",
        ),
        (
            r#"{"op":"send","conversation":"user.b","body":1,"nonce":""}"#,
            Code::BadRequest,
            "send: `nonce` must be of 1 to 64 bytes, not 0",
        ),
        (
            r#"{"op":"send","conversation":"user.b","body":1,"bdoy":1}"#,
            Code::BadRequest,
            "send: `bdoy` is not a field of it",
        ),
        (
            r#"{"op":"send","conversation":"user.b","body":1,"fresh":1}"#,
            Code::BadRequest,
            "send: `fresh` must be true or false, not 1",
        ),
        (
            r#"{"op":"mark_read","conversation":"user.b"}"#,
            Code::BadRequest,
            "mark_read: `upto` is missing",
        ),
        (r#"{"op":"renew"}"#, Code::BadRequest, "renew: `token` is missing"),
        (
            r#"{"op":"history","conversation":"user.b","page":"x"}"#,
            Code::BadRequest,
            "history: `page` must be the `next` of an earlier page",
        ),
        (
            r#"{"op":"history","conversation":"user.b","page":"x","before":"01a20bb7-7312-71f7-8000-000000000005"}"#,
            Code::BadRequest,
            "history: `page`, `before` and `after` exclude each other",
        ),
        (
            r#"{"op":"inbox","limit":101}"#,
            Code::BadRequest,
            "inbox: `limit` must be from 1 to 100, not 101",
        ),
        (
            r#"{"op":"history","conversation":"user.b","limit":0}"#,
            Code::BadRequest,
            "history: `limit` must be from 1 to 200, not 0",
        ),
        (
            r#"{"op":"history","conversation":"user.b","before":"x"}"#,
            Code::BadRequest,
            "history: `before` must be a message id: a UUID of version 7 in its 36-character form",
        ),
        (
            r#"{"op":"subscribe","patterns":[]}"#,
            Code::BadRequest,
            "subscribe: `patterns` must name at least one pattern",
        ),
        (
            r#"{"op":"subscribe","patterns":["topic.a","topic.b","topic.c"]}"#,
            Code::BadRequest,
            "subscribe: `patterns` has 3 patterns, at most 2 are allowed",
        ),
        (
            r#"{"op":"subscribe","patterns":["topic.a","topic.>.b"]}"#,
            Code::BadRequest,
            "subscribe: `patterns`: `topic.>.b`: `>` at byte 6 must be the last token",
        ),
        (r#"{"op":"publish","data":1}"#, Code::BadRequest, "publish: `subject` is missing"),
        (
            r#"{"op":"signal","conversation":"user.b","data":1}"#,
            Code::BadRequest,
            "signal: `name` is missing",
        ),
        (r#"{"op":"dance"}"#, Code::UnknownOp, "dance: no such op"),
        (r#"{"id":1}"#, Code::BadRequest, "`op` is missing"),
        (
            r#"{"op":"ping","id":1.5}"#,
            Code::BadRequest,
            "ping: `id` must be an integer or a string of at most 64 bytes, not 1.5",
        ),
    ];
    for (text, code, message) in table {
        assert_eq!(refusal(text), (code, message.to_owned()), "{text}");
    }
}

#[test]
fn a_refusal_keeps_the_id_and_the_op() {
    let deep = "[".repeat(20) + &"]".repeat(20);
    for body in ["1", &deep, "nonsense"] {
        let text = format!(r#"{{"op":"dance","id":"x1","body":{body}}}"#);
        let request = Request::read(&text, &BOUNDS);
        assert_eq!(request.id, RequestId::read_text(r#""x1""#), "{body}");
        assert_eq!(request.op.unwrap_err().op.as_deref(), Some("dance"), "{body}");
    }
}

#[test]
fn escapes_are_read() {
    let text = r#"{"op":"send","conversation":"user.\u0062ob","body":{"a":1}}"#;
    let Ok(Op::Send(send)) = Request::read(text, &BOUNDS).op else { panic!("a send") };
    assert_eq!(send.conversation, ConversationRef::Id("user.bob".into()));
    assert_eq!(send.body.get(), r#"{"a":1}"#);
}

proptest! {
    #[test]
    fn any_frame_is_answered(op in "hello|renew|send|history|inbox|mark_read|publish|signal|subscribe|ping", tail in ".*") {
        let _answered = Request::read(&format!(r#"{{"op":"{op}",{tail}}}"#), &BOUNDS).op;
    }
}
