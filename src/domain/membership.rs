//! Rooms, and where users stand with them.

use std::fmt;
use std::str::FromStr;

use super::{MessageId, RoomId, UserId};

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Renames it, adds and removes members.
    Owner,
    /// Reads and writes.
    Member,
}

impl Role {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}

/// How much of a room's past a member is shown. Set when the room is made, never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Past {
    /// All of it.
    All,
    /// What came after he joined; joining again moves that.
    Joined,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What people call it.
    pub title: Option<Box<str>>,
    /// Who made it.
    pub creator: UserId,
    /// What members see of the time before they joined.
    pub past: Past,
    /// When it was made.
    pub created: MessageId,
    /// When this row was written: of two rows the one with the larger stamp stays.
    pub stamp: MessageId,
}

/// Where a user stands with a room. Rows are never deleted: of two the one with the larger stamp
/// counts, whatever order they are seen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
    /// Whether he is in it.
    pub inside: bool,
    /// What he may do while he is.
    pub role: Role,
    /// When he joined last: nothing at or below it is his by repair, catch-up or resume.
    pub joined: MessageId,
    /// When this was said, by the clock of ids.
    pub stamp: MessageId,
}

/// A text is no membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no membership: it must be `room user in|out role joined stamp`")]
pub struct NotAMembership;

/// As nodes tell each other.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, user, inside, role, joined, stamp } = self;
        let state = if *inside { "in" } else { "out" };
        write!(f, "{room} {user} {state} {} {joined} {stamp}", role.as_str())
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
                inside: match parts.next()? {
                    "in" => true,
                    "out" => false,
                    _ => return None,
                },
                role: match parts.next()? {
                    "owner" => Role::Owner,
                    "member" => Role::Member,
                    _ => return None,
                },
                joined: parts.next()?.parse().ok()?,
                stamp: parts.next()?.parse().ok()?,
            })
        })();
        membership.filter(|_| parts.next().is_none()).ok_or(NotAMembership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Micros;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_gives_its_membership_back(
            (room, user) in ("[a-z%]{0,1}[a-z]{1,9}", "[a-z]{1,9}"),
            (inside, owner) in (any::<bool>(), any::<bool>()),
            (joined, stamp) in (0..1_u64 << 50, 0..1_u64 << 50),
        ) {
            prop_assume!(!room.contains('%'));
            let membership = Membership {
                room: RoomId::parse(&room).unwrap(),
                user: UserId::parse(&user).unwrap(),
                inside,
                role: if owner { Role::Owner } else { Role::Member },
                joined: MessageId::new(Micros(joined), 7),
                stamp: MessageId::new(Micros(stamp), 9),
            };
            prop_assert_eq!(membership.to_string().parse(), Ok(membership));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _answered = text.parse::<Membership>();
        }
    }

    #[test]
    fn too_much_and_too_little_is_refused() {
        let id = MessageId::first_of(Micros(5));
        let whole = format!("r u in owner {id} {id}");
        assert!(whole.parse::<Membership>().is_ok());
        assert_eq!(format!("{whole} x").parse::<Membership>(), Err(NotAMembership));
        assert_eq!(format!("r u up owner {id} {id}").parse::<Membership>(), Err(NotAMembership));
        assert_eq!(format!("r u in owner {id}").parse::<Membership>(), Err(NotAMembership));
    }
}
