//! The host and port of a server.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest DNS name.
const HOST_BYTES_MAX: usize = 253;

/// The host and port of a server: a DNS name or an address, and a port from 1 on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Returns none if the host is no DNS name and no address, or the port is 0.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_name = (1..=HOST_BYTES_MAX).contains(&host.len()) && host.chars().all(is_plain);
        let is_host = is_name || host.parse::<Ipv6Addr>().is_ok();
        (is_host && port > 0).then(|| Self { host: host.to_owned(), port })
    }

    /// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`; `port` holds where none is given.
    pub fn parse(text: &str, port: u16) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(text) => text.split_once(']').filter(|(host, _)| host.contains(':'))?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            None if rest.is_empty() => Some(port),
            _ => None,
        };
        Self::new(host, port?)
    }
}

/// As in a URL: an IPv6 address in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        Endpoint::parse(text, 26379).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn hosts_have_a_port_or_get_one() {
        for (text, endpoint) in [
            ("10.0.0.1", "10.0.0.1:26379"),
            ("s1.example:5000", "s1.example:5000"),
            ("[::1]", "[::1]:26379"),
            ("[fe80::1]:1", "[fe80::1]:1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(endpoint));
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        let long = "h".repeat(HOST_BYTES_MAX + 1);
        for text in [
            "",
            ":1",
            "h:",
            "h:0",
            "h:65536",
            "h:+1",
            "h:1:2",
            "::1",
            "[::1",
            "[h]:1",
            "[::1]x",
            "a b",
            "user:pw@h",
            "h/0",
            "redis://h",
            &long,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\PC\\[\\]:0-9]{0,40}") {
            if let Some(endpoint) = Endpoint::parse(&text, 1) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string(), 2), Some(endpoint));
            }
        }
    }
}
