//! A worker's part of a round: it lists its sessions, reads for their users, and hands each session
//! what it has not had.

use smallvec::SmallVec;

use super::event::{At, Event, Job, Sid};
use super::keeping::Told;
use super::session::Phase;
use super::store::{Looks, one};
use super::world::World;
use crate::domain::Micros;
use crate::proof::RoundKind;

/// A session of a round.
#[derive(Debug, Clone, Copy)]
struct Listed {
    sid: Sid,
    user: u8,
    /// What is read lies above this.
    above: Micros,
    /// Whether its interest was confirmed when it was listed.
    confirmed: bool,
    /// How often it had missed live deliveries by then.
    missed: u16,
    /// Whether it was read for.
    read: bool,
}

/// A worker's part of the round under way.
#[derive(Debug, Default)]
pub struct Rounding {
    number: u64,
    listed: Vec<Listed>,
    reads: SmallVec<[Looks; 4]>,
    pending: u8,
}

impl World {
    fn rounding(&mut self, at: At) -> &mut Rounding {
        &mut self.worker(at).rounding
    }

    /// A round begins: the sessions that are registered now are read for.
    pub fn begin_round(&mut self, at: At, number: u64) {
        let watermark = self.worker(at).watermark;
        let rounding = self.rounding(at);
        rounding.number = number;
        rounding.listed.clear();
        rounding.reads.clear();
        self.each_session(at, |world, sid| world.list(at, sid, watermark));
        let mut users: SmallVec<[(u8, Micros); 4]> = SmallVec::new();
        for listed in &self.rounding(at).listed {
            match users.iter_mut().find(|(user, _)| *user == listed.user) {
                Some((_, above)) => *above = listed.above.min(*above),
                None => users.push((listed.user, listed.above)),
            }
        }
        self.rounding(at).pending = users.len() as u8;
        if users.is_empty() {
            return self.tell(at.life, Told::RoundPart(at.thread - 1, number));
        }
        for (index, (user, above)) in users.into_iter().enumerate() {
            let (looks, end, works) = self.draw_looks(user);
            self.rounding(at).reads.push(Looks { above: above.0, ..looks });
            let job = Job::RoundRead(number as u16, index as u8, works);
            self.queue.push(end, Event::Thread(at, job));
        }
    }

    fn list(&mut self, at: At, sid: Sid, watermark: Micros) {
        let session = self.session(sid);
        if session.phase != Phase::Live {
            return;
        }
        let (user, missed) = (session.user, session.missed);
        let above = session.footing.above(watermark);
        let confirmed = self.is_confirmed(at.life, user);
        let listed = Listed { sid, user, above, confirmed, missed, read: false };
        self.rounding(at).listed.push(listed);
    }

    /// A read of a round is over.
    pub fn round_read(&mut self, at: At, number: u16, index: u8, works: bool) {
        let rounding = self.rounding(at);
        if rounding.number as u16 != number {
            return;
        }
        let looks = rounding.reads[usize::from(index)];
        if works {
            self.hand_round(at, &looks);
        }
        let rounding = self.rounding(at);
        rounding.pending -= 1;
        if rounding.pending == 0 {
            let number = rounding.number;
            self.tell(at.life, Told::RoundPart(at.thread - 1, number));
        }
    }

    fn hand_round(&mut self, at: At, looks: &Looks) {
        let found = self.found(looks);
        let mut listed = std::mem::take(&mut self.rounding(at).listed);
        for entry in listed.iter_mut().filter(|entry| entry.user == looks.user) {
            entry.read = true;
            let session = self.session(entry.sid);
            let (phase, buffering) = (session.phase, session.is_buffering());
            if phase != Phase::Live || session.missed != entry.missed {
                continue;
            }
            let owed = self.above(entry.above.0, found);
            self.each_message(owed, |world, message| {
                if world.had(at, entry.sid, message) {
                    return;
                }
                if buffering {
                    world.session(entry.sid).put_aside(one(message));
                } else {
                    world.hand_own(entry.sid, message);
                }
            });
        }
        self.rounding(at).listed = listed;
    }

    /// A round is done: those who were read for have what it proves.
    pub fn end_round(
        &mut self,
        at: At,
        number: u64,
        proof: (RoundKind, Option<Micros>),
        watermark: Micros,
    ) {
        let it = self.worker(at);
        let before = it.watermark;
        it.watermark = before.max(watermark);
        let after = it.watermark;
        it.handed.prune(after);
        if it.rounding.number != number {
            return;
        }
        let listed = std::mem::take(&mut it.rounding.listed);
        for entry in &listed {
            self.end_for(entry, proof, (before, after));
        }
    }

    fn end_for(
        &mut self,
        entry: &Listed,
        (kind, decided): (RoundKind, Option<Micros>),
        (before, after): (Micros, Micros),
    ) {
        let session = self.session(entry.sid);
        if session.phase != Phase::Live || session.missed != entry.missed {
            return;
        }
        if !entry.read {
            return session.footing.skipped(before);
        }
        let cursor = session.footing.round(kind, decided, entry.confirmed, after);
        if session.may_be_told()
            && let Some(cursor) = cursor
        {
            self.hand_cursor(entry.sid, cursor);
        }
    }
}
