//! The cursors of live sessions.

use std::rc::Rc;

use super::Recovery;
use crate::domain::Micros;
use crate::hub::Session;
use crate::protocol::{ResumeReport, ServerFrame};

/// The least time between two cursors of a session, in seconds.
const CURSOR_EVERY: u64 = 15;

/// The longest time between two cursors of a session, in seconds, less the jitter.
const CURSOR_EVERY_IDLE: u64 = 50 * 60;

/// By how many seconds that time differs between sessions at most: sessions that connected
/// together must not get their cursors together.
const CURSOR_JITTER: u64 = 10 * 60;

/// Sessions that get a cursor in one step. Each cursor is sealed, written and queued, which takes
/// some microseconds.
const CURSORS_A_STEP: usize = 256;

impl Recovery {
    /// Seals and queues a cursor. Behind a resume it reports what that brought.
    pub(super) fn send_cursor(
        &self,
        session: &Rc<Session>,
        cursor: Micros,
        report: Option<&ResumeReport<'_>>,
    ) {
        let text = self.services.identity.cursor_seal.seal(&session.user, cursor);
        self.sessions.reply(session, &ServerFrame::Cursor { cursor: &text, report });
    }

    /// Sends a cursor to a session that got none for long since nothing was delivered to it: an old
    /// cursor may become useless.
    pub fn send_idle_cursor(&self, session: &Rc<Session>) {
        let every = CURSOR_EVERY_IDLE + session.number % CURSOR_JITTER;
        let (watermark, now) = (self.watermark.get(), self.services.clocks.wall.seconds());
        let cap = self.sessions.hub.borrow().cap(&session.user);
        if session.recovery.position().is_told()
            && let Some(cursor) = session.recovery.next_cursor(watermark, cap, now, every)
        {
            self.send_cursor(session, cursor, None);
        }
    }

    /// Sends cursors whenever the watermark has moved, without end. A step sends a bounded number,
    /// so that other tasks run in between.
    ///
    /// A step may come long after the watermark moved, and is as sound as one at that moment. A
    /// cursor needs this: all messages up to it that the session must get are in its queue before.
    /// - The step reads the worker's watermark itself. That rises by commands alone. Each command
    ///   comes behind all publishes that it covers in the worker's queue, and none is executed
    ///   while a publish is delivered in slices. So in every step everything at or below the
    ///   watermark has been delivered, and what arrives between two steps lies above it. A cursor
    ///   then covers at most what the session has.
    /// - It reads the session's position and the cap of the rooms that its user joined in the same
    ///   step. So all that holds back cursors by then holds this one back. The cursor of an idle
    ///   session also comes at any time, and relies on the same.
    /// - A session that waits stays due, and what it has caught up stays remembered: nothing that
    ///   its cursor would cover is forgotten before.
    pub async fn send_cursors(self: Rc<Self>) {
        loop {
            self.cursors_wanted.notified().await;
            while self.send_some_cursors() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends cursors to sessions that are due and whose last cursor is old enough. Returns whether
    /// any session was due.
    fn send_some_cursors(&self) -> bool {
        let (watermark, now) = (self.watermark.get(), self.services.clocks.wall.seconds());
        let due = self.sessions.hub.borrow_mut().take_due(CURSORS_A_STEP);
        let any = !due.is_empty();
        for session in due {
            if !session.link().is_open() {
                continue;
            }
            session.recovery.prune(watermark);
            let cap = self.sessions.hub.borrow().cap(&session.user);
            match session.recovery.next_cursor(watermark, cap, now, CURSOR_EVERY) {
                Some(cursor) => self.send_cursor(&session, cursor, None),
                None => self.sessions.hub.borrow_mut().requeue(session),
            }
        }
        any
    }
}
