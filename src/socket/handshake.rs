//! Checks whether an HTTP request asks for a WebSocket, and answers it (RFC 6455, section 4.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use sha1::{Digest, Sha1};

/// The suffix that is hashed with the key (RFC 6455, section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a decoded key.
const KEY_BYTES: usize = 16;

const WEBSOCKET: &str = "websocket";
const VERSION: &str = "13";

/// An accepted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    accept_key: String,
    protocol: Option<&'static str>,
}

impl Accept {
    /// The subprotocol that was agreed, if any.
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// Returns the answer: 101, after which the stream speaks WebSocket.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        let key = HeaderValue::from_str(&self.accept_key).expect("base64 is visible ASCII");
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// A refused request: the status, and a message that names the header, the rule and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRejected {
    status: StatusCode,
    message: String,
    /// The header that states what would be accepted.
    remedy: Option<(HeaderName, &'static str)>,
}

impl UpgradeRejected {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong with the request.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the answer, with the message as its text.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{}\n", self.message)));
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, plain);
        if let Some((name, value)) = &self.remedy {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), remedy: None }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.remedy = Some((name, value));
        self
    }
}

/// Checks a request for a WebSocket. The first subprotocol of the client that is in `supported` is
/// agreed. If there is none, the connection goes on without one.
pub fn check<B>(
    request: &Request<B>,
    supported: &[&'static str],
) -> Result<Accept, UpgradeRejected> {
    check_line(request)?;
    let headers = request.headers();
    check_upgrade(headers)?;
    check_version(headers)?;
    check_body(headers)?;
    let key = key(headers)?;
    Ok(Accept { accept_key: accept_key(key), protocol: choose(headers, supported) })
}

fn check_line<B>(request: &Request<B>) -> Result<(), UpgradeRejected> {
    let (method, version) = (request.method(), request.version());
    if method != Method::GET {
        let message = format!("method: {method}, a WebSocket is opened with GET");
        return Err(
            UpgradeRejected::new(StatusCode::METHOD_NOT_ALLOWED, message).with(ALLOW, "GET")
        );
    }
    if version != Version::HTTP_11 {
        let message = format!("version: {version:?}, a WebSocket is opened over HTTP/1.1");
        return Err(UpgradeRejected::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, message));
    }
    Ok(())
}

fn check_upgrade(headers: &HeaderMap) -> Result<(), UpgradeRejected> {
    if !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case(WEBSOCKET)) {
        let message = "header Upgrade: must contain `websocket`";
        return Err(
            UpgradeRejected::new(StatusCode::UPGRADE_REQUIRED, message).with(UPGRADE, WEBSOCKET)
        );
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(UpgradeRejected::bad("header Connection: must contain `upgrade`"));
    }
    Ok(())
}

fn check_version(headers: &HeaderMap) -> Result<(), UpgradeRejected> {
    let message = match only(headers, &SEC_WEBSOCKET_VERSION) {
        Some(value) if value == VERSION => return Ok(()),
        Some(value) => format!("header Sec-WebSocket-Version: {value:?}, must be {VERSION}"),
        None => format!("header Sec-WebSocket-Version: must be there once, as {VERSION}"),
    };
    let refusal = UpgradeRejected::new(StatusCode::UPGRADE_REQUIRED, message);
    Err(refusal.with(SEC_WEBSOCKET_VERSION, VERSION))
}

/// Refuses a body, because it would be taken for the first frames.
fn check_body(headers: &HeaderMap) -> Result<(), UpgradeRejected> {
    let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|value| value != "0");
    if has_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(UpgradeRejected::bad("body: a request for a WebSocket must not have one"));
    }
    Ok(())
}

fn key(headers: &HeaderMap) -> Result<&[u8], UpgradeRejected> {
    let key = only(headers, &SEC_WEBSOCKET_KEY)
        .ok_or_else(|| UpgradeRejected::bad("header Sec-WebSocket-Key: must be there once"))?;
    let length = STANDARD.decode(key).map(|key| key.len());
    if length != Ok(KEY_BYTES) {
        let message =
            format!("header Sec-WebSocket-Key: {key:?}, must be {KEY_BYTES} bytes in base64");
        return Err(UpgradeRejected::bad(message));
    }
    Ok(key.as_bytes())
}

fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize())
}

fn choose(headers: &HeaderMap, supported: &[&'static str]) -> Option<&'static str> {
    tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
        .find_map(|offered| supported.iter().find(|&&known| known == offered).copied())
}

/// Returns the value of a header that must be given exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns the tokens of a comma-separated header over all its lines. A line that is not ASCII has
/// none.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = Vec<(&'static str, &'static str)>;

    /// The example of RFC 6455, section 1.3.
    fn example() -> Lines {
        vec![
            ("host", "server.example.com"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ]
    }

    /// The example with the lines of `name` replaced.
    fn changed(name: &str, values: &[&'static str]) -> Lines {
        let mut lines = example();
        let at = lines.iter().find(|(known, _)| *known == name).map_or("extra", |(known, _)| known);
        lines.retain(|(known, _)| *known != name);
        assert_ne!(at, "extra", "{name} is not in the example");
        lines.extend(values.iter().map(|value| (at, *value)));
        lines
    }

    fn request(lines: &Lines) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in lines {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn outcome(lines: &Lines) -> Result<Accept, StatusCode> {
        check(&request(lines), &["narrowcast.v1"]).map_err(|refusal| refusal.status())
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accept = outcome(&example()).unwrap();
        let response = accept.response();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers();
        assert_eq!(headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(
            (&headers[UPGRADE], &headers[CONNECTION]),
            (&HeaderValue::from_static("websocket"), &HeaderValue::from_static("upgrade"),)
        );
        assert!(!headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn tokens_are_found_in_lists_lines_and_any_case() {
        assert!(outcome(&changed("connection", &["keep-alive, UPGRADE"])).is_ok());
        assert!(outcome(&changed("connection", &["keep-alive", "x,upgrade ,y"])).is_ok());
        assert!(outcome(&changed("upgrade", &["h2c, WebSocket"])).is_ok());
        assert_eq!(outcome(&changed("connection", &["upgrades"])), Err(StatusCode::BAD_REQUEST));
        assert_eq!(outcome(&changed("connection", &[])), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_client_that_can_do_better_is_told_how() {
        let refusal = check(&request(&changed("upgrade", &["h2c"])), &[]).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refusal.response().headers()[UPGRADE], "websocket");
        for versions in [&["8"][..], &[], &["13", "13"], &["13, 8"]] {
            let lines = changed("sec-websocket-version", versions);
            let refusal = check(&request(&lines), &[]).unwrap_err();
            assert_eq!(refusal.status(), StatusCode::UPGRADE_REQUIRED);
            assert_eq!(refusal.response().headers()[SEC_WEBSOCKET_VERSION], "13");
        }
        let mut post = request(&example());
        *post.method_mut() = Method::POST;
        let refusal = check(&post, &[]).unwrap_err();
        assert_eq!(refusal.response().headers()[ALLOW], "GET");
        assert_eq!(refusal.message(), "method: POST, a WebSocket is opened with GET");
    }

    #[test]
    fn keys_are_sixteen_bytes_once() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let bad =
            ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZTE=", "not base64 at all!!!"];
        for value in bad {
            let lines = changed("sec-websocket-key", &[value]);
            assert_eq!(outcome(&lines), Err(StatusCode::BAD_REQUEST), "{value}");
        }
        let twice = changed("sec-websocket-key", &[key, key]);
        assert_eq!(outcome(&twice), Err(StatusCode::BAD_REQUEST));
        let none = changed("sec-websocket-key", &[]);
        assert_eq!(outcome(&none), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn old_http_and_bodies_are_refused() {
        let mut old = request(&example());
        *old.version_mut() = Version::HTTP_10;
        let refusal = check(&old, &[]).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        for line in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            let lines = [example(), vec![line]].concat();
            assert_eq!(outcome(&lines), Err(StatusCode::BAD_REQUEST), "{line:?}");
        }
        assert!(outcome(&[example(), vec![("content-length", "0")]].concat()).is_ok());
    }

    #[test]
    fn the_first_offer_that_is_known_is_agreed() {
        let agreed = |offers: &[&'static str]| {
            let lines = offers.iter().map(|offer| ("sec-websocket-protocol", *offer)).collect();
            let accept = check(&request(&[example(), lines].concat()), &["v1", "v2"]).unwrap();
            let header = accept.response().headers().get(SEC_WEBSOCKET_PROTOCOL).cloned();
            assert_eq!(header, accept.protocol().map(HeaderValue::from_static));
            accept.protocol()
        };
        assert_eq!(agreed(&["x", "v2, v1"]), Some("v2"));
        assert_eq!(agreed(&["V1"]), None);
        assert_eq!(agreed(&[]), None);
    }
}
