//! `[redis]`: what connections to Redis need beyond the URLs. An item of `layouts.<name>.redis` may
//! say it of its own shard.

use std::path::{Path, PathBuf};

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
pub(super) const SECRET_FILES: [&str; 2] = ["password_file", "key_file"];

/// The keys of an item that it gives itself, in the order of printing.
pub(super) type OwnKeys = Vec<(&'static str, String)>;

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

/// Reads the keys of one shard. What the item omits is that of all shards.
pub(super) fn read_own(s: &mut Section, shared: &RedisAccess) -> (RedisAccess, OwnKeys) {
    let (access, own) = read_keys(s, shared);
    if !own.is_empty() {
        relate(&access, s);
    }
    (access, own)
}

/// The same, for a user whose password is given beside these keys.
pub(super) fn read_own_beside_password(
    s: &mut Section,
    shared: &RedisAccess,
) -> (RedisAccess, OwnKeys) {
    let (access, own) = read_keys(s, shared);
    if !own.is_empty() {
        relate(&RedisAccess { username: None, ..access.clone() }, s);
    }
    (access, own)
}

fn read_keys(s: &mut Section, shared: &RedisAccess) -> (RedisAccess, OwnKeys) {
    let mut own = OwnKeys::new();
    let mut access = shared.clone();
    let texts = [
        ("username", USERNAME, &mut access.username),
        ("server_name", SERVER_NAME, &mut access.server_name),
    ];
    for (key, kind, field) in texts {
        if let Some(given) = text(s, key, &kind) {
            *field = Some(given.clone()).filter(|text| !text.is_empty());
            own.push((key, given));
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
            own.push((key, given));
        }
    }
    (access, own)
}

/// Whether one of these needs TLS.
pub(super) fn tls_key(own: &OwnKeys) -> Option<&'static str> {
    own.iter().map(|(key, _)| *key).find(|key| TLS_KEYS.contains(key))
}

fn text(s: &mut Section, key: &'static str, kind: &Text) -> Option<String> {
    if s.has(key) {
        return Some(kind.read(s, key));
    }
    s.skip(key);
    None
}

fn relate(access: &RedisAccess, s: &mut Section) {
    let pairs = [
        ("username", access.username.is_some(), "password_file", access.password_file.is_some()),
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
