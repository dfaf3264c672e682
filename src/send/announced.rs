//! The changes of memberships that this worker has announced.

use std::cell::RefCell;

use ahash::AHashMap;

use crate::domain::{Membership, MessageId, RoomId, UserId};

/// Changes that are remembered, of one worker. Of a change that is forgotten a repeat is announced
/// again.
const ANNOUNCED_MAX: usize = 4096;

type Stamps<S> = AHashMap<(RoomId, UserId), (MessageId, S)>;

/// The last change of each membership that this worker has announced, and the id `S` under which
/// its publishes are tracked.
#[derive(Debug)]
pub struct AnnouncedChanges<S> {
    /// The recent ones, and those before them.
    halves: RefCell<(Stamps<S>, Stamps<S>)>,
}

impl<S> Default for AnnouncedChanges<S> {
    fn default() -> Self {
        Self { halves: RefCell::default() }
    }
}

impl<S: Copy> AnnouncedChanges<S> {
    /// Records a change that was announced.
    pub fn note(&self, changed: &Membership, send_id: S) {
        let (recent, earlier) = &mut *self.halves.borrow_mut();
        if recent.len() >= ANNOUNCED_MAX / 2 {
            *earlier = std::mem::take(recent);
        }
        recent.insert((changed.room.clone(), changed.user.clone()), (changed.stamp(), send_id));
    }

    /// Returns under which id this very change was announced.
    pub fn of(&self, known: &Membership) -> Option<S> {
        let (recent, earlier) = &*self.halves.borrow();
        let key = (known.room.clone(), known.user.clone());
        let (stamp, send_id) = recent.get(&key).or_else(|| earlier.get(&key))?;
        (*stamp == known.stamp()).then_some(*send_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberRole, MemberState, Micros};

    fn member(user: usize, time: u64) -> Membership {
        Membership {
            room: RoomId::parse("r").unwrap(),
            user: UserId::parse(&format!("u{user}")).unwrap(),
            state: MemberState::UNKNOWN.add(MemberRole::Member, MessageId::first_of(Micros(time))),
        }
    }

    #[test]
    fn only_the_last_change_of_a_membership_counts() {
        let announced = AnnouncedChanges::default();
        announced.note(&member(1, 10), 7);
        assert_eq!(announced.of(&member(1, 10)), Some(7));
        assert_eq!(announced.of(&member(1, 20)), None, "another node has changed it");
        assert_eq!(announced.of(&member(2, 10)), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let announced = AnnouncedChanges::default();
        for user in 0..2 * ANNOUNCED_MAX {
            announced.note(&member(user, 10), ());
            let (recent, earlier) = &*announced.halves.borrow();
            assert!(recent.len() + earlier.len() <= ANNOUNCED_MAX);
        }
        assert!(announced.of(&member(2 * ANNOUNCED_MAX - 1, 10)).is_some());
        assert!(announced.of(&member(0, 10)).is_none());
    }
}
