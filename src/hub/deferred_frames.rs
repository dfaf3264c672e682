//! Frames that wait until the rooms of their session's user are known.

use std::cell::Cell;
use std::fmt;

use super::{Hub, Session};

/// Bytes of frames that may wait until a user's rooms are known. It holds as many sends of usual
/// size as may be in flight by default, and more than a client sends before its first answer.
pub const DEFERRED_BYTES_MAX: usize = 64 * 1024;

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

/// The frames of a session that wait until the rooms of its user are known.
#[derive(Default)]
pub(super) struct DeferredFrames {
    texts: Cell<Vec<Box<str>>>,
    /// Whether the rooms are known.
    loaded: Cell<bool>,
}

impl fmt::Debug for DeferredFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredFrames").field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

impl DeferredFrames {
    /// Keeps a frame. Returns false if it does not fit.
    fn push(&self, text: &str) -> bool {
        let mut texts = self.texts.take();
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let fits = bytes + text.len() <= DEFERRED_BYTES_MAX;
        if fits {
            texts.push(text.into());
        }
        self.texts.set(texts);
        fits
    }
}

impl Session {
    /// Returns whether the rooms of its user are known.
    pub const fn is_loaded(&self) -> bool {
        self.deferred.loaded.get()
    }

    /// Records that the rooms of its user are known.
    pub fn load(&self) {
        self.deferred.loaded.set(true);
    }
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
        if !session.deferred.push(text) {
            return Err(NotDeferred::Session(DEFERRED_BYTES_MAX));
        }
        user_entry.deferred += text.len();
        Ok(())
    }

    /// Returns the kept frames of a session in order, and frees their bytes.
    pub fn take_deferred(&mut self, session: &Session) -> Vec<Box<str>> {
        let texts = session.deferred.texts.take();
        if let Some(user_entry) = self.users.of_mut(session.user.as_str()) {
            user_entry.deferred -= texts.iter().map(|text| text.len()).sum::<usize>();
        }
        texts
    }
}
