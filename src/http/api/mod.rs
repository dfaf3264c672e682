//! The HTTP API: what a request passes before and after its route, one file per resource.

mod call;
mod conversations;
mod descriptions;
mod inbox;
mod members;
mod messages;
mod publish;
mod rooms;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use self::call::ApiCall;
use self::descriptions::{ASYNCAPI, Description, OPENAPI};
use super::bearer::bearer_of;
use super::cors::{Origins, list, options};
use super::handshake::Handshake;
use super::intake::{self, IntakeBounds};
use super::problem::Problem;
use super::query::Query;
use super::route::{ApiRoute, Misroute, allowed};
use crate::auth::Principal;
use crate::domain::UserId;
use crate::health::Readiness;
use crate::limiter::KeyedPermits;
use crate::ops::Router;
use crate::protocol::{Code, ErrorReply};
use crate::services::Services;
use crate::worker_call::{Caller, WorkerCalls};

/// When a request that found all places taken may come again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// A route's answer.
type Answer = Result<Response<Full<Bytes>>, Problem>;

/// The HTTP API at one worker's end of the clients' listener.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) services: Arc<Services>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) worker_calls: WorkerCalls<Rc<Router>>,
    pub(super) origins: Origins,
    pub(super) users: Arc<KeyedPermits<UserId>>,
    pub(super) body: Duration,
}

impl Api {
    /// Answers a request.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        handshake: &Handshake,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let answered = self.answer(&head, body, handshake).await;
        let mut response = answered.unwrap_or_else(Problem::response);
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().entry(CACHE_CONTROL).or_insert(no_store);
        self.origins.dress(head.headers.get(ORIGIN), &mut response);
        self.services.metrics.listeners.http_answer(response.status().as_u16());
        response
    }

    async fn answer(&self, head: &Parts, body: Incoming, handshake: &Handshake) -> Answer {
        if !self.origins.allow(&head.headers) {
            return Err(Origins::refusal().into());
        }
        let path = head.uri.path();
        if head.method == Method::OPTIONS && !allowed(path).is_empty() {
            return Ok(options(&allowed(path)));
        }
        let route = ApiRoute::find(&head.method, path)?;
        let description = Description::of(&route);
        if let Some(description) = description
            && !head.headers.contains_key(AUTHORIZATION)
        {
            return description.answer(head, &body);
        }
        let principal = self.authenticate(&head.headers)?;
        handshake.identify(&principal, &self.users)?;
        if let Some(description) = description {
            return description.answer(head, &body);
        }
        let call = self.admit(&route, head, body, principal).await?;
        dispatch(route, call).await
    }

    /// Admits a request. It holds its permit from its header to the end of its work, so this also
    /// bounds the bodies that are arriving.
    async fn admit(
        &self,
        route: &ApiRoute,
        head: &Parts,
        body: Incoming,
        principal: Principal,
    ) -> Result<ApiCall<'_>, Problem> {
        if let Some(state) = self.readiness.refusal() {
            let detail = format!("the node takes no requests: it is {state}");
            return Err(Problem::from(ErrorReply::new(Code::Unavailable, detail)).closing());
        }
        let query = Query::read(head.uri.query())?;
        let admission = self.worker_calls.admit(&Caller::of(&principal)).map_err(full)?;
        let text =
            if let Some(bytes) = route.body_max(self.services.config.limits.frame_bytes as usize) {
                let bounds = IntakeBounds { bytes, time: self.body };
                intake::read(&head.headers, body, bounds).await?
            } else {
                intake::refuse(&body)?;
                String::new()
            };
        let key = match route {
            ApiRoute::Send => call::idempotency_key(&head.headers)?,
            _ => None,
        };
        let effect = call::effect_of(&head.method);
        Ok(ApiCall { api: self, principal, admission, effect, query, text, key })
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let challenge = |refusal: ErrorReply, value| {
            Problem::from(refusal).with(WWW_AUTHENTICATE, HeaderValue::from_static(value))
        };
        let Some(token) = bearer_of(headers) else {
            let detail = "one header `Authorization: Bearer <token>` is required";
            return Err(challenge(ErrorReply::new(Code::Unauthorized, detail), "Bearer"));
        };
        let identified = self.services.identify(token);
        identified.map_err(|refusal| challenge(refusal, "Bearer error=\"invalid_token\""))
    }
}

/// Refuses a caller who has all the requests that it may have, or any caller if the node has no
/// permit left.
fn full(refusal: ErrorReply) -> Problem {
    let status = match refusal.code {
        Code::LimitReached => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refusal.code, refusal.message).retry_after(FULL_PAUSE).closing()
}

async fn dispatch(route: ApiRoute, call: ApiCall<'_>) -> Answer {
    match route {
        ApiRoute::Send => messages::send(call).await,
        ApiRoute::History(conversation) => conversations::history(call, &conversation).await,
        ApiRoute::Publish => publish::publish(call).await,
        ApiRoute::CreateRoom => rooms::create(call).await,
        ApiRoute::PutRoom(room) => rooms::put(call, room).await,
        ApiRoute::Room(room) => rooms::look(call, room).await,
        ApiRoute::Members(room) => members::list(call, room).await,
        ApiRoute::PutMembers(room) => members::put_all(call, room).await,
        ApiRoute::PutMember(room, user) => members::put(call, room, user).await,
        ApiRoute::RemoveMember(room, user) => members::remove(call, room, user).await,
        ApiRoute::Inbox(user) => inbox::list(call, user).await,
        ApiRoute::UserRooms(user) => rooms::list_of(call, user).await,
        ApiRoute::OpenApi => Ok(OPENAPI.document()),
        ApiRoute::AsyncApi => Ok(ASYNCAPI.document()),
    }
}

impl From<Misroute> for Problem {
    fn from(misroute: Misroute) -> Self {
        match misroute {
            Misroute::Path => {
                let detail =
                    "this port serves /healthz, /readyz, /v1/ws and the routes of /v1/openapi.json";
                ErrorReply::new(Code::NotFound, detail).into()
            }
            Misroute::Method(allowed) => {
                let methods = list(&allowed);
                let detail = format!("the path is served by {}", methods.to_str().unwrap_or(""));
                let status = StatusCode::METHOD_NOT_ALLOWED;
                Self::new(status, Code::BadRequest, detail).with(ALLOW, methods)
            }
            Misroute::Id(refusal) => refusal.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::ENDPOINTS;

    #[test]
    fn the_description_has_the_routes_that_there_are() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI.text).unwrap();
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method != "parameters" {
                    assert!(operation["operationId"].is_string(), "{method} {path}");
                    assert!(operation["responses"]["default"].is_object(), "{method} {path}");
                    described.push((method.to_uppercase(), path.clone()));
                }
            }
        }
        let mut there: Vec<(String, String)> =
            ENDPOINTS.iter().map(|(m, path, _)| (m.to_string(), (*path).to_owned())).collect();
        described.sort();
        there.sort();
        assert_eq!(described, there);
    }

    /// Returns the code declared after another one. It walks over all codes and does not compile
    /// when one is missing.
    const fn behind(code: Code) -> Option<Code> {
        Some(match code {
            Code::BadRequest => Code::UnknownOp,
            Code::UnknownOp => Code::Unauthorized,
            Code::Unauthorized => Code::TokenExpired,
            Code::TokenExpired => Code::Forbidden,
            Code::Forbidden => Code::NotFound,
            Code::NotFound => Code::TooLarge,
            Code::TooLarge => Code::NonceReused,
            Code::NonceReused => Code::RateLimited,
            Code::RateLimited => Code::OutcomeUnknown,
            Code::OutcomeUnknown => Code::Unavailable,
            Code::Unavailable => Code::LimitReached,
            Code::LimitReached => Code::Internal,
            Code::Internal => return None,
        })
    }

    #[test]
    fn the_description_has_the_codes_that_there_are() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI.text).unwrap();
        let described = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
        let codes: Vec<Code> =
            std::iter::successors(Some(Code::BadRequest), |code| behind(*code)).collect();
        assert_eq!(*described, serde_json::to_value(codes).unwrap());
    }

    #[test]
    fn every_id_of_a_described_path_is_a_parameter() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI.text).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            let ids = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let described = item["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let names = described.iter().map(|parameter| parameter["name"].as_str().unwrap());
            assert_eq!(ids.collect::<Vec<_>>(), names.collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI.text).unwrap();
        let mut references = 0;
        for reference in OPENAPI.text.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            references += 1;
        }
        assert!(references > 20, "they are found: {references}");
    }
}
