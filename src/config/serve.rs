//! What `serve` refuses beyond what every command refuses. `demo` and `bench`, whose nodes share
//! one process on loopback, refuse less.

use super::error::{ConfigError, ConfigErrors};
use super::redis_access::file_mistake;
use super::{Config, LayoutChoice, StoreBackend};

/// The secret in `default.toml`, which anyone with this source knows.
const DEVELOPMENT_SECRET: &[u8] = b"narrowcast-development-key-do-not-deploy";

impl Config {
    /// Checks that a process of its own may serve with this configuration.
    ///
    /// # Errors
    ///
    /// An embedded store with Redis shards, because other nodes would not see its messages. The
    /// development key on an address that is not loopback, because anyone could sign tokens. Also
    /// what `demo` refuses.
    pub fn check_serve(&self) -> Result<(), ConfigErrors> {
        let mistakes = self.lonely_store().into_iter().chain(self.public_keys());
        ConfigErrors::check(mistakes.chain(self.any_page()).chain(self.redis_files()).collect())
    }

    /// Checks that nodes of `demo` and `bench` may run with this configuration.
    ///
    /// # Errors
    ///
    /// The development key with pages of any origin: each page that is open in a browser of this
    /// machine could sign tokens and connect. A file that connections to Redis need and that is of
    /// no use.
    pub fn check_demo(&self) -> Result<(), ConfigErrors> {
        ConfigErrors::check(self.any_page().into_iter().chain(self.redis_files()).collect())
    }

    /// Returns the places of the development key in `auth.keys`.
    pub(super) fn development_keys(&self) -> impl Iterator<Item = usize> {
        let keys = self.auth.keys.iter().enumerate();
        keys.filter(|(_, key)| key.secret.expose() == DEVELOPMENT_SECRET).map(|(place, _)| place)
    }

    fn any_page(&self) -> Option<ConfigError> {
        let key = self.development_keys().next()?;
        let complaint = format!(
            "auth.keys[{key}] is the public development key, with which any page could sign \
             tokens; name the origins of your pages, or use a key of your own"
        );
        let any = self.listen.allows_any_origin();
        any.then(|| ConfigError::new("listen.origins", complaint).value("[\"*\"]"))
    }

    /// A command that does not connect to Redis needs none of its files: credentials of a service
    /// manager exist only while the service runs.
    fn redis_files(&self) -> Vec<ConfigError> {
        let mut mistakes = Vec::from_iter(file_mistake("redis", &self.layouts.access));
        for layout in &self.layouts.all {
            for (place, shard) in layout.shards.iter().enumerate() {
                let own = shard.own_access().into_iter();
                mistakes.extend(own.filter_map(|(table, access)| {
                    file_mistake(&format!("layouts.{}.redis[{place}]{table}", layout.name), access)
                }));
            }
        }
        mistakes
    }

    fn lonely_store(&self) -> Option<ConfigError> {
        let LayoutChoice { publish, subscribe } = &self.layouts.choice;
        let used = subscribe.iter().chain([publish]);
        let layout = |name: &str| self.layouts.named(name);
        let sharded = |name: &&String| layout(name).is_some_and(|it| !it.shards.is_empty());
        let layout = used.into_iter().find(sharded)?;
        let complaint = format!(
            "the embedded store belongs to one process; use another backend, or no shards in \
             layouts.{layout}.redis"
        );
        let embedded = self.store.backend == StoreBackend::Embedded;
        embedded.then(|| ConfigError::new("store.backend", complaint).value("\"embedded\""))
    }

    fn public_keys(&self) -> Vec<ConfigError> {
        let clients = self.listen.clients;
        let complaint = format!(
            "the development key is public; use a key of your own, or a loopback address, \
             unlike listen.clients = {clients}"
        );
        let public = self.development_keys().filter(|_| !clients.ip().is_loopback());
        public.map(|place| ConfigError::new(format!("auth.keys[{place}]"), &complaint)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_KEY: &str = r#"[[auth.keys]]
        kid = "k"
        alg = "HS256"
        secret = "mine-mine-mine-mine-mine-mine-mine""#;

    fn refused(text: &str) -> Vec<String> {
        let checked = Config::load(Some(text), []).unwrap().check_serve();
        let mistakes =
            checked.err().into_iter().flat_map(|all| all.iter().cloned().collect::<Vec<_>>());
        mistakes.map(|mistake| mistake.key().to_owned()).collect()
    }

    #[test]
    fn the_default_may_serve() {
        assert_eq!(DEVELOPMENT_SECRET, Config::default().auth.keys[0].secret.expose());
        assert!(Config::default().check_serve().is_ok());
    }

    #[test]
    fn an_embedded_store_is_of_one_process() {
        let shard = r#"redis = [{ name = "r", url = "redis://h" }]"#;
        assert_eq!(refused(&format!("[layouts.a]\n{shard}")), ["store.backend"]);
        assert!(refused(&format!("[layouts.a]\n[layouts.unused]\n{shard}")).is_empty());
    }

    #[test]
    fn the_development_key_stays_on_loopback() {
        for open in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(refused(&format!("listen.clients = {open:?}")), ["auth.keys[0]"]);
        }
        assert!(refused("listen.clients = \"[::1]:1\"").is_empty());
        assert!(refused(&format!("listen.clients = \"0.0.0.0:1\"\n{OWN_KEY}")).is_empty());
    }

    #[test]
    fn the_development_key_is_for_no_page_of_any_origin() {
        let any = "listen.origins = [\"*\"]";
        assert_eq!(refused(any), ["listen.origins"]);
        assert!(Config::load(Some(any), []).unwrap().check_demo().is_err());
        assert!(refused(&format!("{any}\n{OWN_KEY}")).is_empty());
        assert!(refused("listen.origins = [\"http://localhost:3000\"]").is_empty());
    }

    #[test]
    fn the_development_key_is_known_by_its_secret() {
        let secret = std::str::from_utf8(DEVELOPMENT_SECRET).unwrap();
        let keys = format!(r#"keys = [{{ kid = "prod", alg = "HS256", secret = "{secret}" }}]"#);
        let text = format!("[listen]\nclients = \"0.0.0.0:1\"\n[auth]\n{keys}");
        assert_eq!(refused(&text), ["auth.keys[0]"]);
    }

    #[test]
    fn files_for_redis_are_read_only_by_what_connects_to_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2").unwrap();
        let path = format!("{:?}", file.path());
        let item = |keys: &str| {
            format!("[layouts.a]\n[layouts.spare]\nredis = [{{ name = \"r\", {keys} }}]")
        };
        let sentinel = "master = \"m\", nodes = [\"h\"], password_file = \"/gone\"";
        for (text, key) in [
            ("redis.password_file = \"/gone\"".to_owned(), "redis.password_file"),
            (format!("redis.ca_file = {path}"), "redis.ca_file"),
            (format!("redis.cert_file = {path}\nredis.key_file = \"/gone\""), "redis.cert_file"),
            (
                item("url = \"redis://h\", password_file = \"/gone\""),
                "layouts.spare.redis[0].password_file",
            ),
            (
                item(&format!("sentinel = {{ {sentinel} }}")),
                "layouts.spare.redis[0].sentinel.password_file",
            ),
        ] {
            assert_eq!(refused(&text), [key], "{text}");
            let demo = Config::load(Some(&text), []).unwrap().check_demo().unwrap_err();
            assert!(!demo.to_string().contains("hunter2"), "{demo}");
        }
        assert!(refused(&format!("redis.password_file = {path}")).is_empty());
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = r#"
            listen.clients = "0.0.0.0:1"
            layouts.a.redis = [{ name = "r", url = "redis://h" }]
        "#;
        assert_eq!(refused(text), ["store.backend", "auth.keys[0]"]);
    }
}
