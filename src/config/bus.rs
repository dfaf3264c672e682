//! `[bus]`: what the connections to the Redis shards carry.

use super::key_type::Integer;
use super::keys::keys;

keys! {
    /// The bounds of shard connections.
    #[derive(Copy)]
    pub struct LinkBounds {
        /// Publishes of a worker that may wait for one shard.
        pub publish_queue: usize = Integer(16..=1 << 20),
        /// Publishes in one pipeline. Redis serves no other client while it works on them.
        pub batch: usize = Integer(1..=4096),
    }
}
