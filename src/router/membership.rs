//! What a worker learns of its users' memberships, and what it reads for users who joined.

use std::rc::Rc;
use std::time::Duration;

use super::Router;
use crate::domain::{Conversation, Membership, Message, RoutingKey, UserId};
use crate::hub::Priority;
use crate::protocol::ServerFrame;
use crate::watermark::{CatchUpRead, KnowledgeSource, PendingRoomRead, RoomChange, UserRooms};

/// The most memberships of one user that are read, those that the user left included: they stay for
/// [`LEFT_KEPT`](crate::store::LEFT_KEPT). See [`super::room_quota`] for who may fill how many.
pub(super) const MEMBERSHIPS_MAX: usize = 20_000;

/// How often a read for a new member is tried before the room's state is checked again.
const TRIES: u32 = 2;

/// How long a joined room waits before it is checked again whether it can be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Router {
    /// Applies a membership, from any source; one older than what is known changes nothing. A
    /// removal takes effect at once. Until a user's rooms are loaded, all that is learned is part
    /// of that load. Each of the user's sessions then reads the rooms itself, and no read from the
    /// joining on is started.
    pub(super) fn apply_membership(self: &Rc<Self>, news: &Membership) {
        let loaded = self.hub.borrow().is_loaded(&news.user);
        let learned = if loaded { KnowledgeSource::News } else { KnowledgeSource::First };
        let (applied, changed) = self.hub.borrow_mut().apply_membership(news, learned);
        let Some(known) = self.known(news).filter(|_| applied != RoomChange::Stale) else { return };
        match applied {
            RoomChange::Joined => {
                if let Some(scope) = &changed {
                    self.add_interest(scope);
                }
                if learned == KnowledgeSource::News {
                    self.tell_member(&known);
                    self.read_joined(&known);
                }
            }
            RoomChange::Left => {
                if let Some(scope) = &changed {
                    self.remove_interest(scope);
                }
                self.tell_member(&known);
            }
            RoomChange::Stale | RoomChange::Kept => {}
        }
    }

    /// Returns the membership as it is known now, after news of it came.
    fn known(&self, news: &Membership) -> Option<Membership> {
        let hub = self.hub.borrow();
        let state = hub.user_rooms(&news.user)?.get(news.room.as_str())?.state;
        Some(Membership { state, ..news.clone() })
    }

    /// Notifies a user's sessions here of the membership.
    fn tell_member(&self, news: &Membership) {
        let frame = ServerFrame::of_membership(news).text();
        let sessions = self.hub.borrow().sessions_of_user(news.user.as_str());
        for session in &sessions {
            let _handed = session.deliver_frame(frame.clone(), Priority::Event);
            self.hub.borrow_mut().touch(session);
        }
        self.flush_wanted.notify_one();
    }

    fn read_joined(self: &Rc<Self>, news: &Membership) {
        let task = Rc::clone(self).join_room(news.clone());
        tokio::task::spawn_local(task);
    }

    /// Reads the messages above the stamp that a new member must get, until the member has all that
    /// do not come live. No cursor of the member goes above the stamp before.
    async fn join_room(self: Rc<Self>, news: Membership) {
        let key = RoutingKey::room(&news.room);
        let mut patience = self.services.waits.interest;
        loop {
            let confirmed = self.services.interest.confirmation(&key).within(patience).await;
            let Some(due) = self.due(&news) else { return };
            let reading = CatchUpRead::begin(
                self.services.wall.sure(),
                self.services.watermark_state.look(),
                confirmed,
            );
            let read = self.read_due(&news.user, &due).await;
            let (now, watermark) = (self.services.watermark_state.look(), self.watermark.get());
            if read && self.hub.borrow_mut().joining_read(&news.user, &due, reading, now, watermark)
            {
                return;
            }
            self.until_it_may_settle(&news, &key).await;
            patience = Duration::ZERO;
        }
    }

    /// Waits until the room's bucket is confirmed and nothing is frozen; rounds read for the member
    /// meanwhile.
    async fn until_it_may_settle(&self, news: &Membership, key: &RoutingKey) {
        while self.due(news).is_some() {
            let moved = self.watermark_moved.notified();
            let heard = self.services.interest.confirmation(key).within(LOOK_AGAIN).await;
            if heard && !self.services.watermark_state.look().frozen {
                return;
            }
            let _moved = tokio::time::timeout(LOOK_AGAIN, moved).await;
        }
    }

    /// Returns the read that a joining waits for, unless it is complete or superseded.
    fn due(&self, news: &Membership) -> Option<PendingRoomRead> {
        let hub = self.hub.borrow();
        hub.user_rooms(&news.user)?.due_of(&news.room, news.joined())
    }

    /// Delivers the messages of a new room above a time to a member's sessions. Returns false if
    /// they could not be read.
    async fn read_due(&self, user: &UserId, due: &PendingRoomRead) -> bool {
        let reader = self.user_reader(user, TRIES);
        let conversation = Conversation::Room(due.room.clone());
        // Delivered to the member's sessions alone, by the memory of each. Other members may have
        // these messages already, or may still wait for them.
        let deliver = |message: &Message| {
            let sessions = self.hub.borrow().sessions_of_user(user.as_str());
            sessions.iter().for_each(|session| self.deliver_missed(session, message));
        };
        let read = reader.each_above(&conversation, due.above, deliver).await.is_some();
        self.flush_wanted.notify_one();
        tracing::debug!(%user, room = %due.room, read, "a joined room was read for its new member");
        read
    }

    /// Applies the memberships that a read of a user's rooms returned.
    pub(super) fn apply_memberships(self: &Rc<Self>, user: &UserId, rows: &[Membership]) {
        if rows.len() >= MEMBERSHIPS_MAX {
            tracing::warn!(
                %user,
                max = MEMBERSHIPS_MAX,
                "a user has too many memberships: further ones are not read"
            );
        }
        self.services.unlist_old(rows);
        for row in rows {
            self.apply_membership(row);
        }
    }

    /// Returns the keys that a user's sessions need: the user's own, and those of the user's rooms.
    pub(super) fn keys_of(&self, user: &UserId) -> Vec<RoutingKey> {
        let hub = self.hub.borrow();
        let rooms = hub.user_rooms(user).into_iter().flat_map(UserRooms::inside);
        let rooms = rooms.map(|known| RoutingKey::room(&known.room));
        std::iter::once(RoutingKey::user(user)).chain(rooms).collect()
    }

    /// Returns whether all buckets that a user's sessions need are confirmed within a time limit.
    pub(super) async fn hears_all(&self, user: &UserId, bound: Duration) -> bool {
        let confirmations =
            self.keys_of(user).iter().map(|key| self.services.interest.confirmation(key)).collect();
        super::subscribe::all_within(confirmations, bound).await
    }
}
