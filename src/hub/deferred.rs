//! Frames that wait until it is known which rooms their session's user is in.

use super::{DEFERRED_BYTES_MAX, Hub, Session};

/// Bytes of such frames of all sessions of one user: those of 16 that send all they may. Each of a
/// user's thousand connections would hold as much as one otherwise.
pub const USER_DEFERRED_BYTES_MAX: usize = 16 * DEFERRED_BYTES_MAX;

/// Why a frame cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDeferred {
    /// So many bytes of the session may.
    Session(usize),
    /// So many bytes of all its user's sessions may.
    User(usize),
}

impl Hub {
    /// Keeps a frame of a session.
    pub fn defer(&mut self, session: &Session, text: &str) -> Result<(), NotDeferred> {
        let person = session.id().and_then(|_| self.people.of_mut(session.user.as_str()));
        // It has left: nobody would take the frame up again.
        let Some(person) = person else { return Ok(()) };
        if person.deferred + text.len() > USER_DEFERRED_BYTES_MAX {
            return Err(NotDeferred::User(USER_DEFERRED_BYTES_MAX));
        }
        if !session.defer(text) {
            return Err(NotDeferred::Session(DEFERRED_BYTES_MAX));
        }
        person.deferred += text.len();
        Ok(())
    }

    /// Gives the frames of a session back, in their order.
    pub fn take_deferred(&mut self, session: &Session) -> Vec<Box<str>> {
        let texts = session.take_deferred();
        if let Some(person) = self.people.of_mut(session.user.as_str()) {
            person.deferred -= texts.iter().map(|text| text.len()).sum::<usize>();
        }
        texts
    }
}
