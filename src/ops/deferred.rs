//! Ops on conversations wait until the rooms of their session's user are known.

use std::rc::Rc;

use super::Router;
use crate::hub::{NotDeferred, Session};
use crate::protocol::{Code, ErrorReply, Op};

/// Returns whether an op depends on the rooms of its user.
pub(super) const fn needs_rooms(op: &Op<'_>) -> bool {
    match op {
        Op::Send(_) | Op::History(_) | Op::MarkRead(_) | Op::Inbox(_) | Op::Signal(_) => true,
        Op::Hello(_)
        | Op::Renew(_)
        | Op::Publish(_)
        | Op::Subscribe(_)
        | Op::Unsubscribe(_)
        | Op::Ping => false,
    }
}

impl Router {
    /// Keeps a frame until the rooms are known.
    pub(super) fn defer(&self, session: &Rc<Session>, text: &str) {
        let deferred = self.sessions.hub.borrow_mut().defer(session, text);
        if let Err(full) = deferred {
            let message = match full {
                NotDeferred::Session(max) => {
                    format!("your rooms are not read yet: at most {max} bytes of frames may wait")
                }
                NotDeferred::User(max) => format!(
                    "your rooms are not read yet: at most {max} bytes of all your sessions may \
                     wait for that"
                ),
            };
            self.reject(session, text, ErrorReply::new(Code::LimitReached, message));
        }
    }
}
