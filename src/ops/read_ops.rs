//! Permits for ops that read, as clients see them.

use std::rc::Rc;

use super::Router;
use crate::hub::{ReadOpLimit, ReadOpPermit, Session};
use crate::protocol::{Code, ErrorReply};

impl Router {
    /// Takes a permit for an op that reads, or refuses the op.
    pub(super) fn acquire_read_permit(
        &self,
        session: &Rc<Session>,
    ) -> Result<ReadOpPermit, ErrorReply> {
        self.sessions.hub.borrow().begin_read(session).map_err(|none| {
            let message = match none {
                ReadOpLimit::Session(max) => {
                    format!("{max} reads are unanswered, no more are allowed")
                }
                ReadOpLimit::User(max) => {
                    format!("{max} reads of all your sessions are unanswered, no more are allowed")
                }
            };
            ErrorReply::new(Code::LimitReached, message)
        })
    }
}
