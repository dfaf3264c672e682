//! The sessions of one worker, and who of them a publish is for. Synchronous: nothing waits.
//!
//! Invariants worth naming:
//! - `users`, `patterns` and `keys` change together, in [`Hub::join`], [`Hub::leave`],
//!   [`Hub::subscribe`] and [`Hub::unsubscribe`] alone; each says which keys became wanted or
//!   unwanted by this worker.
//! - An event reaches a session once, however many of its patterns match.

mod session;

use std::rc::Rc;

use ahash::AHashMap;
use slab::Slab;
use smallvec::SmallVec;

use crate::bus::{Envelope, Kind};
use crate::domain::{Key, Pattern, PatternIndex, Reach, Subject, UserId};

pub use session::{Handed, Session, SessionBounds, Urgency};

/// A session's place in its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(usize);

/// The sessions of one worker.
#[derive(Debug, Default)]
pub struct Hub {
    sessions: Slab<Rc<Session>>,
    users: AHashMap<UserId, SmallVec<[SessionId; 2]>>,
    patterns: PatternIndex<SessionId>,
    keys: AHashMap<Key, u32>,
    touched: Vec<Rc<Session>>,
}

/// What a delivery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Sessions that were handed the frame.
    pub handed: u64,
    /// Sessions that an event was kept from, since they are slow.
    pub shed: u64,
    /// Sessions that were closed by a message that did not fit.
    pub evicted: u64,
}

impl Hub {
    /// Adds a session; true if its user's key became wanted.
    pub fn join(&mut self, session: &Rc<Session>) -> bool {
        let id = SessionId(self.sessions.insert(Rc::clone(session)));
        session.place(id);
        self.users.entry(session.user.clone()).or_default().push(id);
        self.want(&session.key())
    }

    /// Takes a session away: the keys that became unwanted.
    pub fn leave(&mut self, session: &Session) -> Vec<Key> {
        let Some(id) = session.displace() else { return Vec::new() };
        self.sessions.remove(id.0);
        let mut unwanted: Vec<Key> = session
            .take_patterns()
            .iter()
            .filter_map(|pattern| self.drop_pattern(pattern, id))
            .collect();
        let sessions = self.users.get_mut(&session.user).expect("a session stands under its user");
        sessions.retain(|held| *held != id);
        if sessions.is_empty() {
            self.users.remove(&session.user);
        }
        unwanted.extend(self.unwant(session.key()));
        unwanted
    }

    /// Adds a pattern of a session; true if its key became wanted. A pattern that the session
    /// holds already changes nothing.
    pub fn subscribe(&mut self, session: &Session, pattern: &Pattern) -> bool {
        let (Some(id), Reach::Key(key)) = (session.id(), pattern.reach()) else { return false };
        session.add_pattern(pattern) && {
            let new = self.patterns.insert(pattern, id);
            debug_assert!(new, "the session's list and the index hold the same");
            self.want(&key)
        }
    }

    /// Takes a pattern of a session away: its key, if it became unwanted.
    pub fn unsubscribe(&mut self, session: &Session, pattern: &Pattern) -> Option<Key> {
        let id = session.id()?;
        session.remove_pattern(pattern).then(|| self.drop_pattern(pattern, id))?
    }

    fn drop_pattern(&mut self, pattern: &Pattern, id: SessionId) -> Option<Key> {
        let removed = self.patterns.remove(pattern, id);
        debug_assert!(removed, "the session's list and the index hold the same");
        match pattern.reach() {
            Reach::Key(key) => self.unwant(key),
            Reach::Wide => None,
        }
    }

    fn want(&mut self, key: &Key) -> bool {
        let count = self.keys.entry(key.clone()).or_default();
        *count += 1;
        *count == 1
    }

    fn unwant(&mut self, key: Key) -> Option<Key> {
        let count = self.keys.get_mut(&key)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.keys.remove(&key);
        Some(key)
    }

    /// Hands a publish to the sessions that it is for, the publishing one left out.
    pub fn deliver(&mut self, envelope: &Envelope, except: Option<SessionId>) -> Delivered {
        let urgency = match envelope.kind {
            Kind::Message => Urgency::Message,
            Kind::Event => Urgency::Event,
        };
        let mut delivered = Delivered::default();
        for id in self.audience(envelope) {
            if Some(id) == except {
                continue;
            }
            match self.hand(id, envelope.frame.clone(), urgency) {
                Handed::Yes => delivered.handed += 1,
                Handed::Shed => delivered.shed += 1,
                Handed::Evicted => delivered.evicted += 1,
                Handed::Closed => {}
            }
        }
        delivered
    }

    /// Every session that a publish is for, once.
    fn audience(&self, envelope: &Envelope) -> SmallVec<[SessionId; 8]> {
        let mut found = SmallVec::new();
        for key in &envelope.keys {
            let sessions = key.as_user().and_then(|user| self.users.get(user));
            found.extend(sessions.into_iter().flatten().copied());
        }
        if envelope.kind == Kind::Event
            && let Ok(subject) = Subject::parse(&envelope.about)
        {
            self.patterns.matches(&subject, |id| found.push(id));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn hand(&mut self, id: SessionId, frame: bytes::Bytes, urgency: Urgency) -> Handed {
        let session = &self.sessions[id.0];
        let handed = session.hand(frame, urgency);
        if session.touch() {
            self.touched.push(Rc::clone(session));
        }
        handed
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
