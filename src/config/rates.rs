//! `[rates]`: how often.

use std::ops::RangeInclusive;

use serde::ser::SerializeMap;

use super::key_type::{Entry, Flag, Group, Integer, KeyType};
use super::keys::keys;
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

/// Rows that a partition of messages may have by its conversation's limit. That is below the
/// 100,000 from which `ScyllaDB` warns, with space for the sends that several nodes let in at once.
const PARTITION_ROWS: u64 = 95_000;

/// The time that a partition of a direct conversation holds: one day.
const DM_WINDOW_S: u64 = 86_400;

/// The time that a partition of a room holds: one hour.
const ROOM_WINDOW_S: u64 = 3600;

keys! {
    /// How often.
    pub struct Rates {
        /// Whether the limits of users apply.
        pub limit_users: bool = Flag,
        /// The limits of a user.
        pub user: UserRates = Group,
        /// Messages of a direct conversation.
        pub dm: RateConfig = Rate(("dm_burst", BURST), ("dm_per_s", PER_S)),
        /// Messages of a room.
        pub room: RateConfig = Rate(("room_burst", BURST), ("room_per_s", PER_S)),
        /// Frames of a connection.
        pub frames: RateConfig = Rate(("frame_burst", BURST), ("frames_per_s", PER_S)),
        /// Bytes of a connection.
        pub bytes: RateConfig = Rate(("byte_burst", BYTE_BURST), ("bytes_per_s", BYTES_PER_S)),
        /// Connections of an address; none is no limit.
        pub connections_per_address: Option<u32> = Integer(0..=1_000_000),
        /// Users, and conversations of each kind, that a worker remembers.
        pub remembered: usize = Integer(1024..=1 << 24),
        /// Sends of a worker that may wait for one shard.
        pub waiting: usize = Integer(16..=1 << 20),
    }
    relate Self::relate;
}

keys! {
    /// The limits of a user.
    #[derive(Copy)]
    pub struct UserRates {
        /// Sends of messages.
        pub sends: RateConfig = Rate(("send_burst", BURST), ("sends_per_s", PER_S)),
        /// Events.
        pub events: RateConfig = Rate(("event_burst", BURST), ("events_per_s", PER_S)),
        /// Reads of the store.
        pub reads: RateConfig = Rate(("read_burst", BURST), ("reads_per_s", PER_S)),
        /// Items of lists that frames and requests name.
        pub items: RateConfig = Rate(("item_burst", ITEM_BURST), ("items_per_s", PER_S)),
    }
}

/// So many at once, and so many per second from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// How many at once.
    pub burst: u32,
    /// How many per second.
    pub per_s: u32,
}

/// The keys of a rate: the burst, and what is allowed per second.
struct Rate((&'static str, RangeInclusive<u64>), (&'static str, RangeInclusive<u64>));

impl KeyType<RateConfig> for Rate {
    fn read(&self, s: &mut Section, _key: &'static str) -> RateConfig {
        let Self((burst, bursts), (per_s, rates)) = self;
        let mut number = |key, allowed| s.integer(key, allowed) as u32;
        RateConfig { burst: number(burst, bursts), per_s: number(per_s, rates) }
    }

    fn print<M: SerializeMap>(&self, value: &RateConfig, to: Entry<M>) -> Result<(), M::Error> {
        to.map.serialize_entry(self.0.0, &value.burst)?;
        to.map.serialize_entry(self.1.0, &value.per_s)
    }
}

impl Rates {
    /// Returns the limits of a user, if users are limited.
    pub fn of_users(&self) -> Option<UserRates> {
        self.limit_users.then_some(self.user)
    }

    /// What a conversation's limit lets in is stored in one partition per window.
    fn relate(&self, s: &mut Section) {
        let dm = ("dm_burst", self.dm.burst, "dm_per_s", self.dm.per_s, DM_WINDOW_S);
        let room = ("room_burst", self.room.burst, "room_per_s", self.room.per_s, ROOM_WINDOW_S);
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
