//! What is read for users who joined a room.

use std::rc::Rc;
use std::time::Duration;

use super::Recovery;
use crate::domain::{Conversation, Membership, Message, RoutingKey, UserId};
use crate::interest::all_within;
use crate::send::{MEMBERSHIPS_MAX, unlist_old};
use crate::watermark::{CatchUpRead, PendingRoomRead};

/// How often a read for a new member is tried before the room's state is checked again.
const TRIES: u32 = 2;

/// How long a joined room waits before it is checked again whether it can be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Recovery {
    /// Reads the rooms that users here joined, without end.
    pub async fn read_joined_rooms(self: Rc<Self>) {
        loop {
            for news in self.fanout.memberships.joined.take().await {
                tokio::task::spawn_local(Rc::clone(&self).read_joined_room(news));
            }
        }
    }

    /// Reads the messages above the stamp that a new member must get, until the member has all that
    /// do not come live. No cursor of the member goes above the stamp before.
    async fn read_joined_room(self: Rc<Self>, news: Membership) {
        let key = RoutingKey::room(&news.room);
        let mut patience = self.services.config.timeouts.interest;
        loop {
            let confirmed =
                self.services.cluster.interest.confirmation(&key).within(patience).await;
            let Some(due) = self.due(&news) else { return };
            let reading = CatchUpRead::begin(
                self.services.clocks.wall.sure(),
                self.services.cluster.watermark_state.look(),
                confirmed,
            );
            let read = self.read_due(&news.user, &due).await;
            let (now, watermark) =
                (self.services.cluster.watermark_state.look(), self.watermark.get());
            if read
                && self
                    .sessions
                    .hub
                    .borrow_mut()
                    .joining_read(&news.user, &due, reading, now, watermark)
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
            let heard = self.services.cluster.interest.confirmation(key).within(LOOK_AGAIN).await;
            if heard && !self.services.cluster.watermark_state.look().frozen {
                return;
            }
            let _moved = tokio::time::timeout(LOOK_AGAIN, moved).await;
        }
    }

    /// Returns the read that a joining waits for, unless it is complete or superseded.
    fn due(&self, news: &Membership) -> Option<PendingRoomRead> {
        let hub = self.sessions.hub.borrow();
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
            let sessions = self.sessions.hub.borrow().sessions_of_user(user.as_str());
            sessions.iter().for_each(|session| self.deliver_missed(session, message));
        };
        let read = reader.each_above(&conversation, due.above, deliver).await.is_some();
        self.sessions.flush_wanted.notify_one();
        tracing::debug!(%user, room = %due.room, read, "a joined room was read for its new member");
        read
    }

    /// Applies the memberships that a read of a user's rooms returned.
    pub(super) fn apply_memberships(&self, user: &UserId, rows: &[Membership]) {
        if rows.len() >= MEMBERSHIPS_MAX {
            tracing::warn!(
                %user,
                max = MEMBERSHIPS_MAX,
                "a user has too many memberships: further ones are not read"
            );
        }
        unlist_old(&self.services, rows);
        for row in rows {
            self.fanout.memberships.apply(row);
        }
    }

    /// Returns whether all buckets that a user's sessions need are confirmed within a time limit.
    pub(super) async fn hears_all(&self, user: &UserId, bound: Duration) -> bool {
        let confirmations = self
            .sessions
            .keys_of(user)
            .iter()
            .map(|key| self.services.cluster.interest.confirmation(key))
            .collect();
        all_within(confirmations, bound).await
    }
}
