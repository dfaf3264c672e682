//! `/v1/rooms` and `/v1/rooms/{id}`.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, ApiCall};
use crate::domain::{
    Conversation, HistoryVisibility, MemberRole, Membership, Room, RoomId, RoutingKey, UserId,
};
use crate::http::problem::json;
use crate::ops::RoomWish;
use crate::protocol::{Code, ErrorReply, RoomBody, stored_json};
use crate::worker_call::Caller;

/// Most rooms in a page.
const LIMIT_MAX: usize = 100;

/// Rooms in a page if the caller gives no limit.
const LIMIT_DEFAULT: usize = 50;

#[derive(Serialize)]
struct RoomDocument<'a> {
    id: &'a str,
    conversation: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    history_visibility: HistoryVisibility,
    creator: &'a str,
    created_at: u64,
}

impl<'a> From<&'a Room> for RoomDocument<'a> {
    fn from(room: &'a Room) -> Self {
        let conversation = Conversation::Room(room.id.clone());
        Self {
            id: room.id.as_str(),
            conversation: conversation.to_string(),
            kind: conversation.kind(),
            title: room.title.as_deref(),
            data: room.data.as_deref().and_then(stored_json),
            history_visibility: room.past,
            creator: room.creator.as_str(),
            created_at: room.created.time().millis(),
        }
    }
}

/// A room that a user is in, and the user's part in it.
#[derive(Serialize)]
struct UserRoomDocument<'a> {
    #[serde(flatten)]
    room: RoomDocument<'a>,
    role: MemberRole,
    joined_at: u64,
}

#[derive(Serialize)]
struct UserRooms<'a> {
    rooms: Vec<UserRoomDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

impl<'a> UserRoomDocument<'a> {
    fn of(room: &'a Room, member: &Membership) -> Self {
        let joined_at = member.joined().time().millis();
        Self { room: RoomDocument::from(room), role: member.state.role, joined_at }
    }
}

/// Lists a page of the rooms that a user is in, in the order of their ids.
pub(super) async fn list_of(mut call: ApiCall<'_>, user: UserId) -> Answer {
    let after = call.query.room_id("page")?;
    let limit = call.query.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    call.query.finish()?;
    let user = call.user_in_path(user)?;
    let (key, caller) = (RoutingKey::user(&user), call.caller());
    let page = call.ask(&key, move |router| router.rooms_for(caller, user, after, limit)).await?;
    let rooms = page.rooms.iter().map(|(room, member)| UserRoomDocument::of(room, member));
    let next = page.next.as_ref().map(RoomId::as_str);
    Ok(json(StatusCode::OK, &UserRooms { rooms: rooms.collect(), next }))
}

/// Makes a room with an id that the server chooses.
pub(super) async fn create(call: ApiCall<'_>) -> Answer {
    call.query.finish()?;
    let (wish, caller) = (wish(&call)?, call.caller());
    let key = RoutingKey::user(caller.user());
    let room = call.ask(&key, move |router| router.create_room(caller, wish)).await?;
    Ok(json(StatusCode::CREATED, &RoomDocument::from(&room)))
}

/// Reads from the body what the room is to be.
fn wish(call: &ApiCall<'_>) -> Result<RoomWish, ErrorReply> {
    let RoomBody { title, data, past, owner } = RoomBody::read(&call.text, call.bounds())?;
    if owner.is_some() && matches!(call.caller(), Caller::User(_)) {
        let message = "`owner` is for services: users own the rooms that they make";
        return Err(ErrorReply::new(Code::Forbidden, message));
    }
    Ok(RoomWish { title, data, past, owner })
}

/// Makes a room with an id that a service chooses, or changes one.
pub(super) async fn put(call: ApiCall<'_>, room: RoomId) -> Answer {
    call.query.finish()?;
    let (wish, caller) = (wish(&call)?, call.caller());
    let key = call.key_for(&room);
    let (room, made) = call.ask(&key, move |router| router.put_room(caller, room, wish)).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &RoomDocument::from(&room)))
}

/// Returns a room.
pub(super) async fn look(call: ApiCall<'_>, room: RoomId) -> Answer {
    call.query.finish()?;
    let (key, caller) = (call.key_for(&room), call.caller());
    let room = call.ask(&key, move |router| router.look_at_room(caller, room)).await?;
    Ok(json(StatusCode::OK, &RoomDocument::from(&room)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, Micros, UserId};

    #[test]
    fn golden_document() {
        let room = |title: Option<&str>, past| Room {
            id: RoomId::parse("r%2F1").unwrap(),
            title: title.map(Into::into),
            data: title.map(|_| r#"{"a":1}"#.into()),
            creator: UserId::parse("alice").unwrap(),
            past,
            created: MessageId::first_of(Micros(1_795_492_901_650_123)),
            stamp: MessageId::first_of(Micros(0)),
        };
        let text = |room| serde_json::to_string(&RoomDocument::from(&room)).unwrap();
        assert_eq!(
            text(room(Some("T"), HistoryVisibility::Joined)),
            r#"{"id":"r%2F1","conversation":"room.r%2F1","kind":"room","title":"T","data":{"a":1},"history_visibility":"joined","creator":"alice","created_at":1795492901650}"#
        );
        assert!(
            text(room(None, HistoryVisibility::All))
                .contains(r#""kind":"room","history_visibility":"all""#)
        );
    }
}
