//! Finds the route of a request.

use hyper::Method;

use super::percent::decode;
use crate::domain::{RoomId, UserId};
use crate::protocol::{ErrorReply, MEMBERS_BYTES_MAX, MESSAGES_BYTES_MAX};

/// What a request asks for. A segment of the path is percent-decoded once, and is the raw id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiRoute {
    /// Sends a message.
    Send,
    /// Reads a page of a conversation. It is still a text, because its meaning depends on the
    /// caller.
    History(String),
    /// Publishes events.
    Publish,
    /// Makes a room with an id that the server chooses.
    CreateRoom,
    /// Makes a room with an id that a service chooses, or changes it.
    PutRoom(RoomId),
    /// Returns a room.
    Room(RoomId),
    /// Lists a room's members.
    Members(RoomId),
    /// Adds members or changes their roles.
    PutMembers(RoomId),
    /// Adds a member or changes the member's role.
    PutMember(RoomId, UserId),
    /// Removes a member.
    RemoveMember(RoomId, UserId),
    /// Lists a user's conversations.
    Inbox(UserId),
    /// Lists the rooms that a user is in.
    UserRooms(UserId),
    /// Returns the description of every route.
    OpenApi,
    /// Returns the description of every op and frame of a session.
    AsyncApi,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misroute {
    /// No such path.
    Path,
    /// The path has other methods, these.
    Method(Vec<&'static Method>),
    /// An id in the path is malformed.
    Id(ErrorReply),
}

/// Makes a route of the ids in a path.
type Make = fn(&mut Ids<'_>) -> Result<ApiRoute, ErrorReply>;

/// A method, a path in which `{…}` is an id, and the route.
type Endpoint = (Method, &'static str, Make);

/// Every route.
pub(super) static ENDPOINTS: [Endpoint; 14] = [
    (Method::POST, "/v1/messages", |_| Ok(ApiRoute::Send)),
    (Method::GET, "/v1/conversations/{id}/messages", |ids| Ok(ApiRoute::History(ids.text()?))),
    (Method::POST, "/v1/publish", |_| Ok(ApiRoute::Publish)),
    (Method::POST, "/v1/rooms", |_| Ok(ApiRoute::CreateRoom)),
    (Method::PUT, "/v1/rooms/{id}", |ids| Ok(ApiRoute::PutRoom(ids.room()?))),
    (Method::GET, "/v1/rooms/{id}", |ids| Ok(ApiRoute::Room(ids.room()?))),
    (Method::GET, "/v1/rooms/{id}/members", |ids| Ok(ApiRoute::Members(ids.room()?))),
    (Method::PUT, "/v1/rooms/{id}/members", |ids| Ok(ApiRoute::PutMembers(ids.room()?))),
    (Method::PUT, "/v1/rooms/{id}/members/{user}", |ids| {
        Ok(ApiRoute::PutMember(ids.room()?, ids.user()?))
    }),
    (Method::DELETE, "/v1/rooms/{id}/members/{user}", |ids| {
        Ok(ApiRoute::RemoveMember(ids.room()?, ids.user()?))
    }),
    (Method::GET, "/v1/users/{id}/inbox", |ids| Ok(ApiRoute::Inbox(ids.user()?))),
    (Method::GET, "/v1/users/{id}/rooms", |ids| Ok(ApiRoute::UserRooms(ids.user()?))),
    (Method::GET, "/v1/openapi.json", |_| Ok(ApiRoute::OpenApi)),
    (Method::GET, "/v1/asyncapi.yaml", |_| Ok(ApiRoute::AsyncApi)),
];

impl ApiRoute {
    /// Returns the route of a request. HEAD has the route of GET; the connection omits the body of
    /// the answer.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Misroute> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let found = ENDPOINTS.iter().find(|(m, template, _)| m == method && fits(template, path));
        let Some((_, template, make)) = found else {
            let allowed = allowed(path);
            return Err(if allowed.is_empty() {
                Misroute::Path
            } else {
                Misroute::Method(allowed)
            });
        };
        make(&mut Ids { template: template.split('/'), path: path.split('/') })
            .map_err(Misroute::Id)
    }

    /// Returns the bound on the body of a request; none if it has no body. `frame` is the bound of
    /// most routes.
    pub(super) const fn body_max(&self, frame: usize) -> Option<usize> {
        match self {
            Self::Send => Some(MESSAGES_BYTES_MAX),
            Self::Publish | Self::CreateRoom | Self::PutRoom(_) | Self::PutMember(..) => {
                Some(frame)
            }
            Self::PutMembers(_) => Some(MEMBERS_BYTES_MAX),
            _ => None,
        }
    }
}

/// Returns the methods of a path; none if there is no such path.
pub(super) fn allowed(path: &str) -> Vec<&'static Method> {
    let fitting = ENDPOINTS.iter().filter(|(_, template, _)| fits(template, path));
    let mut methods: Vec<&Method> = fitting.map(|(method, ..)| method).collect();
    if methods.contains(&&Method::GET) {
        methods.push(&Method::HEAD);
    }
    if !methods.is_empty() {
        methods.push(&Method::OPTIONS);
    }
    methods
}

fn is_id(part: &str) -> bool {
    part.starts_with('{')
}

/// Whether a path fits a template. Fixed parts are compared as they are, because they have one
/// spelling.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if is_id(part) && !segment.is_empty() => {}
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

/// The ids of a path, in order.
pub(super) struct Ids<'a> {
    template: std::str::Split<'static, char>,
    path: std::str::Split<'a, char>,
}

impl Ids<'_> {
    fn text(&mut self) -> Result<String, ErrorReply> {
        let mut parts = self.template.by_ref().zip(self.path.by_ref());
        let segment = parts.find(|(part, _)| is_id(part)).map_or("", |(_, segment)| segment);
        decode(segment).map_err(|error| ErrorReply::bad_request(format!("the path: {error}")))
    }

    fn room(&mut self) -> Result<RoomId, ErrorReply> {
        let id = self.text()?;
        RoomId::from_raw(id.as_bytes())
            .map_err(|error| ErrorReply::bad_request(format!("the room's id in the path: {error}")))
    }

    fn user(&mut self) -> Result<UserId, ErrorReply> {
        let id = self.text()?;
        UserId::from_raw(id.as_bytes())
            .map_err(|error| ErrorReply::bad_request(format!("the user's id in the path: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn every_route_is_found() {
        let table = [
            ("POST", "/v1/messages", ApiRoute::Send),
            ("GET", "/v1/conversations/dm.a.b/messages", ApiRoute::History("dm.a.b".into())),
            ("GET", "/v1/conversations/user%2ea/messages", ApiRoute::History("user.a".into())),
            ("POST", "/v1/publish", ApiRoute::Publish),
            ("POST", "/v1/rooms", ApiRoute::CreateRoom),
            ("PUT", "/v1/rooms/r", ApiRoute::PutRoom(room("r"))),
            ("GET", "/v1/rooms/members", ApiRoute::Room(room("members"))),
            ("GET", "/v1/rooms/a%25", ApiRoute::Room(room("a%25"))),
            ("GET", "/v1/rooms/a%2fb", ApiRoute::Room(room("a%2Fb"))),
            ("GET", "/v1/users/a.b%40c/inbox", ApiRoute::Inbox(user("a%2Eb@c"))),
            ("GET", "/v1/rooms/%61b", ApiRoute::Room(room("ab"))),
            ("GET", "/v1/rooms/r/members", ApiRoute::Members(room("r"))),
            ("PUT", "/v1/rooms/r/members", ApiRoute::PutMembers(room("r"))),
            ("PUT", "/v1/rooms/r/members/u+1", ApiRoute::PutMember(room("r"), user("u+1"))),
            ("DELETE", "/v1/rooms/r/members/u", ApiRoute::RemoveMember(room("r"), user("u"))),
            ("GET", "/v1/users/u%7C/inbox", ApiRoute::Inbox(user("u|"))),
            ("GET", "/v1/users/me/rooms", ApiRoute::UserRooms(user("me"))),
            ("GET", "/v1/openapi.json", ApiRoute::OpenApi),
            ("GET", "/v1/asyncapi.yaml", ApiRoute::AsyncApi),
        ];
        for (method, path, route) in table {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(ApiRoute::find(&method, path), Ok(route), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let paths = [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v1/message",
            "/v1/messages/",
            "/v1/room",
            "/v1/rooms/",
            "//v1/rooms/r",
            "/v1/rooms/r/",
            "/v1/rooms/r/members/",
            "/v1/rooms/r/members/u/x",
            "/v1/%72ooms/r",
            "/V1/rooms/r",
            "/v2/rooms/r",
        ];
        for path in paths {
            let found = ApiRoute::find(&Method::GET, path);
            assert_eq!(found, Err(Misroute::Path), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let allowed = |path| -> Vec<&str> {
            match ApiRoute::find(&Method::PATCH, path) {
                Err(Misroute::Method(allowed)) => allowed.iter().map(|m| m.as_str()).collect(),
                other => panic!("{path}: {other:?}"),
            }
        };
        let table: [(&str, Vec<&str>); 4] = [
            ("/v1/messages", vec!["POST", "OPTIONS"]),
            ("/v1/rooms/r", vec!["PUT", "GET", "HEAD", "OPTIONS"]),
            ("/v1/rooms/r/members/u", vec!["PUT", "DELETE", "OPTIONS"]),
            ("/v1/openapi.json", vec!["GET", "HEAD", "OPTIONS"]),
        ];
        for (path, methods) in table {
            assert_eq!(allowed(path), methods, "{path}");
        }
    }

    #[test]
    fn a_bad_id_says_why() {
        let long = format!("/v1/rooms/{}", "%00".repeat(84));
        let table = [
            ("/v1/rooms/a%", "the path: `%` at byte 1 must be followed by two hex digits"),
            ("/v1/rooms/%ff", "the path: it does not decode to UTF-8"),
            (&long, "the room's id in the path: 252 bytes, at most 250 are allowed"),
        ];
        for (path, part) in table {
            match ApiRoute::find(&Method::GET, path) {
                Err(Misroute::Id(refusal)) => {
                    assert!(refusal.message.starts_with(part), "{path}: {refusal:?}");
                }
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "(/v1/(rooms|users|conversations))?[ -~]*") {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let _answered = ApiRoute::find(&method, &path);
            }
        }
    }
}
