//! The description of the client protocol, `src/protocol/asyncapi.yaml`, is held to the codec: to
//! its ops, frames and codes, and to every frame of the golden transcripts.

mod codec;
mod document;
mod live;
mod placeholders;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use narrowcast::config::Config;
use narrowcast::protocol::{Request, RequestBounds};
use serde_json::{Value, json};

use super::transcripts::transcripts;
use document::{Document, Side};

/// The bounds of the default configuration.
static BOUNDS: LazyLock<RequestBounds> = LazyLock::new(|| Config::default().limits.requests);

/// Whether the codec takes a client frame, in JSON text.
fn is_read(text: &str) -> bool {
    Request::read(text, &BOUNDS).op.is_ok()
}

/// A client frame without the fields that are null, which count as absent.
fn without_nulls(mut frame: Value) -> Value {
    let fields = frame.as_object_mut().expect("a frame is an object");
    fields.retain(|name, value| !value.is_null() || name == "body" || name == "data");
    frame
}

#[test]
fn every_op_and_frame_of_the_codec_is_described_and_no_other() {
    let document = Document::read();
    assert_eq!(document.names(Side::Client), codec::ops());
    assert_eq!(document.names(Side::Server), codec::frames());
    for (schema, name) in
        [("ErrorCode", "Code"), ("Retry", "Retry"), ("ResumeReason", "ResumeReason")]
    {
        assert_eq!(document.constants(schema), codec::variants(name), "{schema}");
    }
    let closes = document.close_codes();
    let ours: BTreeSet<u64> = closes.into_iter().filter(|code| *code >= 4000).collect();
    assert_eq!(ours, codec::close_codes());
}

#[test]
fn what_both_transports_carry_is_described_alike() {
    let document = Document::read();
    let routes = include_str!("../../src/http/openapi.json");
    let routes: Value = serde_json::from_str(routes).expect("JSON");
    let schemas = &routes["components"]["schemas"];
    for schema in ["Message", "InboxEntry"] {
        let properties = schemas[schema]["properties"].as_object().expect("properties");
        let properties: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(document.properties(schema), properties, "{schema}");
    }
    let problem = &schemas["Problem"]["properties"];
    for (field, schema) in [("code", "ErrorCode"), ("retry", "Retry")] {
        let values = problem[field]["enum"].as_array().expect("constants").iter();
        let values = values.map(|value| value.as_str().expect("a text").to_owned());
        assert_eq!(document.constants(schema), values.collect(), "{field}");
    }
}

#[test]
fn every_example_is_a_frame_of_its_schema() {
    let document = Document::read();
    for side in [Side::Client, Side::Server] {
        for name in document.names(side) {
            let example = document.example(side, &name);
            document.check(side, example).unwrap_or_else(|error| panic!("{example}: {error}"));
            if side == Side::Client {
                assert!(is_read(&example.to_string()), "{example}");
            }
        }
    }
}

#[test]
fn a_frame_with_an_unknown_field_is_refused() {
    let document = Document::read();
    for side in [Side::Client, Side::Server] {
        for name in document.names(side) {
            let mut frame = document.example(side, &name).clone();
            frame["unheard_of"] = json!(1);
            // What a newer client says in its first frame is ignored.
            let is_open = side == Side::Client && name == "hello";
            assert_eq!(document.check(side, &frame).is_ok(), is_open, "{frame}");
            if side == Side::Client {
                assert_eq!(is_read(&frame.to_string()), is_open, "{frame}");
            }
        }
    }
}

#[test]
fn a_frame_without_a_field_that_it_needs_is_refused() {
    let document = Document::read();
    for side in [Side::Client, Side::Server] {
        for name in document.names(side) {
            let frame = document.example(side, &name);
            for field in document.required(side, &name) {
                let mut partial = frame.clone();
                partial.as_object_mut().expect("an object").remove(&field);
                assert!(document.check(side, &partial).is_err(), "{partial}");
                if side == Side::Client {
                    assert!(!is_read(&partial.to_string()), "{partial}");
                }
            }
        }
    }
}

#[test]
fn every_frame_of_the_transcripts_is_described() {
    let document = Document::read();
    let (mut checked, mut refused, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    for path in transcripts() {
        let text = std::fs::read_to_string(&path).expect("a transcript");
        for (at, line) in text.lines().enumerate() {
            let Some((side, frame)) = said(&document, line) else { continue };
            let result = document.check(side, &frame);
            if side == Side::Client && !is_read(&frame.to_string()) {
                refused += usize::from(result.is_err());
            } else if let Err(error) = result {
                wrong.push(format!("{}:{}: {error}\n  {frame}", path.display(), at + 1));
            } else {
                checked.insert((side, frame["op"].to_string()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked.len() >= 20, "ops and frames are found: {checked:?}");
    assert!(refused >= 8, "what the codec refuses the schemas refuse, {refused} times");
}

/// A line of a transcript as a frame; none if it is none, or is no JSON object.
fn said(document: &Document, line: &str) -> Option<(Side, Value)> {
    let (sign, text) = line.split_once(' ')?;
    match sign {
        ">" => {
            let frame: Value = serde_json::from_str(&placeholders::sent(text)).ok()?;
            frame.is_object().then(|| (Side::Client, without_nulls(frame)))
        }
        "<" => {
            let frame: Value = serde_json::from_str(text).expect("a server's frame is JSON");
            let name = frame["op"].as_str().expect("a server's frame has `op`");
            let example = document.example(Side::Server, name);
            Some((Side::Server, placeholders::received(&frame, Some(example))))
        }
        _ => None,
    }
}
