//! How a session catches up: live messages are kept back, missed ones are read, then it gets a
//! cursor.

use std::rc::Rc;
use std::time::Duration;

use super::Router;
use crate::domain::{Conversation, Message, MessageId, Micros, RoomId};
use crate::hub::{BufferedMessage, Session};
use crate::protocol::{MessageText, ServerFrame};
use crate::watermark::{CatchUpRead, READ_MARGIN, UserRooms};

/// The greatest age of a cursor that a session may resume from.
const CURSOR_AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// How much younger a cursor must be than messages become. What lies above it must not expire
/// before the resume has read it, and the clocks of nodes and servers may differ.
const EXPIRY_MARGIN: Duration = Duration::from_mins(10);

/// How far ahead of this node's clock a cursor may be.
const CURSOR_AHEAD_MAX: Duration = Duration::from_secs(10);

/// The most conversations that a cursor's `gaps` may name; with more, none is named and anything
/// may be missing.
const GAPS_MAX: usize = 1000;

/// How often to check whether a slow client has read half of its queue.
const OUTBOX_POLL: Duration = Duration::from_millis(20);

/// How long a session that does not share the watermark waits before it checks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a read of a resume is tried: as long as the session lives.
const TRIES: u32 = u32::MAX;

/// Where a session resumes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResumeFrom {
    /// The client has no cursor: it gets what is acknowledged after its first one.
    Nothing,
    /// The client's cursor is of no use. It is treated like none, and the client is told to load
    /// what it missed.
    Useless,
    /// The client has everything up to here.
    Cursor(Micros),
}

/// What a catch-up found, beside the messages.
#[derive(Debug, Default)]
struct Outcome {
    gaps: Vec<Conversation>,
    whole: bool,
}

impl Router {
    /// Decides whether a cursor can be resumed from.
    pub(super) fn claim(&self, session: &Session, cursor: Option<&str>) -> ResumeFrom {
        let Some(text) = cursor else { return ResumeFrom::Nothing };
        let now = self.services.wall.now();
        match self.services.seal.open(&session.user, text) {
            Ok(time) if is_resumed_from(time, now, self.services.store.retention()) => {
                ResumeFrom::Cursor(time)
            }
            Ok(time) => {
                tracing::debug!(%time, "a cursor is too old or too far ahead");
                ResumeFrom::Useless
            }
            Err(error) => {
                tracing::debug!(%error, "a cursor is refused");
                ResumeFrom::Useless
            }
        }
    }

    /// Starts the task that reads for a new session until it shares the watermark.
    pub(super) fn begin_resume(self: &Rc<Self>, session: &Rc<Session>, claim: ResumeFrom) {
        let task = Rc::clone(self).resume(Rc::clone(session), claim);
        session.recovery.reader.begin(&tokio::task::spawn_local(task));
    }

    /// Runs from `ready`, with live messages kept back, to the first cursor, and on until the
    /// session shares the watermark.
    async fn resume(self: Rc<Self>, session: Rc<Session>, claim: ResumeFrom) {
        let mut patience = self.services.waits.interest;
        loop {
            let Some(reading) = self.begin_reading(&session, patience).await else { return };
            let Some(outcome) = self.catch_up(&session, claim).await else { return };
            let whole = outcome.whole && claim != ResumeFrom::Useless;
            if let Some(behind) = session.recovery.end_catch_up() {
                for BufferedMessage { id, room, frame } in behind {
                    let room = room.as_ref().map(RoomId::as_str);
                    let is_recipient = self.hub.borrow().is_still_for(&session, room, id);
                    if is_recipient {
                        self.deliver_frame(&session, frame);
                    }
                }
                self.finish_catch_up(&session, reading, &outcome.gaps, whole);
                break;
            }
            // The live buffer was too small for the messages that came meanwhile. What was read
            // counts, and the next round begins there: even a slow client always makes progress.
            self.finish_catch_up(&session, reading.unconfirmed(), &outcome.gaps, whole);
            session.recovery.begin_catch_up(self.hub.borrow().place());
            patience = Duration::ZERO;
        }
        self.read_until_shared(session).await;
    }

    async fn hears(&self, session: &Session, bound: Duration) -> bool {
        self.services.interest.confirmation(&session.key()).within(bound).await
    }

    /// Reads the rooms of a session's user, and waits for their buckets. The catch-up begins with
    /// this read, or with the read of another session that this one shares.
    async fn begin_reading(
        self: &Rc<Self>,
        session: &Rc<Session>,
        patience: Duration,
    ) -> Option<CatchUpRead> {
        // The load checks again whether the bucket is confirmed.
        let _in_time = self.hears(session, patience).await;
        self.load_rooms(session, patience).await
    }

    /// Starts a task that reads for a session which does not share the watermark, unless one runs.
    pub(super) fn ensure_caught_up(self: &Rc<Self>, session: &Rc<Session>) {
        if !session.recovery.reader.is_running() {
            let task = Rc::clone(self).read_until_shared(Rc::clone(session));
            session.recovery.reader.begin(&tokio::task::spawn_local(task));
        }
    }

    /// Reads again once the session's buckets are confirmed and nothing is frozen. While it is
    /// frozen, rounds read for the session.
    async fn read_until_shared(self: Rc<Self>, session: Rc<Session>) {
        while session.link().is_open() && !session.recovery.position().is_shared() {
            let moved = self.watermark_moved.notified();
            if self.services.watermark_state.look().frozen
                || !self.hears(&session, LOOK_AGAIN).await
            {
                let _moved = tokio::time::timeout(LOOK_AGAIN, moved).await;
                continue;
            }
            let Some(reading) = self.begin_reading(&session, LOOK_AGAIN).await else { return };
            let above = session.recovery.position().above(self.watermark.get());
            let Some(outcome) = self.catch_up(&session, ResumeFrom::Cursor(above)).await else {
                return;
            };
            self.finish_catch_up(&session, reading, &outcome.gaps, outcome.whole);
        }
        session.recovery.reader.forget();
    }

    /// Ends a catch-up: its messages are in the session's queue, and its cursor goes behind them.
    fn finish_catch_up(
        &self,
        session: &Rc<Session>,
        reading: CatchUpRead,
        gaps: &[Conversation],
        complete: bool,
    ) {
        let mut position = session.recovery.position();
        let cursor =
            position.read(reading, self.services.watermark_state.look(), self.watermark.get());
        let cursor = cursor.min(self.hub.borrow().cap(&session.user));
        session.recovery.set_position(position);
        session.recovery.begin(self.services.wall.now());
        session.recovery.cursor_sent(cursor, self.services.wall.seconds());
        let named = gaps.len() <= GAPS_MAX;
        let gaps: Vec<String> = gaps.iter().take(GAPS_MAX).map(Conversation::to_string).collect();
        let gaps: Vec<&str> = gaps.iter().filter(|_| named).map(String::as_str).collect();
        self.send_cursor(session, cursor, complete && named, &gaps);
        session.recovery.prune(self.watermark.get());
        // The next cursor is behind what was delivered, and releases what is remembered of it.
        if session.recovery.remembers() {
            self.hub.borrow_mut().mark_cursor_due(session);
        }
    }

    pub(super) fn send_cursor(
        &self,
        session: &Rc<Session>,
        cursor: Micros,
        complete: bool,
        gaps: &[&str],
    ) {
        let text = self.services.seal.seal(&session.user, cursor);
        self.reply(session, &ServerFrame::Cursor { cursor: Some(&text), complete, gaps });
    }

    /// Reads and delivers what lies above a cursor. Returns `None` if the session ended meanwhile.
    async fn catch_up(
        self: &Rc<Self>,
        session: &Rc<Session>,
        claim: ResumeFrom,
    ) -> Option<Outcome> {
        let ResumeFrom::Cursor(_) = claim else {
            return Some(Outcome { gaps: Vec::new(), whole: true });
        };
        // A round may have advanced the session beyond the cursor that it came with.
        let above = session.recovery.position().above(self.watermark.get());
        let reader = self.session_reader(session, TRIES);
        let changed = reader.changed(&session.user, &self.rooms_of(session), above).await?;
        let mut outcome = Outcome { gaps: Vec::new(), whole: changed.whole };
        let bounds = self.services.resume;
        let mut left = bounds.messages;
        for conversation in changed.conversations {
            let max = left.min(bounds.conversation);
            if max == 0 {
                outcome.gaps.push(conversation);
                continue;
            }
            let newest = reader.newest(&conversation, above, max).await?;
            left -= newest.messages.len();
            for message in &newest.messages {
                self.has_room(session).await?;
                self.deliver_missed(session, message);
            }
            if !newest.whole {
                outcome.gaps.push(conversation);
            }
        }
        Some(outcome)
    }

    /// Waits until the outbox is less than half full: the catch-up goes at the client's pace.
    async fn has_room(&self, session: &Session) -> Option<()> {
        while session.link().is_open() && session.link().bytes() > session.link().bound() / 2 {
            self.flush();
            tokio::time::sleep(OUTBOX_POLL).await;
        }
        session.link().is_open().then_some(())
    }

    /// Delivers a message that was read, unless it came live before. Live messages that come during
    /// a catch-up are kept back and may be dropped, so they do not count as delivered.
    pub(super) fn deliver_missed(&self, session: &Rc<Session>, message: &Message) {
        let key = message.conversation.key_of(&session.user);
        // A message that is delivered in slices counts as delivered to sessions whose slice is
        // still to come, and no cursor may cover it before. So it is delivered here. The later
        // slice skips a message that was read here; a session of an earlier slice gets it twice.
        let live =
            !session.recovery.is_catching_up() && !self.sliced.meet(std::slice::from_ref(&key));
        let hub = self.hub.borrow();
        // The user may have left the room since it was listed.
        let is_recipient = hub.is_still_for(session, key.as_room(), message.id);
        let had = live && hub.had(session, &key, message.id);
        drop(hub);
        if is_recipient && !had && session.recovery.catch(message.id) {
            self.services.observe(message.id.time());
            self.deliver_frame(session, MessageText::new(message).frame());
        }
    }

    /// Returns the rooms that a session's user is in, each with the stamp of the joining.
    pub(super) fn rooms_of(&self, session: &Session) -> Vec<(RoomId, MessageId)> {
        let hub = self.hub.borrow();
        let rooms = hub.user_rooms(&session.user).into_iter().flat_map(UserRooms::inside);
        rooms.map(|known| (known.room.clone(), known.joined())).collect()
    }

    fn deliver_frame(&self, session: &Rc<Session>, frame: bytes::Bytes) {
        self.services.metrics.recovery.resumed_messages.inc();
        self.reply_text(session, frame);
    }

    /// Returns where a session with this claim begins. While the time is not known, one without a
    /// cursor begins at the last time by which everything was in the store.
    pub(super) fn begins_at(&self, claim: ResumeFrom) -> Micros {
        match claim {
            ResumeFrom::Cursor(time) => time,
            ResumeFrom::Nothing | ResumeFrom::Useless => {
                let began = self.services.wall.sure_before(READ_MARGIN);
                began.unwrap_or_else(|| self.services.watermark_state.look().decided)
            }
        }
    }
}

/// The most that a resume sends.
#[derive(Debug, Clone, Copy)]
pub struct ResumeBounds {
    /// Messages per conversation.
    pub conversation: usize,
    /// Messages in all.
    pub messages: usize,
}

/// Returns whether all messages above a cursor may still be stored. `kept` is how long messages are
/// kept.
fn is_resumed_from(cursor: Micros, now: Micros, kept: Option<Duration>) -> bool {
    let kept = kept.map_or(CURSOR_AGE_MAX, |kept| kept.saturating_sub(EXPIRY_MARGIN));
    now.since(cursor) <= kept.min(CURSOR_AGE_MAX) && cursor <= now + CURSOR_AHEAD_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_as_long_as_what_lies_above_it_is_kept() {
        let days = |days: u64| Duration::from_hours(24 * days);
        let now = Micros(0) + days(20_000);
        let is_good = |age, kept| is_resumed_from(now - age, now, kept);
        for (kept, oldest) in [
            (None, days(7)),
            (Some(days(30)), days(7)),
            (Some(days(7)), Duration::from_mins(7 * 24 * 60 - 10)),
            (Some(days(1)), Duration::from_mins(24 * 60 - 10)),
            (Some(Duration::ZERO), Duration::ZERO),
        ] {
            assert!(is_good(oldest, kept), "{kept:?}");
            assert!(!is_good(oldest + Duration::from_micros(1), kept), "{kept:?}");
        }
        assert!(is_resumed_from(now + CURSOR_AHEAD_MAX, now, None));
        assert!(!is_resumed_from(now + CURSOR_AHEAD_MAX + Duration::from_micros(1), now, None));
    }
}
