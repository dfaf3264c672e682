//! `/v1/rooms/{id}/members`.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::{Answer, ApiCall};
use crate::domain::{MemberRole, Membership, RoomId, UserId};
use crate::http::problem::json;
use crate::protocol::{Code, ErrorReply, MemberBody, MembersBody, Retry};

/// Most members in a page.
const LIMIT_MAX: usize = 1000;

/// Members in a page if the caller gives no limit.
const LIMIT_DEFAULT: usize = 100;

#[derive(Serialize)]
struct MemberDocument<'a> {
    user: &'a str,
    role: MemberRole,
    joined_at: u64,
}

#[derive(Serialize)]
struct Members<'a> {
    members: Vec<MemberDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Outcomes<'a> {
    members: Vec<Outcome<'a>>,
}

/// The outcome for one of several members.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Added(MemberDocument<'a>),
    Refused { user: &'a str, code: Code, detail: &'a str, retry: Retry },
}

impl<'a> Outcome<'a> {
    fn of(user: &'a UserId, outcome: &'a Result<Membership, ErrorReply>) -> Self {
        match outcome {
            Ok(membership) => Self::Added(membership.into()),
            Err(ErrorReply { code, message: detail, .. }) => {
                Self::Refused { user: user.as_str(), code: *code, detail, retry: code.retry() }
            }
        }
    }
}

impl<'a> From<&'a Membership> for MemberDocument<'a> {
    fn from(membership: &'a Membership) -> Self {
        let Membership { user, state, .. } = membership;
        Self { user: user.as_str(), role: state.role, joined_at: state.joined().time().millis() }
    }
}

/// Lists a page of members, in the order of their ids.
pub(super) async fn list(mut call: ApiCall<'_>, room: RoomId) -> Answer {
    let after = call.query.user_id("page")?;
    let limit = call.query.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    call.query.finish()?;
    let (key, caller) = (call.key_for(&room), call.caller());
    let page =
        call.ask(&key, move |router| router.list_members(caller, room, after, limit)).await?;
    let members = page.members.iter().map(MemberDocument::from).collect();
    let next = page.next.as_ref().map(UserId::as_str);
    Ok(json(StatusCode::OK, &Members { members, next }))
}

/// Adds a member, or changes the member's role.
pub(super) async fn put(call: ApiCall<'_>, room: RoomId, user: UserId) -> Answer {
    call.query.finish()?;
    let MemberBody { role } = MemberBody::read(&call.text, call.bounds())?;
    let (key, caller) = (call.key_for(&room), call.caller());
    let member = call.ask(&key, move |router| router.put_member(caller, room, user, role)).await?;
    Ok(json(StatusCode::OK, &MemberDocument::from(&member)))
}

/// Adds members, or changes their roles: each has its own answer.
pub(super) async fn put_all(call: ApiCall<'_>, room: RoomId) -> Answer {
    call.query.finish()?;
    let MembersBody { members } = MembersBody::read(&call.text, call.bounds())?;
    let (key, caller) = (call.key_for(&room), call.caller());
    let added = call.ask(&key, move |router| router.put_members(caller, room, members)).await?;
    let members = added.iter().map(|(user, outcome)| Outcome::of(user, outcome)).collect();
    Ok(json(StatusCode::OK, &Outcomes { members }))
}

/// Removes a member.
pub(super) async fn remove(call: ApiCall<'_>, room: RoomId, user: UserId) -> Answer {
    call.query.finish()?;
    let (key, caller) = (call.key_for(&room), call.caller());
    call.ask(&key, move |router| router.remove_member(caller, room, user)).await?;
    let mut response = Response::new(Full::<Bytes>::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MemberState, MessageId, Micros};

    #[test]
    fn golden_document() {
        let membership = Membership {
            room: RoomId::parse("r").unwrap(),
            user: UserId::parse("bob").unwrap(),
            state: MemberState::UNKNOWN
                .add(MemberRole::Owner, MessageId::first_of(Micros(1_795_492_901_650_123))),
        };
        let members = vec![MemberDocument::from(&membership)];
        let page = Members { members, next: None };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"members":[{"user":"bob","role":"owner","joined_at":1795492901650}]}"#
        );
        let refused = Err(ErrorReply::new(Code::LimitReached, "too many"));
        let added = Ok(membership.clone());
        let members =
            [&added, &refused].map(|outcome| Outcome::of(&membership.user, outcome)).into();
        assert_eq!(
            serde_json::to_string(&Outcomes { members }).unwrap(),
            r#"{"members":[{"user":"bob","role":"owner","joined_at":1795492901650},{"user":"bob","code":"limit_reached","detail":"too many","retry":"later"}]}"#
        );
    }
}
