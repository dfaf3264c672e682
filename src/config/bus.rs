//! `[bus]`: the connections to the Redis shards.

use std::time::Duration;

use super::key_type::{Group, Integer, Millis, Seconds};
use super::keys::keys;
use super::section::Section;
use crate::redis::ConnectOptions;

keys! {
    /// The connections to the Redis shards.
    pub struct BusConfig {
        /// How they are made.
        pub connect: ConnectOptions = Group,
        /// What they carry, and when they are made again.
        pub links: LinkBounds = Group,
    }
}

keys! {
    for ConnectOptions {
        connect = Millis(10..=60_000) => "connect_ms",
        keepalive = Seconds(1..=3600) => "keepalive_s",
        user_timeout = Millis(100..=600_000) => "user_timeout_ms",
    }
}

keys! {
    /// The bounds of shard connections.
    #[derive(Copy)]
    pub struct LinkBounds {
        /// Publishes of a worker that may wait for one shard.
        pub publish_queue: usize = Integer(16..=1 << 20),
        /// Publishes in one pipeline. Redis serves no other client while it works on them.
        pub batch: usize = Integer(1..=4096),
        /// How long an answer may take before the connection counts as lost.
        pub reply: Duration = Millis(10..=60_000) => "reply_ms",
        /// How often an idle connection is tested by its own operation. A subscriber subscribes to a
        /// channel once more; a publisher publishes to a channel without subscribers. A server that
        /// does so is up. It may refuse a `PING` all the same, because of its snapshots, replicas or
        /// memory.
        pub ping: Duration = Millis(10..=60_000) => "ping_ms",
        /// The first wait after a failed attempt; each further one doubles it.
        pub backoff_min: Duration = Millis(1..=60_000) => "backoff_min_ms",
        /// The longest wait between attempts. They never end.
        pub backoff_max: Duration = Millis(1..=60_000) => "backoff_max_ms",
    }
    relate Self::relate;
}

impl LinkBounds {
    fn relate(&self, s: &mut Section) {
        let longest = ("backoff_max_ms", self.backoff_max.as_millis());
        s.at_least(longest, ("backoff_min_ms", self.backoff_min.as_millis()), "{}");
    }
}
