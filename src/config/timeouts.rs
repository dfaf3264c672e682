//! `[timeouts]`: how long to wait.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::print;
use super::section::Section;

/// A minute for a peer that has shown no token is plenty for any network.
const UNAUTHENTICATED: RangeInclusive<u64> = 10..=60_000;

/// After a minute the client has asked again.
const ANSWER: RangeInclusive<u64> = 10..=60_000;
/// An hour is longer than any balancer keeps an idle connection.
const KEEP_ALIVE: RangeInclusive<u64> = 10..=3_600_000;
const BODY: RangeInclusive<u64> = 10..=60_000;
const WRITE_STALL: RangeInclusive<u64> = 10..=300_000;
const PING: RangeInclusive<u64> = 100..=600_000;
const PONG_GRACE: RangeInclusive<u64> = 10..=600_000;
const DRAIN: RangeInclusive<u64> = 10..=600_000;

/// How long to wait.
#[derive(Clone, Debug, Serialize)]
pub struct Timeouts {
    /// For the header of an HTTP request.
    #[serde(rename = "header_ms", serialize_with = "print::millis")]
    pub header: Duration,
    /// For the next HTTP request on a connection, from the answer before it.
    #[serde(rename = "keep_alive_ms", serialize_with = "print::millis")]
    pub keep_alive: Duration,
    /// For the body of an HTTP request.
    #[serde(rename = "body_ms", serialize_with = "print::millis")]
    pub body: Duration,
    /// From the upgrade to an accepted `hello`.
    #[serde(rename = "hello_ms", serialize_with = "print::millis")]
    pub hello: Duration,
    /// For a socket to take any byte of what waits for it.
    #[serde(rename = "write_stall_ms", serialize_with = "print::millis")]
    pub write_stall: Duration,
    /// Between pings to a client.
    #[serde(rename = "ping_ms", serialize_with = "print::millis")]
    pub ping: Duration,
    /// For any frame after a ping.
    #[serde(rename = "pong_grace_ms", serialize_with = "print::millis")]
    pub pong_grace: Duration,
    /// For a `subscribe` to be confirmed.
    #[serde(rename = "subscribe_ms", serialize_with = "print::millis")]
    pub subscribe: Duration,
    /// For a `subscribe` with a wide pattern to be confirmed.
    #[serde(rename = "tap_ms", serialize_with = "print::millis")]
    pub tap: Duration,
    /// For one bucket's subscription to be confirmed; at most `subscribe`.
    #[serde(rename = "interest_ms", serialize_with = "print::millis")]
    pub interest: Duration,
    /// For one answer of the store.
    #[serde(rename = "store_ms", serialize_with = "print::millis")]
    pub store: Duration,
    /// From SIGTERM until the process exits.
    #[serde(rename = "drain_ms", serialize_with = "print::millis")]
    pub drain: Duration,
}

impl Timeouts {
    pub(super) fn read(s: &mut Section) -> Self {
        let timeouts = Self {
            header: s.millis("header_ms", &UNAUTHENTICATED),
            keep_alive: s.millis("keep_alive_ms", &KEEP_ALIVE),
            body: s.millis("body_ms", &BODY),
            hello: s.millis("hello_ms", &UNAUTHENTICATED),
            write_stall: s.millis("write_stall_ms", &WRITE_STALL),
            ping: s.millis("ping_ms", &PING),
            pong_grace: s.millis("pong_grace_ms", &PONG_GRACE),
            subscribe: s.millis("subscribe_ms", &ANSWER),
            tap: s.millis("tap_ms", &ANSWER),
            interest: s.millis("interest_ms", &ANSWER),
            store: s.millis("store_ms", &ANSWER),
            drain: s.millis("drain_ms", &DRAIN),
        };
        timeouts.relate(s);
        timeouts
    }

    fn relate(&self, s: &mut Section) {
        let subscribe = ("subscribe_ms", self.subscribe.as_millis());
        s.at_least(subscribe, ("interest_ms", self.interest.as_millis()), "{}: it waits for that");
    }
}
