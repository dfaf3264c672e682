//! The address of a Redis, whose password prints masked.

use std::fmt;
use std::str::FromStr;

use ::redis::IntoConnectionInfo;
use serde::{Serialize, Serializer};

use super::endpoint::Endpoint;
use crate::secret::MASKED;

/// The schemes: plain, and encrypted.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];

/// The longest URL: a DNS name has 253 bytes, so this leaves a kilobyte and more for the password.
const URL_BYTES_MAX: usize = 2048;

/// Why a text is not a Redis URL. No error repeats the text, because it may hold a password in an
/// unexpected place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// Another scheme, or none.
    #[error("redis:// or rediss:// is required")]
    Scheme,
    /// Over 2,048 bytes.
    #[error("a URL has at most {URL_BYTES_MAX} bytes")]
    Long,
    /// A query, a fragment, white space or a control character. None has a meaning here, and the
    /// first two could hold what must be masked.
    #[error(
        "`?`, `#`, spaces and control characters are not allowed; write them as %XX in a password"
    )]
    Character,
    /// A user alone. Mostly it is a password whose colon was forgotten.
    #[error(
        "a user without a password: write redis://:password@host for a password alone, \
         redis://user:password@host for both, or username and password_file instead"
    )]
    LoneUser,
    /// Not of the form below, a wildcard address, or a port or database that is not a number.
    #[error("redis[s]://[[user]:password@]host[:port][/database] is required")]
    Form,
}

/// `redis://[[user]:password@]host[:port][/database]`, or `rediss://` with TLS: checked, and masked
/// except by [`RedisUrl::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL with its password. Do not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with(SCHEMES[1])
    }

    /// Whether there is a password.
    pub fn has_password(&self) -> bool {
        parts(&self.0).0.contains('@')
    }

    /// Returns the server, without user and database: publish/subscribe ignores both.
    pub fn server(&self) -> String {
        let info = self.0.as_str().into_connection_info();
        info.expect("it was one when it was read").addr().to_string()
    }

    /// The URL of a server, encrypted or not, with these credentials. A user without a password has
    /// none.
    pub fn of(
        endpoint: &Endpoint,
        is_encrypted: bool,
        [user, password]: [&str; 2],
        database: u32,
    ) -> Self {
        let credentials = match password {
            "" => String::new(),
            password => format!("{}:{}@", encoded(user), encoded(password)),
        };
        let scheme = SCHEMES[usize::from(is_encrypted)];
        Self(format!("{scheme}{credentials}{endpoint}/{database}"))
    }

    /// The URL of another server, with the same credentials and database.
    pub(super) fn at(&self, endpoint: &Endpoint) -> Self {
        let (authority, path) = parts(&self.0);
        let credentials = authority.rsplit_once('@').map(|(credentials, _)| credentials);
        let credentials = credentials.map_or(String::new(), |found| format!("{found}@"));
        let scheme = SCHEMES[usize::from(self.is_encrypted())];
        Self(format!("{scheme}{credentials}{endpoint}{path}"))
    }

    /// The URL with its password masked.
    fn masked(&self) -> String {
        let (authority, path) = parts(&self.0);
        let masked = authority.rsplit_once('@').and_then(|(credentials, host)| {
            let (user, _password) = credentials.split_once(':')?;
            let scheme = SCHEMES[usize::from(self.is_encrypted())];
            Some(format!("{scheme}{user}:{MASKED}@{host}{path}"))
        });
        masked.unwrap_or_else(|| self.0.clone())
    }
}

/// Returns the authority of a URL, and what follows it.
fn parts(url: &str) -> (&str, &str) {
    let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or_default();
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// Percent-encodes all but letters and digits.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn has_lone_user(url: &str) -> bool {
    let credentials = parts(url).0.rsplit_once('@');
    credentials.is_some_and(|(credentials, _)| !credentials.contains(':'))
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let senseless = |c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control();
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            Err(RedisUrlError::Scheme)
        } else if text.len() > URL_BYTES_MAX {
            Err(RedisUrlError::Long)
        } else if text.contains(senseless) {
            Err(RedisUrlError::Character)
        } else if text.into_connection_info().is_err() {
            Err(RedisUrlError::Form)
        } else if has_lone_user(text) {
            Err(RedisUrlError::LoneUser)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Masked too, because serialisation is a way of printing.
impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_passwords_only() {
        for (given, masked) in [
            ("redis://10.0.0.1", "redis://10.0.0.1"),
            ("redis://h:6380/3", "redis://h:6380/3"),
            ("redis://:pw@h", "redis://:MASKED@h"),
            ("redis://bob:pw@[::1]:1/2", "redis://bob:MASKED@[::1]:1/2"),
            ("redis://bob:p@w:x@h", "redis://bob:MASKED@h"),
            ("rediss://bob:pw@h:6380", "rediss://bob:MASKED@h:6380"),
        ] {
            let url: RedisUrl = given.parse().unwrap();
            assert_eq!(url.to_string(), masked);
            assert_eq!(format!("{url:?}"), format!("{masked:?}"));
            assert_eq!(url.expose(), given);
        }
    }

    #[test]
    fn refuses_what_is_no_redis_url() {
        let long = format!("redis://{}", "h".repeat(URL_BYTES_MAX));
        for (given, error) in [
            ("", RedisUrlError::Scheme),
            ("10.0.0.1:6379", RedisUrlError::Scheme),
            ("redisx://h", RedisUrlError::Scheme),
            ("rediss://h#insecure", RedisUrlError::Character),
            ("rediss://hunter2@h", RedisUrlError::LoneUser),
            ("unix:///tmp/redis.sock", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Form),
            ("redis://:pw@", RedisUrlError::Form),
            ("redis://h:port", RedisUrlError::Form),
            ("redis://h:70000", RedisUrlError::Form),
            ("redis://h/db", RedisUrlError::Form),
            ("redis://0.0.0.0", RedisUrlError::Form),
            ("redis://hunter2@h", RedisUrlError::LoneUser),
            ("redis://@h", RedisUrlError::LoneUser),
            ("redis://hunter2@h:1/2", RedisUrlError::LoneUser),
            ("redis://h?protocol=resp3", RedisUrlError::Character),
            ("redis://h#insecure", RedisUrlError::Character),
            ("redis://h\n", RedisUrlError::Character),
            (long.as_str(), RedisUrlError::Long),
        ] {
            assert_eq!(given.parse::<RedisUrl>(), Err(error), "{given}");
        }
    }

    #[test]
    fn parts_make_a_url_that_leads_elsewhere_too() {
        let endpoint = |text| Endpoint::parse(text, 6379).unwrap();
        for (user, password, database, made) in [
            ("", "", 0, "redis://h:6379/0"),
            ("bob", "", 2, "rediss://h:6379/2"),
            ("", "pw", 0, "redis://:pw@h:6379/0"),
            ("bob", "p@w:/#%ä", 3, "rediss://bob:p%40w%3A%2F%23%25%C3%A4@h:6379/3"),
        ] {
            let is_encrypted = made.starts_with("rediss");
            let url = RedisUrl::of(&endpoint("h"), is_encrypted, [user, password], database);
            assert_eq!(url.expose(), made);
            assert_eq!(url.expose().parse(), Ok(url.clone()));
            assert_eq!(url.at(&endpoint("[::1]:7")).expose(), made.replace("h:6379", "[::1]:7"));
            let info = url.expose().into_connection_info().unwrap();
            let told = info.redis_settings().password().unwrap_or_default();
            assert_eq!((told, info.redis_settings().db()), (password, i64::from(database)));
        }
    }

    #[test]
    fn a_server_is_its_host_and_port() {
        let server = |url: &str| url.parse::<RedisUrl>().unwrap().server();
        for url in ["redis://h", "redis://h:6379/3", "redis://bob:p@w@h", "redis://:x@h/0"] {
            assert_eq!(server(url), "h:6379", "{url}");
        }
        assert_eq!(server("rediss://h"), "h:6379", "a server is one by both of its ports");
        assert_eq!(server("redis://bob:p@[::1]:1/2"), server("redis://[::1]:1"));
    }

    proptest! {
        #[test]
        fn never_shows_a_password(password in "[0-9]{6}[!-~]{0,20}") {
            if let Ok(url) = format!("rediss://user:{password}@host:1/0").parse::<RedisUrl>() {
                let debugged = format!("{url:?}");
                prop_assert!(!url.to_string().contains(&password[..6]));
                prop_assert!(!debugged.contains(&password[..6]));
            }
        }

        #[test]
        fn never_panics(text in "(rediss?://)?[\\PC\\s]{0,60}") {
            let _ = text.parse::<RedisUrl>().map(|url| url.to_string());
        }
    }
}
