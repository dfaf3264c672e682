//! How a session catches up: live messages are kept back, missed ones are read, then it gets a
//! cursor.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::Recovery;
use crate::cluster::Safeguards;
use crate::domain::{Conversation, MessageId, Micros, RoomId};
use crate::hub::{BufferedMessage, Session};
use crate::protocol::{MessageGap, ResumeReason, ResumeReport};
use crate::watermark::{CatchUpRead, READ_MARGIN, SessionPosition};

/// The greatest age of a cursor that a session may resume from.
const CURSOR_AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// How much younger a cursor must be than messages become. What lies above it must not expire
/// before the resume has read it, and the clocks of nodes and servers may differ.
const EXPIRY_MARGIN: Duration = Duration::from_mins(10);

/// How far ahead of this node's clock a cursor may be.
const CURSOR_AHEAD_MAX: Duration = Duration::from_secs(10);

/// The part of a session's outbox that the gaps of a report may fill: the catch-up fills up to half
/// of it before. If they need more, none is named and anything may be missing.
const GAPS_SHARE: usize = 4;

/// How often to check whether a slow client has read half of its queue.
const OUTBOX_POLL: Duration = Duration::from_millis(20);

/// How long a session that does not share the watermark waits before it checks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a read of a resume is tried: as long as the session lives.
const TRIES: u32 = u32::MAX;

/// Where a session resumes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResumeFrom {
    /// The client has no cursor of use. It gets what is acknowledged after its first one, and is
    /// told to load the rest.
    Nothing(ResumeReason),
    /// The client has everything up to here.
    Cursor(Micros),
}

/// What a catch-up found, beside the messages.
#[derive(Debug, Default)]
struct Outcome {
    gaps: Vec<MessageGap>,
    /// Whether all changed conversations were found.
    whole: bool,
}

impl Outcome {
    /// Nothing is missing.
    const fn whole() -> Self {
        Self { gaps: Vec::new(), whole: true }
    }

    /// What the client is told, if the gaps may take so many bytes.
    fn report(&self, from: ResumeFrom, bytes_max: usize) -> ResumeReport<'_> {
        let bytes: usize = self.gaps.iter().map(MessageGap::bytes_at_most).sum();
        match from {
            ResumeFrom::Nothing(reason) => ResumeReport::not_resumed(reason),
            ResumeFrom::Cursor(_) if !self.whole || bytes > bytes_max => {
                ResumeReport::not_resumed(ResumeReason::TooMuch)
            }
            ResumeFrom::Cursor(_) => ResumeReport::resumed(&self.gaps),
        }
    }
}

impl Recovery {
    /// Starts a new session: it resumes from its cursor, if that is of use.
    pub fn start(self: &Rc<Self>, session: &Rc<Session>, cursor: Option<&str>) {
        let from = self.resume_from(session, cursor);
        let position = SessionPosition::new(self.begins_at(from), Safeguards::default());
        session.recovery.set_position(position);
        let task = Rc::clone(self).resume(Rc::clone(session), from);
        session.recovery.reader.begin(&tokio::task::spawn_local(task));
    }

    /// Decides whether a cursor can be resumed from.
    fn resume_from(&self, session: &Session, cursor: Option<&str>) -> ResumeFrom {
        let Some(text) = cursor else { return ResumeFrom::Nothing(ResumeReason::NoCursor) };
        let (now, kept) = (self.services.clocks.wall.now(), self.services.store.retention());
        let opened = self.services.identity.cursor_seal.open(&session.user, text);
        match opened.and_then(|time| check_age(time, now, kept).map(|()| time)) {
            Ok(time) => ResumeFrom::Cursor(time),
            Err(reason) => {
                tracing::debug!(%reason, "a cursor is refused");
                ResumeFrom::Nothing(reason)
            }
        }
    }

    /// Runs from `ready`, with live messages kept back, to the first cursor, and on until the
    /// session shares the watermark.
    async fn resume(self: Rc<Self>, session: Rc<Session>, from: ResumeFrom) {
        let began = Instant::now();
        let mut patience = self.services.config.timeouts.interest;
        loop {
            let Some(reading) = self.begin_reading(&session, patience).await else { return };
            let Some(outcome) = self.catch_up(&session, from).await else { return };
            if let Some(behind) = session.recovery.end_catch_up() {
                for BufferedMessage { id, room, frame } in behind {
                    let room = room.as_ref().map(RoomId::as_str);
                    let is_recipient = self.sessions.hub.borrow().is_still_for(&session, room, id);
                    if is_recipient {
                        self.deliver_recovered(&session, frame);
                    }
                }
                self.finish_catch_up(&session, reading, from, &outcome);
                self.count_resume(&session, began, from, &outcome);
                break;
            }
            // The live buffer was too small for the messages that came meanwhile. What was read
            // counts, and the next round begins there: even a slow client always makes progress.
            self.finish_catch_up(&session, reading.unconfirmed(), from, &outcome);
            session.recovery.begin_catch_up(self.sessions.hub.borrow().place());
            patience = Duration::ZERO;
        }
        self.read_until_shared(session).await;
    }

    /// Counts a session that has caught up and has its cursor.
    fn count_resume(&self, session: &Session, began: Instant, from: ResumeFrom, outcome: &Outcome) {
        let metrics = &self.services.metrics.recovery;
        metrics.hello_to_cursor.observe(began.elapsed());
        metrics.resumed(outcome.report(from, session.link().bound() / GAPS_SHARE).outcome());
    }

    async fn hears(&self, session: &Session, bound: Duration) -> bool {
        self.services.cluster.interest.confirmation(&session.key()).within(bound).await
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
            if self.services.cluster.watermark_state.look().frozen
                || !self.hears(&session, LOOK_AGAIN).await
            {
                let _moved = tokio::time::timeout(LOOK_AGAIN, moved).await;
                continue;
            }
            let Some(reading) = self.begin_reading(&session, LOOK_AGAIN).await else { return };
            let above = session.recovery.position().above(self.watermark.get());
            let from = ResumeFrom::Cursor(above);
            let Some(outcome) = self.catch_up(&session, from).await else { return };
            self.finish_catch_up(&session, reading, from, &outcome);
        }
        session.recovery.reader.forget();
    }

    /// Ends a catch-up: its messages are in the session's queue, and its cursor goes behind them.
    fn finish_catch_up(
        &self,
        session: &Rc<Session>,
        reading: CatchUpRead,
        from: ResumeFrom,
        outcome: &Outcome,
    ) {
        let mut position = session.recovery.position();
        let cursor = position.read(
            reading,
            self.services.cluster.watermark_state.look(),
            self.watermark.get(),
        );
        let cursor = cursor.min(self.sessions.hub.borrow().cap(&session.user));
        session.recovery.set_position(position);
        session.recovery.begin(self.services.clocks.wall.now());
        session.recovery.cursor_sent(cursor, self.services.clocks.wall.seconds());
        let report = outcome.report(from, session.link().bound() / GAPS_SHARE);
        self.send_cursor(session, cursor, Some(&report));
        session.recovery.prune(self.watermark.get());
        // The next cursor is behind what was delivered, and releases what is remembered of it.
        if session.recovery.remembers() {
            self.sessions.hub.borrow_mut().mark_cursor_due(session);
        }
    }

    /// Reads and delivers what lies above a cursor. Returns `None` if the session ended meanwhile.
    async fn catch_up(self: &Rc<Self>, session: &Rc<Session>, from: ResumeFrom) -> Option<Outcome> {
        let ResumeFrom::Cursor(_) = from else {
            return Some(Outcome::whole());
        };
        // A round may have advanced the session beyond the cursor that it came with.
        let above = session.recovery.position().above(self.watermark.get());
        let reader = self.session_reader(session, TRIES);
        let changed =
            reader.changed(&session.user, &self.sessions.rooms_of(session), above).await?;
        let mut outcome = Outcome { gaps: Vec::new(), whole: changed.whole };
        let bounds = self.services.config.delivery.repair.resume;
        let mut left = bounds.messages;
        for conversation in changed.conversations {
            let max = left.min(bounds.conversation);
            if max == 0 {
                outcome.gaps.push(gap_above(&conversation, above, None));
                continue;
            }
            let newest = reader.newest(&conversation, above, max).await?;
            left -= newest.messages.len();
            for message in &newest.messages {
                self.has_room(session).await?;
                self.deliver_missed(session, message);
            }
            if !newest.whole {
                let oldest = newest.messages.first().map(|message| message.id);
                outcome.gaps.push(gap_above(&conversation, above, oldest));
            }
        }
        Some(outcome)
    }

    /// Waits until the outbox is less than half full: the catch-up goes at the client's pace.
    async fn has_room(&self, session: &Session) -> Option<()> {
        while session.link().is_open() && session.link().bytes() > session.link().bound() / 2 {
            self.sessions.flush();
            tokio::time::sleep(OUTBOX_POLL).await;
        }
        session.link().is_open().then_some(())
    }

    /// Returns where a session that resumes from there begins. While the time is not known, one without a
    /// cursor begins at the last time by which everything was in the store.
    fn begins_at(&self, from: ResumeFrom) -> Micros {
        match from {
            ResumeFrom::Cursor(time) => time,
            ResumeFrom::Nothing(_) => {
                let began = self.services.clocks.wall.sure_before(READ_MARGIN);
                began.unwrap_or_else(|| self.services.cluster.watermark_state.look().decided)
            }
        }
    }
}

/// Returns what lies between a cursor and the oldest message that was sent.
fn gap_above(conversation: &Conversation, above: Micros, oldest: Option<MessageId>) -> MessageGap {
    MessageGap::new(conversation, MessageId::last_of(above), oldest)
}

/// Refuses a cursor above which messages may be missing from the store. `kept` is how long messages
/// are kept.
fn check_age(cursor: Micros, now: Micros, kept: Option<Duration>) -> Result<(), ResumeReason> {
    let (age, kept) = (now.since(cursor), kept.map(|kept| kept.saturating_sub(EXPIRY_MARGIN)));
    if cursor > now + CURSOR_AHEAD_MAX {
        return Err(ResumeReason::Unreadable);
    }
    if age > CURSOR_AGE_MAX {
        return Err(ResumeReason::Expired);
    }
    if kept.is_some_and(|kept| age > kept) {
        return Err(ResumeReason::Retention);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_as_long_as_what_lies_above_it_is_kept() {
        let days = |days: u64| Duration::from_hours(24 * days);
        let now = Micros(0) + days(20_000);
        let check = |age, kept| check_age(now - age, now, kept);
        let (expired, retention) = (Err(ResumeReason::Expired), Err(ResumeReason::Retention));
        for (kept, oldest, refused) in [
            (None, days(7), expired),
            (Some(days(30)), days(7), expired),
            (Some(days(7)), Duration::from_mins(7 * 24 * 60 - 10), retention),
            (Some(days(1)), Duration::from_mins(24 * 60 - 10), retention),
            (Some(Duration::ZERO), Duration::ZERO, retention),
        ] {
            assert_eq!(check(oldest, kept), Ok(()), "{kept:?}");
            assert_eq!(check(oldest + Duration::from_micros(1), kept), refused, "{kept:?}");
        }
        let ahead = now + CURSOR_AHEAD_MAX;
        assert_eq!(check_age(ahead, now, None), Ok(()));
        let refused = check_age(ahead + Duration::from_micros(1), now, None);
        assert_eq!(refused, Err(ResumeReason::Unreadable));
    }

    #[test]
    fn more_gaps_than_fit_are_not_named() {
        let room = Conversation::Room(RoomId::parse("r").unwrap());
        let outcome = Outcome { gaps: vec![gap_above(&room, Micros(5), None)], whole: true };
        let (from, bytes) = (ResumeFrom::Cursor(Micros(5)), outcome.gaps[0].bytes_at_most());
        assert_eq!(outcome.report(from, bytes), ResumeReport::resumed(&outcome.gaps));
        let too_much = ResumeReport::not_resumed(ResumeReason::TooMuch);
        assert_eq!(outcome.report(from, bytes - 1), too_much);
        assert_eq!(Outcome { whole: false, ..outcome }.report(from, bytes), too_much);
    }
}
