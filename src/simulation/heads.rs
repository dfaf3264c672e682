//! The newest id of a room, as a worker that subscribes to the room knows it: a head that need not
//! be read.
//!
//! It was read once, while the room was subscribed and nothing was frozen. Everything that is
//! acknowledged later is delivered, as long as there is no delivery gap and the interest is kept.

use super::event::{At, Msg, ROOMS_MAX, Sid, SimKey, USERS_MAX};
use super::mutations::Mutation;
use super::send::SimContent;
use super::store::Looks;
use super::world::World;
use crate::domain::Micros;

/// The head of a room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head {
    newest: Micros,
    /// How many delivery gaps there were when it was read.
    whole: Option<u64>,
    /// The number of the room's subscription at this worker.
    term: u16,
}

/// The heads of a worker.
pub type Heads = [Head; ROOMS_MAX as usize];

/// A head that is being read, while the room is subscribed.
#[derive(Debug, Clone, Copy)]
pub struct HeadRead {
    room: SimKey,
    term: u16,
    gaps: u64,
}

impl World {
    fn head(&mut self, at: At, room: SimKey) -> &mut Head {
        &mut self.worker(at).heads[usize::from(room - USERS_MAX)]
    }

    /// Drops the head of a room that a worker no longer subscribes to.
    pub(super) fn forget_head(&mut self, at: At, key: SimKey) {
        if key >= USERS_MAX {
            let head = self.head(at, key);
            (head.whole, head.term) = (None, head.term + 1);
        }
    }

    /// Records that a message was delivered to a room.
    pub(super) fn note_head(&mut self, at: At, message: Msg) {
        let known = self.message(message);
        if let SimContent::Room(room) = known.content {
            let time = known.id.time();
            let head = self.head(at, room);
            head.newest = time.max(head.newest);
        }
    }

    /// The newest id of a room, if the worker knows it.
    pub(super) fn known_head(&mut self, at: At, room: SimKey) -> Option<Micros> {
        let viewed = self.viewed(at.life);
        let is_heard = self.plan.known_heads && self.is_confirmed(at.life, room) && !viewed.frozen;
        let unbroken = !self.makes(Mutation::HeadsForgetBreaks);
        let head = self.head(at, room);
        let whole = head.whole.is_some_and(|gaps| gaps == viewed.gaps || !unbroken);
        (is_heard && whole).then_some(head.newest)
    }

    /// Begins to read a head, which is known from then on if the room is subscribed.
    pub(super) fn read_head(&mut self, at: At, room: SimKey) -> Option<HeadRead> {
        let viewed = self.viewed(at.life);
        let heard = self.is_confirmed(at.life, room) && !viewed.frozen;
        let term = self.head(at, room).term;
        heard.then_some(HeadRead { room, term, gaps: viewed.gaps })
    }

    /// Records a head that was read.
    pub(super) fn learn_head(&mut self, at: At, read: HeadRead, looks: &Looks) {
        let mut rest = self.history.key_messages[usize::from(read.room)];
        let mut newest = Micros(0);
        while rest != 0 {
            let known = &self.history.messages[rest.trailing_zeros() as usize];
            rest &= rest - 1;
            if known.stored.activity[0].seen(&looks.activity) {
                newest = known.id.time().max(newest);
            }
        }
        let head = self.head(at, read.room);
        if head.term == read.term {
            head.newest = newest.max(head.newest);
            head.whole = Some(read.gaps);
        }
    }

    /// Adds the parts of a session's read. Rooms without new messages, as the worker knows, are not
    /// read.
    pub(super) fn parts(&mut self, at: At, sid: Sid, looks: Looks, above: Micros) {
        let user = self.session(sid).user;
        self.session(sid).begin_parts(looks);
        for key in self.rooms_of(at, user) {
            if let Some(newest) = self.known_head(at, key) {
                let looks = Looks { key, heads_known: true, ..looks };
                let fresh = (newest > above).then_some(looks);
                let earns = self.makes(Mutation::HeadsEarnReads);
                self.session(sid).add_known(fresh, earns);
            } else {
                let head = self.read_head(at, key);
                self.session(sid).add_part(Looks { key, ..looks }, head);
            }
        }
    }
}
