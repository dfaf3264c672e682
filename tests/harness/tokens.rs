//! Tokens by the development key, with whatever claims a test needs.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use narrowcast::auth::{Claims, Mint, TokenKey, TokenPermissions, token_keys};
use narrowcast::config::Config;

/// Reading the defaults takes longer than signing.
static DEVELOPMENT_MINT: LazyLock<Mint> = LazyLock::new(|| Mint::new(&development_key()));

/// The time in seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// Claims of a user for an hour, with no grant.
pub fn claims(user: &str) -> Claims {
    Claims::of_user(user, now(), 3600)
}

/// The key that nodes accept when nothing else is configured.
pub fn development_key() -> TokenKey {
    token_keys(&Config::default().auth).remove(0)
}

pub fn development_secret() -> Vec<u8> {
    Config::default().auth.keys[0].secret.expose().to_vec()
}

pub fn sign(claims: &Claims) -> String {
    DEVELOPMENT_MINT.token(claims)
}

/// A token with these grants.
pub fn granting(user: &str, publish: &[&str], subscribe: &[&str]) -> String {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let (publish, subscribe) = (texts(publish), texts(subscribe));
    sign(&Claims { nc: TokenPermissions { scope: None, publish, subscribe }, ..claims(user) })
}

/// A token with all that the demo's tokens grant.
pub fn token(user: &str) -> String {
    granting(user, &["topic.>"], &["topic.>", "presence.*"])
}
