//! Repairs and pull rounds: reads for all sessions at once. And the watermark, as it arrives.

use std::rc::Rc;

use ahash::AHashSet;
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Router;
use super::membership::MEMBERSHIPS_MAX;
use super::recovery_reader::{ACTIVITY_MAX, Recipient, Turns};
use crate::delivery::RoundPart;
use crate::domain::{Conversation, Message, Micros, RoomId, RoutingKey, UserId};
use crate::hub::Session;
use crate::protocol::MessageText;
use crate::watermark::{PendingRoomRead, RecoveryRound, RoundKind, UserRooms};

/// Users that are read for at once: what one read takes must not bound the rate.
const AT_ONCE: usize = 16;

/// How often a read of a round is tried: after that the user's sessions are left with what they
/// have.
const TRIES: u32 = 2;

/// The least time between two cursors of a session, in seconds.
const CURSOR_EVERY: u64 = 15;

/// The longest time between two cursors of a session, in seconds, less the jitter.
const CURSOR_EVERY_IDLE: u64 = 50 * 60;

/// Sessions that came together must not be told together.
const CURSOR_JITTER: u64 = 10 * 60;

/// Sessions that are handed a cursor in one step: each is sealed, written and queued, which takes
/// some microseconds.
const CURSORS_A_STEP: usize = 256;

/// A session in a round.
#[derive(Debug)]
struct Listed {
    session: Rc<Session>,
    /// Whether everything it needs was heard when the round began.
    confirmed: bool,
}

/// A round under way.
#[derive(Debug)]
pub struct RoundState {
    number: u64,
    listed: Vec<Listed>,
    /// Rooms that members who joined waited for when the round began.
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

impl Router {
    /// Reads for the sessions that are registered now. One that is not that far reads for itself.
    pub(super) fn begin_round(
        self: &Rc<Self>,
        round: RecoveryRound,
        done: mpsc::Sender<RoundPart>,
    ) {
        let mut users = self.hub.borrow().by_user();
        for (_, sessions) in &mut users {
            sessions.retain(|session| session.recovery.takes_rounds());
        }
        users.retain(|(_, sessions)| !sessions.is_empty());
        let listed = users.iter().flat_map(|(user, sessions)| {
            let keys = self.keys_of(user);
            let confirmed = keys.iter().all(|key| self.services.interest.is_confirmed(key));
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

    /// The rooms that a user joined and that are not settled.
    fn joining(&self, user: &UserId) -> Vec<Joining> {
        let hub = self.hub.borrow();
        let due = hub.user_rooms(user).into_iter().flat_map(UserRooms::due);
        due.map(|due| {
            let confirmed = self.services.interest.is_confirmed(&RoutingKey::room(&due.room));
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
            let router = Rc::clone(&self);
            reads.spawn_local(async move {
                if router.repair(&user, &sessions, round.kind).await.is_some() {
                    router.was_read_for(round.number, user);
                }
            });
        }
        while reads.join_next().await.is_some() {}
        self.repair_rooms(&round).await;
        self.flush();
        // Whoever waits for it ends with the node.
        let _ending = done.send(RoundPart { worker: self.worker, round: round.number }).await;
    }

    /// Reads each room once for all its members here. Who its members are was read before.
    async fn repair_rooms(self: &Rc<Self>, round: &RecoveryRound) {
        let rooms = self.hub.borrow().rooms();
        let mut reads = JoinSet::new();
        for room in rooms {
            if reads.len() >= AT_ONCE {
                reads.join_next().await;
            }
            let (router, number, kind) = (Rc::clone(self), round.number, round.kind);
            reads.spawn_local(async move {
                let (key, conversation) =
                    (RoutingKey::room(&room), Conversation::Room(room.clone()));
                if router.repair_conversation(&key, &conversation, kind).await.is_none() {
                    router.was_not_read(number, room);
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

    /// Hands a user's sessions what the store has and they have not; none if it could not be read.
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
        self.learn_all(user, &memberships);
        let changed = reader.changed(user, &[], above).await?;
        let key = RoutingKey::user(user);
        for conversation in &changed.conversations {
            self.repair_conversation(&key, conversation, kind).await?;
        }
        if !changed.whole {
            tracing::warn!(
                max = ACTIVITY_MAX,
                "a user has more active conversations than are read"
            );
            return None;
        }
        Some(())
    }

    /// Hands the sessions of a key what a conversation has and they have not; none if it could not
    /// be read.
    async fn repair_conversation(
        &self,
        key: &RoutingKey,
        conversation: &Conversation,
        kind: RoundKind,
    ) -> Option<()> {
        let watermark = self.watermark.get();
        // Nobody is left who is read for.
        let Some(above) = self.hub.borrow().floor(key, watermark) else { return Some(()) };
        let offer = |message: &Message| {
            self.services.observe(message.id.time());
            let frame = MessageText::new(message).frame();
            let delivered = self.hub.borrow_mut().offer(key, message.id, &frame, watermark);
            self.services.metrics.repaired[kind as usize].inc_by(delivered.handed);
            self.count(delivered);
        };
        self.reader(Turns::Node(&self.repairs), TRIES, Recipient::Anybody)
            .each_above(conversation, above, offer)
            .await
    }

    /// A round is done on all workers: its sessions have what was in the store before it.
    pub(super) fn end_round(self: &Rc<Self>, round: &RecoveryRound, watermark: Micros) {
        let before = self.watermark.get();
        self.watermark.set(before.max(watermark));
        let Some(state) = self.round.borrow_mut().take() else { return };
        for Joining { user, due, confirmed } in &state.joining {
            if state.read.contains(user) && !state.unread.contains(&due.room) {
                let (kind, decided) = (round.kind, round.decided);
                self.hub.borrow_mut().joining_round(user, due, kind, decided, *confirmed);
            }
        }
        for Listed { session, confirmed } in state.listed {
            let mut position = session.recovery.position();
            let read = state.read.contains(&session.user)
                && !self.rooms_of(&session).iter().any(|(room, _)| state.unread.contains(room));
            if read {
                position.round(round.kind, round.decided, confirmed, self.watermark.get());
            } else {
                position.skipped(before);
            }
            session.recovery.stand(position);
            if !read {
                // It takes part again once its own reads succeed.
                self.settle(&session);
            }
        }
        self.proof_advanced();
    }

    /// Everything that was queued before is delivered, so the watermark is this worker's.
    pub(super) fn advance(&self, watermark: Micros) {
        self.watermark.set(self.watermark.get().max(watermark));
        self.proof_advanced();
    }

    fn proof_advanced(&self) {
        let watermark = self.watermark.get();
        self.check_suspects(watermark);
        self.hub.borrow_mut().prune(watermark);
        self.hub.borrow_mut().call_cursors_due();
        self.cursors_wanted.notify_one();
        self.watermark_moved.notify_waiters();
    }

    /// A session that nothing was delivered to for long gets a cursor nevertheless: one that is too
    /// old is of no use.
    pub fn send_idle_cursor(&self, session: &Rc<Session>) {
        let every = CURSOR_EVERY_IDLE + session.number % CURSOR_JITTER;
        let (watermark, now) = (self.watermark.get(), self.services.wall.seconds());
        let cap = self.hub.borrow().cap(&session.user);
        if session.recovery.position().is_told()
            && let Some(cursor) = session.recovery.next_cursor(watermark, cap, now, every)
        {
            self.send_cursor(session, cursor, true, &[]);
        }
    }

    /// Hands cursors whenever the watermark moved, for ever: so many in one step that others have
    /// their turn between.
    ///
    /// A step may come long after the watermark moved, and is as sound as one at that moment. What a
    /// cursor needs is that all up to it, and owed to the session, stands in its queue before it.
    /// - The step reads the worker's watermark itself. That rises by commands alone, each of which had
    ///   its turn in the worker's queue behind all pushes that it covers; and none has its turn while
    ///   a push is handed over in slices. So in every step what lies at or below the watermark was
    ///   handed over, and what comes between two steps lies above: a cursor behind that says less
    ///   than the session has.
    /// - It reads the session's footing and the cap of the rooms that its user joined in the same
    ///   step: what was held back since is held back, as for a cursor of an idle session, which comes
    ///   at any time too.
    /// - Whoever waits stays owed, and what he has caught stays remembered: nothing is given up for
    ///   him that his cursor would cover.
    pub async fn send_cursors(self: Rc<Self>) {
        loop {
            self.cursors_wanted.notified().await;
            while self.send_some_cursors() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Live sessions get a cursor behind something delivered, and not too often. Whether any was
    /// looked at.
    fn send_some_cursors(&self) -> bool {
        let (watermark, now) = (self.watermark.get(), self.services.wall.seconds());
        let due = self.hub.borrow_mut().take_due(CURSORS_A_STEP);
        let any = !due.is_empty();
        for session in due {
            if !session.link().is_open() {
                continue;
            }
            session.recovery.prune(watermark);
            let cap = self.hub.borrow().cap(&session.user);
            match session.recovery.next_cursor(watermark, cap, now, CURSOR_EVERY) {
                Some(cursor) => self.send_cursor(&session, cursor, true, &[]),
                None => self.hub.borrow_mut().requeue(session),
            }
        }
        any
    }
}
