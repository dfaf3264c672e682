//! The frames of a change of a membership.

use serde::Serialize;

use crate::domain::{MemberRole, MembershipNotice};

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// The user joined.
    Joined,
    /// The user left, or was removed.
    Left,
    /// The member has another role.
    Role,
}

/// A room as an entry of its new member's inbox.
#[derive(Debug, Clone, Serialize)]
struct JoinedRoom<'a> {
    conversation: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

/// A change of one user's membership of a room.
#[derive(Debug, Clone, Serialize)]
pub struct MemberNews<'a> {
    conversation: String,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<MemberRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<JoinedRoom<'a>>,
}

impl<'a> MemberNews<'a> {
    /// What the members of the room are told. The same change has the same time whenever it is
    /// told.
    pub fn of(notice: &'a MembershipNotice, change: MemberChange) -> Self {
        let state = &notice.membership.state;
        let at = match change {
            MemberChange::Joined => state.joined(),
            MemberChange::Left => state.removed,
            MemberChange::Role => state.role_stamp,
        };
        Self {
            conversation: format!("room.{}", notice.membership.room),
            user: notice.membership.user.as_str(),
            role: (change != MemberChange::Left).then_some(state.role),
            by: notice.by.as_ref().map(|by| by.as_str()),
            at: at.time().millis(),
            entry: None,
        }
    }

    /// The same for a new member, who gets the room's entry of the inbox.
    #[must_use]
    pub fn with_entry(self, title: Option<&'a str>) -> Self {
        let conversation = self.conversation.clone();
        Self { entry: Some(JoinedRoom { conversation, kind: "room", title }), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberState, Membership, MessageId, Micros, RoomId, UserId};
    use crate::protocol::ServerFrame;

    #[test]
    fn golden_frames() {
        let id = |millis: u64| MessageId::first_of(Micros(millis * 1000));
        let user = |id| UserId::parse(id).unwrap();
        let state =
            MemberState::UNKNOWN.add(MemberRole::Member, id(1)).add(MemberRole::Owner, id(2));
        let membership = Membership {
            room: RoomId::parse("r").unwrap(),
            user: user("bob"),
            state: state.remove(id(3)),
        };
        let notice =
            MembershipNotice { membership, by: Some(user("ann")), title: Some("R".into()) };
        let told = |change| ServerFrame::of_member(MemberNews::of(&notice, change), change).text();
        assert_eq!(
            told(MemberChange::Left),
            r#"{"op":"left","conversation":"room.r","user":"bob","by":"ann","at":3}"#
        );
        assert_eq!(
            told(MemberChange::Role),
            r#"{"op":"member","conversation":"room.r","user":"bob","role":"owner","by":"ann","at":2}"#
        );
        let inside = Membership { state, ..notice.membership };
        let notice = MembershipNotice { membership: inside, by: None, ..notice };
        let news = MemberNews::of(&notice, MemberChange::Joined).with_entry(Some("R"));
        assert_eq!(
            ServerFrame::of_member(news, MemberChange::Joined).text(),
            r#"{"op":"joined","conversation":"room.r","user":"bob","role":"owner","at":1,"entry":{"conversation":"room.r","kind":"room","title":"R"}}"#
        );
    }
}
