//! Mistakes that the loops around the pure cores could make, each by itself.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// The check after the store's acknowledgement uses the time at which the worker's job began,
    /// which may be before the acknowledgement came.
    CachedTime,
    /// A heartbeat's snapshot may fall between the issue of an id and its entry.
    LateEntry,
    /// Heartbeats are keyed by the node's name.
    RowsByName,
    /// Heartbeats are stamped by the wall clock.
    RowsByWall,
    /// A session becomes live only after it was read for.
    LiveAfterReads,
    /// What a session's own read finds is recorded as delivered to the sessions of its key.
    ReadsNoted,
    /// Workers share the watermark: it is not queued for each of them.
    SharedWatermark,
    /// A change of a membership is not in the pending table.
    ChangeUnentered,
    /// An add is answered without waiting for the clock.
    AnswerAtOnce,
    /// Ids are issued from the lower end of the interval.
    IdsFromLowerEnd,
    /// An add is not stamped above the newest message of its room.
    HeadUnread,
    /// Of two joinings the store keeps the last.
    LastJoining,
    /// The removal that an add follows is not written again.
    RemovalUnconfirmed,
    /// The rows of an add are not read after its write.
    AddUnread,
    /// Rounds do not read memberships again.
    RoundsForgetMemberships,
    /// What was found for a room is delivered to the users who were in it when it was read.
    StaleList,
    /// A resume reads the memberships before there is interest in the user's key.
    MembershipsFirst,
    /// What is read for a room that a user joined is not kept for a session that missed something.
    MissingForgotten,
    /// A user who has sessions with cursors joins as one without.
    NewsTakenForFirst,
    /// Heads are used as known though there was a delivery gap since they were read.
    HeadsForgetBreaks,
    /// A read that uses known heads counts like one that reads them.
    HeadsEarnReads,
    /// A session that shares a read of memberships claims what one that begins when it comes may.
    SharedReadFresh,
    /// A node goes on though its clock is known to be wrong.
    ClockIgnored,
    /// A session is moved to another worker as it is, and its queued items stay behind.
    MovedUndrained,
}

impl Mutation {
    /// All.
    pub const ALL: [Self; 24] = [
        Self::AnswerAtOnce,
        Self::IdsFromLowerEnd,
        Self::HeadUnread,
        Self::LastJoining,
        Self::RemovalUnconfirmed,
        Self::AddUnread,
        Self::CachedTime,
        Self::LateEntry,
        Self::RowsByName,
        Self::RowsByWall,
        Self::LiveAfterReads,
        Self::ReadsNoted,
        Self::SharedWatermark,
        Self::NewsTakenForFirst,
        Self::HeadsForgetBreaks,
        Self::HeadsEarnReads,
        Self::SharedReadFresh,
        Self::ChangeUnentered,
        Self::RoundsForgetMemberships,
        Self::StaleList,
        Self::MembershipsFirst,
        Self::MissingForgotten,
        Self::ClockIgnored,
        Self::MovedUndrained,
    ];
}
