//! `[interest]`, `[repair]`, `[audit]` and `[bus]`: how messages reach the nodes that need them, and
//! how the store is read for those that did not.

use std::time::Duration;

use super::LinkBounds;
use super::key_type::{Group, Integer, LoneKey, Millis, SubTable};
use super::keys::keys;
use super::section::Section;

const READS_PER_S_MAX: u64 = 1_000_000;

keys! {
    /// How messages reach the nodes that need them.
    pub struct DeliveryConfig {
        /// Which buckets this node subscribes to.
        pub interest: InterestConfig = SubTable,
        /// Reads of the store for what live delivery may have missed.
        pub repair: RepairConfig = SubTable,
        /// Reads per second that look for messages that should not be missing, on one node; 0 is
        /// none.
        pub audit_reads_per_s: u32 = LoneKey("reads_per_s", Integer(0..=READS_PER_S_MAX)) => "audit",
        /// What the connections to Redis carry.
        pub bus: LinkBounds = SubTable,
    }
}

keys! {
    /// Which buckets this node subscribes to.
    pub struct InterestConfig {
        /// How long a bucket stays subscribed after its last session left.
        pub linger: Duration = Millis(10..=3_600_000) => "linger_ms",
        /// Channels in one SSUBSCRIBE. Redis serves no other client while it works on them.
        pub batch: usize = Integer(1..=4096),
    }
}

keys! {
    /// Reads of the store for what live delivery may have missed.
    pub struct RepairConfig {
        /// Reads per second of repairs and pull rounds, on one node.
        pub reads_per_s: u32 = Integer(1..=READS_PER_S_MAX),
        /// Reads per second of resumes, on one node.
        pub resume_reads_per_s: u32 = Integer(1..=READS_PER_S_MAX),
        /// The most that a resume sends.
        pub resume: ResumeBounds = Group,
        /// Messages that a worker remembers as delivered, about a hundred bytes each.
        pub remembered: usize = Integer(1024..=1 << 24),
        /// Sends of a worker that may be unsettled: 32 bytes each, and its publishes.
        pub pending: usize = Integer(16..=1 << 20),
    }
}

keys! {
    /// The most that a resume sends. A gap that is named costs the client a page of history. A
    /// catch-up takes memory of the node meanwhile.
    #[derive(Copy)]
    pub struct ResumeBounds {
        /// Messages of one conversation.
        pub conversation: usize = Integer(1..=10_000) => "conversation_messages",
        /// Messages in all.
        pub messages: usize = Integer(1..=100_000) => "resume_messages",
    }
    relate Self::relate;
}

impl ResumeBounds {
    fn relate(&self, s: &mut Section) {
        let all = ("resume_messages", self.messages);
        let one = ("conversation_messages", self.conversation);
        s.at_least(all, one, "{}: one conversation is part of all");
    }
}
