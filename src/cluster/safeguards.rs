//! The rules that can be switched off, each by itself, to see that the simulation notices.
//!
//! Outside of tests every rule is on and this costs nothing.

/// A rule that keeps messages from being lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(dead_code, reason = "two of them can be broken in tests only, so no other code reads them")]
pub enum Safeguard {
    /// An incarnation issues ids only once a heartbeat is acknowledged within the first one's
    /// lease.
    Birth,
    /// An acknowledgement that is handled after the lease ran out does not revive the lease.
    StickyLease,
    /// What is acknowledged outside of the lease is not published.
    Fence,
    /// A fenced incarnation is never used again.
    FreshIncarnation,
    /// What was acknowledged over 5 s after its id is not published.
    AckLimit,
    /// Settled waits for the answers of all publishes.
    AwaitAnswers,
    /// Settled waits for the answers of detours too.
    AwaitDetours,
    /// A publisher that comes back to another run, or was away for long, reports it by its epoch.
    Epoch,
    /// What is given up on is announced.
    GapAnnounced,
    /// A gap covers only what has left the queue.
    GapAfterDrop,
    /// One gap is distinguished from the one before.
    GapNumber,
    /// The watermark stays 10 s behind the read's beginning.
    ReadCap,
    /// That margin is not 9 s.
    ReadCapExact,
    /// The first baseline of epochs and gaps is zero.
    ZeroBaseline,
    /// The highest counter of an incarnation is kept.
    HighestCounter,
    /// Death is measured from the end of one read to the begin of another.
    DeathByReads,
    /// Death takes 15 s.
    DeathAge,
    /// A death is a delivery gap.
    DeathRepaired,
    /// A node that starts does not count heartbeats so old that their leases are over.
    StaleLeftOut,
    /// That age is above a lease and the error of both clocks.
    StaleAge,
    /// A heartbeat that vanished is a delivery gap, and counts until its incarnation is dead.
    VanishedRow,
    /// A heartbeat that states `left` is compared like any other.
    LeftCompared,
    /// The runs that other nodes publish to are compared with the run that this node subscribes to.
    RunCompared,
    /// A changed epoch or gap count is a delivery gap.
    CountsCompared,
    /// The watermark waits for canaries.
    Canary,
    /// The canaries are sent after the cluster table was read.
    CanaryAfterRead,
    /// Too long without a read of the cluster table is a delivery gap.
    ReadGap,
    /// Repairs read once every subscription is confirmed again.
    RepairAfterConfirmed,
    /// Repairs read once no run differs.
    RepairAfterAgreement,
    /// A repair that a delivery gap interrupts does not unfreeze.
    NoBreakSince,
    /// For a session that does not share the watermark, a round reads from the session's own
    /// cursor.
    OwnCursor,
    /// The first cursor stays 15 s behind the reads' beginning.
    ReadMargin,
    /// The first cursor may be the watermark only if there was no delivery gap since the reads
    /// began.
    ResumeUnbroken,
    /// The first cursor may be the watermark only if the interest was confirmed.
    ResumeConfirmed,
    /// Cursors travel behind the messages they cover.
    CursorInQueue,
    /// Deliveries are remembered per session.
    MemoryBySession,
    /// A subscribe is confirmed by its own answer only.
    LastSubscribe,
    /// While frozen, a round reads for sessions every 10 s.
    PullRounds,
    /// A publisher that is away for long matches any run.
    RunNone,
    /// What stays unanswered is given up on after a time.
    GapByAge,
    /// A fenced incarnation states that it left.
    LeftAfterFence,
    /// What is known of a user and a room merges, in any order.
    Merged,
    /// A user who left is remembered.
    OutRemembered,
    /// No cursor goes above a joining until the messages after it are read.
    JoinHold,
    /// Nothing at or below the joining is sent.
    JoinedBound,
    /// A message delivered to a room before a user joined does not count as delivered to that user.
    PlaceByRoom,
}

#[cfg(test)]
impl Safeguard {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 46] = [
        Self::Birth,
        Self::StickyLease,
        Self::Fence,
        Self::FreshIncarnation,
        Self::AckLimit,
        Self::AwaitAnswers,
        Self::AwaitDetours,
        Self::Epoch,
        Self::GapAnnounced,
        Self::GapAfterDrop,
        Self::GapNumber,
        Self::ReadCap,
        Self::ReadCapExact,
        Self::ZeroBaseline,
        Self::HighestCounter,
        Self::DeathByReads,
        Self::DeathAge,
        Self::DeathRepaired,
        Self::StaleLeftOut,
        Self::StaleAge,
        Self::VanishedRow,
        Self::LeftCompared,
        Self::RunCompared,
        Self::CountsCompared,
        Self::Canary,
        Self::CanaryAfterRead,
        Self::ReadGap,
        Self::RepairAfterConfirmed,
        Self::RepairAfterAgreement,
        Self::NoBreakSince,
        Self::OwnCursor,
        Self::ReadMargin,
        Self::ResumeUnbroken,
        Self::ResumeConfirmed,
        Self::CursorInQueue,
        Self::MemoryBySession,
        Self::LastSubscribe,
        Self::PullRounds,
        Self::RunNone,
        Self::GapByAge,
        Self::LeftAfterFence,
        Self::Merged,
        Self::OutRemembered,
        Self::JoinHold,
        Self::JoinedBound,
        Self::PlaceByRoom,
    ];
}

/// Which rules hold; all of them, outside of tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Safeguards {
    #[cfg(test)]
    off: u64,
}

impl Safeguards {
    /// Returns whether a rule holds.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "tests read it")]
    pub(crate) const fn on(self, _rule: Safeguard) -> bool {
        true
    }

    /// Returns whether a rule holds.
    #[cfg(test)]
    pub(crate) const fn on(self, rule: Safeguard) -> bool {
        self.off & 1 << rule as u64 == 0
    }

    /// Returns all rules but one.
    #[cfg(test)]
    pub(crate) const fn without(rule: Safeguard) -> Self {
        Self { off: 1 << rule as u64 }
    }

    /// Returns all rules but two, each of which does the work of the other.
    #[cfg(test)]
    pub(crate) const fn without_both(one: Safeguard, other: Safeguard) -> Self {
        Self { off: 1 << one as u64 | 1 << other as u64 }
    }
}
