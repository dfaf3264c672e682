//! `[interest]`: which buckets this node subscribes to.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::print;
use super::section::Section;

const LINGER: RangeInclusive<u64> = 10..=3_600_000;

/// Redis serves no other client while it works on a batch.
const BATCH: RangeInclusive<u64> = 1..=4096;

/// Which buckets this node subscribes to.
#[derive(Clone, Debug, Serialize)]
pub struct InterestConfig {
    /// How long a bucket stays subscribed after its last session left.
    #[serde(rename = "linger_ms", serialize_with = "print::millis")]
    pub linger: Duration,
    /// Channels in one SSUBSCRIBE.
    pub batch: usize,
}

impl InterestConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        Self { linger: s.millis("linger_ms", &LINGER), batch: s.count("batch", &BATCH) }
    }
}
