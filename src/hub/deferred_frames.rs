//! Frames that wait until the rooms of their session's user are known.

use super::{DEFERRED_BYTES_MAX, Hub, Session};

/// The most bytes that such frames of all sessions of one user take: as much as 16 full sessions.
/// Without it a user with a thousand sessions could hold 64 MiB.
pub const USER_DEFERRED_BYTES_MAX: usize = 16 * DEFERRED_BYTES_MAX;

/// The bound, in bytes, that a frame would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDeferred {
    /// The bound of the session.
    Session(usize),
    /// The bound of all sessions of its user.
    User(usize),
}

impl Hub {
    /// Keeps a frame until the rooms are known.
    pub fn defer(&mut self, session: &Session, text: &str) -> Result<(), NotDeferred> {
        let user_entry = session.id().and_then(|_| self.users.of_mut(session.user.as_str()));
        // The session has left, so its frames are not executed.
        let Some(user_entry) = user_entry else { return Ok(()) };
        if user_entry.deferred + text.len() > USER_DEFERRED_BYTES_MAX {
            return Err(NotDeferred::User(USER_DEFERRED_BYTES_MAX));
        }
        if !session.defer(text) {
            return Err(NotDeferred::Session(DEFERRED_BYTES_MAX));
        }
        user_entry.deferred += text.len();
        Ok(())
    }

    /// Returns the kept frames of a session in order, and frees their bytes.
    pub fn take_deferred(&mut self, session: &Session) -> Vec<Box<str>> {
        let texts = session.take_deferred();
        if let Some(user_entry) = self.users.of_mut(session.user.as_str()) {
            user_entry.deferred -= texts.iter().map(|text| text.len()).sum::<usize>();
        }
        texts
    }
}
