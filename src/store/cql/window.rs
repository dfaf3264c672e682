//! The windows that partition a conversation's messages.
//!
//! A partition is one window of one conversation: a day of a direct one, an hour of a room. Since
//! the rate of a conversation is bounded, its rows stay below the 100,000 that the servers warn
//! from.

use std::time::Duration;

use crate::domain::{Conversation, Micros};

const HOUR: u64 = 60 * 60 * 1_000_000;
const DAY: u64 = 24 * HOUR;

/// How far ahead of the present an id may be. Clocks of ids follow a seen time up to 3.5 s ahead,
/// and the watermark allows times that are 5 s off either way. The rest is for the duration of a
/// read.
pub(super) const AHEAD: Duration = Duration::from_secs(30);

/// A window, identified by its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MessageWindow(Micros);

impl MessageWindow {
    /// The window of a conversation that a time lies in. A later time never has an earlier one.
    pub(super) fn of(conversation: &Conversation, time: Micros) -> Self {
        Self(Micros(time.0 - time.0 % length(conversation)))
    }

    /// Its begin in the form of the tables: in milliseconds, of which every window is a whole
    /// number.
    pub(super) const fn millis(self) -> i64 {
        self.0.millis() as i64
    }

    /// The window of a cell.
    pub(super) fn from_millis(millis: i64) -> Self {
        Self(Micros(u64::try_from(millis).unwrap_or(0).saturating_mul(1000)))
    }

    /// This window and those after it up to `last`, at most `most`; none if there are more.
    pub(super) fn upto(
        self,
        last: Self,
        conversation: &Conversation,
        most: u64,
    ) -> Option<Vec<Self>> {
        let length = length(conversation);
        let further = last.0.0.saturating_sub(self.0.0) / length;
        let nth = |n| Self(Micros(self.0.0 + n * length));
        (further < most).then(|| (0..=further).map(nth).collect())
    }
}

const fn length(conversation: &Conversation) -> u64 {
    match conversation {
        Conversation::Dm(..) => DAY,
        Conversation::Room(_) => HOUR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RoomId, UserId};

    fn room(name: &str) -> Conversation {
        Conversation::Room(RoomId::parse(name).unwrap())
    }

    #[test]
    fn a_window_begins_at_the_full_hour_or_day() {
        let me = UserId::parse("me").unwrap();
        let dm = Conversation::between(&me, &me);
        let time = Micros(20_417 * DAY + 3 * HOUR);
        assert_eq!(MessageWindow::of(&room("r"), time), MessageWindow(time));
        assert_eq!(
            MessageWindow::of(&room("r"), Micros(time.0 - 1)),
            MessageWindow(Micros(time.0 - HOUR))
        );
        assert_eq!(MessageWindow::of(&dm, time), MessageWindow(Micros(20_417 * DAY)));
        let window = MessageWindow::of(&dm, time);
        assert_eq!(MessageWindow::from_millis(window.millis()), window);
    }

    #[test]
    fn windows_are_counted_up_to_a_bound() {
        let at = |hours: u64| MessageWindow::of(&room("r"), Micros(hours * HOUR + 5));
        assert_eq!(at(3).upto(at(5), &room("r"), 3), Some(vec![at(3), at(4), at(5)]));
        assert_eq!(at(3).upto(at(6), &room("r"), 3), None);
        assert_eq!(at(3).upto(at(2), &room("r"), 3), Some(vec![at(3)]));
    }
}
