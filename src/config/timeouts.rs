//! `[timeouts]`: how long to wait.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::key_type::{Group, Millis};
use super::keys::keys;
use super::section::Section;
use crate::socket::HttpWaits;

/// A minute for a peer that has shown no token is plenty for any network.
const UNAUTHENTICATED: RangeInclusive<u64> = 10..=60_000;

/// After a minute the client has asked again.
const ANSWER: RangeInclusive<u64> = 10..=60_000;

keys! {
    /// How long to wait.
    #[derive(Copy)]
    pub struct Timeouts {
        /// For a peer of an HTTP connection; the last also for that of a session.
        pub http: HttpWaits = Group,
        /// For the body of an HTTP request.
        pub body: Duration = Millis(10..=60_000) => "body_ms",
        /// From the upgrade to an accepted `hello`.
        pub hello: Duration = Millis(UNAUTHENTICATED) => "hello_ms",
        /// Between pings to a client.
        pub ping: Duration = Millis(100..=600_000) => "ping_ms",
        /// For any frame after a ping.
        pub pong_grace: Duration = Millis(10..=600_000) => "pong_grace_ms",
        /// For a `subscribe` to be confirmed.
        pub subscribe: Duration = Millis(ANSWER) => "subscribe_ms",
        /// For a `subscribe` with a wide pattern to be confirmed.
        pub tap: Duration = Millis(ANSWER) => "tap_ms",
        /// For one bucket's subscription to be confirmed, such as that of a user's own bucket after
        /// `hello`; at most `subscribe`.
        pub interest: Duration = Millis(ANSWER) => "interest_ms",
        /// For one answer of the store.
        pub store: Duration = Millis(ANSWER) => "store_ms",
        /// From SIGTERM until the process exits.
        pub drain: Duration = Millis(10..=600_000) => "drain_ms",
    }
    relate Self::relate;
}

keys! {
    for HttpWaits {
        header = Millis(UNAUTHENTICATED) => "header_ms",
        // An hour is longer than any balancer keeps an idle connection.
        keep_alive = Millis(10..=3_600_000) => "keep_alive_ms",
        write_stall = Millis(10..=300_000) => "write_stall_ms",
    }
}

impl Timeouts {
    fn relate(&self, s: &mut Section) {
        let subscribe = ("subscribe_ms", self.subscribe.as_millis());
        s.at_least(subscribe, ("interest_ms", self.interest.as_millis()), "{}: it waits for that");
    }
}
