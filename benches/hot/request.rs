//! Reading a client's frame: a `send` with a body of 200 bytes and a nonce, a `publish` with as
//! much data, and a `subscribe` of ten patterns. There are 1,000 of each, and they take turns.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::config::Config;
use narrowcast::protocol::Request;

use crate::crowd::Outcome;
use crate::{Step, time};

const FRAMES: usize = 1000;
const BODY_BYTES: usize = 200;
const PATTERNS: usize = 10;

/// Reads one of many frames.
fn read(frame: impl Fn(usize) -> String) -> Outcome<Step> {
    let bounds = Config::default().limits.requests;
    let frames: Vec<String> = (0..FRAMES).map(frame).collect();
    for frame in &frames {
        Request::read(frame, &bounds).op.map_err(|refused| format!("{frame}: {refused:?}"))?;
    }
    let mut next = (0..FRAMES).cycle();
    Ok(Box::new(move || {
        let frame = black_box(&frames[next.next().unwrap_or_default()]);
        drop(black_box(Request::read(frame, &bounds)));
    }))
}

fn words() -> String {
    "I shall be there at 7, or soon after. ".chars().cycle().take(BODY_BYTES).collect()
}

/// Reads one `send`.
pub fn send() -> Outcome<Step> {
    let words = words();
    read(|number| {
        format!(
            r#"{{"op":"send","id":{number},"conversation":"user.bob-{number}","nonce":"{number:016x}","body":{{"text":"{words}"}}}}"#
        )
    })
}

/// Reads one `publish`.
pub fn publish() -> Outcome<Step> {
    let words = words();
    read(|number| {
        format!(
            r#"{{"op":"publish","id":{number},"subject":"topic.orders-{number}.eu.filled","data":{{"text":"{words}"}}}}"#
        )
    })
}

/// Reads one `subscribe`.
pub fn subscribe() -> Outcome<Step> {
    read(|number| {
        let pattern = |n: usize| format!(r#""topic.orders-{number}-{n}.eu.filled""#);
        let patterns = (0..PATTERNS).map(pattern).collect::<Vec<_>>().join(",");
        format!(r#"{{"op":"subscribe","id":{number},"patterns":[{patterns}]}}"#)
    })
}

#[divan::bench(name = "send")]
fn time_send(bencher: Bencher<'_, '_>) {
    time(bencher, send());
}

#[divan::bench(name = "publish")]
fn time_publish(bencher: Bencher<'_, '_>) {
    time(bencher, publish());
}

#[divan::bench(name = "subscribe")]
fn time_subscribe(bencher: Bencher<'_, '_>) {
    time(bencher, subscribe());
}
