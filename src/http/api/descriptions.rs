//! `/v1/openapi.json` and `/v1/asyncapi.yaml`: they need no token, so that generators can read them.
//! One that is given is checked.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::Answer;
use crate::http::intake;
use crate::http::problem::body;
use crate::http::query::Query;
use crate::http::route::ApiRoute;

/// A text that is served as it is.
#[derive(Debug)]
pub(super) struct Description {
    /// The text.
    pub(super) text: &'static str,
    media_type: &'static str,
    /// A hash of the text: another text has another one.
    hash: u64,
}

/// The description of every route.
pub(super) static OPENAPI: Description =
    Description::new(include_str!("../openapi.json"), "application/json");

/// The description of every op and frame of a session.
pub(super) static ASYNCAPI: Description =
    Description::new(include_str!("../../protocol/asyncapi.yaml"), "application/yaml");

impl Description {
    const fn new(text: &'static str, media_type: &'static str) -> Self {
        Self { text, media_type, hash: fnv1a(text.as_bytes()) }
    }

    /// The description that a route serves, if it serves one.
    pub(super) const fn of(route: &ApiRoute) -> Option<&'static Self> {
        match route {
            ApiRoute::OpenApi => Some(&OPENAPI),
            ApiRoute::AsyncApi => Some(&ASYNCAPI),
            _ => None,
        }
    }

    /// Returns the description, or 304 if the caller has it.
    pub(super) fn answer(&self, head: &Parts, sent: &Incoming) -> Answer {
        intake::refuse(sent)?;
        Query::read(head.uri.query())?.finish()?;
        let mut response = self.document();
        if is_known(&head.headers, &self.tag()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Full::default();
            response.headers_mut().remove(CONTENT_TYPE);
        }
        Ok(response)
    }

    /// Returns the description with its tag. It may be kept, and is asked about before it is used.
    pub(super) fn document(&self) -> Response<Full<Bytes>> {
        let mut response = body(StatusCode::OK, self.media_type, self.text);
        let headers = response.headers_mut();
        let tag = HeaderValue::from_str(&self.tag()).expect("hex digits are visible ASCII");
        headers.insert(ETAG, tag);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    fn tag(&self) -> String {
        format!("\"{:016x}\"", self.hash)
    }
}

/// Whether `If-None-Match` names the tag (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
}

/// The FNV-1a hash.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_itself_in_a_list_or_as_any() {
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"ab\"")
        };
        assert!(known("\"ab\"") && known("W/\"ab\"") && known("\"x\", \"ab\"") && known("*"));
        assert!(!known("\"abc\"") && !known("ab") && !known(""));
        assert!(!is_known(&HeaderMap::new(), "\"ab\""));
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
