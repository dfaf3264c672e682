//! The sessions of one worker, and who of them a publish is for. Synchronous: nothing waits.
//!
//! Invariants worth naming:
//! - `users`, `listeners` and `wanted` change together, in [`Hub::join`], [`Hub::leave`],
//!   [`Hub::subscribe`] and [`Hub::unsubscribe`] alone; each says what became wanted or unwanted by
//!   this worker.
//! - An event reaches a session once, however many of its patterns match and copies come.

mod delivered;
mod listeners;
mod session;
mod trail;

use std::rc::Rc;

use ahash::AHashMap;
use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;

use self::listeners::{Found, Listeners};
use crate::bus::{Envelope, Kind};
use crate::delivery::Via;
use crate::domain::{Key, MessageId, Micros, Pattern, Reach, Subject, UserId};
use crate::layout::key_hash;
use crate::proof::{self, Place};
use crate::roster::Rules;

pub use delivered::Delivered;
pub use session::{Handed, Session, SessionBounds, Urgency};
pub use trail::Trail;

/// Sessions that are owed a cursor and are not looked through for those that are gone.
const OWED_UNSWEPT: usize = 1024;

/// A session's place in its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(usize);

/// The sessions of one worker.
#[derive(Debug)]
pub struct Hub {
    sessions: Slab<Rc<Session>>,
    users: AHashMap<UserId, SmallVec<[SessionId; 2]>>,
    listeners: Listeners,
    /// How many users and patterns of sessions need a key, or everything.
    wanted: AHashMap<Reach, u32>,
    touched: Vec<Rc<Session>>,
    memory: proof::Handed,
    /// Sessions that were handed messages since their last cursor.
    owed: Vec<Rc<Session>>,
}

impl Hub {
    /// Nobody is there. `remembered` messages are known to have been handed over.
    pub fn new(remembered: usize) -> Self {
        Self {
            sessions: Slab::new(),
            users: AHashMap::new(),
            listeners: Listeners::default(),
            wanted: AHashMap::new(),
            touched: Vec::new(),
            memory: proof::Handed::new(remembered, Rules::default()),
            owed: Vec::new(),
        }
    }

    /// Adds a session; true if its user's key became wanted.
    pub fn join(&mut self, session: &Rc<Session>) -> bool {
        let id = SessionId(self.sessions.insert(Rc::clone(session)));
        session.place(id);
        self.users.entry(session.user.clone()).or_default().push(id);
        self.want(Reach::Key(session.key()))
    }

    /// Takes a session away: what became unwanted.
    pub fn leave(&mut self, session: &Session) -> Vec<Reach> {
        let Some(id) = session.displace() else { return Vec::new() };
        self.sessions.remove(id.0);
        let mut unwanted: Vec<Reach> = session
            .take_patterns()
            .iter()
            .filter_map(|pattern| self.drop_pattern(pattern, id))
            .collect();
        let sessions = self.users.get_mut(&session.user).expect("a session stands under its user");
        sessions.retain(|held| *held != id);
        if sessions.is_empty() {
            self.users.remove(&session.user);
        }
        unwanted.extend(self.unwant(Reach::Key(session.key())));
        unwanted
    }

    /// Adds a pattern of a session; true if its reach became wanted. A pattern that the session
    /// holds already changes nothing.
    pub fn subscribe(&mut self, session: &Session, pattern: &Pattern) -> bool {
        let Some(id) = session.id() else { return false };
        session.add_pattern(pattern) && {
            let new = self.listeners.insert(pattern, id);
            debug_assert!(new, "the session's list and the index hold the same");
            self.want(pattern.reach())
        }
    }

    /// From now on events come by the buckets of these patterns, as far as the session holds them
    /// and they have one, even if a wide pattern of the session matches too.
    pub fn settle(&mut self, session: &Session, patterns: &[Pattern]) {
        let Some(id) = session.id() else { return };
        patterns.iter().for_each(|pattern| self.listeners.settle(pattern, id));
    }

    /// Takes a pattern of a session away: its reach, if it became unwanted.
    pub fn unsubscribe(&mut self, session: &Session, pattern: &Pattern) -> Option<Reach> {
        let id = session.id()?;
        session.remove_pattern(pattern).then(|| self.drop_pattern(pattern, id))?
    }

    fn drop_pattern(&mut self, pattern: &Pattern, id: SessionId) -> Option<Reach> {
        let removed = self.listeners.remove(pattern, id);
        debug_assert!(removed, "the session's list and the index hold the same");
        self.unwant(pattern.reach())
    }

    fn want(&mut self, reach: Reach) -> bool {
        let count = self.wanted.entry(reach).or_default();
        *count += 1;
        *count == 1
    }

    fn unwant(&mut self, reach: Reach) -> Option<Reach> {
        let count = self.wanted.get_mut(&reach)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.wanted.remove(&reach);
        Some(reach)
    }

    /// Hands a publish to the sessions that this copy of it is for, the publishing one left out:
    /// that one has it, or wants no copy.
    pub fn deliver(
        &mut self,
        envelope: &Envelope,
        via: Via,
        except: Option<SessionId>,
    ) -> Delivered {
        match (envelope.kind, envelope.message_id()) {
            (Kind::Message, Some(id)) => {
                let keys = envelope.keys.iter();
                let offers = keys.map(|key| self.offer(key, id, &envelope.frame, except));
                offers.fold(Delivered::default(), |sum, one| sum + one)
            }
            _ => self.deliver_event(envelope, via, except),
        }
    }

    fn deliver_event(
        &mut self,
        envelope: &Envelope,
        via: Via,
        except: Option<SessionId>,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        for id in self.audience(envelope, via) {
            if Some(id) == except {
                continue;
            }
            let session = Rc::clone(&self.sessions[id.0]);
            delivered.count(session.hand(envelope.frame.clone(), Urgency::Event));
            self.touch(&session);
        }
        delivered
    }

    /// Hands a message to those sessions of a key that have not had it.
    pub fn offer(
        &mut self,
        key: &Key,
        id: MessageId,
        frame: &Bytes,
        except: Option<SessionId>,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        let hash = key_hash(key);
        let known = self.memory.knows(id, hash);
        let Some(sessions) = key.as_user().and_then(|user| self.users.get(user)) else {
            return delivered;
        };
        for place in sessions.clone() {
            let session = Rc::clone(&self.sessions[place.0]);
            let had = known && self.memory.had(id, hash, session.trail.place());
            if had || Some(place) == except {
                continue;
            }
            if let Some(handed) = session.hand_message(id, frame) {
                delivered.count(handed);
                self.owe(&session);
                self.touch(&session);
            }
        }
        self.memory.note(id, hash);
        delivered
    }

    /// Whether a session was handed a message, live or by a round.
    pub fn had(&self, session: &Session, id: MessageId) -> bool {
        self.memory.had(id, key_hash(&session.key()), session.trail.place())
    }

    /// Up to where it may be forgotten that messages were handed over.
    pub const fn forgotten(&self) -> Micros {
        self.memory.forgotten()
    }

    /// The place of a session that is registered now.
    pub const fn place(&self) -> Place {
        self.memory.place()
    }

    /// The watermark passed: nothing at or below it is read again.
    pub fn prune(&mut self, watermark: Micros) {
        self.memory.prune(watermark);
    }

    /// The sessions that were handed messages since their last cursor; whoever takes them gives
    /// those back that get none yet.
    pub fn take_owed(&mut self) -> Vec<Rc<Session>> {
        std::mem::take(&mut self.owed)
    }

    /// A session is owed a cursor.
    pub fn owe(&mut self, session: &Rc<Session>) {
        if session.trail.owe() {
            if self.owed.len() > 2 * self.sessions.len() + OWED_UNSWEPT {
                self.owed.retain(|session| session.link().is_open());
            }
            self.owed.push(Rc::clone(session));
        }
    }

    /// Gives a session back that gets no cursor yet.
    pub fn keep_owed(&mut self, session: Rc<Session>) {
        self.owed.push(session);
    }

    /// The sessions by user, those first who had to do with messages last.
    pub fn by_user(&self) -> Vec<(UserId, SmallVec<[Rc<Session>; 2]>)> {
        let held = |id: &SessionId| Rc::clone(&self.sessions[id.0]);
        let mut users: Vec<(UserId, SmallVec<[Rc<Session>; 2]>)> = self
            .users
            .iter()
            .map(|(user, sessions)| (user.clone(), sessions.iter().map(held).collect()))
            .collect();
        let active =
            |sessions: &[Rc<Session>]| sessions.iter().map(|session| session.trail.active()).max();
        users.sort_by_cached_key(|(_, sessions)| std::cmp::Reverse(active(sessions)));
        users
    }

    /// Every session that a copy of an event is for, once.
    fn audience(&self, envelope: &Envelope, via: Via) -> Found {
        let mut found = Found::new();
        for key in &envelope.keys {
            let sessions = key.as_user().and_then(|user| self.users.get(user));
            found.extend(sessions.into_iter().flatten().copied());
        }
        if let Ok(subject) = Subject::parse(&envelope.about) {
            self.listeners.find(&subject, via, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Notes that something was queued for a session, so that the next flush writes it.
    pub fn touch(&mut self, session: &Rc<Session>) {
        if session.touch() {
            self.touched.push(Rc::clone(session));
        }
    }

    /// The sessions that something was queued for since the last call.
    pub fn take_touched(&mut self) -> Vec<Rc<Session>> {
        std::mem::take(&mut self.touched)
    }

    /// Every session.
    pub fn sessions(&self) -> impl Iterator<Item = &Rc<Session>> {
        self.sessions.iter().map(|(_, session)| session)
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests;
