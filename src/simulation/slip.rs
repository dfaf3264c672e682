//! Mistakes that the loops around the pure cores could make, each by itself.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slip {
    /// The check after the store's acknowledgement uses the time at which the loop began to work.
    CachedTime,
    /// A row's snapshot may fall between the issue of an id and its entry.
    LateEntry,
    /// Rows are keyed by the node's name.
    RowsByName,
    /// Rows are stamped by the wall clock.
    RowsByWall,
    /// A session becomes live only after it was read for.
    LiveAfterReads,
}

impl Slip {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::CachedTime,
        Self::LateEntry,
        Self::RowsByName,
        Self::RowsByWall,
        Self::LiveAfterReads,
    ];
}
