//! Which messages one session got by its own reads, and up to where it has all of them.

use std::cell::{Cell, RefCell};

use bytes::Bytes;

use super::ReaderTask;
use crate::cluster::Safeguards;
use crate::domain::{MessageId, Micros, RoomId};
use crate::watermark::{DeliverySeq, SessionPosition};

/// A live message that waits behind a catch-up.
#[derive(Debug, PartialEq, Eq)]
pub struct BufferedMessage {
    /// The message's id.
    pub id: MessageId,
    /// The message's room, if it has one: the member may have left it before the delivery.
    pub room: Option<RoomId>,
    /// The encoded frame.
    pub frame: Bytes,
}

/// What is kept for a session while its catch-up is read and sent.
#[derive(Debug, Default)]
struct CatchUp {
    /// Live messages, to be delivered behind the catch-up; `None` once it is over.
    buffer: Option<Vec<BufferedMessage>>,
    bytes: usize,
    /// Whether the buffer was too small, so that the session must read again.
    overflowed: bool,
    /// What the session got by its own reads, sorted.
    caught: Vec<MessageId>,
}

impl CatchUp {
    fn has_caught(&self, id: MessageId) -> bool {
        self.caught.binary_search(&id).is_ok()
    }
}

/// How far a session's recovery is.
#[derive(Debug)]
pub struct RecoveryState {
    position: Cell<SessionPosition>,
    place: Cell<DeliverySeq>,
    catch_up: RefCell<Option<Box<CatchUp>>>,
    /// The last cursor that the session got.
    cursor: Cell<Micros>,
    /// When the session got its first cursor, by the clock of ids.
    since: Cell<Micros>,
    /// When the session got its last cursor, in seconds; 0 if it got none.
    cursor_at: Cell<u64>,
    /// Whether the session got a message since.
    awaiting_cursor: Cell<bool>,
    /// The time of the newest message that was for the session.
    active: Cell<Micros>,
    /// The task that reads for the session until the session shares the watermark.
    pub reader: ReaderTask,
}

impl Default for RecoveryState {
    /// Creates the state of a new session. Its position is set before anything is delivered.
    fn default() -> Self {
        Self {
            position: Cell::new(SessionPosition::new(Micros(0), Safeguards::default())),
            place: Cell::default(),
            catch_up: RefCell::default(),
            cursor: Cell::default(),
            since: Cell::default(),
            cursor_at: Cell::default(),
            awaiting_cursor: Cell::default(),
            active: Cell::default(),
            reader: ReaderTask::default(),
        }
    }
}

/// What to do with a live message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Buffering {
    /// Deliver it now.
    Hand(Bytes),
    /// It is buffered, or will be read.
    Kept,
    /// The session has it already.
    Had,
}

impl RecoveryState {
    /// Returns up to where the session has everything.
    pub const fn position(&self) -> SessionPosition {
        self.position.get()
    }

    /// Sets the position.
    pub fn set_position(&self, position: SessionPosition) {
        self.position.set(position);
    }

    /// Returns the session's position in the order of deliveries.
    pub const fn place(&self) -> DeliverySeq {
        self.place.get()
    }

    /// Begins a catch-up at this position: live messages are buffered behind it.
    pub fn begin_catch_up(&self, place: DeliverySeq) {
        self.place.set(place);
        let buffer = Some(Vec::new());
        *self.catch_up.borrow_mut() = Some(Box::new(CatchUp { buffer, ..CatchUp::default() }));
    }

    /// Returns whether live messages are buffered. They are not in the session's queue yet, and may
    /// be dropped, so that the session reads them again.
    pub fn is_catching_up(&self) -> bool {
        self.catch_up.borrow().as_ref().is_some_and(|catch_up| catch_up.buffer.is_some())
    }

    /// Returns whether rounds read for the session. A session without a cursor, or in a catch-up,
    /// reads for itself. A round's messages would be buffered, and its cursor would go ahead of
    /// them.
    pub fn takes_rounds(&self) -> bool {
        self.position().is_told() && !self.is_catching_up()
    }

    /// Returns whether messages of the session's own reads are remembered.
    pub fn remembers(&self) -> bool {
        self.catch_up.borrow().is_some()
    }

    /// Returns whether the session got a message by its own reads.
    pub fn has_caught(&self, id: MessageId) -> bool {
        self.catch_up.borrow().as_ref().is_some_and(|catch_up| catch_up.has_caught(id))
    }

    /// Decides about a live message; at most `max` bytes may be buffered.
    pub(super) fn take_in(
        &self,
        id: MessageId,
        room: Option<&str>,
        frame: &Bytes,
        max: usize,
    ) -> Buffering {
        self.active.set(self.active.get().max(id.time()));
        let mut catch_up = self.catch_up.borrow_mut();
        let Some(catch_up) = &mut *catch_up else { return Buffering::Hand(frame.clone()) };
        if catch_up.has_caught(id) {
            return Buffering::Had;
        }
        let Some(buffer) = &mut catch_up.buffer else { return Buffering::Hand(frame.clone()) };
        if catch_up.bytes + frame.len() > max {
            catch_up.overflowed = true;
            buffer.clear();
        }
        if !catch_up.overflowed {
            catch_up.bytes += frame.len();
            let room = room.and_then(|room| RoomId::parse(room).ok());
            buffer.push(BufferedMessage { id, room, frame: frame.clone() });
        }
        Buffering::Kept
    }

    /// Records that the session gets a message by its own reads. Returns false if it got it from
    /// them before.
    pub fn catch(&self, id: MessageId) -> bool {
        self.active.set(self.active.get().max(id.time()));
        let mut catch_up = self.catch_up.borrow_mut();
        let caught = &mut catch_up.get_or_insert_default().caught;
        let place = caught.binary_search(&id);
        if let Err(place) = place {
            caught.insert(place, id);
        }
        place.is_err()
    }

    /// Ends the catch-up, whose messages are in the session's queue. Returns the buffered messages
    /// without those that the catch-up delivered. Returns `None` if the buffer overflowed and the
    /// session has to read again.
    pub fn end_catch_up(&self) -> Option<Vec<BufferedMessage>> {
        let mut held = self.catch_up.borrow_mut();
        let catch_up = held.get_or_insert_default();
        let mut buffer = catch_up.buffer.take().unwrap_or_default();
        if catch_up.overflowed {
            return None;
        }
        buffer.retain(|behind| !catch_up.has_caught(behind.id));
        Some(buffer)
    }

    /// Forgets what was caught up at or below the watermark: it is not read again.
    pub fn prune(&self, watermark: Micros) {
        let mut held = self.catch_up.borrow_mut();
        if let Some(catch_up) = &mut *held {
            catch_up.caught.retain(|id| id.time() > watermark);
            if catch_up.caught.is_empty() && catch_up.buffer.is_none() {
                *held = None;
            }
        }
    }

    /// Records that the session awaits a cursor. Returns whether it did not before.
    pub(super) fn mark_cursor_due(&self) -> bool {
        !self.awaiting_cursor.replace(true)
    }

    /// Returns the cursor to send now: one that has moved, if the last one was sent at least
    /// `every` seconds ago. It is not above `cap`.
    pub fn next_cursor(
        &self,
        watermark: Micros,
        cap: Micros,
        now: u64,
        every: u64,
    ) -> Option<Micros> {
        let at = self.cursor_at.get();
        if self.is_catching_up() || (at != 0 && now < at + every) {
            return None;
        }
        let cursor = self.position().cursor(watermark)?.min(cap);
        if cursor <= self.cursor.get() {
            return None;
        }
        self.cursor_sent(cursor, now);
        self.awaiting_cursor.set(false);
        Some(cursor)
    }

    /// Returns when the session got its first cursor.
    pub const fn since(&self) -> Micros {
        self.since.get()
    }

    /// Records that the session gets its first cursor.
    pub fn begin(&self, now: Micros) {
        if self.since.get() == Micros(0) {
            self.since.set(now);
        }
    }

    /// Records that the session gets a cursor.
    pub fn cursor_sent(&self, cursor: Micros, now: u64) {
        self.cursor.set(self.cursor.get().max(cursor));
        self.cursor_at.set(now);
    }

    /// Returns the time of the newest message that was for the session.
    pub const fn active(&self) -> Micros {
        self.active.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(time: u64) -> MessageId {
        MessageId::first_of(Micros(time))
    }

    const FRAME: Bytes = Bytes::from_static(b"0123456789");

    #[test]
    fn live_messages_wait_behind_the_catch_up_without_repeats() {
        let recovery = RecoveryState::default();
        recovery.begin_catch_up(DeliverySeq::default());
        for time in [1, 2, 3] {
            assert_eq!(recovery.take_in(id(time), None, &FRAME, 100), Buffering::Kept);
        }
        assert!(recovery.catch(id(2)) && !recovery.catch(id(2)));
        let behind: Vec<_> = recovery.end_catch_up().unwrap().iter().map(|it| it.id).collect();
        assert_eq!(behind, [id(1), id(3)]);
        assert_eq!(
            recovery.take_in(id(2), None, &FRAME, 100),
            Buffering::Had,
            "a repeat after the catch-up"
        );
        assert_eq!(recovery.take_in(id(4), None, &FRAME, 100), Buffering::Hand(FRAME));
        recovery.prune(Micros(2));
        assert!(recovery.catch_up.borrow().is_none(), "no empty state is kept");
    }

    #[test]
    fn what_is_read_in_any_order_is_known_and_counts_once() {
        let recovery = RecoveryState::default();
        recovery.begin_catch_up(DeliverySeq::default());
        for time in [5, 2, 9, 7] {
            assert!(recovery.catch(id(time)), "{time}");
        }
        for time in 1..=9 {
            let known = [2, 5, 7, 9].contains(&time);
            assert_eq!((recovery.has_caught(id(time)), !recovery.catch(id(time))), (known, known));
        }
        recovery.prune(Micros(4));
        assert_eq!((recovery.has_caught(id(4)), recovery.has_caught(id(5))), (false, true));
    }

    #[test]
    fn a_buffer_that_overflows_hands_nothing_over() {
        let recovery = RecoveryState::default();
        recovery.begin_catch_up(DeliverySeq::default());
        for time in 1..=3 {
            recovery.take_in(id(time), None, &FRAME, 25);
        }
        assert_eq!(recovery.end_catch_up(), None);
        recovery.begin_catch_up(DeliverySeq::default());
        recovery.take_in(id(4), None, &FRAME, 25);
        assert_eq!(recovery.end_catch_up().unwrap().len(), 1);
    }

    #[test]
    fn rounds_read_for_nobody_whose_messages_are_kept_back() {
        let recovery = RecoveryState::default();
        recovery.begin_catch_up(DeliverySeq::default());
        assert!(!recovery.takes_rounds());
        recovery.take_in(id(1), None, &FRAME, 5);
        assert_eq!(recovery.end_catch_up(), None);
        // What was read counts, and the session reads again: its cursor must not go ahead
        // meanwhile.
        let mut position = recovery.position();
        let snapshot = crate::watermark::WatermarkState::default().look();
        let reading = crate::watermark::CatchUpRead::begin(Micros(0), snapshot, false);
        position.read(reading, snapshot, Micros(9));
        recovery.set_position(position);
        assert!(recovery.takes_rounds(), "it has no buffered messages");
        recovery.begin_catch_up(DeliverySeq::default());
        assert_eq!(recovery.take_in(id(2), None, &FRAME, 100), Buffering::Kept);
        assert!(recovery.is_catching_up() && !recovery.takes_rounds());
        assert_eq!(recovery.end_catch_up().unwrap().len(), 1);
        assert!(!recovery.is_catching_up() && recovery.takes_rounds());
    }

    #[test]
    fn cursors_come_rarely_and_only_when_they_move() {
        let recovery = RecoveryState::default();
        let mut position = recovery.position();
        let any = Micros(u64::MAX);
        assert_eq!(
            recovery.next_cursor(Micros(5), any, 100, 15),
            None,
            "the first cursor is not sent here"
        );
        position.skipped(Micros(0));
        let watermark_state = crate::watermark::WatermarkState::default();
        watermark_state.close_gaps(watermark_state.gaps());
        let reading = crate::watermark::CatchUpRead::begin(Micros(0), watermark_state.look(), true);
        assert_eq!(position.read(reading, watermark_state.look(), Micros(5)), Micros(5));
        recovery.set_position(position);
        recovery.cursor_sent(Micros(5), 100);
        assert!(recovery.mark_cursor_due() && !recovery.mark_cursor_due());
        assert_eq!(recovery.next_cursor(Micros(9), any, 114, 15), None);
        assert_eq!(recovery.next_cursor(Micros(5), any, 115, 15), None);
        assert_eq!(recovery.next_cursor(Micros(9), Micros(5), 115, 15), None, "a room is pending");
        assert_eq!(recovery.next_cursor(Micros(9), any, 115, 15), Some(Micros(9)));
        assert!(recovery.mark_cursor_due());
    }
}
