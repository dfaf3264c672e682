//! `[rates]`: how often.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::print;
use super::section::Section;

/// A limit keeps whole microseconds between two calls. Above 10,000 per second the rounding would
/// show.
const PER_S: RangeInclusive<u64> = 1..=10_000;
const BURST: RangeInclusive<u64> = 1..=100_000;

/// A list over HTTP has 100 items, and a fresh token counts as 50.
const ITEM_BURST: RangeInclusive<u64> = 100..=100_000;

/// Whole nanoseconds per byte: above 16 MiB per second the rounding would show.
const BYTES_PER_S: RangeInclusive<u64> = 1024..=16 << 20;
const BYTE_BURST: RangeInclusive<u64> = 1024..=1 << 30;

/// 0 is no limit.
const CONNECTIONS_AN_ADDRESS: RangeInclusive<u64> = 0..=1_000_000;
const REMEMBERED: RangeInclusive<u64> = 1024..=1 << 24;
const WAITING: RangeInclusive<u64> = 16..=1 << 20;
const ANSWER: RangeInclusive<u64> = 10..=60_000;

/// Rows that a partition of messages may have by its conversation's limit. That is below the
/// 100,000 from which `ScyllaDB` warns, with space for the sends that several nodes let in at once.
const PARTITION_ROWS: u64 = 95_000;

/// The time that a partition of a direct conversation holds: one day.
const DM_WINDOW_S: u64 = 86_400;

/// The time that a partition of a room holds: one hour.
const ROOM_WINDOW_S: u64 = 3600;

/// So many at once, and so many per second from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// How many at once.
    pub burst: u32,
    /// How many per second.
    pub per_s: u32,
}

/// How often.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Sends, events, reads and list items of a user; none if users are not limited.
    pub users: Option<UserRates>,
    /// Messages of a direct conversation.
    pub dm: RateConfig,
    /// Messages of a room.
    pub room: RateConfig,
    /// Frames of a connection.
    pub frames: RateConfig,
    /// Bytes of a connection.
    pub bytes: RateConfig,
    /// Connections of an address; none is no limit.
    pub connections_per_address: Option<u32>,
    /// Users, and conversations of each kind, that a worker remembers.
    pub remembered: usize,
    /// Sends of a worker that may wait for one shard.
    pub waiting: usize,
    /// For the answer of a shard.
    pub answer: Duration,
    written: Written,
}

/// The limits of a user.
#[derive(Clone, Copy, Debug)]
pub struct UserRates {
    /// Sends of messages.
    pub sends: RateConfig,
    /// Events.
    pub events: RateConfig,
    /// Reads of the store.
    pub reads: RateConfig,
    /// Items of lists that frames and requests name.
    pub items: RateConfig,
}

/// The keys as they are spelled.
#[derive(Clone, Debug, Serialize)]
struct Written {
    users: Switch,
    send_burst: u32,
    sends_per_s: u32,
    event_burst: u32,
    events_per_s: u32,
    read_burst: u32,
    reads_per_s: u32,
    item_burst: u32,
    items_per_s: u32,
    dm_burst: u32,
    dm_per_s: u32,
    room_burst: u32,
    room_per_s: u32,
    frame_burst: u32,
    frames_per_s: u32,
    byte_burst: u32,
    bytes_per_s: u32,
    connections_per_address: u32,
    remembered: usize,
    waiting: usize,
    #[serde(rename = "answer_ms", serialize_with = "print::millis")]
    answer: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

impl Rates {
    pub(super) fn read(s: &mut Section) -> Self {
        let mut number = |key, allowed: &RangeInclusive<u64>| s.integer(key, allowed) as u32;
        let written = Written {
            send_burst: number("send_burst", &BURST),
            sends_per_s: number("sends_per_s", &PER_S),
            event_burst: number("event_burst", &BURST),
            events_per_s: number("events_per_s", &PER_S),
            read_burst: number("read_burst", &BURST),
            reads_per_s: number("reads_per_s", &PER_S),
            item_burst: number("item_burst", &ITEM_BURST),
            items_per_s: number("items_per_s", &PER_S),
            dm_burst: number("dm_burst", &BURST),
            dm_per_s: number("dm_per_s", &PER_S),
            room_burst: number("room_burst", &BURST),
            room_per_s: number("room_per_s", &PER_S),
            frame_burst: number("frame_burst", &BURST),
            frames_per_s: number("frames_per_s", &PER_S),
            byte_burst: number("byte_burst", &BYTE_BURST),
            bytes_per_s: number("bytes_per_s", &BYTES_PER_S),
            connections_per_address: number("connections_per_address", &CONNECTIONS_AN_ADDRESS),
            users: s.choice("users", &[("on", Switch::On), ("off", Switch::Off)]),
            remembered: s.count("remembered", &REMEMBERED),
            waiting: s.count("waiting", &WAITING),
            answer: s.millis("answer_ms", &ANSWER),
        };
        written.relate(s);
        written.resolve()
    }
}

impl Written {
    fn resolve(self) -> Rates {
        let rate = |burst, per_s| RateConfig { burst, per_s };
        let users = UserRates {
            sends: rate(self.send_burst, self.sends_per_s),
            events: rate(self.event_burst, self.events_per_s),
            reads: rate(self.read_burst, self.reads_per_s),
            items: rate(self.item_burst, self.items_per_s),
        };
        let addresses = self.connections_per_address;
        Rates {
            users: (self.users == Switch::On).then_some(users),
            dm: rate(self.dm_burst, self.dm_per_s),
            room: rate(self.room_burst, self.room_per_s),
            frames: rate(self.frame_burst, self.frames_per_s),
            bytes: rate(self.byte_burst, self.bytes_per_s),
            connections_per_address: (addresses > 0).then_some(addresses),
            remembered: self.remembered,
            waiting: self.waiting,
            answer: self.answer,
            written: self,
        }
    }

    /// What a conversation's limit lets in is stored in one partition per window.
    fn relate(&self, s: &mut Section) {
        let dm = ("dm_burst", self.dm_burst, "dm_per_s", self.dm_per_s, DM_WINDOW_S);
        let room = ("room_burst", self.room_burst, "room_per_s", self.room_per_s, ROOM_WINDOW_S);
        for (burst_key, burst, rate_key, per_s, window) in [dm, room] {
            let rows = u64::from(burst) + u64::from(per_s) * window;
            if rows > PARTITION_ROWS && !s.is_mistaken(burst_key) && !s.is_mistaken(rate_key) {
                let wanted = format!(
                    "{burst_key} + {window} * {rate_key} of at most {PARTITION_ROWS} is required, \
                     the rows of a partition; {rate_key} = {per_s} makes {rows}"
                );
                s.refuse(burst_key, burst, &wanted);
            }
        }
    }
}

impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}
