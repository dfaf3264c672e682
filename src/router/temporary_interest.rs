//! Subscribes to a conversation's bucket for a time although no session here is part of it.

use super::Router;
use super::send::SendOrder;
use crate::domain::{Conversation, PatternScope, RoutingKey};

impl Router {
    /// Subscribes to a conversation's bucket for a time, since a user without sessions here writes
    /// to it. Its limit is on what all nodes send, and a limiter charges what its worker receives.
    pub(super) fn temporary_interest(&self, order: &SendOrder) {
        let key = match &order.conversation {
            Conversation::Dm(..) => RoutingKey::user(&order.from),
            Conversation::Room(room) => RoutingKey::room(room),
        };
        let until = self.services.wall.moment() + self.services.waits.temporary_interest;
        if self.hub.borrow_mut().temporary_interest(&key, until) {
            self.add_interest(&PatternScope::Key(key));
        }
    }

    /// Ends the subscriptions whose time is over.
    pub fn end_temporary_interest(&self) {
        let ended = self.hub.borrow_mut().end_temporary_interest(self.services.wall.moment());
        ended.iter().for_each(|scope| self.remove_interest(scope));
    }
}
