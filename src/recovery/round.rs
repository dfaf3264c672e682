//! Recovery rounds (repairs and pull rounds), which read for all sessions at once, and what follows
//! when the watermark advances.

use std::rc::Rc;

use ahash::AHashSet;
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Recovery;
use super::reader::{ACTIVITY_MAX, Recipient, Turns};
use crate::delivery::RoundPart;
use crate::domain::{Conversation, Message, Micros, RoomId, RoutingKey, UserId};
use crate::hub::Session;
use crate::protocol::MessageText;
use crate::send::MEMBERSHIPS_MAX;
use crate::watermark::{PendingRoomRead, RecoveryRound, RoundKind, UserRooms};

/// Users that are read for concurrently, so that the latency of a read does not bound the rate.
const AT_ONCE: usize = 16;

/// How often a read of a round is tried. After that the round skips the user's sessions.
const TRIES: u32 = 2;

/// A session in a round.
#[derive(Debug)]
struct Listed {
    session: Rc<Session>,
    /// Whether all buckets that it needs were confirmed when the round began.
    confirmed: bool,
}

/// A round in progress.
#[derive(Debug)]
pub(super) struct RoundState {
    number: u64,
    listed: Vec<Listed>,
    /// Rooms whose new members waited for a read when the round began.
    joining: Vec<Joining>,
    /// Users that were read for.
    read: AHashSet<UserId>,
    /// Rooms that could not be read.
    unread: AHashSet<RoomId>,
}

/// A room that a member joined, in a round.
#[derive(Debug)]
struct Joining {
    user: UserId,
    due: PendingRoomRead,
    confirmed: bool,
}

impl Recovery {
    /// Reads for the sessions that are registered now. A session that does not take part in rounds
    /// yet reads for itself.
    pub fn begin_round(self: &Rc<Self>, round: RecoveryRound, done: mpsc::Sender<RoundPart>) {
        let mut users = self.sessions.hub.borrow().by_user();
        for (_, sessions) in &mut users {
            sessions.retain(|session| session.recovery.takes_rounds());
        }
        users.retain(|(_, sessions)| !sessions.is_empty());
        let listed = users.iter().flat_map(|(user, sessions)| {
            let keys = self.sessions.keys_of(user);
            let confirmed = keys.iter().all(|key| self.services.cluster.interest.is_confirmed(key));
            sessions.iter().map(move |session| Listed { session: Rc::clone(session), confirmed })
        });
        let state = RoundState {
            number: round.number,
            listed: listed.collect(),
            joining: users.iter().flat_map(|(user, _)| self.joining(user)).collect(),
            read: AHashSet::new(),
            unread: AHashSet::new(),
        };
        *self.round.borrow_mut() = Some(state);
        tokio::task::spawn_local(Rc::clone(self).run_round(round, users, done));
    }

    /// Returns the rooms that a user joined and whose reads are not complete.
    fn joining(&self, user: &UserId) -> Vec<Joining> {
        let hub = self.sessions.hub.borrow();
        let due = hub.user_rooms(user).into_iter().flat_map(UserRooms::due);
        due.map(|due| {
            let confirmed =
                self.services.cluster.interest.is_confirmed(&RoutingKey::room(&due.room));
            Joining { user: user.clone(), due, confirmed }
        })
        .collect()
    }

    async fn run_round(
        self: Rc<Self>,
        round: RecoveryRound,
        users: Vec<(UserId, SmallVec<[Rc<Session>; 2]>)>,
        done: mpsc::Sender<RoundPart>,
    ) {
        let mut reads = JoinSet::new();
        for (user, sessions) in users {
            if reads.len() >= AT_ONCE {
                reads.join_next().await;
            }
            let recovery = Rc::clone(&self);
            reads.spawn_local(async move {
                if recovery.repair(&user, &sessions, round.kind).await.is_some() {
                    recovery.was_read_for(round.number, user);
                }
            });
        }
        while reads.join_next().await.is_some() {}
        self.repair_rooms(&round).await;
        self.sessions.flush();
        // The receiver ends with the node.
        let _ending =
            done.send(RoundPart { worker: self.sessions.worker, round: round.number }).await;
    }

    /// Reads each room once for all its members here. Its members were read before.
    async fn repair_rooms(self: &Rc<Self>, round: &RecoveryRound) {
        let rooms = self.sessions.hub.borrow().rooms();
        let mut reads = JoinSet::new();
        for room in rooms {
            if reads.len() >= AT_ONCE {
                reads.join_next().await;
            }
            let (recovery, number, kind) = (Rc::clone(self), round.number, round.kind);
            reads.spawn_local(async move {
                let (key, conversation) =
                    (RoutingKey::room(&room), Conversation::Room(room.clone()));
                if recovery.repair_conversation(&key, &conversation, kind).await.is_none() {
                    recovery.was_not_read(number, room);
                }
            });
        }
        while reads.join_next().await.is_some() {}
    }

    fn was_not_read(&self, number: u64, room: RoomId) {
        if let Some(state) = &mut *self.round.borrow_mut()
            && state.number == number
        {
            state.unread.insert(room);
        }
    }

    fn was_read_for(&self, number: u64, user: UserId) {
        if let Some(state) = &mut *self.round.borrow_mut()
            && state.number == number
        {
            state.read.insert(user);
        }
    }

    /// Delivers what the store has and a user's sessions have not. Returns `None` if it could not
    /// be read.
    async fn repair(
        self: &Rc<Self>,
        user: &UserId,
        sessions: &[Rc<Session>],
        kind: RoundKind,
    ) -> Option<()> {
        let watermark = self.watermark.get();
        let above =
            sessions.iter().map(|session| session.recovery.position().above(watermark)).min()?;
        let reader = self.reader(Turns::Node(&self.repairs), TRIES, Recipient::Anybody);
        let memberships = reader.memberships(user, MEMBERSHIPS_MAX).await?;
        self.apply_memberships(user, &memberships);
        let changed = reader.changed(user, &[], above).await?;
        let key = RoutingKey::user(user);
        for conversation in &changed.conversations {
            self.repair_conversation(&key, conversation, kind).await?;
        }
        if !changed.whole {
            tracing::warn!(
                max = ACTIVITY_MAX,
                "a user has too many active conversations: further ones are not read"
            );
            return None;
        }
        Some(())
    }

    /// Delivers what a conversation has and the sessions of a key have not. Returns `None` if it
    /// could not be read.
    async fn repair_conversation(
        &self,
        key: &RoutingKey,
        conversation: &Conversation,
        kind: RoundKind,
    ) -> Option<()> {
        let watermark = self.watermark.get();
        // No session is left that the read would be for.
        let Some(above) = self.sessions.hub.borrow().floor(key, watermark) else { return Some(()) };
        let offer = |message: &Message| {
            self.services.clocks.observe(message.id.time());
            let frame = MessageText::new(message, &self.services.identity.dedup_key).frame();
            let delivered =
                self.sessions.hub.borrow_mut().offer(key, message.id, &frame, watermark);
            self.services.metrics.recovery.repaired[kind as usize].inc_by(delivered.handed);
            self.sessions.count(delivered);
        };
        self.reader(Turns::Node(&self.repairs), TRIES, Recipient::Anybody)
            .each_above(conversation, above, offer)
            .await
    }

    /// Ends a round once all workers have read: its sessions have what was in the store before it.
    pub fn end_round(self: &Rc<Self>, round: &RecoveryRound, watermark: Micros) {
        let before = self.watermark.get();
        self.watermark.set(before.max(watermark));
        let Some(state) = self.round.borrow_mut().take() else { return };
        for Joining { user, due, confirmed } in &state.joining {
            if state.read.contains(user) && !state.unread.contains(&due.room) {
                let (kind, decided) = (round.kind, round.decided);
                self.sessions.hub.borrow_mut().joining_round(user, due, kind, decided, *confirmed);
            }
        }
        for Listed { session, confirmed } in state.listed {
            let mut position = session.recovery.position();
            let read = state.read.contains(&session.user)
                && !self
                    .sessions
                    .rooms_of(&session)
                    .iter()
                    .any(|(room, _)| state.unread.contains(room));
            if read {
                position.round(round.kind, round.decided, confirmed, self.watermark.get());
            } else {
                position.skipped(before);
            }
            session.recovery.set_position(position);
            if !read {
                // The session takes part again once its own reads succeed.
                self.ensure_caught_up(&session);
            }
        }
        self.watermark_advanced();
    }

    /// Sets the watermark. Everything queued before this command is delivered, so it holds for this
    /// worker.
    pub fn advance(&self, watermark: Micros) {
        self.watermark.set(self.watermark.get().max(watermark));
        self.watermark_advanced();
    }

    fn watermark_advanced(&self) {
        let watermark = self.watermark.get();
        self.check_unconfirmed(watermark);
        self.sessions.hub.borrow_mut().prune(watermark);
        self.sessions.hub.borrow_mut().call_cursors_due();
        self.cursors_wanted.notify_one();
        self.watermark_moved.notify_waiters();
    }
}
