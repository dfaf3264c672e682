//! Hash buckets of keys.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{Class, RoutingKey};

/// The most buckets that a class may have: beyond it the number of a bucket costs more than it
/// saves.
pub const BUCKETS_MAX: u32 = 1 << 24;

/// The hash that routes a key: xxh3, 64 bits, seed 0, over the key's UTF-8 bytes. Its output is
/// fixed by the xxHash specification, so other services can compute it.
pub fn key_hash(key: &RoutingKey) -> u64 {
    xxh3_64(key.as_str().as_bytes())
}

/// How many buckets a class has: a power of two, kept as its exponent. A node keeps a bucket for
/// nearly every session, so a bucket is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketCount(u8);

/// The number is not a count of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a power of two from 1 to {BUCKETS_MAX}, not {0}")]
pub struct BucketCountError(pub u64);

impl BucketCount {
    /// One bucket, which has all keys.
    pub const ONE: Self = Self(0);

    /// Reads a count.
    pub const fn new(count: u64) -> Result<Self, BucketCountError> {
        if count.is_power_of_two() && count <= BUCKETS_MAX as u64 {
            Ok(Self(count.trailing_zeros() as u8))
        } else {
            Err(BucketCountError(count))
        }
    }

    /// The count.
    pub const fn get(self) -> u32 {
        1 << self.0
    }
}

impl fmt::Display for BucketCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// One bucket: a Redis channel, and the unit of a node's interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    /// The class whose keys it holds.
    pub class: Class,
    /// Number of buckets of its class. Buckets of two layouts are different channels.
    pub of: BucketCount,
    /// Its number, below `of`.
    pub index: u32,
}

impl Bucket {
    /// The bucket of a key among `of`.
    pub fn of_key(key: &RoutingKey, of: BucketCount) -> Self {
        let index = (key_hash(key) & u64::from(of.get() - 1)) as u32;
        Self { class: key.class(), of, index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(key: &str, of: u64) -> u32 {
        Bucket::of_key(&RoutingKey::parse(key).unwrap(), BucketCount::new(of).unwrap()).index
    }

    #[test]
    fn golden_values() {
        let table = [
            ("user.42", 0x7e3a_fcdd_5a30_0bd5, 3029, 3029),
            ("user.alice", 0xb621_3c44_a7c4_bcca, 310_474, 48_330),
            ("topic.scores", 0x8acc_aab1_40d7_9676, 497_270, 38_518),
        ];
        for (key, hash, of_million, of_65536) in table {
            assert_eq!(key_hash(&RoutingKey::parse(key).unwrap()), hash, "{key}");
            assert_eq!(bucket(key, 1_048_576), of_million, "{key}");
            assert_eq!(bucket(key, 65_536), of_65536, "{key}");
            assert_eq!(bucket(key, 1), 0, "one bucket is the classic broadcast");
        }
    }

    #[test]
    fn a_count_is_a_power_of_two_up_to_16_million() {
        assert!(BucketCount::new(1).is_ok() && BucketCount::new(16_777_216).is_ok());
        for bad in [0, 3, 1000, 33_554_432, u64::MAX] {
            assert_eq!(BucketCount::new(bad), Err(BucketCountError(bad)));
        }
    }

    #[test]
    fn a_bucket_is_eight_bytes() {
        assert_eq!(size_of::<Bucket>(), 8);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut loads = [0u32; 1024];
        for user in 0..100_000 {
            loads[bucket(&format!("user.{user}"), 1024) as usize] += 1;
        }
        let (low, high) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(*low > 55 && *high < 150, "the mean is 97.7, found {low} to {high}");
    }
}
