//! `[redis]`: what connections to Redis need beyond the URLs. An item of `layouts.<name>.redis` may
//! say it of its own shard.

use std::path::{Path, PathBuf};

use serde::ser::SerializeMap;

use super::error::{ConfigError, quoted, shown_path};
use super::key_path::KeyPath;
use super::key_type::{KeyType, Text};
use super::keys::keys;
use super::section::Section;
use crate::redis::{RedisAccess, RedisFileError};
use crate::tls::is_server_name;

const USERNAME: Text = Text(0..=128);
const PATH: Text = Text(0..=4096);
const SERVER_NAME: Text = Text(0..=253);

keys! {
    for RedisAccess {
        username = USERNAME,
        password_file = PATH,
        ca_file = PATH,
        cert_file = PATH,
        key_file = PATH,
        server_name = SERVER_NAME,
    }
    relate relate;
}

/// The keys that need TLS.
const TLS_KEYS: [&str; 4] = ["ca_file", "cert_file", "key_file", "server_name"];

/// The keys of files that hold secrets.
const SECRET_FILES: [&str; 2] = ["password_file", "key_file"];

/// The keys of an item that it gives itself, in the order of printing.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnKeys(Vec<(&'static str, String)>);

/// Refuses what all shards have in common for TLS while none of them has it: they were meant to be
/// encrypted. `s` is the whole document.
pub(super) fn refuse_without_tls(s: &mut Section, access: &RedisAccess) {
    let given = [
        ("ca_file", access.ca_file.as_deref()),
        ("cert_file", access.cert_file.as_deref()),
        ("server_name", access.server_name.as_deref().map(Path::new)),
    ];
    for (key, given) in given {
        let path = KeyPath::from_iter(["redis", key]);
        if let Some(given) = given.filter(|_| !s.is_mistaken_at(&path)) {
            let wanted = "no shard has TLS: rediss:// in its URL, or tls = true, is required";
            s.note(path, shown_path(&given.to_string_lossy()), wanted);
        }
    }
}

impl OwnKeys {
    /// Reads the keys of one shard. What the item omits is that of all shards. `has_password` says
    /// that the user's password is given beside these keys.
    pub(super) fn read(
        s: &mut Section,
        shared: &RedisAccess,
        has_password: bool,
    ) -> (RedisAccess, Self) {
        let (access, own) = read_keys(s, shared);
        if !own.is_empty() {
            relate_beside(&access, has_password, s);
        }
        (access, own)
    }

    /// Whether the item gives none.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files that hold secrets, each with its key.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secret = self.0.iter().filter(|(key, _)| SECRET_FILES.contains(key));
        secret.map(|(key, file)| (*key, file.as_str()))
    }

    /// One that needs TLS, if there is any.
    pub(super) fn tls_key(&self) -> Option<&'static str> {
        self.0.iter().map(|(key, _)| *key).find(|key| TLS_KEYS.contains(key))
    }

    /// Prints them as the item gives them.
    pub(super) fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(key, given)| map.serialize_entry(key, given))
    }
}

fn read_keys(s: &mut Section, shared: &RedisAccess) -> (RedisAccess, OwnKeys) {
    let mut own = OwnKeys::default();
    let mut access = shared.clone();
    let texts = [
        ("username", USERNAME, &mut access.username),
        ("server_name", SERVER_NAME, &mut access.server_name),
    ];
    for (key, kind, field) in texts {
        if let Some(given) = text(s, key, &kind) {
            *field = Some(given.clone()).filter(|text| !text.is_empty());
            own.0.push((key, given));
        }
    }
    let files = [
        ("password_file", &mut access.password_file),
        ("ca_file", &mut access.ca_file),
        ("cert_file", &mut access.cert_file),
        ("key_file", &mut access.key_file),
    ];
    for (key, field) in files {
        if let Some(given) = text(s, key, &PATH) {
            *field = Some(PathBuf::from(&given)).filter(|path| !path.as_os_str().is_empty());
            own.0.push((key, given));
        }
    }
    (access, own)
}

fn text(s: &mut Section, key: &'static str, kind: &Text) -> Option<String> {
    if s.has(key) {
        return Some(kind.read(s, key));
    }
    s.skip(key);
    None
}

fn relate(access: &RedisAccess, s: &mut Section) {
    relate_beside(access, false, s);
}

fn relate_beside(access: &RedisAccess, has_password: bool, s: &mut Section) {
    let needs_file = access.username.is_some() && !has_password;
    let pairs = [
        ("username", needs_file, "password_file", access.password_file.is_some()),
        ("cert_file", access.cert_file.is_some(), "key_file", access.key_file.is_some()),
        ("key_file", access.key_file.is_some(), "cert_file", access.cert_file.is_some()),
    ];
    for (given, is_given, other, has_other) in pairs {
        if is_given && !has_other && !s.is_mistaken(given) && !s.is_mistaken(other) {
            s.report(other, format!("missing, since {given} is given"));
        }
    }
    if let Some(name) = access.server_name.as_deref().filter(|name| !is_server_name(name)) {
        s.refuse("server_name", quoted(name), "a DNS name or an IP address is required");
    }
}

/// Reads the files of `access`, whose keys are in `table`, and returns what is wrong with the first
/// bad one. It blocks.
pub(super) fn file_mistake(table: &str, access: &RedisAccess) -> Option<ConfigError> {
    let RedisFileError { key, path, why } = access.check().err()?;
    let mistake = ConfigError::new(format_args!("{table}.{key}"), why);
    let path = path.to_string_lossy();
    Some(if path.is_empty() { mistake } else { mistake.value(shown_path(&path)) })
}
