//! Rooms, and the membership of users in them.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

use super::{MessageId, Micros, RoomId, UserId};

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Renames it, adds and removes members.
    Owner,
    /// Reads and writes.
    Member,
}

impl MemberRole {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }

    /// The role of a name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member].into_iter().find(|role| role.as_str() == name)
    }
}

/// How much of a room's past a member is shown. It is set when the room is created, and never
/// changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryVisibility {
    /// All of it.
    All,
    /// What came after the member joined; joining again moves that.
    Joined,
}

/// The most bytes of a room's data: every list of rooms carries it.
pub const ROOM_DATA_BYTES_MAX: usize = 1024;

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What people call it.
    pub title: Option<Box<str>>,
    /// What its clients keep with it: any JSON value, as text.
    pub data: Option<Box<str>>,
    /// Who made it.
    pub creator: UserId,
    /// Whether members see the time before they joined.
    pub past: HistoryVisibility,
    /// When it was created.
    pub created: MessageId,
    /// When this row was written: of two rows the one with the larger stamp stays.
    pub stamp: MessageId,
}

/// Who added a member, for counting the places that one user fills: a hash of the user's id. Two
/// users with one hash share a bound, which does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Adder(u64);

impl Adder {
    /// A service: its places are not counted.
    pub const SERVICE: Self = Self(0);

    /// A user.
    pub fn user(user: &UserId) -> Self {
        Self(xxh3_64(user.as_str().as_bytes()).max(1))
    }

    /// The adder of these bits, as [`Self::bits`] gave them.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that are stored.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// A user's membership of a room: five registers that merge by themselves.
///
/// Nodes change a membership at the same time. They learn of each other's changes in any order,
/// from the store and from notices. Each register has a rule by which one of two values stays. So
/// [`Self::merge`] gives the same result in any order and after any number of repeats:
///
/// | register | which value stays |
/// | --- | --- |
/// | `added`, `removed` | the larger stamp |
/// | `role`, with `adder` | that of the larger stamp |
/// | `joined` | that which follows the later removal; of two that follow the same one, the smaller |
///
/// The user is in the room if `added` is above `removed`. What they are owed begins above
/// [`Self::joined`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberState {
    /// The newest stamp of an add that found the user outside; [`NEVER`] if there was none.
    pub added: MessageId,
    /// The newest stamp of a removal; [`NEVER`] if there was none.
    pub removed: MessageId,
    /// The removal that `joined` follows; [`NEVER`] if the node that added knew of none.
    pub joined_after: MessageId,
    /// The smallest stamp of the adds that follow that removal; [`NEVER`] if there was none. Of two
    /// equal adds at once both are answered, and what is sent after the first answer is owed.
    pub joined: MessageId,
    /// What the member may do.
    pub role: MemberRole,
    /// Who set the role: for a member whose role never changed, who added them.
    pub adder: Adder,
    /// When the role was set.
    pub role_stamp: MessageId,
}

/// Below every stamp: this was never set.
pub const NEVER: MessageId = MessageId::first_of(Micros(0));

impl MemberState {
    /// Nothing was ever set.
    pub const UNKNOWN: Self = Self {
        added: NEVER,
        removed: NEVER,
        joined_after: NEVER,
        joined: NEVER,
        role: MemberRole::Member,
        adder: Adder::SERVICE,
        role_stamp: NEVER,
    };

    /// Whether the user is in the room.
    pub fn is_inside(&self) -> bool {
        self.added > self.removed
    }

    /// Repair, catch-up and resume send the member nothing at or below this id.
    ///
    /// It is `joined` itself, unless there was a later removal that the writer of `joined` had not
    /// seen. Then the add and the removal ran at the same time, and the add counts as directly
    /// after the removal.
    pub fn joined(&self) -> MessageId {
        self.joined.max(self.removed)
    }

    /// The newest stamp of any change.
    pub fn stamp(&self) -> MessageId {
        self.added.max(self.removed).max(self.role_stamp)
    }

    /// The state after a service adds the member, or changes the member's role.
    #[must_use]
    pub fn add(self, role: MemberRole, stamp: MessageId) -> Self {
        self.add_by(Adder::SERVICE, Some(role), stamp)
    }

    /// The state after an add, or after a change of the member's role. Without a role a member keeps
    /// the role that is held. A new member is a plain one then, unless an add at the same time names
    /// a role.
    #[must_use]
    pub fn add_by(self, adder: Adder, role: Option<MemberRole>, stamp: MessageId) -> Self {
        let with_role = match role {
            Some(role) => Self { role, adder, role_stamp: stamp, ..self },
            None if self.is_inside() => self,
            None => self.with_plain_role(adder, stamp),
        };
        if self.is_inside() {
            return with_role;
        }
        Self { added: stamp, joined: stamp, joined_after: self.removed, ..with_role }
    }

    /// The role of a new member for whom none is named. Its stamp is only just above what is known:
    /// that of an add at the same time which names a role is larger.
    fn with_plain_role(self, adder: Adder, stamp: MessageId) -> Self {
        let known = self.removed.max(self.role_stamp).time();
        let role_stamp = MessageId::first_of(Micros(known.0 + 1)).min(stamp);
        Self { role: MemberRole::Member, adder, role_stamp, ..self }
    }

    /// The state after a removal.
    #[must_use]
    pub const fn remove(self, stamp: MessageId) -> Self {
        Self { removed: stamp, ..self }
    }

    /// The joining `own`, written as one that follows the newest removal. None if nothing is to be
    /// written: `own` or a smaller one follows it already, or the removal came later. Without this,
    /// two adds of which only one knows of a removal could hide each other's joining. A role from
    /// before the removal does not come back: without a later one, the member is a plain one.
    pub fn joining_behind_removal(&self, own: MessageId, adder: Adder) -> Option<Self> {
        let joining = Self { joined_after: self.removed, joined: own, ..Self::UNKNOWN };
        let joining = if self.role_stamp < self.removed {
            let Self { role, adder, role_stamp, .. } = self.with_plain_role(adder, own);
            Self { role, adder, role_stamp, ..joining }
        } else {
            joining
        };
        let is_new = self.merge(joining) != *self;
        (self.is_inside() && self.removed < own && is_new).then_some(joining)
    }

    /// A removal alone, for a store that merges.
    pub const fn removal(stamp: MessageId) -> Self {
        Self::UNKNOWN.remove(stamp)
    }

    /// Merges two states.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let by_joined = |it: &Self| (it.joined != NEVER, it.joined_after, Reverse(it.joined));
        let by_role = |it: &Self| (it.role_stamp, it.role == MemberRole::Owner, it.adder);
        let joined = if by_joined(&other) > by_joined(&self) { other } else { self };
        let role = if by_role(&other) > by_role(&self) { other } else { self };
        Self {
            added: self.added.max(other.added),
            removed: self.removed.max(other.removed),
            joined_after: joined.joined_after,
            joined: joined.joined,
            role: role.role,
            adder: role.adder,
            role_stamp: role.role_stamp,
        }
    }
}

/// A user's membership of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
    /// The state of the membership.
    pub state: MemberState,
}

impl Membership {
    /// Whether the user is in the room.
    pub fn is_inside(&self) -> bool {
        self.state.is_inside()
    }

    /// Repair, catch-up and resume send the member nothing at or below this id.
    pub fn joined(&self) -> MessageId {
        self.state.joined()
    }

    /// The newest stamp of any change.
    pub fn stamp(&self) -> MessageId {
        self.state.stamp()
    }
}

/// The text is not a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a membership: it must be `room user added removed joined_after joined role adder \
     role_stamp`, where all but the first two, the role and the adder (a number) are ids"
)]
pub struct NotAMembership;

/// The form in which nodes send it to each other.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, user, state } = self;
        let MemberState { added, removed, joined_after, joined, role, adder, role_stamp } = state;
        let (role, adder) = (role.as_str(), adder.bits());
        write!(f, "{room} {user} {added} {removed} {joined_after} {joined}")?;
        write!(f, " {role} {adder} {role_stamp}")
    }
}

impl FromStr for Membership {
    type Err = NotAMembership;

    fn from_str(text: &str) -> Result<Self, NotAMembership> {
        let mut parts = text.split(' ');
        let membership = (|| {
            Some(Self {
                room: RoomId::parse(parts.next()?).ok()?,
                user: UserId::parse(parts.next()?).ok()?,
                state: MemberState {
                    added: parts.next()?.parse().ok()?,
                    removed: parts.next()?.parse().ok()?,
                    joined_after: parts.next()?.parse().ok()?,
                    joined: parts.next()?.parse().ok()?,
                    role: MemberRole::named(parts.next()?)?,
                    adder: Adder(parts.next()?.parse().ok()?),
                    role_stamp: parts.next()?.parse().ok()?,
                },
            })
        })();
        membership.filter(|_| parts.next().is_none()).ok_or(NotAMembership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(time: u64) -> MessageId {
        MessageId::new(Micros(time), time)
    }

    fn any_state() -> impl Strategy<Value = MemberState> {
        let stamps = (0..6_u64, 0..6_u64, 0..6_u64, 0..6_u64, 0..6_u64);
        let said = (any::<bool>(), 0..3_u64);
        (stamps, said).prop_map(|((added, removed, after, joined, role_stamp), (owner, adder))| {
            MemberState {
                added: id(added),
                removed: id(removed),
                joined_after: id(after),
                joined: id(joined),
                role: if owner { MemberRole::Owner } else { MemberRole::Member },
                adder: Adder(adder),
                role_stamp: id(role_stamp),
            }
        })
    }

    proptest! {
        #[test]
        fn a_text_gives_its_membership_back(
            (room, user) in ("[a-z]{1,9}", "[a-z]{1,9}"), state in any_state(),
        ) {
            let membership = Membership {
                room: RoomId::parse(&room).unwrap(),
                user: UserId::parse(&user).unwrap(),
                state,
            };
            prop_assert_eq!(membership.to_string().parse(), Ok(membership));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _answered = text.parse::<Membership>();
        }

        #[test]
        fn states_merge_to_the_same_in_any_order_and_however_often(
            (a, b, c) in (any_state(), any_state(), any_state()),
        ) {
            prop_assert_eq!(a.merge(a), a);
            prop_assert_eq!(a.merge(b), b.merge(a));
            prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
            prop_assert_eq!(MemberState::UNKNOWN.merge(a).is_inside(), a.is_inside());
        }
    }

    #[test]
    fn of_two_equal_adds_the_smaller_stamp_is_when_the_member_joined() {
        let first = MemberState::UNKNOWN.add(MemberRole::Member, id(10));
        let second = MemberState::UNKNOWN.add(MemberRole::Member, id(20));
        let both = first.merge(second);
        assert_eq!((both.added, both.joined()), (id(20), id(10)));
        let out = both.remove(id(30));
        assert!(!out.is_inside());
        let again = out.add(MemberRole::Owner, id(40)).merge(first).merge(second);
        assert_eq!((again.is_inside(), again.joined()), (true, id(40)));
        assert_eq!(again.role, MemberRole::Owner);
    }

    #[test]
    fn an_add_that_had_not_seen_a_removal_counts_as_directly_behind_it() {
        let first = MemberState::UNKNOWN.add(MemberRole::Member, id(10));
        let blind = MemberState::UNKNOWN.add(MemberRole::Member, id(30));
        let all = first.merge(MemberState::removal(id(20))).merge(blind);
        assert_eq!((all.is_inside(), all.joined()), (true, id(20)));
    }

    /// Two adds at once, beside a removal that only one of them had seen. The first is answered
    /// once it has found the removal; the other's stamp is larger and must not hide it.
    #[test]
    fn a_joining_is_written_again_behind_a_removal_that_it_had_not_seen() {
        let first = MemberState::UNKNOWN.add(MemberRole::Member, id(10));
        let removal = MemberState::removal(id(20));
        let blind = MemberState::UNKNOWN.add(MemberRole::Member, id(30));
        let seeing = first.merge(removal).add(MemberRole::Member, id(50));
        let stored = first.merge(removal).merge(blind);
        let joining = stored.joining_behind_removal(id(30), Adder::SERVICE).expect("it is not yet");
        assert_eq!(stored.merge(joining).merge(seeing).joined(), id(30));
        assert_eq!(stored.merge(joining).joining_behind_removal(id(30), Adder::SERVICE), None);
        assert_eq!(stored.merge(seeing).joined(), id(50), "what it is for");
        let hidden = stored.merge(seeing).joining_behind_removal(id(30), Adder::SERVICE);
        assert_eq!(hidden, Some(joining), "the other one has come first");
        assert_eq!(stored.merge(seeing).joining_behind_removal(id(50), Adder::SERVICE), None);
        assert_eq!(
            stored.joining_behind_removal(id(15), Adder::SERVICE),
            None,
            "the removal came later"
        );
    }

    /// Both found the user outside.
    #[test]
    fn of_two_adds_at_once_the_role_that_was_named_stays() {
        let outside = MemberState::UNKNOWN.add(MemberRole::Owner, id(5)).remove(id(10));
        let named = outside.add(MemberRole::Owner, id(20));
        let by_ann = Adder(7);
        for stamp in [id(15), id(25)] {
            let unnamed = outside.add_by(by_ann, None, stamp);
            assert_eq!((unnamed.role, unnamed.adder), (MemberRole::Member, by_ann), "alone");
            let both = named.merge(unnamed);
            assert_eq!((both.role, both.adder), (MemberRole::Owner, Adder::SERVICE));
            assert_eq!(both.joined(), id(20).min(stamp));
        }
        let kept = named.add_by(by_ann, None, id(30));
        assert_eq!(kept, named, "a member keeps the role that is held");
    }

    /// The add without a role had found the user outside, before another one made an owner of them.
    #[test]
    fn a_role_that_a_removal_took_does_not_come_back_by_an_add_at_the_same_time() {
        let owner = MemberState::UNKNOWN.add(MemberRole::Owner, id(10));
        let unnamed = MemberState::UNKNOWN.add_by(Adder(7), None, id(30));
        let stored = owner.merge(MemberState::removal(id(20))).merge(unnamed);
        let joining = stored.joining_behind_removal(id(30), Adder(7)).expect("it is not yet");
        let all = stored.merge(joining);
        assert_eq!((all.is_inside(), all.role, all.adder), (true, MemberRole::Member, Adder(7)));
        assert_eq!(all.joining_behind_removal(id(30), Adder(7)), None);
    }

    #[test]
    fn a_role_brings_nobody_back_and_moves_no_joining() {
        let member = MemberState::UNKNOWN.add(MemberRole::Member, id(10));
        let owner = member.add(MemberRole::Owner, id(30));
        assert_eq!((owner.added, owner.joined(), owner.role), (id(10), id(10), MemberRole::Owner));
        let removed = owner.merge(MemberState::removal(id(20)));
        assert!(!removed.is_inside(), "the removal came after the add");
        assert_eq!(removed.stamp(), id(30));
    }

    #[test]
    fn too_much_and_too_little_is_refused() {
        let one = id(5);
        let text = format!("r u {one} {one} {one} {one} owner 7 {one}");
        assert!(text.parse::<Membership>().is_ok());
        for bad in [
            String::new(),
            "r u".into(),
            format!("{text} x"),
            text.replace("owner", "boss"),
            text.replace('7', "x"),
            format!("r u {one} {one} {one} owner 7 {one}"),
            format!("r.x u {one} {one} {one} {one} owner 7 {one}"),
        ] {
            assert_eq!(bad.parse::<Membership>(), Err(NotAMembership), "{bad}");
        }
    }
}
