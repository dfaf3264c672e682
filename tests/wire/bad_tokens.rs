//! Tokens that are not accepted: an error frame names the reason, then the connection is closed
//! with 4001.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use narrowcast::auth::{Claims, Mint, TokenKey, TokenPermissions, TokenScope};
use narrowcast::client::Client;
use serde_json::json;

use super::raw::{Raw, hello};
use super::tokens::{claims, development_secret, now, sign, token};
use super::{WORKERS, node_with, url};

/// The leeway of clocks is 30 s.
const LONG_AGO: u64 = 600;

fn signed_with(algorithm: Algorithm, kid: &str, secret: &[u8]) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    let key = EncodingKey::from_secret(secret).unwrap();
    jsonwebtoken::encode(&header, &claims("alice"), &key).unwrap()
}

fn unsigned(algorithm: &str) -> String {
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let header = part(json!({"alg": algorithm, "typ": "JWT", "kid": "dev"}).to_string());
    format!("{header}.{}.", part(serde_json::to_string(&claims("alice")).unwrap()))
}

/// The good token with other claims under its signature.
fn tampered() -> String {
    let (good, other) = (token("alice"), token("admin"));
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let payload = other.split('.').nth(1).unwrap();
    format!("{head}.{payload}.{signature}")
}

fn without(claim: &str) -> String {
    let mut all = serde_json::to_value(claims("alice")).unwrap();
    all.as_object_mut().unwrap().remove(claim);
    let header = Header { kid: Some("dev".into()), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(&development_secret()).unwrap();
    jsonwebtoken::encode(&header, &all, &key).unwrap()
}

fn bad_times() -> Vec<(String, &'static str)> {
    let soon = now() + LONG_AGO;
    let alice = || claims("alice");
    vec![
        (sign(&Claims { iat: soon, exp: soon + 60, ..alice() }), "the token's `iat`"),
        (sign(&Claims { nbf: Some(soon), ..alice() }), "the token's `nbf`"),
        (sign(&Claims { exp: now() + 86_500, ..alice() }), "at most 86400 s are allowed"),
        (sign(&Claims { exp: u64::MAX, ..alice() }), "at most 86400 s are allowed"),
    ]
}

fn bad_signatures() -> Vec<(String, &'static str)> {
    let secret = development_secret();
    let other = TokenKey::hs256("dev", b"another secret of thirty-two bytes!");
    vec![
        (String::new(), "the token is not valid"),
        ("a.b.c".to_owned(), "the token is not valid"),
        ("x".repeat(9000), "9000 bytes, at most 8192"),
        (unsigned("none"), "the token is not valid"),
        (unsigned("HS256"), "the token is not valid"),
        (tampered(), "the token is not valid"),
        (Mint::new(&other).token(&claims("alice")), "the token is not valid"),
        (signed_with(Algorithm::HS512, "dev", &secret), "algorithm HS512"),
        (signed_with(Algorithm::HS256, "dev2", &secret), "`kid` names no configured key"),
    ]
}

fn bad_headers() -> Vec<(String, &'static str)> {
    let good = || Header { kid: Some("dev".into()), ..Header::new(Algorithm::HS256) };
    let sign = |header: &Header| {
        let key = EncodingKey::from_secret(&development_secret()).unwrap();
        jsonwebtoken::encode(header, &claims("alice"), &key).unwrap()
    };
    let critical = Header { crit: Some(vec!["x".into()]), ..good() };
    let mut bare = good();
    bare.extras.insert("b64", false);
    let access = Header { typ: Some("at+jwt".into()), ..good() };
    vec![
        (sign(&critical), "the token's header `crit`"),
        (sign(&bare), "the token's header `b64`"),
        (sign(&access), "the token's header `typ`"),
    ]
}

fn bad_claims() -> Vec<(String, &'static str)> {
    let alice = || claims("alice");
    let wide = vec!["*.x".to_owned()];
    let subscribe = TokenPermissions { subscribe: wide.clone(), ..Default::default() };
    let publish = TokenPermissions { publish: wide, ..Default::default() };
    let scope = |scope| TokenPermissions { scope: Some(scope), ..Default::default() };
    vec![
        (without("sub"), "missing field `sub`"),
        (without("exp"), "missing field `exp`"),
        (without("iat"), "missing field `iat`"),
        (sign(&claims("")), "the token's `sub`"),
        (sign(&claims(&"a".repeat(251))), "the token's `sub`: 251 bytes"),
        (sign(&Claims { nc: subscribe, ..alice() }), "the token's `nc.subscribe`: `*.x`"),
        (sign(&Claims { nc: publish, ..alice() }), "the token's `nc.publish`: `*.x`"),
        (sign(&Claims { nc: scope(TokenScope::Service), ..alice() }), "are for HTTP only"),
        (sign(&Claims { nc: scope(TokenScope::Admin), ..alice() }), "are for HTTP only"),
    ]
}

async fn refused(table: &[(String, &str)]) {
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let node = url(&demo);
        let mut witness = Client::login(node, &token("wendy")).await.unwrap();
        for (token, part) in table {
            let mut raw = Raw::upgraded(node).await;
            raw.send(&hello(token)).await;
            let error = raw.receive_json().await;
            let message = error["detail"].as_str().unwrap_or_default();
            assert_eq!(error["code"], "unauthorized", "{part}: {error}");
            assert_eq!(error["for"], "hello", "{part}: {error}");
            assert!(message.contains(part), "{part}: {message}");
            assert!(token.len() < 9 || !message.contains(token.as_str()), "no token is repeated");
            assert_eq!(raw.receive_close().await, (4001, "unauthorized".to_owned()), "{part}");
            let send = json!({"op": "send", "conversation": "user.will", "body": 1});
            assert_eq!(witness.ask(send).await.unwrap()["op"], "sent", "after {part}");
        }
    }
}

#[tokio::test]
async fn tokens_out_of_their_time_are_refused() {
    refused(&bad_times()).await;
}

/// A laptop that slept needs a fresh token, and its user need not log in again.
#[tokio::test]
async fn a_token_that_has_ended_says_so_by_its_own_code() {
    let then = now() - LONG_AGO;
    let ended = sign(&Claims { iat: then, exp: then + 60, ..claims("alice") });
    for workers in WORKERS {
        let demo = node_with(workers, &[]);
        let mut raw = Raw::upgraded(url(&demo)).await;
        raw.send(&hello(&ended)).await;
        let error = raw.receive_json().await;
        let told = (&error["for"], &error["code"], &error["retry"]);
        assert_eq!(told, (&json!("hello"), &json!("token_expired"), &json!("never")), "{error}");
        assert!(error["detail"].as_str().unwrap().starts_with("the token ended at"), "{error}");
        assert_eq!(raw.receive_close().await, (4002, "token expired".to_owned()));
        // A session whose renewal brings such a token goes on with the one that it has.
        let mut alice = Client::login(url(&demo), &token("alice")).await.unwrap();
        let refused = alice.ask(json!({"op": "renew", "token": ended})).await.unwrap();
        assert_eq!((&refused["for"], &refused["code"]), (&json!("renew"), &json!("token_expired")));
        assert_eq!(alice.ask(json!({"op": "ping"})).await.unwrap()["op"], "pong");
    }
}

#[tokio::test]
async fn tokens_that_are_not_signed_by_the_key_are_refused() {
    refused(&bad_signatures()).await;
}

#[tokio::test]
async fn tokens_with_headers_that_are_not_understood_are_refused() {
    refused(&bad_headers()).await;
}

#[tokio::test]
async fn tokens_with_bad_claims_are_refused() {
    refused(&bad_claims()).await;
}
