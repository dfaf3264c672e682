//! `[repair]` and `[audit]`: reads of the store for what live delivery may have missed.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::section::Section;

const READS_PER_S: RangeInclusive<u64> = 1..=1_000_000;

/// A gap that is named costs the client a page of history. A catch-up takes memory of the node
/// meanwhile.
const CONVERSATION: RangeInclusive<u64> = 1..=10_000;
const MESSAGES: RangeInclusive<u64> = 1..=100_000;

/// An entry takes about a hundred bytes.
const REMEMBERED: RangeInclusive<u64> = 1024..=1 << 24;

/// A send in the table takes 32 bytes, its publishes the size of its frame.
const PENDING: RangeInclusive<u64> = 16..=1 << 20;

/// Reads of the store for what live delivery may have missed.
#[derive(Clone, Debug, Serialize)]
pub struct RepairConfig {
    /// Reads per second of repairs and pull rounds, on one node.
    pub reads_per_s: u64,
    /// Reads per second of resumes, on one node.
    pub resume_reads_per_s: u64,
    /// Messages that a resume sends of one conversation.
    pub conversation_messages: usize,
    /// Messages that a resume sends in all.
    pub resume_messages: usize,
    /// Messages that a worker remembers as delivered.
    pub remembered: usize,
    /// Sends of a worker that may be unsettled.
    pub pending: usize,
}

impl RepairConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let repair = Self {
            reads_per_s: s.integer("reads_per_s", &READS_PER_S),
            resume_reads_per_s: s.integer("resume_reads_per_s", &READS_PER_S),
            conversation_messages: s.count("conversation_messages", &CONVERSATION),
            resume_messages: s.count("resume_messages", &MESSAGES),
            remembered: s.count("remembered", &REMEMBERED),
            pending: s.count("pending", &PENDING),
        };
        let all = ("resume_messages", repair.resume_messages as u128);
        let one = ("conversation_messages", repair.conversation_messages as u128);
        s.at_least(all, one, "{}: one conversation is part of all");
        repair
    }
}

/// Looking for messages that should not be missing.
#[derive(Clone, Debug, Serialize)]
pub struct AuditConfig {
    /// Reads per second, on one node; 0 is none.
    pub reads_per_s: u64,
}

impl AuditConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        Self { reads_per_s: s.integer("reads_per_s", &(0..=*READS_PER_S.end())) }
    }
}
