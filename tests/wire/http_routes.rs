//! Which requests reach a route of the HTTP API, and what the others are told.

use serde_json::Value;

use super::http::{ask, bearing, problem, refused, request, service};
use super::raw::Raw;
use super::tokens::{claims, now, sign, token};
use super::{WORKERS, node_with, serve_with, url};

const ROUTES: [(&str, &str); 14] = [
    ("POST", "/v1/messages"),
    ("GET", "/v1/conversations/user.bob/messages"),
    ("POST", "/v1/publish"),
    ("POST", "/v1/rooms"),
    ("PUT", "/v1/rooms/r"),
    ("GET", "/v1/rooms/r"),
    ("GET", "/v1/rooms/r/members"),
    ("PUT", "/v1/rooms/r/members"),
    ("PUT", "/v1/rooms/r/members/bob"),
    ("DELETE", "/v1/rooms/r/members/bob"),
    ("GET", "/v1/users/alice/inbox"),
    ("GET", "/v1/users/alice/rooms"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/asyncapi.yaml"),
];

/// The routes that need no token, and their media types. A token that is given is checked.
const OPEN: [(&str, &str); 2] =
    [("/v1/openapi.json", "application/json"), ("/v1/asyncapi.yaml", "application/yaml")];

#[tokio::test]
async fn every_route_wants_a_token() {
    let demo = node_with("3", &[]);
    let good = token("alice");
    let expired = sign(&narrowcast::auth::Claims { exp: now() - 3600, ..claims("alice") });
    let twice = format!("Bearer {good}\r\nauthorization: Bearer {good}");
    let table = [
        ("Bearer nonsense", "not valid"),
        (&format!("Bearer {}x", &good[..good.len() - 4]), "not valid"),
        (&format!("Basic {good}"), "`Authorization: Bearer <token>` is required"),
        (&twice, "one header"),
        ("Bearer", "`Authorization: Bearer <token>` is required"),
    ];
    for (method, path) in ROUTES {
        let bare = request(method, path, &[], "");
        if OPEN.iter().all(|(open, _)| *open != path) {
            let answer = refused(url(&demo), &bare, 401, "unauthorized", "is required").await;
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        for (value, part) in table {
            let request = request(method, path, &[("authorization", value)], "");
            let answer = refused(url(&demo), &request, 401, "unauthorized", part).await;
            assert!(!answer.body.contains(&good[..40]), "a token is never repeated");
        }
        let late = request(method, path, &[("authorization", &format!("Bearer {expired}"))], "");
        refused(url(&demo), &late, 401, "token_expired", "the token ended").await;
    }
}

#[tokio::test]
async fn tokens_are_not_logged() {
    let (_store, mut served) =
        serve_with(&[("telemetry.log", r#""trace,hyper=trace""#), ("workers", "2")]).await;
    let good = token("alice");
    assert_eq!(ask(&served.url, &bearing(&good, "GET", "/v1/openapi.json", "")).await.status, 200);
    let bad = format!("{}AAAA", &good[..good.len() - 4]);
    assert_eq!(ask(&served.url, &bearing(&bad, "GET", "/v1/openapi.json", "")).await.status, 401);
    served.process.signal("TERM");
    let (_, errors) = served.process.wait();
    let signature = good.rsplit('.').next().expect("it has three parts");
    assert!(errors.contains("stopping") && !errors.contains(&signature[..20]), "{errors}");
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let demo = node_with("1", &[]);
    let token = token("alice");
    for path in
        ["/", "/v1", "/v1/room", "/v1/rooms/", "/v1/rooms/r/x", "/v1/message", "/v2/publish"]
    {
        for method in ["GET", "POST", "OPTIONS", "BREW"] {
            let request = bearing(&token, method, path, "");
            refused(url(&demo), &request, 404, "not_found", "/v1/openapi.json").await;
        }
    }
    let star = bearing(&token, "OPTIONS", "*", "");
    refused(url(&demo), &star, 404, "not_found", "/v1/ws").await;
}

#[tokio::test]
async fn another_method_is_405_with_those_that_there_are() {
    let demo = node_with("1", &[]);
    let token = token("alice");
    let table = [
        ("/v1/messages", "POST, OPTIONS", ["GET", "PUT", "DELETE", "HEAD"]),
        ("/v1/publish", "POST, OPTIONS", ["GET", "PUT", "DELETE", "TRACE"]),
        ("/v1/rooms", "POST, OPTIONS", ["GET", "PUT", "PATCH", "DELETE"]),
        ("/v1/rooms/r", "PUT, GET, HEAD, OPTIONS", ["POST", "PATCH", "DELETE", "BREW"]),
        ("/v1/rooms/r/members/u", "PUT, DELETE, OPTIONS", ["POST", "PATCH", "GET", "put"]),
        ("/v1/users/u/inbox", "GET, HEAD, OPTIONS", ["POST", "PUT", "DELETE", "get"]),
    ];
    for (path, allow, methods) in table {
        for method in methods {
            let mut raw = Raw::connect(url(&demo)).await;
            let request = bearing(&token, method, path, "");
            if method == "HEAD" {
                // An answer to HEAD has no body, whatever its length says.
                raw.send(request.replace("host: a", "host: a\r\nconnection: close").as_bytes())
                    .await;
                let text = String::from_utf8(raw.drain().await).expect("a text");
                assert!(text.starts_with("HTTP/1.1 405") && text.ends_with("\r\n\r\n"), "{text}");
                continue;
            }
            let answer = raw.http(&request).await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            assert_eq!(problem(&answer).0, "bad_request");
        }
    }
}

#[tokio::test]
async fn ids_in_paths_are_decoded_once() {
    let demo = node_with("1", &[]);
    let token = token("alice");
    let table = [
        ("/v1/rooms/a%zz", "the path: `%` at byte 1 must be followed by two hex digits"),
        ("/v1/rooms/%ff", "UTF-8"),
        (
            "/v1/conversations/user.a%25/messages",
            "`%` at byte 1 must be followed by two hex digits",
        ),
        ("/v1/conversations/dm.a.b.c/messages", "one dot between them"),
        ("/v1/conversations/dm.b.a/messages", "must stand in byte order"),
        ("/v1/conversations/topic.x/messages", "must be `dm.<a>.<b>`"),
    ];
    for (path, part) in table {
        refused(url(&demo), &bearing(&token, "GET", path, ""), 400, "bad_request", part).await;
    }
    let long = format!("/v1/rooms/{}", "a".repeat(251));
    let request = bearing(&token, "GET", &long, "");
    refused(url(&demo), &request, 400, "bad_request", "251 bytes, at most 250").await;
}

#[tokio::test]
async fn queries_are_checked() {
    let demo = node_with("1", &[]);
    let (user, service) = (token("alice"), service());
    let id = "019a0000-0000-7000-8000-000000000000";
    let both = format!("/v1/conversations/user.bob/messages?before={id}&after={id}");
    let table = [
        ("/v1/conversations/user.bob/messages?limit=0", "`limit` must be from 1 to 200, not 0"),
        ("/v1/conversations/user.bob/messages?limit=201", "`limit` must be from 1 to 200, not 201"),
        ("/v1/conversations/user.bob/messages?before=x", "`before` must be a message id"),
        (&both, "`before` and `after` exclude each other"),
        ("/v1/conversations/user.bob/messages?next=1", "`next` is not a parameter of this route"),
        (
            "/v1/conversations/user.bob/messages?page=1",
            "`page` must be the `next` of an earlier page",
        ),
        ("/v1/rooms/r/members?limit=1001", "`limit` must be from 1 to 1000, not 1001"),
        ("/v1/rooms/r/members?page=a%25b", "`page`: `%` at byte 1"),
        ("/v1/rooms/r/members?page=a&page=b", "`page` is given twice"),
        ("/v1/users/me/rooms?limit=101", "`limit` must be from 1 to 100, not 101"),
        ("/v1/users/me/rooms?page=", "`page`: an empty token"),
        ("/v1/rooms/r?x=1", "`x` is not a parameter of this route"),
        ("/v1/users/alice/inbox?limit=101", "`limit` must be from 1 to 100, not 101"),
        ("/v1/users/alice/inbox?page=%zz", "the query: `%` at byte 0"),
    ];
    for (path, part) in table {
        refused(url(&demo), &bearing(&user, "GET", path, ""), 400, "bad_request", part).await;
    }
    let own = bearing(&service, "GET", "/v1/conversations/user.bob/messages", "");
    refused(url(&demo), &own, 400, "bad_request", "a service writes `dm.<a>.<b>`").await;
    for path in ["/v1/users/bob/inbox", "/v1/users/bob/rooms"] {
        let others = bearing(&user, "GET", path, "");
        refused(url(&demo), &others, 404, "not_found", "no such user").await;
    }
}

/// Asks for a description without a token, and again with its tag: its text.
async fn description(node: &str, path: &str, media_type: &str) -> String {
    let answer = ask(node, &request("GET", path, &[], "")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some(media_type));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let tag = answer.header("etag").expect("a tag");
    for (known, status) in [(tag, 304), ("\"other\"", 200)] {
        let again = ask(node, &request("GET", path, &[("if-none-match", known)], "")).await;
        assert_eq!((again.status, again.header("etag")), (status, Some(tag)), "{known}");
        assert_eq!(again.body.is_empty(), status == 304);
    }
    answer.body
}

#[tokio::test]
async fn the_descriptions_are_served_on_every_worker() {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let [routes, frames] = OPEN;
        let text = description(url(&demo), routes.0, routes.1).await;
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        for (method, path) in ROUTES {
            let template = path
                .replace("/user.bob/", "/{id}/")
                .replace("/alice/", "/{id}/")
                .replace("rooms/r", "rooms/{id}")
                .replace("members/bob", "members/{user}");
            let operation = &document["paths"][template][method.to_lowercase()];
            assert!(operation.is_object(), "{method} {path}");
        }
        let text = description(url(&demo), frames.0, frames.1).await;
        assert!(text.starts_with("asyncapi: 3.0.0\n"), "{text}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask() {
    let origins = r#"["https://chat.example.com"]"#;
    let (_store, served) = serve_with(&[("listen.origins", origins)]).await;
    let from = |method: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization"),
        ];
        request(method, "/v1/rooms/r", &headers, "")
    };
    let preflight = ask(&served.url, &from("OPTIONS", "https://chat.example.com")).await;
    assert_eq!((preflight.status, &*preflight.body), (204, ""));
    let expected = [
        ("access-control-allow-origin", "https://chat.example.com"),
        ("access-control-allow-methods", "PUT, GET, HEAD, OPTIONS"),
        ("access-control-allow-headers", "authorization, content-type, idempotency-key"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ];
    for (name, value) in expected {
        assert_eq!(preflight.header(name), Some(value), "{preflight:?}");
    }
    // An error must be readable too, or the page sees nothing but a failed request.
    let unauthorized = from("GET", "https://chat.example.com");
    let answer = refused(&served.url, &unauthorized, 401, "unauthorized", "required").await;
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://chat.example.com"));
    for method in ["OPTIONS", "GET"] {
        let evil = from(method, "https://evil.example");
        let answer = refused(&served.url, &evil, 403, "forbidden", "listen.origins").await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let native = ask(&served.url, &request("OPTIONS", "/v1/rooms/r", &[], "")).await;
    assert_eq!((native.status, native.header("allow")), (204, Some("PUT, GET, HEAD, OPTIONS")));
    assert_eq!(native.header("access-control-allow-origin"), None);
}
