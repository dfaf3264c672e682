//! Which direct conversations a user has, by day and by name.

use std::time::Duration;

use crate::domain::{Conversation, MessageId, Micros, UserId};

/// How long the direct conversations that were active on a day are kept. A device that is away for
/// longer does not learn what it missed. An inbox lists conversations that were active before that
/// by name.
pub const ACTIVITY_KEPT: Duration = Duration::from_hours(35 * 24);

/// A day of the Unix epoch, UTC, counted from 0: the unit that activity is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day that a time lies in.
    pub const fn of(time: Micros) -> Self {
        const MICROS_A_DAY: u64 = 24 * 60 * 60 * 1_000_000;
        Self((time.0 / MICROS_A_DAY) as u32)
    }
}

/// The newest message of a direct conversation on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The conversation.
    pub conversation: Conversation,
    /// The largest id stored in it that day, in any order of storing.
    pub last: MessageId,
}

/// Asks which direct conversations of a user had messages on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityQuery {
    /// The user.
    pub user: UserId,
    /// The day.
    pub day: Day,
    /// Most conversations.
    pub limit: usize,
}

/// Asks which direct conversations of a user ever had a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectsQuery {
    /// The user.
    pub user: UserId,
    /// Only those above it, in the order of their names as text; it need not be one of them.
    pub after: Option<Conversation>,
    /// Most conversations.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let midnight = Micros(20_416 * 86_400_000_000);
        assert_eq!(Day::of(midnight), Day(20_416));
        assert_eq!(Day::of(Micros(midnight.0 - 1)), Day(20_415));
        assert_eq!(Day::of(Micros(0)), Day(0));
    }
}
