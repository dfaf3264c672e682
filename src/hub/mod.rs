//! The sessions of one worker, and which of them a publish is for. Synchronous: nothing waits.
//!
//! Invariants worth naming:
//! - `users`, `subscriptions` and `wanted` change together. They change only in
//!   [`Hub::join`], [`Hub::leave`], [`Hub::apply_membership`], [`Hub::subscribe`] and [`Hub::unsubscribe`].
//!   `wanted` also changes with temporary interest. Each of these returns what became wanted or
//!   unwanted by this worker.
//! - An event reaches a session once, however many of its patterns match and copies arrive.

mod audience;
mod delivery_counts;
mod fifo_gate;
mod held_frames;
mod op_permits;
mod reader_task;
mod recent_nonces;
mod recovery_state;
mod room_load;
mod session;
mod subscription_index;
mod subscriptions;
mod temporary_interest;
mod user_index;

use std::collections::VecDeque;
use std::rc::Rc;

use ahash::AHashMap;
use slab::Slab;
use smallvec::SmallVec;

use self::subscription_index::SubscriptionIndex;
use self::temporary_interest::TemporaryInterest;
use self::user_index::UserIndex;
use crate::cluster::Safeguards;
use crate::domain::{
    Membership, MessageId, Micros, Pattern, PatternScope, RoomId, RoutingKey, UserId,
};
use crate::layout::key_hash;
use crate::watermark::{
    self, CatchUpRead, DeliverySeq, KnowledgeSource, PendingRoomRead, RoomChange, RoomState,
    RoundKind, UserRooms, WatermarkSnapshot,
};

pub use audience::Audience;
pub use delivery_counts::Delivered;
pub use fifo_gate::{FifoGate, Slot};
pub use held_frames::{Closed, HELD_FRAME_BYTES, HELD_MAX, HeldFrame, HeldOp, Lane};
pub use op_permits::{OpLimit, OpPermit, PatternWait, USER_READS_MAX};
pub use reader_task::ReaderTask;
pub use recent_nonces::RecentNonces;
pub use recovery_state::{BufferedMessage, RecoveryState};
pub use room_load::{LoadEnd, LoadGuard, LoadShare, RoomLoad};
pub use session::{Priority, PushOutcome, Session};
pub use subscriptions::{PatternBudget, PatternLimit};

/// How far the queue for cursors may exceed twice the number of sessions before closed sessions are
/// removed from it.
const CURSOR_QUEUE_SLACK: usize = 1024;

/// A session's slot in its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u32);

impl SessionId {
    const fn place(self) -> usize {
        self.0 as usize
    }
}

/// The sessions of one worker.
#[derive(Debug)]
pub struct Hub {
    sessions: Slab<Rc<Session>>,
    users: UserIndex,
    subscriptions: SubscriptionIndex,
    /// How many sessions, members and patterns need a key, or the wildcard feed. A pattern that is
    /// a key itself, as nearly all are, counts by its entry in `subscriptions`.
    wanted: AHashMap<PatternScope, u32>,
    temporary_interest: TemporaryInterest,
    touched: Vec<Rc<Session>>,
    recent_deliveries: watermark::RecentDeliveries,
    /// Sessions that got messages since their last cursor.
    awaiting_cursor: VecDeque<Rc<Session>>,
    /// How many of them, from the front, are to be checked since the watermark moved.
    due: usize,
}

impl Hub {
    /// Creates a hub without sessions. It remembers the deliveries of `remembered` messages.
    pub fn new(remembered: usize) -> Self {
        Self {
            sessions: Slab::new(),
            users: UserIndex::default(),
            subscriptions: SubscriptionIndex::default(),
            wanted: AHashMap::new(),
            temporary_interest: TemporaryInterest::default(),
            touched: Vec::new(),
            recent_deliveries: watermark::RecentDeliveries::new(remembered, Safeguards::default()),
            awaiting_cursor: VecDeque::new(),
            due: 0,
        }
    }

    /// Adds a session. Returns whether its user's key became wanted.
    pub fn join(&mut self, session: &Rc<Session>) -> bool {
        let id = SessionId(self.sessions.insert(Rc::clone(session)) as u32);
        session.place(id);
        self.users.join(&session.user, id);
        self.want(PatternScope::Key(session.key()))
    }

    /// Removes a session. Returns what became unwanted.
    pub fn leave(&mut self, session: &Session) -> Vec<PatternScope> {
        session.drop_held();
        let Some(id) = session.displace() else { return Vec::new() };
        self.sessions.remove(id.place());
        let mut unwanted: Vec<PatternScope> = session
            .take_patterns()
            .iter()
            .filter_map(|pattern| self.drop_pattern(pattern, id))
            .collect();
        for room in self.users.leave(&session.user, id) {
            unwanted.extend(self.unwant(PatternScope::Key(RoutingKey::room(&room))));
        }
        unwanted.extend(self.unwant(PatternScope::Key(session.key())));
        unwanted
    }

    /// Adds patterns of a session, all or none, and returns the scopes that became wanted. A
    /// pattern that the session has already changes nothing.
    pub fn subscribe(
        &mut self,
        session: &Session,
        patterns: &[Pattern],
    ) -> Result<Vec<PatternScope>, PatternLimit> {
        let Some(id) = session.id() else { return Ok(Vec::new()) };
        let new = session.add_patterns(patterns)?;
        Ok(new.iter().filter_map(|pattern| self.add_pattern(pattern, id)).collect())
    }

    fn add_pattern(&mut self, pattern: &Pattern, id: SessionId) -> Option<PatternScope> {
        let scope = pattern.scope();
        let wanted = self.is_wanted(&scope);
        let new = self.subscriptions.insert(pattern, id);
        debug_assert!(new, "the session's list and the index have the same patterns");
        if !is_its_key(pattern, &scope) {
            *self.wanted.entry(scope.clone()).or_default() += 1;
        }
        (!wanted).then_some(scope)
    }

    /// Marks these patterns as subscribed. From now on the session gets their events by the copies
    /// of their buckets, even if one of its wide patterns matches too.
    pub fn activate(&mut self, session: &Session, patterns: &[Pattern]) {
        let Some(id) = session.id() else { return };
        patterns.iter().for_each(|pattern| self.subscriptions.activate(pattern, id));
    }

    /// Removes patterns of a session. Returns the scopes that became unwanted.
    pub fn unsubscribe(&mut self, session: &Session, patterns: &[Pattern]) -> Vec<PatternScope> {
        let Some(id) = session.id() else { return Vec::new() };
        let removed = session.remove_patterns(patterns);
        removed.iter().filter_map(|pattern| self.drop_pattern(pattern, id)).collect()
    }

    fn drop_pattern(&mut self, pattern: &Pattern, id: SessionId) -> Option<PatternScope> {
        let removed = self.subscriptions.remove(pattern, id);
        debug_assert!(removed, "the session's list and the index have the same patterns");
        let scope = pattern.scope();
        if is_its_key(pattern, &scope) {
            return (!self.is_wanted(&scope)).then_some(scope);
        }
        self.unwant(scope)
    }

    fn is_wanted(&self, scope: &PatternScope) -> bool {
        let is_named = || match scope {
            PatternScope::Key(key) => self.subscriptions.holds(key.as_str()),
            PatternScope::Wide => false,
        };
        self.wanted.contains_key(scope) || is_named()
    }

    fn want(&mut self, scope: PatternScope) -> bool {
        let wanted = self.is_wanted(&scope);
        *self.wanted.entry(scope).or_default() += 1;
        !wanted
    }

    fn unwant(&mut self, scope: PatternScope) -> Option<PatternScope> {
        let count = self.wanted.get_mut(&scope)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.wanted.remove(&scope);
        (!self.is_wanted(&scope)).then_some(scope)
    }

    /// Applies news of a user's membership. Returns what it changed, and the scope of the room's
    /// key if that became wanted or unwanted.
    pub fn apply_membership(
        &mut self,
        news: &Membership,
        learned: KnowledgeSource,
    ) -> (RoomChange, Option<PatternScope>) {
        let was = self.is_inside(&news.user, &news.room);
        let applied = self.users.apply_membership(news, self.recent_deliveries.place(), learned);
        let scope = PatternScope::Key(RoutingKey::room(&news.room));
        let changed = match applied {
            RoomChange::Joined if !was => self.want(scope.clone()).then_some(scope),
            RoomChange::Left => self.unwant(scope),
            RoomChange::Joined | RoomChange::Stale | RoomChange::Kept => None,
        };
        (applied, changed)
    }

    /// Returns whether a user with sessions here is known to be in a room.
    pub fn is_inside(&self, user: &UserId, room: &RoomId) -> bool {
        self.user_rooms(user)
            .is_some_and(|rooms| rooms.get(room.as_str()).is_some_and(RoomState::is_inside))
    }

    /// Returns the rooms of a user with sessions here.
    pub fn user_rooms(&self, user: &UserId) -> Option<&UserRooms> {
        self.users.of(user.as_str()).map(|user_entry| &user_entry.rooms)
    }

    /// Returns whether the rooms of a user with sessions here were read.
    pub fn is_loaded(&self, user: &UserId) -> bool {
        self.users.of(user.as_str()).is_some_and(|user_entry| user_entry.loaded)
    }

    /// Records that the rooms of a user were read, and returns the user's sessions.
    pub fn loaded(&mut self, user: &UserId) -> SmallVec<[Rc<Session>; 2]> {
        let Some(user_entry) = self.users.of_mut(user.as_str()) else { return SmallVec::new() };
        user_entry.loaded = true;
        user_entry.sessions.iter().map(|id| Rc::clone(&self.sessions[id.place()])).collect()
    }

    /// Returns the oldest session of a user with more than `max` sessions.
    pub fn surplus_session(&self, user: &UserId, max: usize) -> Option<Rc<Session>> {
        let sessions = &self.users.of(user.as_str())?.sessions;
        let oldest = sessions.first().filter(|_| sessions.len() > max)?;
        Some(Rc::clone(&self.sessions[oldest.place()]))
    }

    /// Returns the highest cursor that a user's sessions may get.
    pub fn cap(&self, user: &UserId) -> Micros {
        self.user_rooms(user).and_then(UserRooms::cap).unwrap_or(Micros(u64::MAX))
    }

    /// Applies a read for a room that a user joined. Returns whether the room is no longer pending.
    pub fn joining_read(
        &mut self,
        user: &UserId,
        due: &PendingRoomRead,
        reading: CatchUpRead,
        now: WatermarkSnapshot,
        watermark: Micros,
    ) -> bool {
        let user_entry = self.users.of_mut(user.as_str());
        user_entry.is_none_or(|user_entry| user_entry.rooms.read(due, reading, now, watermark))
    }

    /// Applies a round that read for a room that a user joined.
    pub fn joining_round(
        &mut self,
        user: &UserId,
        due: &PendingRoomRead,
        kind: RoundKind,
        decided: Option<Micros>,
        confirmed: bool,
    ) {
        if let Some(user_entry) = self.users.of_mut(user.as_str()) {
            user_entry.rooms.round(due, kind, decided, confirmed);
        }
    }

    /// Returns whether a session got a message of a conversation with this key, live or by a round.
    pub fn had(&self, session: &Session, key: &RoutingKey, id: MessageId) -> bool {
        let place = match key.as_room() {
            Some(room) => {
                self.user_rooms(&session.user).map_or(session.recovery.place(), |rooms| {
                    rooms.place(room, session.recovery.place())
                })
            }
            None => session.recovery.place(),
        };
        self.recent_deliveries.had(id, key_hash(key), place)
    }

    /// Returns the rooms that users with sessions here are in.
    pub fn rooms(&self) -> Vec<RoomId> {
        self.users.rooms().cloned().collect()
    }

    /// Returns up to which time deliveries may have been forgotten.
    pub const fn forgotten(&self) -> Micros {
        self.recent_deliveries.forgotten()
    }

    /// Returns the position, in the order of deliveries, of a session that is registered now.
    pub const fn place(&self) -> DeliverySeq {
        self.recent_deliveries.place()
    }

    /// Forgets deliveries at or below the watermark: no read asks for them again.
    pub fn prune(&mut self, watermark: Micros) {
        self.recent_deliveries.prune(watermark);
    }

    /// Makes all sessions that await a cursor due, since the watermark moved.
    pub fn call_cursors_due(&mut self) {
        self.due = self.awaiting_cursor.len();
    }

    /// Takes at most `max` sessions that are due for a cursor; none if no more are due. The caller
    /// requeues a session that gets no cursor yet.
    pub fn take_due(&mut self, max: usize) -> Vec<Rc<Session>> {
        let count = self.due.min(max);
        self.due -= count;
        // Some may have been removed since they were counted.
        self.awaiting_cursor.drain(..count.min(self.awaiting_cursor.len())).collect()
    }

    /// Records that a session awaits a cursor.
    pub fn mark_cursor_due(&mut self, session: &Rc<Session>) {
        if session.recovery.mark_cursor_due() {
            if self.awaiting_cursor.len() > 2 * self.sessions.len() + CURSOR_QUEUE_SLACK {
                self.awaiting_cursor.retain(|session| session.link().is_open());
            }
            self.awaiting_cursor.push_back(Rc::clone(session));
        }
    }

    /// Puts back a session that gets no cursor yet.
    pub fn requeue(&mut self, session: Rc<Session>) {
        self.awaiting_cursor.push_back(session);
    }

    /// Returns the sessions by user, those with the most recent messages first.
    pub fn by_user(&self) -> Vec<(UserId, SmallVec<[Rc<Session>; 2]>)> {
        let held = |id: &SessionId| Rc::clone(&self.sessions[id.place()]);
        let mut users: Vec<(UserId, SmallVec<[Rc<Session>; 2]>)> = self
            .users
            .iter()
            .map(|user_entry| {
                (user_entry.user.clone(), user_entry.sessions.iter().map(held).collect())
            })
            .collect();
        let active = |sessions: &[Rc<Session>]| {
            sessions.iter().map(|session| session.recovery.active()).max()
        };
        users.sort_by_cached_key(|(_, sessions)| std::cmp::Reverse(active(sessions)));
        users
    }

    /// Records that something was queued for a session, so that the next flush writes it.
    pub fn touch(&mut self, session: &Rc<Session>) {
        if session.touch() {
            self.touched.push(Rc::clone(session));
        }
    }

    /// Takes at most `max` sessions with queued frames, and returns whether there are more.
    pub fn take_touched(&mut self, max: usize) -> (Vec<Rc<Session>>, bool) {
        let rest = self.touched.split_off(max.min(self.touched.len()));
        let more = !rest.is_empty();
        (std::mem::replace(&mut self.touched, rest), more)
    }

    /// Returns every session.
    pub fn sessions(&self) -> impl Iterator<Item = &Rc<Session>> {
        self.sessions.iter().map(|(_, session)| session)
    }

    /// Returns how many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

/// Returns whether a pattern matches exactly the subject that is its key.
fn is_its_key(pattern: &Pattern, scope: &PatternScope) -> bool {
    matches!(scope, PatternScope::Key(key) if key.as_str() == pattern.as_str())
}

#[cfg(test)]
mod tests;
