//! `[auth]`: which tokens are trusted.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::error::quoted;
use super::key_type::{Choice, Group, Items, KeyType, Seconds, Text};
use super::keys::keys;
use super::section::Section;
use crate::secret::{Secret, SecretError, read_secret_file};

/// From what RFC 7518 (3.2) requires of HS256, to more than any key has. The upper bound ends the
/// reading of a device that is given as a file.
const SECRET_BYTES: RangeInclusive<usize> = 32..=4096;

/// `aud` and `iss` are short names or URLs; every token repeats them.
const CLAIM_BYTES: RangeInclusive<usize> = 0..=256;

keys! {
    /// Which tokens are trusted.
    pub struct AuthConfig {
        /// The keys that tokens may be signed with.
        pub keys: Vec<KeyConfig> = Items(1..=16, KeyConfig::read),
        /// What a token must satisfy.
        pub rules: TokenRules = Group,
    }
    relate Self::relate;
}

keys! {
    /// What a token must satisfy.
    pub struct TokenRules {
        /// What `aud` must name; none if it is not checked.
        pub audience: Option<String> = Text(CLAIM_BYTES),
        /// What `iss` must be; none if it is not checked.
        pub issuer: Option<String> = Text(CLAIM_BYTES),
        /// How far the issuer's clock may be off.
        pub leeway: Duration = Seconds(0..=300) => "leeway_s",
        /// The longest `exp - iat`: from a minute to a week, since every node remembers revocations
        /// for as long.
        pub max_life: Duration = Seconds(60..=604_800) => "max_life_s",
    }
}

/// A key that tokens may be signed with.
#[derive(Clone, Debug)]
pub struct KeyConfig {
    /// The `kid` of its tokens.
    pub kid: String,
    /// The only algorithm that it is valid for.
    pub alg: Algorithm,
    /// The key itself.
    pub secret: Secret,
    /// The file that it was read from, if it was.
    pub file: Option<PathBuf>,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
}

impl AuthConfig {
    fn relate(&self, s: &mut Section) {
        s.unique("keys", "kid", self.keys.iter().map(|key| key.kid.as_str()));
    }
}

impl KeyConfig {
    fn read(s: &mut Section) -> Option<Self> {
        let kid = Text(1..=64).read(s, "kid");
        let alg = Choice([("HS256", Algorithm::Hs256)]).read(s, "alg");
        let (secret, file) = read_secret(s)?;
        Some(Self { kid, alg, secret: Secret::new(secret), file })
    }
}

/// Prints what was given: the file, or that there is a secret.
impl Serialize for KeyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut key = serializer.serialize_map(Some(3))?;
        key.serialize_entry("kid", &self.kid)?;
        key.serialize_entry("alg", &self.alg)?;
        match &self.file {
            Some(file) => key.serialize_entry("file", &file.to_string_lossy())?,
            None => key.serialize_entry("secret", &self.secret)?,
        }
        key.end()
    }
}

fn read_secret(s: &mut Section) -> Option<(Vec<u8>, Option<PathBuf>)> {
    match (s.has("secret"), s.has("file")) {
        (true, false) => secret_given(s),
        (false, true) => secret_of_file(s),
        (both, _) => {
            s.skip("secret");
            s.skip("file");
            let given = if both { "both" } else { "neither" };
            s.report("secret", format!("either secret or file is required, {given} was given"));
            None
        }
    }
}

fn secret_given(s: &mut Section) -> Option<(Vec<u8>, Option<PathBuf>)> {
    s.skip("file");
    let secret = s.sealed("secret")?.into_bytes();
    let size = SecretError::check_size(&secret, &SECRET_BYTES);
    size.map_err(|error| s.report("secret", error.to_string())).ok()?;
    Some((secret, None))
}

fn secret_of_file(s: &mut Section) -> Option<(Vec<u8>, Option<PathBuf>)> {
    s.skip("secret");
    let file: String = Text(1..=4096).read(s, "file");
    if s.is_mistaken("file") {
        return None;
    }
    let secret = read_secret_file(Path::new(&file), &SECRET_BYTES).map_err(|error| match error {
        // Mostly a path, but it is the secret itself if the two keys were mixed up.
        SecretError::Unreadable(_) => s.refuse("file", quoted(&file), &error.to_string()),
        SecretError::Size { .. } => s.report("file", error.to_string()),
    });
    Some((secret.ok()?, Some(file.into())))
}
