//! What a worker learns of its users' memberships.

use std::rc::Rc;

use super::backlog::Backlog;
use super::{KeyInterest, Sessions};
use crate::domain::{Membership, MembershipNotice};
use crate::hub::Priority;
use crate::protocol::{MemberChange, MemberNews, ServerFrame};
use crate::watermark::{KnowledgeSource, RoomChange};

/// What a worker learns of its users' memberships.
#[derive(Debug)]
pub struct Memberships {
    /// The worker's sessions.
    pub sessions: Rc<Sessions>,
    /// The keys that they need.
    pub interest: Rc<KeyInterest>,
    /// Memberships whose rooms are to be read for the new member.
    pub joined: Backlog<Membership>,
}

impl Memberships {
    /// Applies a membership, from any source; one older than what is known changes nothing. A
    /// removal takes effect at once. Until a user's rooms are loaded, all that is learned is part
    /// of that load. Each of the user's sessions then reads the rooms itself, and no read from the
    /// joining on is started.
    pub fn apply(&self, news: &Membership) {
        self.learn(news, None);
    }

    /// Applies a membership that a node announced. The user is told who changed it.
    pub fn apply_notice(&self, notice: &MembershipNotice) {
        self.learn(&notice.membership, Some(notice));
    }

    fn learn(&self, news: &Membership, notice: Option<&MembershipNotice>) {
        let before = self.known(news);
        let hub = &self.sessions.hub;
        let loaded = hub.borrow().is_loaded(&news.user);
        let source = if loaded { KnowledgeSource::News } else { KnowledgeSource::First };
        let (change, scope) = hub.borrow_mut().apply_membership(news, source);
        let Some(known) = self.known(news).filter(|_| change != RoomChange::Stale) else { return };
        match change {
            RoomChange::Joined => {
                scope.iter().for_each(|scope| self.interest.acquire(scope));
                if source == KnowledgeSource::News {
                    self.notify_member(&known, MemberChange::Joined, notice);
                    self.joined.add(known);
                }
            }
            RoomChange::Left => {
                scope.iter().for_each(|scope| self.interest.release(scope));
                self.notify_member(&known, MemberChange::Left, notice);
            }
            RoomChange::Kept if source == KnowledgeSource::News && has_new_role(before, &known) => {
                self.notify_member(&known, MemberChange::Role, notice);
            }
            RoomChange::Stale | RoomChange::Kept => {}
        }
    }

    /// Returns the membership as it is known now, after news of it came.
    fn known(&self, news: &Membership) -> Option<Membership> {
        let hub = self.sessions.hub.borrow();
        let state = hub.user_rooms(&news.user)?.get(news.room.as_str())?.state;
        Some(Membership { state, ..news.clone() })
    }

    /// Notifies a user's sessions here of a change. What was read from the store names neither who
    /// made it nor the room.
    fn notify_member(
        &self,
        known: &Membership,
        change: MemberChange,
        notice: Option<&MembershipNotice>,
    ) {
        let membership = known.clone();
        let told = match notice {
            Some(notice) => MembershipNotice { membership, ..notice.clone() },
            None => MembershipNotice { membership, by: None, title: None },
        };
        let mut news = MemberNews::of(&told, change);
        if change == MemberChange::Joined && notice.is_some() {
            news = news.with_entry(told.title.as_deref());
        }
        let frame = ServerFrame::of_member(news, change).text();
        let hub = &self.sessions.hub;
        let sessions = hub.borrow().sessions_of_user(known.user.as_str());
        for session in &sessions {
            let _handed = session.deliver_frame(frame.clone(), Priority::Event);
            hub.borrow_mut().touch(session);
        }
        self.sessions.flush_wanted.notify_one();
    }
}

/// Whether a member who was in the room and still is has another role now.
fn has_new_role(before: Option<Membership>, now: &Membership) -> bool {
    let before = before.filter(Membership::is_inside);
    before.is_some_and(|before| now.is_inside() && before.state.role != now.state.role)
}
