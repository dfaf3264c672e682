//! Connections that were dropped though their clients did nothing wrong.

/// Why a connection was dropped that has not shown a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// It was silent for the longest time when another one needed room.
    Silent,
    /// It had the oldest unfinished request, and no other one was silent.
    Unfinished,
    /// It came when all connections belonged to clients with tokens.
    Full,
    /// It came while too many sockets were being closed to make room.
    Ending,
}

impl Dropped {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Silent, Self::Unfinished, Self::Full, Self::Ending];

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unfinished => "unfinished",
            Self::Full => "full",
            Self::Ending => "ending",
        }
    }
}
