//! Up to which id one session has everything, and why.

use std::time::Duration;

use super::{RoundKind, WatermarkSnapshot};
use crate::cluster::{Safeguard, Safeguards};
use crate::domain::Micros;

/// How far the first cursor stays behind the begin of the reads. It is the 5 s that an
/// acknowledgement may take, and twice the 5 s that a wall clock may be off. What the reads did not
/// show is acknowledged later, so its id is above. 14 s is too little.
pub const READ_MARGIN: Duration = Duration::from_secs(15);

/// The margin that is one second too small, for the simulation.
const READ_MARGIN_SHORT: Duration = Duration::from_secs(14);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// It has everything up to this id, and nothing is known above.
    Behind(Micros),
    /// It has everything up to its worker's watermark.
    Live,
}

/// A read for one session, from its begin on.
#[derive(Debug, Clone, Copy)]
pub struct CatchUpRead {
    begun: Micros,
    viewed: WatermarkSnapshot,
    confirmed: bool,
    by_known_heads: bool,
}

impl CatchUpRead {
    /// Begins a read. `wall` and `viewed` were read before it was issued, when the session was
    /// registered. `confirmed` states whether all its subscriptions were confirmed by then.
    pub const fn begin(wall: Micros, viewed: WatermarkSnapshot, confirmed: bool) -> Self {
        Self { begun: wall, viewed, confirmed, by_known_heads: false }
    }
}

impl CatchUpRead {
    /// The same read, with no claim to what comes live.
    #[must_use]
    pub const fn unconfirmed(self) -> Self {
        Self { confirmed: false, ..self }
    }

    /// The same read, for a worker that used a room's known newest id instead of reading it. The
    /// worker subscribes to the room, so it knows that id for what the watermark covers, and for
    /// nothing above.
    #[must_use]
    pub const fn by_known_heads(self) -> Self {
        Self { by_known_heads: true, ..self }
    }
}

/// Up to which id a session has everything.
#[derive(Debug, Clone, Copy)]
pub struct SessionPosition {
    base: Base,
    /// Whether its first cursor was sent: no watermark may reach it before.
    cursor_sent: bool,
    rules: Safeguards,
}

impl SessionPosition {
    /// Starts a session that comes with a cursor. One without a cursor starts as if it came with
    /// one of [`READ_MARGIN`] ago: it is owed nothing that was acknowledged before.
    pub const fn new(cursor: Micros, rules: Safeguards) -> Self {
        Self { base: Base::Behind(cursor), cursor_sent: false, rules }
    }

    /// The id above which a read for this session begins: the worker's watermark if the session
    /// shares that.
    pub fn above(&self, watermark: Micros) -> Micros {
        match self.base {
            Base::Behind(own) if self.rules.on(Safeguard::OwnCursor) => own,
            _ => watermark,
        }
    }

    /// Whether it takes part in the watermark.
    pub fn is_shared(&self) -> bool {
        self.base == Base::Live
    }

    /// Whether its first cursor was sent.
    pub const fn is_told(&self) -> bool {
        self.cursor_sent
    }

    /// Ends the session's own read; what it found is in the session's queue. Returns the cursor to
    /// queue next. `watermark` is the worker's.
    pub fn read(
        &mut self,
        reading: CatchUpRead,
        now: WatermarkSnapshot,
        watermark: Micros,
    ) -> Micros {
        let CatchUpRead { begun, viewed, confirmed, by_known_heads } = reading;
        let exact = self.rules.on(Safeguard::ReadMargin);
        let margin = if exact { READ_MARGIN } else { READ_MARGIN_SHORT };
        let had = self.above(watermark);
        let own = if by_known_heads { had } else { had.max(begun - margin).max(viewed.decided) };
        let unbroken = !viewed.frozen && viewed.gaps == now.gaps;
        let unbroken = unbroken || !self.rules.on(Safeguard::ResumeUnbroken);
        let confirmed = confirmed || !self.rules.on(Safeguard::ResumeConfirmed);
        self.cursor_sent = true;
        if confirmed && unbroken {
            self.base = Base::Live;
            return own.max(watermark);
        }
        if !self.is_shared() {
            self.base = Base::Behind(own);
        }
        own
    }

    /// Ends a round whose list contained the session; what it found is in the session's queue.
    /// `confirmed` states whether all the session's subscriptions were confirmed when the round
    /// began. `watermark` is the worker's since. Returns the cursor to queue next.
    pub fn round(
        &mut self,
        kind: RoundKind,
        decided: Option<Micros>,
        confirmed: bool,
        watermark: Micros,
    ) -> Option<Micros> {
        if let Base::Behind(own) = self.base {
            self.base = if kind == RoundKind::Repair && confirmed {
                Base::Live
            } else {
                Base::Behind(own.max(decided.unwrap_or_default()))
            };
        }
        self.cursor(watermark)
    }

    /// Notes that a round could not read for the session. The session keeps what it had, as its own
    /// position. `watermark` is the worker's before the round was done.
    pub fn skipped(&mut self, watermark: Micros) {
        self.base = Base::Behind(self.above(watermark));
    }

    /// The cursor that the session may be sent now. It is the watermark, once that came after
    /// everything that was queued before, or the session's own.
    pub fn cursor(&self, watermark: Micros) -> Option<Micros> {
        let cursor = match self.base {
            Base::Behind(own) => own,
            Base::Live => watermark,
        };
        self.may_send_cursor().then_some(cursor)
    }

    fn may_send_cursor(&self) -> bool {
        self.cursor_sent || !self.rules.on(Safeguard::CursorInQueue)
    }
}

#[cfg(test)]
mod tests;
