//! Tokens: JSON web tokens, each key pinned to its one algorithm (RFC 8725).

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Grants, Principal, TokenScope};
use crate::config::{AuthConfig, TokenRules};
use crate::domain::{GrammarError, Pattern, UserId};

/// Most grants of a token, of each kind: they are memory of its session. Their bytes are part of
/// the token's.
const GRANTS_MAX: usize = 100;

/// The longest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// The claims of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The raw user id.
    pub sub: String,
    /// When the token ends, in seconds since the Unix epoch.
    pub exp: u64,
    /// When the token was made.
    pub iat: u64,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The audience that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
    /// Its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// What the caller may do: the one claim of this server's own.
    #[serde(default, skip_serializing_if = "TokenPermissions::is_default")]
    pub nc: TokenPermissions,
}

/// The claim `nc`. It is one object, so that it meets no claim of another issuer. Its fields are
/// known, so that a misspelled one is noticed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPermissions {
    /// For whom the caller acts; a plain user if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TokenScope>,
    /// Patterns that the caller may publish to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Patterns that the caller may subscribe to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
}

impl TokenPermissions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Claims {
    /// Claims of a plain user without grants, made at `now` in seconds since the Unix epoch and
    /// valid for `life` seconds.
    pub fn of_user(sub: &str, now: u64, life: u64) -> Self {
        Self {
            sub: sub.to_owned(),
            exp: now + life,
            iat: now,
            nbf: None,
            aud: None,
            iss: None,
            nc: TokenPermissions::default(),
        }
    }
}

/// Why a token is not accepted. No text holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token, or its signature does not match its key.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// It names a key that is not configured.
    #[error("the token's `kid` names no configured key")]
    UnknownKey,
    /// Its algorithm is not that of its key.
    #[error("the token's algorithm {found:?} is not that of its key, {expected:?}")]
    Algorithm {
        /// The algorithm in the token.
        found: Algorithm,
        /// The algorithm of the key.
        expected: Algorithm,
    },
    /// Its header requires something that is not supported, or marks it as something other than a
    /// token.
    #[error("the token's header `{field}`: {reason}")]
    Header {
        /// The field.
        field: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// It has expired.
    #[error("the token ended at {exp}, it is {now}")]
    Expired {
        /// Its end.
        exp: u64,
        /// The time.
        now: u64,
    },
    /// It is not valid yet.
    #[error("the token's `{claim}` {value} lies in the future, it is {now}")]
    Future {
        /// The claim.
        claim: &'static str,
        /// Its value.
        value: u64,
        /// The time.
        now: u64,
    },
    /// Its life is longer than allowed.
    #[error("the token lives for {life} s, at most {max} s are allowed")]
    TooLong {
        /// Its life in seconds.
        life: u64,
        /// The bound.
        max: u64,
    },
    /// A claim is malformed.
    #[error("the token's `{claim}`: {reason}")]
    Claim {
        /// The claim.
        claim: &'static str,
        /// The reason.
        reason: String,
    },
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct TokenKey {
    kid: String,
    secret: Vec<u8>,
}

impl TokenKey {
    /// A shared secret for HS256.
    pub fn hs256(kid: &str, secret: &[u8]) -> Self {
        Self { kid: kid.to_owned(), secret: secret.to_vec() }
    }
}

/// Returns the keys that sign tokens, in the configuration's order.
pub fn token_keys(auth: &AuthConfig) -> Vec<TokenKey> {
    auth.keys.iter().map(|key| TokenKey::hs256(&key.kid, key.secret.expose())).collect()
}

/// The configuration accepts no secret without bytes.
const NOT_EMPTY: &str = "a secret is not empty";

/// Checks tokens.
pub struct Verifier {
    keys: Vec<(String, DecodingKey)>,
    validation: Validation,
    rules: TokenRules,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Makes a verifier with these keys and rules.
    pub fn new(keys: &[TokenKey], rules: TokenRules) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked here against the caller's clock, because the crate would read its own.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.required_spec_claims.clear();
        match &rules.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".into());
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let secret = |key: &TokenKey| DecodingKey::from_secret(&key.secret).expect(NOT_EMPTY);
        let key = |key: &TokenKey| (key.kid.clone(), secret(key));
        Self { keys: keys.iter().map(key).collect(), validation, rules }
    }

    /// Returns how far clocks may differ: a token stays valid for so long after its end.
    pub const fn leeway(&self) -> Duration {
        self.rules.leeway
    }

    /// Returns the caller that a token identifies, at `now` in seconds since the Unix epoch.
    pub fn verify(&self, token: &str, now: u64) -> Result<Principal, TokenError> {
        let claims = self.claims(token)?;
        self.check_times(&claims, now)?;
        principal(&claims)
    }

    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let invalid = |error: jsonwebtoken::errors::Error| TokenError::Invalid(error.to_string());
        check_length(token)?;
        let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
        check_header(&header)?;
        let key = self.key(header.kid.as_deref())?;
        if header.alg != Algorithm::HS256 {
            return Err(TokenError::Algorithm { found: header.alg, expected: Algorithm::HS256 });
        }
        let data = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(invalid)?;
        Ok(data.claims)
    }

    /// Returns the key that a token names. A token that names none belongs to the only key, if
    /// there is one.
    fn key(&self, kid: Option<&str>) -> Result<&DecodingKey, TokenError> {
        let found = match (kid, self.keys.as_slice()) {
            (None, [(_, only)]) => Some(only),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|(known, _)| known == kid).map(|(_, key)| key),
        };
        found.ok_or(TokenError::UnknownKey)
    }

    fn check_times(&self, claims: &Claims, now: u64) -> Result<(), TokenError> {
        let leeway = self.rules.leeway.as_secs();
        let max = self.rules.max_life.as_secs();
        let life = claims.exp.saturating_sub(claims.iat);
        if claims.exp.saturating_add(leeway) <= now {
            return Err(TokenError::Expired { exp: claims.exp, now });
        }
        for (claim, value) in [("iat", Some(claims.iat)), ("nbf", claims.nbf)] {
            if let Some(value) = value.filter(|value| *value > now.saturating_add(leeway)) {
                return Err(TokenError::Future { claim, value, now });
            }
        }
        if life > max { Err(TokenError::TooLong { life, max }) } else { Ok(()) }
    }
}

/// Refuses a token that is too long, before it is read.
pub fn check_length(token: &str) -> Result<(), TokenError> {
    if token.len() <= TOKEN_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("{} bytes, at most {TOKEN_BYTES_MAX} are allowed", token.len());
    Err(TokenError::Invalid(reason))
}

/// Refuses what a verifier must not ignore. These are unknown extensions (RFC 7515, 4.1.11), a
/// payload that is not base64 (RFC 7797, 3), and something signed that is not a token (RFC 8725,
/// 3.11).
fn check_header(header: &Header) -> Result<(), TokenError> {
    let refused = |field, reason| Err(TokenError::Header { field, reason });
    if header.crit.is_some() {
        return refused("crit", "extensions are not supported");
    }
    if header.extras.inner().get("b64").is_some_and(|b64| *b64 != true) {
        return refused("b64", "only payloads in base64 are supported");
    }
    match header.typ.as_deref() {
        Some(typ) if !is_token_type(typ) => refused("typ", "must be JWT or absent"),
        _ => Ok(()),
    }
}

/// Compares media types without regard to case. `application/` may be left out (RFC 7515, 4.1.9).
fn is_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == "jwt"
}

/// Returns the user that a token names, without any check of the token: for a client, which says to
/// a balancer where to place its connection.
pub fn claimed_user(token: &str) -> Option<UserId> {
    let claims: NamedUser = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    UserId::from_raw(claims.sub.as_bytes()).ok()
}

/// The claim that names the user.
#[derive(Deserialize)]
struct NamedUser {
    sub: String,
}

/// Returns when a token ends, in seconds since the epoch, without any check of the token: for load,
/// which has to end before.
pub fn claimed_expiry(token: &str) -> Option<u64> {
    let claims: ClaimedExpiry = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims.exp)
}

/// The claim that says when it ends.
#[derive(Deserialize)]
struct ClaimedExpiry {
    exp: u64,
}

fn principal(claims: &Claims) -> Result<Principal, TokenError> {
    let sub = |error: GrammarError| TokenError::Claim { claim: "sub", reason: error.to_string() };
    Ok(Principal {
        user: UserId::from_raw(claims.sub.as_bytes()).map_err(sub)?,
        scope: claims.nc.scope.unwrap_or(TokenScope::User),
        publish: grants("nc.publish", &claims.nc.publish)?,
        subscribe: grants("nc.subscribe", &claims.nc.subscribe)?,
        expires_at: claims.exp,
    })
}

fn grants(claim: &'static str, texts: &[String]) -> Result<Grants, TokenError> {
    if texts.len() > GRANTS_MAX {
        let reason = format!("{} patterns, at most {GRANTS_MAX} are allowed", texts.len());
        return Err(TokenError::Claim { claim, reason });
    }
    let read = |text: &String| {
        let reason = |error: GrammarError| format!("`{text}`: {error}");
        Pattern::read(text).map_err(|error| TokenError::Claim { claim, reason: reason(error) })
    };
    Ok(Grants::new(texts.iter().map(read).collect::<Result<_, _>>()?))
}

/// Makes tokens, for trying things out and for load tests.
pub struct Mint {
    header: Header,
    key: EncodingKey,
}

impl Mint {
    /// Makes a mint that signs with a key.
    pub fn new(key: &TokenKey) -> Self {
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
        Self { header, key: EncodingKey::from_secret(&key.secret).expect(NOT_EMPTY) }
    }

    /// Makes a token with these claims.
    pub fn token(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .expect("claims are JSON and a shared secret always signs")
    }
}

#[cfg(test)]
mod tests;
