//! `/v1/openapi.json`: it needs no token, so that generators can read it. One that is given is
//! checked.

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

/// The description of every route.
pub(super) const OPENAPI: &str = include_str!("../openapi.json");

/// A tag of the text: another text has another tag.
const TAG: u64 = fnv1a(OPENAPI.as_bytes());

/// Returns the description, or 304 if the caller has it.
pub(super) fn answer(head: &Parts, sent: &Incoming) -> Answer {
    intake::refuse(sent)?;
    Query::read(head.uri.query())?.finish()?;
    let mut response = document();
    if is_known(&head.headers, &tag()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Full::default();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    Ok(response)
}

/// Returns the description with its tag. It may be kept, and is asked about before it is used.
pub(super) fn document() -> Response<Full<Bytes>> {
    let mut response = body(StatusCode::OK, "application/json", OPENAPI);
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(&tag()).expect("hex digits are visible ASCII"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn tag() -> String {
    format!("\"{TAG:016x}\"")
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
