//! A place for a read of a session, or why there is none.

use std::rc::Rc;

use super::Router;
use crate::hub::{NoReadPlace, ReadPlace, Session};
use crate::protocol::{Code, Refusal};

impl Router {
    /// Takes one of the places for reads in flight of a session, and of its user.
    pub(super) fn take_place_for_read(&self, session: &Rc<Session>) -> Result<ReadPlace, Refusal> {
        self.hub.borrow().begin_read(session).map_err(|none| {
            let message = match none {
                NoReadPlace::Session(max) => {
                    format!("{max} reads are unanswered, no more are allowed")
                }
                NoReadPlace::User(max) => {
                    format!("{max} reads of all your sessions are unanswered, no more are allowed")
                }
            };
            Refusal::new(Code::LimitReached, message)
        })
    }
}
