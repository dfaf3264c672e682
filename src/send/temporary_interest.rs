//! Subscribes to a conversation's bucket for a time although no session here is part of it.

use super::SendOrder;
use crate::domain::{Conversation, PatternScope, RoutingKey};
use crate::fanout::Memberships;

/// Subscribes to a conversation's bucket for a time, since a user without sessions here writes
/// to it. Its limit is on what all nodes send, and a limiter charges what its worker receives.
pub fn begin_temporary_interest(at: &Memberships, order: &SendOrder) {
    let key = match &order.conversation {
        Conversation::Dm(..) => RoutingKey::user(&order.from),
        Conversation::Room(room) => RoutingKey::room(room),
    };
    let services = &at.sessions.services;
    let until = services.clocks.wall.moment() + services.config.delivery.interest.linger;
    if at.sessions.hub.borrow_mut().temporary_interest(&key, until) {
        at.interest.acquire(&PatternScope::Key(key));
    }
}

/// Ends the subscriptions whose time is over.
pub fn end_temporary_interest(at: &Memberships) {
    let now = at.sessions.services.clocks.wall.moment();
    let ended = at.sessions.hub.borrow_mut().end_temporary_interest(now);
    ended.iter().for_each(|scope| at.interest.release(scope));
}
