//! The oracle, who knows everything.

use super::event::{Dev, Msg};
use super::queue::{SECOND, Time};
use super::world::World;

/// How far a cursor may be behind when everything has been well for long: 10 s of margin, 10 s
/// between two clocks, and a few rounds of the loops.
const LAG_MAX: Time = 30 * SECOND;

/// The promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A cursor with a hole below it (I4).
    Hole,
    /// An acknowledged message did not reach a device in the end (I1).
    Missing,
    /// A user outside a room received a message of it (I5).
    Outsider,
    /// A sender's ids fell (I3).
    Order,
    /// An id that was issued after the answer of an add is below the add: its member will not get
    /// that message.
    BehindAnswer,
    /// A message that was acknowledged before an add was requested is above the add: the member
    /// gets it.
    BeforeAdd,
    /// A cursor is far behind though everything is well (I9).
    Lag,
}

impl Broken {
    /// Whether something was lost, or shown to a user who must not see it.
    pub const fn is_of_safety(self) -> bool {
        matches!(self, Self::Hole | Self::Outsider | Self::BehindAnswer | Self::BeforeAdd)
    }
}

/// What the oracle objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objection {
    /// The broken promise.
    pub broken: Broken,
    /// When.
    pub at: Time,
    /// The device.
    pub device: Dev,
    /// The message, if there is one.
    pub message: Option<Msg>,
}

impl World {
    /// Records an objection, if it is the first.
    pub fn object(&mut self, broken: Broken, device: Dev, message: Option<Msg>) {
        let objection = Objection { broken, at: self.now, device, message };
        trace!(self, "OBJECTION {objection:?}");
        self.report.objection.get_or_insert(objection);
    }

    /// Checks that a device with a cursor has everything that was acknowledged up to there.
    pub fn judge_cursor(&mut self, device: Dev) {
        let it = &self.clients.devices[usize::from(device)];
        let missing = self.owed_to(it.user, self.history.acked & !it.received & !it.exempt);
        let Some(cursor) = it.cursor.filter(|_| missing != 0) else { return };
        let hole = missing & !self.above(cursor.0, missing);
        if hole != 0 {
            self.object(Broken::Hole, device, Some(hole.trailing_zeros() as Msg));
        }
    }

    /// Checks an acknowledged message: every device with a cursor above it has it.
    pub fn judge_ack(&mut self, message: Msg) {
        let content = self.message(message).content;
        for device in 0..self.clients.devices.len() {
            if content.may_concern(self.clients.devices[device].user) {
                self.judge_cursor(device as Dev);
            }
        }
    }

    /// Checks the end, when everything has been well for long: every device has everything, and
    /// cursors are near.
    pub fn judge_end(&mut self) {
        for device in 0..self.clients.devices.len() as Dev {
            let it = &self.clients.devices[usize::from(device)];
            let Some(cursor) = it.cursor else {
                self.object(Broken::Lag, device, None);
                continue;
            };
            let missing = self.owed_to(it.user, self.history.acked & !it.received & !it.exempt);
            if missing != 0 {
                self.object(Broken::Missing, device, Some(missing.trailing_zeros() as Msg));
            }
            let near = super::clocks::EPOCH + self.now - LAG_MAX;
            if cursor.0 < near {
                self.object(Broken::Lag, device, None);
            }
        }
    }
}
