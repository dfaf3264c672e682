//! The places for rooms in a user's list, and who may fill them.
//!
//! A room that the user left counts for [`LEFT_KEPT`]: a node that missed the removal learns of it
//! from the row. It counts against the user who added the place, so that no user fills places by
//! adding and removing. If all users may create rooms, other users together fill at most half of
//! the places. The other half is always left to the user and the services.

use std::sync::Arc;

use crate::domain::{Adder, Membership, UserId};
use crate::protocol::{Code, ErrorReply};
use crate::services::Services;
use crate::store::LEFT_KEPT;

/// The most memberships of one user that are read, those that the user left included: they stay for
/// [`LEFT_KEPT`].
pub const MEMBERSHIPS_MAX: usize = 20_000;

/// Rooms that a user may be in. They are held by the worker of the user's sessions, and each takes
/// a bucket, and a read after a delivery gap.
pub const ROOMS_MAX: usize = 5000;

/// Places that users fill in another user's list, all together.
const BY_OTHERS_MAX: usize = ROOMS_MAX / 2;

/// Old rows that are removed from a list at a time. It is more than a user adds between two reads
/// of the list, so that the list shrinks.
const UNLISTED_AT_ONCE: usize = 100;

/// Hours per day, for texts.
const DAY_HOURS: u64 = 24;

/// The contents of a user's list of rooms, as counted for one adder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RoomQuota {
    /// Whether the adder is another user.
    is_by_another: bool,
    /// Rooms that the user is in.
    inside: usize,
    /// Rooms in the list, including those that the user left.
    listed: usize,
    /// Those that users other than the list's user filled.
    by_others: usize,
    /// Those that this adder filled.
    by_adder: usize,
}

impl RoomQuota {
    pub(super) fn count<'a>(
        user: &UserId,
        adder: Adder,
        listed: impl Iterator<Item = &'a Membership>,
    ) -> Self {
        let by_user_or_service = [Adder::SERVICE, Adder::user(user)];
        let is_by_another = !by_user_or_service.contains(&adder);
        let mut places = Self { is_by_another, ..Self::default() };
        for membership in listed {
            let by = membership.state.adder;
            places.listed += 1;
            places.inside += usize::from(membership.is_inside());
            places.by_others += usize::from(!by_user_or_service.contains(&by));
            places.by_adder += usize::from(by == adder);
        }
        places
    }

    /// Refuses an add if its bound is reached. `by_adder_max` bounds what one user may fill in the
    /// list of another.
    pub(super) fn check(&self, by_adder_max: usize) -> Result<(), ErrorReply> {
        let days = LEFT_KEPT.as_secs() / 3600 / DAY_HOURS;
        let Self { is_by_another, inside, listed, by_others, by_adder } = *self;
        let message = if inside >= ROOMS_MAX {
            format!("the user is in {inside} rooms, at most {ROOMS_MAX} are allowed")
        } else if listed >= MEMBERSHIPS_MAX {
            format!(
                "the user was in {listed} rooms within {days} days, at most {MEMBERSHIPS_MAX} are \
                 allowed"
            )
        } else if is_by_another && by_adder >= by_adder_max {
            format!(
                "you added the user to {by_adder} rooms, at most {by_adder_max} are allowed \
                 (`limits.places_by_adder`); one that the user left counts for {days} days"
            )
        } else if is_by_another && by_others >= BY_OTHERS_MAX {
            format!(
                "users added the user to {by_others} rooms, at most {BY_OTHERS_MAX} are allowed"
            )
        } else {
            return Ok(());
        };
        Err(ErrorReply::new(Code::LimitReached, message))
    }
}

/// Removes rooms that a user left long ago from the user's list, in the background. A row that
/// is not removed is found again by the next read of the list.
pub fn unlist_old(services: &Services, rows: &[Membership]) {
    let now = services.clocks.wall.lower();
    let is_old =
        |row: &&Membership| !row.is_inside() && now.since(row.state.removed.time()) > LEFT_KEPT;
    let old: Vec<_> = rows.iter().filter(is_old).take(UNLISTED_AT_ONCE).cloned().collect();
    if old.is_empty() {
        return;
    }
    let store = Arc::clone(&services.store);
    tokio::task::spawn_local(async move {
        for left in old {
            if let Err(error) = store.unlist(left).await {
                tracing::debug!(%error, "a room that was left is still listed");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberRole, MemberState, MessageId, Micros, RoomId};

    const BY_ADDER_MAX: usize = 100;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    /// Rows by an adder, each of another room.
    fn rows(adder: Adder, count: usize, is_inside: bool) -> Vec<Membership> {
        let stamp = |time| MessageId::first_of(Micros(time));
        let inside = MemberState::UNKNOWN.add_by(adder, Some(MemberRole::Member), stamp(1));
        let state = if is_inside { inside } else { inside.remove(stamp(2)) };
        let row = |number| Membership {
            room: RoomId::parse(&format!("r{number}")).unwrap(),
            user: user("bob"),
            state,
        };
        (0..count).map(row).collect()
    }

    fn refused(adder: Adder, lists: &[Vec<Membership>]) -> Option<String> {
        let places = RoomQuota::count(&user("bob"), adder, lists.iter().flatten());
        places.check(BY_ADDER_MAX).err().map(|refusal| refusal.message.into_owned())
    }

    #[test]
    fn one_user_fills_a_hundred_places_of_another_those_left_included() {
        let eve = Adder::user(&user("eve"));
        for is_inside in [true, false] {
            assert_eq!(refused(eve, &[rows(eve, 99, is_inside)]), None);
            let full = [rows(eve, 100, is_inside)];
            let message = refused(eve, &full).unwrap();
            assert!(
                message.starts_with("you added the user to 100 rooms, at most 100"),
                "{message}"
            );
            for adder in [Adder::SERVICE, Adder::user(&user("bob")), Adder::user(&user("zoe"))] {
                assert_eq!(refused(adder, &full), None);
            }
        }
    }

    #[test]
    fn users_leave_half_of_the_places_to_the_user_and_the_services() {
        let by_others: Vec<_> = (0..25)
            .map(|number| rows(Adder::user(&user(&format!("u{number}"))), 100, true))
            .collect();
        let eve = Adder::user(&user("eve"));
        let message = refused(eve, &by_others).unwrap();
        assert!(message.contains("to 2500 rooms, at most 2500 are"), "{message}");
        assert_eq!(refused(eve, &by_others[1..]), None);
        for adder in [Adder::SERVICE, Adder::user(&user("bob"))] {
            assert_eq!(refused(adder, &by_others), None);
        }
    }

    #[test]
    fn a_user_is_in_5000_rooms_whoever_adds_and_rooms_left_count_apart() {
        let bob = Adder::user(&user("bob"));
        for adder in [Adder::SERVICE, bob] {
            let left = rows(adder, 15_000, false);
            assert_eq!(refused(adder, &[rows(adder, 4999, true), left.clone()]), None);
            let message = refused(adder, &[rows(adder, 5000, true)]).unwrap();
            assert!(message.contains("in 5000 rooms, at most 5000"), "{message}");
            let message = refused(adder, &[rows(adder, 4999, true), left, rows(bob, 1, false)]);
            assert!(message.unwrap().contains("within 35 days, at most 20000"));
        }
    }
}
