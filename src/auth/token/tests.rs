use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const NOW: u64 = 1_800_000_000;

fn key() -> TokenKey {
    TokenKey::hs256("k1", b"a secret of at least thirty-two bytes")
}

fn rules() -> TokenRules {
    TokenRules {
        audience: None,
        issuer: None,
        leeway: Duration::from_secs(30),
        max_life: Duration::from_hours(1),
    }
}

fn claims() -> Claims {
    Claims::of_user("alice", NOW, 600)
}

fn verify(claims: &Claims) -> Result<Principal, TokenError> {
    Verifier::new(&[key()], rules()).verify(&Mint::new(&key()).token(claims), NOW)
}

#[test]
fn a_raw_id_is_encoded_once() {
    let principal = verify(&Claims { sub: "a.b%".into(), ..claims() }).unwrap();
    assert_eq!(principal.user.as_str(), "a%2Eb%25");
    assert_eq!(principal.scope, TokenScope::User);
}

#[test]
fn times_are_held_to() {
    let error = |claims: Claims| verify(&claims).unwrap_err();
    let expired = error(Claims { iat: NOW - 600, exp: NOW - 31, ..claims() });
    assert_eq!(expired, TokenError::Expired { exp: NOW - 31, now: NOW });
    assert!(verify(&Claims { iat: NOW - 600, exp: NOW - 29, ..claims() }).is_ok(), "leeway");
    let future = TokenError::Future { claim: "iat", value: NOW + 31, now: NOW };
    assert_eq!(error(Claims { iat: NOW + 31, ..claims() }), future);
    let future = TokenError::Future { claim: "nbf", value: NOW + 31, now: NOW };
    assert_eq!(error(Claims { nbf: Some(NOW + 31), ..claims() }), future);
    let long = TokenError::TooLong { life: 3601, max: 3600 };
    assert_eq!(error(Claims { exp: NOW + 3601, ..claims() }), long);
}

#[test]
fn the_signature_and_the_algorithm_are_pinned() {
    let verifier = Verifier::new(&[key()], rules());
    let other = TokenKey::hs256("k1", b"another secret of thirty-two bytes!");
    let forged = Mint::new(&other).token(&claims());
    assert!(matches!(verifier.verify(&forged, NOW), Err(TokenError::Invalid(_))));
    let unknown = Mint::new(&TokenKey::hs256("k2", b"x")).token(&claims());
    assert_eq!(verifier.verify(&unknown, NOW).unwrap_err(), TokenError::UnknownKey);
    let secret = EncodingKey::from_secret(&key().secret).unwrap();
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS512) };
    let wrong = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert!(matches!(verifier.verify(&wrong, NOW), Err(TokenError::Algorithm { .. })));
    for none in ["eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "", "a.b.c", &"x".repeat(10_000)] {
        assert!(matches!(verifier.verify(none, NOW), Err(TokenError::Invalid(_))), "{none:.40}");
    }
}

/// A good token with more in its header.
fn with_header(more: &str) -> String {
    let header = format!(r#"{{"alg":"HS256","kid":"k1"{more}}}"#);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(&header), part(&serde_json::to_string(&claims()).unwrap()));
    let secret = EncodingKey::from_secret(&key().secret).unwrap();
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn what_a_header_says_besides_is_looked_at() {
    let verifier = Verifier::new(&[key()], rules());
    let verify = |more: &str| verifier.verify(&with_header(more), NOW);
    for good in ["", r#","typ":"JWT""#, r#","typ":"application/jwt""#, r#","b64":true,"x":1"#] {
        assert!(verify(good).is_ok(), "{good}: {:?}", verify(good));
    }
    for (bad, field) in [
        (r#","crit":["exp"]"#, "crit"),
        (r#","crit":["b64"],"b64":true"#, "crit"),
        (r#","crit":[]"#, "crit"),
        (r#","b64":false"#, "b64"),
        (r#","b64":"true""#, "b64"),
        (r#","typ":"at+jwt""#, "typ"),
        (r#","typ":"application/""#, "typ"),
        (r#","typ":"""#, "typ"),
    ] {
        let error = verify(bad).unwrap_err();
        assert!(matches!(error, TokenError::Header { field: it, .. } if it == field), "{error}");
    }
}

#[test]
fn audience_and_issuer_are_checked_if_configured() {
    let rules = TokenRules { audience: Some("chat".into()), issuer: Some("me".into()), ..rules() };
    let verifier = Verifier::new(&[key()], rules);
    let verify = |claims: &Claims| verifier.verify(&Mint::new(&key()).token(claims), NOW);
    assert!(verify(&claims()).is_err(), "neither is named");
    let named = Claims { aud: Some("chat".into()), iss: Some("me".into()), ..claims() };
    assert!(verify(&named).is_ok());
    assert!(verify(&Claims { iss: Some("you".into()), ..named.clone() }).is_err());
    assert!(verify(&Claims { aud: Some("mail".into()), ..named }).is_err());
}

#[test]
fn claims_are_bounded_and_named() {
    let error = |claims: Claims| verify(&claims).unwrap_err().to_string();
    assert!(error(Claims { sub: String::new(), ..claims() }).starts_with("the token's `sub`: "));
    let publishing = TokenPermissions { publish: vec!["*.x".into()], ..Default::default() };
    let grant = error(Claims { nc: publishing, ..claims() });
    assert!(grant.starts_with("the token's `nc.publish`: `*.x`: "), "{grant}");
    let many = vec!["topic.a".to_owned(); 101];
    let many = TokenPermissions { subscribe: many, ..Default::default() };
    let many = error(Claims { nc: many, ..claims() });
    assert_eq!(many, "the token's `nc.subscribe`: 101 patterns, at most 100 are allowed");
}

/// A token with these claims beside the times and the user.
fn with_claims(more: &str) -> String {
    let exp = NOW + 600;
    let payload = format!(r#"{{"sub":"alice","iat":{NOW},"exp":{exp}{more}}}"#);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","kid":"k1"}"#), part(&payload));
    let secret = EncodingKey::from_secret(&key().secret).unwrap();
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn other_issuers_claims_mean_nothing_here() {
    let verify = |more: &str| Verifier::new(&[key()], rules()).verify(&with_claims(more), NOW);
    let foreign =
        r#","role":"admin","scope":"openid service","publish":true,"subscribe":["topic.>"]"#;
    let principal = verify(foreign).unwrap();
    assert_eq!(principal.scope, TokenScope::User);
    assert!(!principal.may_subscribe(&Pattern::parse("topic.a").unwrap()));
    let own = verify(r#","nc":{"scope":"service","subscribe":["topic.%41.>"]}"#).unwrap();
    assert_eq!(own.scope, TokenScope::Service);
    assert!(own.may_subscribe(&Pattern::parse("topic.A.>").unwrap()), "in any spelling");
    let misspelled = verify(r#","nc":{"role":"service"}"#).unwrap_err().to_string();
    assert!(misspelled.contains("unknown field `role`"), "{misspelled}");
}
