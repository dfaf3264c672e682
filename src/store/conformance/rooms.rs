//! Rooms and where users stand with them.

use std::slice::from_ref;

use super::queries::{members_of, membership_of, participant, read_upto, rooms_of, send_key};
use super::{Arc, START, Store, after, fresh_dm, store_at, unique, user};
use crate::domain::{
    Adder, Conversation, HistoryVisibility, MemberRole, MemberState, Membership, MessageId, Room,
    RoomId, UserId,
};

/// A stamp at so many seconds after the start.
pub(super) fn stamp(seconds: u64) -> MessageId {
    MessageId::new(after(START, seconds), rand::random())
}

pub(super) fn fresh_room_id() -> RoomId {
    RoomId::parse(&unique("r")).unwrap()
}

/// The first add of a user, or a removal without anything else.
pub(super) fn said(room: &RoomId, user: &UserId, inside: bool, seconds: u64) -> Membership {
    let stamp = stamp(seconds);
    let added = MemberState::UNKNOWN.add(MemberRole::Member, stamp);
    let state = if inside { added } else { MemberState::removal(stamp) };
    Membership { room: room.clone(), user: user.clone(), state }
}

/// The same membership in another state.
fn with(membership: &Membership, state: MemberState) -> Membership {
    Membership { state, ..membership.clone() }
}

/// Says all at once, so that a backend that batches has something to batch.
pub(super) async fn put_all(store: &dyn Store, memberships: &[Membership]) {
    let pending: Vec<_> = memberships.iter().map(|one| store.put_membership(one.clone())).collect();
    for put in pending {
        put.await.unwrap();
    }
}

/// Follows `next` to the end; every page's members.
pub(super) async fn walk_members(
    store: &dyn Store,
    room: &RoomId,
    limit: usize,
) -> Vec<Vec<Membership>> {
    let (mut pages, mut next) = (Vec::new(), None);
    loop {
        let page = store.members(members_of(room, next.as_ref(), limit)).await.unwrap();
        assert!(page.next.is_none() || page.next > next, "a walk goes on");
        pages.push(page.members);
        next = page.next;
        if next.is_none() {
            return pages;
        }
    }
}

pub(crate) async fn of_a_rooms_rows_the_larger_stamp_stays(store: Arc<dyn Store>) {
    let id = fresh_room_id();
    let made = Room {
        id: id.clone(),
        title: None,
        data: None,
        creator: user("alice"),
        past: HistoryVisibility::Joined,
        created: stamp(1),
        stamp: stamp(1),
    };
    let named = |title: &str, seconds| Room {
        title: Some(title.into()),
        data: Some(format!("{{\"n\": {seconds}}}").into()),
        stamp: stamp(seconds),
        ..made.clone()
    };
    let (first, last) = (named("Küche", 3), named("", 5));
    for (put, expected) in
        [(&first, &first), (&made, &first), (&last, &last), (&first, &last), (&last, &last)]
    {
        store.put_room(put.clone()).await.unwrap();
        assert_eq!(store.room(id.clone()).await.unwrap().as_ref(), Some(expected));
    }
}

pub(crate) async fn one_batch_may_hold_a_room_twice(store: Arc<dyn Store>) {
    let (id, creator) = (fresh_room_id(), user("alice"));
    let room = |past, seconds| Room {
        id: id.clone(),
        title: Some(format!("{seconds}").into()),
        data: None,
        creator: creator.clone(),
        past,
        created: stamp(0),
        stamp: stamp(seconds),
    };
    let rows = [4, 9, 2].map(|seconds| room(HistoryVisibility::All, seconds));
    let pending = rows.clone().map(|row| store.put_room(row));
    for put in pending {
        put.await.unwrap();
    }
    assert_eq!(store.room(id.clone()).await, Ok(Some(rows[1].clone())));
}

pub(crate) async fn a_membership_is_read_from_both_sides(store: Arc<dyn Store>) {
    let (room, who) = (fresh_room_id(), user(&unique("u")));
    let owner = said(&room, &who, true, 4);
    let owner = with(&owner, owner.state.add(MemberRole::Owner, stamp(5)));
    let left = with(&owner, owner.state.remove(stamp(6)));
    for (put, members) in [(&owner, vec![owner.clone()]), (&left, vec![])] {
        store.put_membership(put.clone()).await.unwrap();
        assert_eq!(store.membership(membership_of(&room, &who)).await.unwrap().as_ref(), Some(put));
        assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), from_ref(put));
        let page = store.members(members_of(&room, None, 9)).await.unwrap();
        assert_eq!((page.members, page.next), (members, None));
    }
}

/// Two nodes add a user who left, in either order: one names a role, and the other none. The user's
/// list may have lost the room meanwhile.
pub(crate) async fn of_adds_at_once_the_role_that_was_named_stays(store: Arc<dyn Store>) {
    for (named_at, unnamed_at) in [(7, 8), (8, 7)] {
        let (room, who) = (fresh_room_id(), user(&unique("u")));
        let added = said(&room, &who, true, 1);
        let left = with(&added, added.state.remove(stamp(3)));
        store.put_membership(left.clone()).await.unwrap();
        store.unlist(left.clone()).await.unwrap();
        let named = with(&left, left.state.add(MemberRole::Owner, stamp(named_at)));
        let unnamed = left.state.add_by(Adder::SERVICE, None, stamp(unnamed_at));
        put_all(&*store, &[named, with(&left, unnamed)]).await;
        let stored = store.membership(membership_of(&room, &who)).await.unwrap().unwrap();
        assert_eq!((stored.is_inside(), stored.state.role), (true, MemberRole::Owner));
        let listed = store.memberships(rooms_of(&who, 9)).await.unwrap();
        assert_eq!(listed[0].state.role, MemberRole::Owner, "on the user's list");
    }
}

pub(crate) async fn memberships_only_move_forward(store: Arc<dyn Store>) {
    // Nodes say it in some order, and it arrives in another: registers merge.
    let (room, who) = (fresh_room_id(), user(&unique("u")));
    let added = said(&room, &who, true, 1);
    let removed = said(&room, &who, false, 3);
    let out = with(&added, added.state.merge(removed.state));
    let again = with(&out, out.state.add(MemberRole::Member, stamp(7)));
    let late = said(&room, &who, false, 5);
    let whole = with(&again, again.state.merge(late.state));
    for (put, expected) in [
        (&removed, &removed),
        (&added, &out),
        (&again, &again),
        (&late, &whole),
        (&removed, &whole),
        (&added, &whole),
        (&again, &whole),
    ] {
        store.put_membership(put.clone()).await.unwrap();
        assert_eq!(
            store.membership(membership_of(&room, &who)).await.unwrap().as_ref(),
            Some(expected)
        );
        assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), from_ref(expected));
        let page = store.members(members_of(&room, None, 9)).await.unwrap();
        assert_eq!(page.members.len(), usize::from(expected.is_inside()));
    }
    assert_eq!(whole.joined(), again.state.joined, "the late removal lies below");
}

/// What a removal followed goes with it. An add that follows it stays, whichever comes first.
pub(crate) async fn a_room_that_was_left_goes_off_the_list(store: Arc<dyn Store>) {
    for is_back_before in [false, true] {
        let (room, who) = (fresh_room_id(), user(&unique("u")));
        let added = said(&room, &who, true, 1);
        let out = with(&added, added.state.remove(stamp(5)));
        store.put_membership(added.clone()).await.unwrap();
        store.put_membership(out.clone()).await.unwrap();
        let back =
            with(&out, out.state.add_by(Adder::user(&who), Some(MemberRole::Owner), stamp(7)));
        let is_back = || store.put_membership(back.clone());
        if is_back_before {
            is_back().await.unwrap();
            store.unlist(out.clone()).await.unwrap();
        } else {
            store.unlist(out.clone()).await.unwrap();
            store.unlist(out.clone()).await.unwrap();
            assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), []);
            assert_eq!(
                store.membership(membership_of(&room, &who)).await.unwrap(),
                Some(out.clone())
            );
            store.put_membership(out.clone()).await.unwrap();
            assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), [], "it is no news");
            is_back().await.unwrap();
        }
        let listed = store.memberships(rooms_of(&who, 9)).await.unwrap();
        assert!(listed.len() == 1 && listed[0].is_inside(), "{listed:?}");
        assert_eq!(listed[0].joined(), back.joined());
        assert_eq!(listed[0].state.adder, Adder::user(&who));
        assert_eq!(store.membership(membership_of(&room, &who)).await.unwrap(), Some(back));
    }
}

/// Of adds that follow the same removal the smaller stamp is when the member joined, in any order
/// of arrival. Those that follow a later removal begin anew, with larger stamps.
pub(crate) async fn of_equal_adds_the_smallest_is_when_the_member_joined(store: Arc<dyn Store>) {
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 4, 1, 3], [3, 1, 4, 0, 5, 2]] {
        let (room, who) = (fresh_room_id(), user(&unique("u")));
        let put = |state| Membership { room: room.clone(), user: who.clone(), state };
        let first = MemberState::UNKNOWN;
        let gone = first.add(MemberRole::Member, stamp(1)).remove(stamp(5));
        let states = [
            first.add(MemberRole::Member, stamp(1)),
            first.add(MemberRole::Member, stamp(2)),
            MemberState::removal(gone.removed),
            gone.add(MemberRole::Member, stamp(8)),
            gone.add(MemberRole::Owner, stamp(7)),
            gone.add(MemberRole::Member, stamp(9)),
        ];
        let mut merged = MemberState::UNKNOWN;
        for state in order.map(|at| states[at]) {
            merged = merged.merge(state);
            store.put_membership(put(state)).await.unwrap();
            let found = store.membership(membership_of(&room, &who)).await.unwrap().unwrap().state;
            assert_eq!(found, merged, "{order:?}");
        }
        assert_eq!(merged.joined(), states[4].joined);
        assert_eq!(store.memberships(rooms_of(&who, 9)).await.unwrap(), [put(merged)]);
    }
}

pub(crate) async fn members_are_walked_once_past_those_who_left(store: Arc<dyn Store>) {
    let room = fresh_room_id();
    let members: Vec<_> = (0..10)
        .map(|n| said(&room, &user(&format!("u{n}")), !(3..7).contains(&n) && n != 9, 1))
        .collect();
    put_all(&*store, &members).await;
    let inside: Vec<_> = members.into_iter().filter(Membership::is_inside).collect();
    for limit in 0..12 {
        let pages = walk_members(&*store, &room, limit).await;
        assert!(pages.iter().all(|page| page.len() <= limit.max(1)), "by {limit}");
        assert_eq!(pages.concat(), inside, "by {limit}");
    }
    let two = store.members(members_of(&room, Some(&user("u2")), 2)).await.unwrap();
    assert_eq!((two.members, two.next), (vec![], Some(user("u4"))), "leavers are looked at");
    let between = store.members(members_of(&room, Some(&user("u6x")), 9)).await.unwrap();
    assert_eq!(between.members, inside[3..], "the bound need not be a member's id");
}

pub(crate) async fn memberships_are_rooms_alone_and_bounded(store: Arc<dyn Store>) {
    let who = user(&unique("u"));
    let mut rooms: Vec<_> = (0..5).map(|_| fresh_room_id()).collect();
    rooms.sort();
    let said = [4, 0, 3, 1, 2].map(|n: usize| said(&rooms[n], &who, n != 2, 1));
    put_all(&*store, &said).await;
    let direct = Conversation::between(&who, &user("z"));
    store_at(&*store, &direct, &[(0, 1)]).await;
    for limit in [0, 3, 5, 6] {
        let found = store.memberships(rooms_of(&who, limit)).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|membership| membership.room).collect();
        assert_eq!(found, rooms[..limit.min(5)]);
    }
    let room = Conversation::Room(rooms[0].clone());
    assert_eq!(store.is_member(participant(&who, &direct)).await, Ok(true));
    assert_eq!(
        store.is_member(participant(&who, &room)).await,
        Ok(false),
        "it asks for direct ones"
    );
}

pub(crate) async fn rooms_that_were_never_there_are_empty(store: Arc<dyn Store>) {
    let (room, who) = (fresh_room_id(), user(&unique("u")));
    assert_eq!(store.room(room.clone()).await, Ok(None));
    assert_eq!(store.head(room.clone()).await, Ok(None));
    assert_eq!(store.membership(membership_of(&room, &who)).await, Ok(None));
    assert_eq!(store.memberships(rooms_of(&who, 9)).await, Ok(vec![]));
    let page = store.members(members_of(&room, None, 9)).await.unwrap();
    assert_eq!((page.members, page.next), (vec![], None));
    for conversation in [Conversation::Room(room), fresh_dm()] {
        assert_eq!(store.read_mark(participant(&who, &conversation)).await, Ok(None));
    }
    assert_eq!(store.idempotency(send_key(&who, "n")).await, Ok(None));
}

pub(crate) async fn rooms_and_users_that_begin_alike_are_apart(store: Arc<dyn Store>) {
    let (base, tails) = (unique("x"), ["", "0", "c", "~", "|"]);
    let names = tails.map(|tail| format!("{base}{tail}"));
    let rooms = names.clone().map(|name| RoomId::parse(&name).unwrap());
    let users = names.map(|name| user(&name));
    // In the room of the same number each user is alone, and is in no other room.
    let own: Vec<_> = (0..)
        .zip(rooms.iter().zip(&users))
        .map(|(n, (room, user))| said(room, user, true, n))
        .collect();
    put_all(&*store, &own).await;
    for (n, (room, user)) in (0..).zip(rooms.iter().zip(&users)) {
        let conversation = Conversation::Room(room.clone());
        let sent = store_at(&*store, &conversation, &[(n, 1)]).await;
        store.mark_read(read_upto(user, &conversation, sent[0].id)).await.unwrap();
    }
    for (n, (room, user)) in (0..).zip(rooms.iter().zip(&users)) {
        let mine: &Membership = &own[n as usize];
        assert_eq!(store.members(members_of(room, None, 9)).await.unwrap().members, from_ref(mine));
        assert_eq!(store.memberships(rooms_of(user, 9)).await.unwrap(), from_ref(mine));
        let conversation = Conversation::Room(room.clone());
        let newest = store.head(room.clone()).await.unwrap().unwrap();
        assert_eq!(newest.time(), after(START, n));
        assert_eq!(store.read_mark(participant(user, &conversation)).await, Ok(Some(newest)));
    }
}
