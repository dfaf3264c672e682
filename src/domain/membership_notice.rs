//! What nodes tell each other of a change of a membership.

use std::fmt;
use std::str::FromStr;

use super::{Membership, NotAMembership, UserId};

/// Parts of a membership's text.
const MEMBERSHIP_PARTS: usize = 9;

/// Stands for a service, which is no user. No user id has a dot.
const SERVICE: &str = ".";

/// A change of a membership, with what the member is told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipNotice {
    /// The membership as it is now.
    pub membership: Membership,
    /// The user who changed it; none if a service did.
    pub by: Option<UserId>,
    /// The room's title.
    pub title: Option<Box<str>>,
}

/// The form in which nodes send it to each other: the membership, who changed it, and the title to
/// the end of the text.
impl fmt::Display for MembershipNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { membership, by, title } = self;
        write!(f, "{membership} {}", by.as_ref().map_or(SERVICE, UserId::as_str))?;
        title.iter().try_for_each(|title| write!(f, " {title}"))
    }
}

impl FromStr for MembershipNotice {
    type Err = NotAMembership;

    fn from_str(text: &str) -> Result<Self, NotAMembership> {
        let end = text.match_indices(' ').nth(MEMBERSHIP_PARTS - 1).ok_or(NotAMembership)?.0;
        let (membership, rest) = (&text[..end], &text[end + 1..]);
        let (by, title) = match rest.split_once(' ') {
            Some((by, title)) => (by, Some(title.into())),
            None => (rest, None),
        };
        let by = match by {
            SERVICE => None,
            user => Some(UserId::parse(user).map_err(|_| NotAMembership)?),
        };
        Ok(Self { membership: membership.parse()?, by, title })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberRole, MemberState, MessageId, Micros, RoomId};
    use proptest::prelude::*;

    fn membership() -> Membership {
        Membership {
            room: RoomId::parse("r").unwrap(),
            user: UserId::parse("bob").unwrap(),
            state: MemberState::UNKNOWN.add(MemberRole::Owner, MessageId::first_of(Micros(5))),
        }
    }

    proptest! {
        #[test]
        fn a_text_gives_its_notice_back(
            by in prop::option::of("[a-z-]{1,9}"),
            title in prop::option::of(".{1,20}"),
        ) {
            let by = by.map(|by| UserId::parse(&by).unwrap());
            let title = title.map(Into::into);
            let notice = MembershipNotice { membership: membership(), by, title };
            prop_assert_eq!(notice.to_string().parse(), Ok(notice));
        }

        #[test]
        fn any_text_is_answered(text in "[a-z0-9 .]{0,80}") {
            let _answered = text.parse::<MembershipNotice>();
        }
    }

    /// Nodes of the version before write and read the same.
    #[test]
    fn golden_texts() {
        let told = "r bob 00000000-0000-7014-8000-000000000000 00000000-0000-7000-8000-000000000000 \
                    00000000-0000-7000-8000-000000000000 00000000-0000-7014-8000-000000000000 \
                    owner 0 00000000-0000-7014-8000-000000000000";
        let by = Some(UserId::parse("ann").unwrap());
        let title = Some("Tea & cake".into());
        for (notice, golden) in [
            (MembershipNotice { membership: membership(), by: None, title: None }, " ."),
            (MembershipNotice { membership: membership(), by, title }, " ann Tea & cake"),
        ] {
            let golden = format!("{told}{golden}");
            assert_eq!(notice.to_string(), golden);
            assert_eq!(golden.parse(), Ok(notice));
        }
    }

    #[test]
    fn a_membership_alone_is_no_notice() {
        let text = membership().to_string();
        assert_eq!(text.parse::<MembershipNotice>(), Err(NotAMembership));
        assert_eq!(format!("{text} a.b").parse::<MembershipNotice>(), Err(NotAMembership));
        assert!(format!("{text} .").parse::<MembershipNotice>().is_ok());
    }
}
