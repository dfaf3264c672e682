//! Delivers a message that was read to a session that may lack it.

use std::rc::Rc;

use bytes::Bytes;

use super::Recovery;
use crate::domain::Message;
use crate::hub::Session;
use crate::protocol::MessageText;

impl Recovery {
    /// Delivers a message that was read, unless it came live before. Live messages that come during
    /// a catch-up are kept back and may be dropped, so they do not count as delivered.
    pub(super) fn deliver_missed(&self, session: &Rc<Session>, message: &Message) {
        let key = message.conversation.key_of(&session.user);
        // A message that is delivered in slices counts as delivered to sessions whose slice is
        // still to come, and no cursor may cover it before. So it is delivered here. The later
        // slice skips a message that was read here; a session of an earlier slice gets it twice.
        let live = !session.recovery.is_catching_up()
            && !self.fanout.sliced.meet(std::slice::from_ref(&key));
        let hub = self.sessions.hub.borrow();
        // The user may have left the room since it was listed.
        let is_recipient = hub.is_still_for(session, key.as_room(), message.id);
        let had = live && hub.had(session, &key, message.id);
        drop(hub);
        if is_recipient && !had && session.recovery.catch(message.id) {
            self.services.clocks.observe(message.id.time());
            let text = MessageText::new(message, &self.services.identity.dedup_key);
            self.deliver_recovered(session, text.frame());
        }
    }

    /// Delivers a frame that did not come live.
    pub(super) fn deliver_recovered(&self, session: &Rc<Session>, frame: Bytes) {
        self.services.metrics.recovery.resumed_messages.inc();
        self.sessions.reply_text(session, frame);
    }
}
