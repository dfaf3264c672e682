//! Random memberships in random order, against a map that merges them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::queries::{membership_of, rooms_of};
use super::rooms::{fresh_room_id, put_all, walk_members};
use super::{Arc, START, Store, after, unique, user};
use crate::domain::{MemberRole, MemberState, Membership, MessageId, RoomId, UserId};

const CASES: usize = 48;
const PLACES: usize = 3;

/// A room, a user, whether the user is inside and owns it, and the seconds of the stamp.
type Said = (usize, usize, bool, bool, u64);

fn said() -> impl Strategy<Value = Said> {
    (0..PLACES, 0..PLACES, any::<bool>(), any::<bool>(), 0..20_u64)
}

/// The same changes in two orders, in batches of this many.
fn case() -> impl Strategy<Value = (Vec<Said>, Vec<Said>, usize)> {
    prop::collection::vec(said(), 1..40)
        .prop_flat_map(|said| (Just(said.clone()), Just(said).prop_shuffle(), 1..9_usize))
}

/// A stamp occurs once per room and user: two clocks do not make the same id.
type Standing = BTreeMap<(RoomId, UserId), Membership>;

pub(crate) async fn memberships_agree_with_a_model(store: Arc<dyn Store>) {
    let mut runner = TestRunner::default();
    let cases = case();
    for _ in 0..CASES {
        let (first, second, batch) = cases.new_tree(&mut runner).unwrap().current();
        for said in [first, second] {
            check(&*store, &said, batch).await;
        }
    }
}

async fn check(store: &dyn Store, said: &[Said], batch: usize) {
    let mut rooms: [_; PLACES] = std::array::from_fn(|_| fresh_room_id());
    let mut users: [_; PLACES] = std::array::from_fn(|_| user(&unique("u")));
    rooms.sort();
    users.sort();
    let all: Vec<_> = said
        .iter()
        .map(|&(room, user, inside, owner, seconds)| {
            let stamp = MessageId::new(after(START, seconds), rand::random());
            let role = if owner { MemberRole::Owner } else { MemberRole::Member };
            // Adds by nodes that knew of a removal, or of none.
            let known = MemberState::removal(MessageId::first_of(after(START, seconds / 4 * 2)));
            let state = match (inside, seconds % 4) {
                (true, 0) => MemberState::UNKNOWN.add(role, stamp),
                (true, _) => known.add(role, stamp),
                (false, _) => MemberState::removal(stamp),
            };
            Membership { room: rooms[room].clone(), user: users[user].clone(), state }
        })
        .collect();
    let mut standing = Standing::new();
    for part in all.chunks(batch) {
        put_all(store, part).await;
        for one in part {
            let known = standing.entry((one.room.clone(), one.user.clone()));
            let known = known.or_insert_with(|| one.clone());
            known.state = known.state.merge(one.state);
        }
        compare(store, &standing, &rooms, &users, batch).await;
    }
}

async fn compare(
    store: &dyn Store,
    standing: &Standing,
    rooms: &[RoomId],
    users: &[UserId],
    limit: usize,
) {
    for room in rooms {
        let members = standing.values().filter(|one| one.room == *room && one.is_inside());
        let walked = walk_members(store, room, limit).await.concat();
        assert_eq!(walked, members.cloned().collect::<Vec<_>>());
        for user in users {
            let expected = standing.get(&(room.clone(), user.clone()));
            assert_eq!(
                store.membership(membership_of(room, user)).await.unwrap().as_ref(),
                expected
            );
        }
    }
    for user in users {
        let expected = standing.values().filter(|one| one.user == *user);
        let found = store.memberships(rooms_of(user, 99)).await.unwrap();
        assert_eq!(found, expected.cloned().collect::<Vec<_>>());
    }
}
