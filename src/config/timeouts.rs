//! `[timeouts]`: how long to wait.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::key_type::{Group, Millis, Seconds};
use super::keys::keys;
use super::section::Section;
use crate::redis::ConnectOptions;
use crate::socket::HttpWaits;

/// A minute for a peer that has shown no token is plenty for any network.
const UNAUTHENTICATED: RangeInclusive<u64> = 10..=60_000;

/// After a minute the client has asked again.
const ANSWER: RangeInclusive<u64> = 10..=60_000;

/// The least that a lame duck leaves of the time for draining, in milliseconds.
const CLOSING_MS_MIN: u128 = 10;

keys! {
    /// How long to wait.
    #[derive(Copy)]
    pub struct Timeouts {
        /// For a peer of an HTTP connection; the last also for that of a session.
        pub http: HttpWaits = Group,
        /// For the body of an HTTP request.
        pub body: Duration = Millis(10..=60_000) => "body_timeout_ms",
        /// From the upgrade to an accepted `hello`.
        pub hello: Duration = Millis(UNAUTHENTICATED) => "hello_timeout_ms",
        /// Between pings to a client.
        pub ping: Duration = Millis(100..=600_000) => "ping_ms",
        /// For any frame after a ping.
        pub pong_grace: Duration = Millis(10..=600_000) => "pong_timeout_ms",
        /// For a `subscribe` to be confirmed.
        pub subscribe: Duration = Millis(ANSWER) => "subscribe_timeout_ms",
        /// For a `subscribe` with a wide pattern to be confirmed.
        pub tap: Duration = Millis(ANSWER) => "wide_subscribe_timeout_ms",
        /// For one bucket's subscription to be confirmed, such as that of a user's own bucket after
        /// `hello`; at most `subscribe`.
        pub interest: Duration = Millis(ANSWER) => "bucket_subscribe_timeout_ms",
        /// For one answer of the store.
        pub store: Duration = Millis(ANSWER) => "store_timeout_ms",
        /// For one answer of a server of a CQL store.
        pub cql: CqlTimeouts = Group,
        /// Of the connections to the Redis shards.
        pub redis: RedisTimeouts = Group,
        /// From SIGTERM until the node accepts nothing more.
        pub lame_duck: Duration = Millis(0..=600_000) => "lame_duck_ms",
        /// From SIGTERM until the process exits.
        pub drain: Duration = Millis(10..=600_000) => "drain_timeout_ms",
    }
    relate Self::relate;
}

keys! {
    for HttpWaits {
        header = Millis(UNAUTHENTICATED) => "header_timeout_ms",
        // An hour is longer than any balancer keeps an idle connection.
        keep_alive = Millis(10..=3_600_000) => "keep_alive_timeout_ms",
        write_stall = Millis(10..=300_000) => "write_stall_timeout_ms",
    }
}

keys! {
    /// For one answer of a server of a CQL store.
    #[derive(Copy)]
    pub struct CqlTimeouts {
        /// For the answer to a write: above the time that the servers wait for their replicas, 2 s,
        /// and below the lease of a write, 5 s.
        pub write: Duration = Millis(2100..=4900) => "cql_write_timeout_ms",
        /// For the answer to a read: above the time that the servers wait for their replicas, 5 s.
        pub read: Duration = Millis(5100..=60_000) => "cql_read_timeout_ms",
    }
}

keys! {
    /// Of the connections to the Redis shards.
    #[derive(Copy)]
    pub struct RedisTimeouts {
        /// How they are made.
        pub connect: ConnectOptions = Group,
        /// When they count as lost, and are made again.
        pub links: LinkTimeouts = Group,
        /// For the decision of a shard on a send.
        pub limiter: Duration = Millis(ANSWER) => "limiter_timeout_ms",
    }
}

keys! {
    for ConnectOptions {
        connect = Millis(10..=60_000) => "redis_connect_timeout_ms",
        keepalive = Seconds(1..=3600) => "redis_keepalive_s",
        user_timeout = Millis(100..=600_000) => "redis_user_timeout_ms",
    }
}

keys! {
    /// When shard connections count as lost, and are made again.
    #[derive(Copy)]
    pub struct LinkTimeouts {
        /// How long an answer may take before the connection counts as lost.
        pub reply: Duration = Millis(10..=60_000) => "redis_reply_timeout_ms",
        /// How often an idle connection is tested by its own operation. A subscriber subscribes to a
        /// channel once more; a publisher publishes to a channel without subscribers. A server that
        /// does so is up. It may refuse a `PING` all the same, because of its snapshots, replicas or
        /// memory.
        pub ping: Duration = Millis(10..=60_000) => "redis_ping_ms",
        /// The first wait after a failed attempt; each further one doubles it.
        pub backoff_min: Duration = Millis(1..=60_000) => "redis_backoff_min_ms",
        /// The longest wait between attempts. They never end.
        pub backoff_max: Duration = Millis(1..=60_000) => "redis_backoff_max_ms",
    }
    relate Self::relate;
}

impl LinkTimeouts {
    fn relate(&self, s: &mut Section) {
        let longest = ("redis_backoff_max_ms", self.backoff_max.as_millis());
        s.at_least(longest, ("redis_backoff_min_ms", self.backoff_min.as_millis()), "{}");
    }
}

impl Timeouts {
    /// Returns how long the node may take to end once it accepts nothing more.
    pub fn after_lame_duck(&self) -> Duration {
        self.drain.saturating_sub(self.lame_duck)
    }

    fn relate(&self, s: &mut Section) {
        let subscribe = ("subscribe_timeout_ms", self.subscribe.as_millis());
        s.at_least(
            subscribe,
            ("bucket_subscribe_timeout_ms", self.interest.as_millis()),
            "{}: it waits for that",
        );
        let drain = ("drain_timeout_ms", self.drain.as_millis());
        let floor = self.lame_duck.as_millis() + CLOSING_MS_MIN;
        s.at_least(drain, ("lame_duck_ms", floor), &format!("{{}} + {CLOSING_MS_MIN}"));
    }
}
