//! Hearing a conversation that no session here is part of.

use super::Router;
use super::send::SendOrder;
use crate::domain::{Conversation, PatternScope, RoutingKey};

impl Router {
    /// Hears a conversation for a while, since somebody without sessions here writes to it: its
    /// limit is on what all nodes send, and a gate charges what its worker hears.
    pub(super) fn temporary_interest(&self, order: &SendOrder) {
        let key = match &order.conversation {
            Conversation::Dm(..) => RoutingKey::user(&order.from),
            Conversation::Room(room) => RoutingKey::room(room),
        };
        let until = self.services.wall.moment() + self.services.waits.temporary_interest;
        if self.hub.borrow_mut().temporary_interest(&key, until) {
            self.wanted(&PatternScope::Key(key));
        }
    }

    /// Hears no longer what was heard for its while.
    pub fn end_temporary_interest(&self) {
        let ended = self.hub.borrow_mut().end_temporary_interest(self.services.wall.moment());
        ended.iter().for_each(|reach| self.unwanted(reach));
    }
}
