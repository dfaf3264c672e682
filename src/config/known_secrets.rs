//! Secrets that others than the operator may know.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::geteuid;

use super::{Config, LayoutConfig, ShardConfig};
use crate::redis::RedisAccess;

/// The permission bits for reading by the group and by all other users.
const READ_BY_OTHERS: u32 = 0o044;

impl Config {
    /// Returns what a node warns of at its start: the development key, and files with secrets that
    /// group or others may read. The configuration's own file, `own_file`, may be among them.
    pub fn exposed_secrets(&self, own_file: Option<&Path>) -> Vec<String> {
        let keys = self.development_keys().map(|place| {
            format!("auth.keys[{place}] is the public development key: anyone may sign tokens")
        });
        let files = self.auth.keys.iter().enumerate().filter_map(|(place, key)| {
            exposed(&format!("auth.keys[{place}].file"), key.file.as_deref()?)
        });
        let redis = secret_files(&self.layouts.access)
            .into_iter()
            .filter_map(|(key, file)| exposed(&format!("redis.{key}"), file?));
        let shards = self.layouts.all.iter().flat_map(exposed_by_shards);
        let credentials = self.store.cql.credentials.iter();
        let store = credentials
            .filter_map(|credentials| exposed("store.password_file", credentials.file.as_deref()?));
        let own = own_file.filter(|file| self.has_secret_in(file));
        let own = own.and_then(|file| exposed("the configuration file", file));
        keys.chain(files).chain(redis).chain(shards).chain(store).chain(own).collect()
    }

    /// Whether a secret of this configuration is in a file, and not in the environment.
    fn has_secret_in(&self, file: &Path) -> bool {
        let text = std::fs::read(file).unwrap_or_default();
        let mut secrets = self.written_secrets();
        secrets.any(|secret| text.windows(secret.len()).any(|part| part == secret))
    }

    /// Returns the secrets that the configuration itself holds. None of them is empty.
    fn written_secrets(&self) -> impl Iterator<Item = &[u8]> {
        let keys = self.auth.keys.iter().filter(|key| key.file.is_none());
        let keys = keys.map(|key| key.secret.expose());
        let credentials = self.store.cql.credentials.iter();
        let written = credentials.filter(|credentials| credentials.file.is_none());
        let password = written.map(|credentials| credentials.password.expose());
        let shards = self.layouts.all.iter().flat_map(|layout| &layout.shards);
        keys.chain(password).chain(shards.flat_map(ShardConfig::written_secrets))
    }
}

/// The files of a Redis that hold a secret.
fn secret_files(access: &RedisAccess) -> [(&'static str, Option<&Path>); 2] {
    let files = [("password_file", &access.password_file), ("key_file", &access.key_file)];
    files.map(|(key, file)| (key, file.as_deref()))
}

/// The same of a layout's shards, as far as they have files of their own.
fn exposed_by_shards(layout: &LayoutConfig) -> Vec<String> {
    let mut found = Vec::new();
    for (place, shard) in layout.shards.iter().enumerate() {
        for (key, file) in shard.secret_files() {
            let what = format!("layouts.{}.redis[{place}].{key}", layout.name);
            found.extend(exposed(&what, Path::new(file)));
        }
    }
    found
}

/// A file of another owner is there for the group, such as a secret of Kubernetes: root's, and
/// readable by the group of the process.
fn exposed(what: &str, file: &Path) -> Option<String> {
    let metadata = std::fs::metadata(file).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    let is_own = metadata.uid() == geteuid().as_raw();
    let (path, mend) = (file.display(), mend(mode, is_own)?);
    Some(format!("{what}: group or others may read {path} (mode {mode:04o}): {mend}"))
}

/// What to do about a file that too many may read. With 0600 a node could not read one of another
/// owner.
fn mend(mode: u32, is_own: bool) -> Option<&'static str> {
    let (others, mend) = if is_own {
        (READ_BY_OTHERS, "set it to 0600")
    } else {
        (READ_BY_OTHERS & 0o007, "set it to 0440, and its group to the node's")
    };
    (mode & others != 0).then_some(mend)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    const OWN: &str = "mine-mine-mine-mine-mine-mine-mine";

    /// Returns the warnings of a node whose file holds `text`, with this mode.
    fn warnings(text: &str, mode: u32) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), text).unwrap();
        set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        Config::load(Some(text), []).unwrap().exposed_secrets(Some(file.path()))
    }

    fn key(fields: &str) -> String {
        format!("auth.keys = [{{ kid = \"k\", alg = \"HS256\", {fields} }}]")
    }

    #[test]
    fn the_development_key_is_named_wherever_it_listens() {
        let found = Config::default().exposed_secrets(None);
        assert_eq!(found, ["auth.keys[0] is the public development key: anyone may sign tokens"]);
    }

    #[test]
    fn a_key_file_is_its_owners_alone() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        write(secret.path(), OWN).unwrap();
        let text = key(&format!("file = {:?}", secret.path()));
        for (mode, is_named) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            set_permissions(secret.path(), Permissions::from_mode(mode)).unwrap();
            let found = warnings(&text, 0o644);
            assert_eq!(found.len(), usize::from(is_named), "{mode:o}: {found:?}");
            assert!(found.iter().all(|it| it.starts_with("auth.keys[0].file: ")), "{found:?}");
        }
    }

    #[test]
    fn a_file_of_another_owner_stays_readable() {
        for (mode, is_own, wanted) in [
            (0o444, true, Some("set it to 0600")),
            (0o440, true, Some("set it to 0600")),
            (0o444, false, Some("set it to 0440, and its group to the node's")),
            (0o440, false, None),
        ] {
            assert_eq!(mend(mode, is_own), wanted, "{mode:o}");
        }
    }

    #[test]
    fn a_password_file_is_its_owners_alone() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        write(secret.path(), "pw").unwrap();
        let path = format!("password_file = {:?}", secret.path());
        let keys = [
            (format!("redis.{path}"), "redis.password_file: "),
            (
                format!("layouts.a.redis = [{{ name = \"r\", url = \"redis://h\", {path} }}]"),
                "layouts.a.redis[0].password_file: ",
            ),
            (format!("store = {{ username = \"u\", {path} }}"), "store.password_file: "),
        ];
        for (text, start) in keys {
            for (mode, is_named) in [(0o600, false), (0o644, true)] {
                set_permissions(secret.path(), Permissions::from_mode(mode)).unwrap();
                let found = Config::load(Some(&text), []).unwrap().exposed_secrets(None);
                let named: Vec<_> = found.iter().filter(|it| it.starts_with(start)).collect();
                assert_eq!((named.len(), found.len()), (usize::from(is_named), 1 + named.len()));
            }
        }
    }

    #[test]
    fn a_configuration_with_secrets_is_its_owners_alone() {
        let own_key = key(&format!("secret = {OWN:?}"));
        assert_eq!(warnings(&own_key, 0o600), [""; 0]);
        assert_eq!(warnings(&own_key, 0o644).len(), 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        let from_elsewhere = [("NARROWCAST__AUTH__KEYS".into(), own_key[12..].to_owned().into())];
        let config = Config::load(None, from_elsewhere).unwrap();
        assert_eq!(config.exposed_secrets(Some(file.path())), [""; 0]);
        for secret in [
            "store = { username = \"u\", password = \"p\" }",
            "layouts.a.redis = [{ name = \"r\", url = \"redis://:p@h\" }]",
            "layouts.a.redis = [{ name = \"r\", password = \"p w%\", \
             sentinel = { master = \"m\", nodes = [\"h\"] } }]",
            "layouts.a.redis = [{ name = \"r\", \
             sentinel = { master = \"m\", nodes = [\"h\"], password = \"p w%\" } }]",
        ] {
            let found = warnings(secret, 0o640);
            assert!(found.len() == 2 && found[1].contains("0640"), "{found:?}");
        }
    }
}
