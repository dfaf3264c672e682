//! `[bus]`: the connections to the Redis shards.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::print;
use super::section::Section;

const PUBLISH_QUEUE: RangeInclusive<u64> = 16..=1 << 20;

/// Redis serves no other client while it works on a batch.
const BATCH: RangeInclusive<u64> = 1..=4096;
const ANSWER: RangeInclusive<u64> = 10..=60_000;
const PING: RangeInclusive<u64> = 10..=60_000;
const KEEPALIVE_S: RangeInclusive<u64> = 1..=3600;
const USER_TIMEOUT: RangeInclusive<u64> = 100..=600_000;
const BACKOFF: RangeInclusive<u64> = 1..=60_000;

/// The connections to the Redis shards.
#[derive(Clone, Debug, Serialize)]
pub struct BusConfig {
    /// Publishes that may wait for one shard.
    pub publish_queue: usize,
    /// Publishes in one pipeline.
    pub batch: usize,
    /// For TCP and the Redis handshake.
    #[serde(rename = "connect_ms", serialize_with = "print::millis")]
    pub connect: Duration,
    /// For the answer to a command.
    #[serde(rename = "reply_ms", serialize_with = "print::millis")]
    pub reply: Duration,
    /// Between checks of an idle connection.
    #[serde(rename = "ping_ms", serialize_with = "print::millis")]
    pub ping: Duration,
    /// TCP keepalive.
    #[serde(rename = "keepalive_s", serialize_with = "print::seconds")]
    pub keepalive: Duration,
    /// `TCP_USER_TIMEOUT`.
    #[serde(rename = "user_timeout_ms", serialize_with = "print::millis")]
    pub user_timeout: Duration,
    /// The first wait before connecting again.
    #[serde(rename = "backoff_min_ms", serialize_with = "print::millis")]
    pub backoff_min: Duration,
    /// The longest wait before connecting again.
    #[serde(rename = "backoff_max_ms", serialize_with = "print::millis")]
    pub backoff_max: Duration,
}

impl BusConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let bus = Self {
            publish_queue: s.count("publish_queue", &PUBLISH_QUEUE),
            batch: s.count("batch", &BATCH),
            connect: s.millis("connect_ms", &ANSWER),
            reply: s.millis("reply_ms", &ANSWER),
            ping: s.millis("ping_ms", &PING),
            keepalive: s.seconds("keepalive_s", &KEEPALIVE_S),
            user_timeout: s.millis("user_timeout_ms", &USER_TIMEOUT),
            backoff_min: s.millis("backoff_min_ms", &BACKOFF),
            backoff_max: s.millis("backoff_max_ms", &BACKOFF),
        };
        bus.relate(s);
        bus
    }

    fn relate(&self, s: &mut Section) {
        let longest = ("backoff_max_ms", self.backoff_max.as_millis());
        s.at_least(longest, ("backoff_min_ms", self.backoff_min.as_millis()), "{}");
    }
}
