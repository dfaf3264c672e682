//! `[listen]`: where this node listens, and for how many.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde::Serialize;

use super::section::Section;

const ORIGINS: RangeInclusive<usize> = 0..=64;
const ORIGIN_BYTES_MAX: usize = 300;
const ORIGIN: &str = "\"*\" or a lower-case origin such as \"https://chat.example.com\", without a path, is required";
const ANY_ORIGIN: &str = "*";
const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
const HANDSHAKES: RangeInclusive<u64> = 1..=65_536;

/// Where to listen.
#[derive(Clone, Debug, Serialize)]
pub struct ListenConfig {
    /// For clients: WebSocket and HTTP API.
    pub clients: SocketAddr,
    /// For operators: metrics and health.
    pub operator: SocketAddr,
    /// The `Origin` headers of browsers that may connect, matched exactly; a lone `*` is any.
    pub origins: Vec<String>,
    /// Client connections at once.
    pub connections: usize,
    /// Connections at once that have not finished their HTTP upgrade.
    pub handshakes: usize,
}

impl ListenConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let listen = Self {
            clients: address(s, "clients"),
            operator: address(s, "operator"),
            origins: s.strings("origins", &ORIGINS, ORIGIN, is_origin),
            connections: s.count("connections", &CONNECTIONS),
            handshakes: s.count("handshakes", &HANDSHAKES),
        };
        listen.relate(s);
        listen
    }

    /// Whether pages of any origin may connect.
    pub(super) fn allows_any_origin(&self) -> bool {
        self.origins.iter().any(|origin| origin == ANY_ORIGIN)
    }

    fn relate(&self, s: &mut Section) {
        let shared = self.operator == self.clients && self.operator.port() != 0;
        if shared && !s.is_mistaken("operator") && !s.is_mistaken("clients") {
            s.refuse("operator", self.operator, "an address other than listen.clients is required");
        }
        if self.origins.len() > 1 && self.allows_any_origin() {
            s.report(
                "origins",
                "\"*\" allows every origin, so it must be the only one or be left out",
            );
        }
    }
}

fn address(s: &mut Section, key: &'static str) -> SocketAddr {
    let wanted = "an IP address and port such as \"127.0.0.1:8080\" is required";
    let stand_in = (Ipv4Addr::UNSPECIFIED, 0).into();
    s.string(key, wanted, |text| text.parse().ok()).unwrap_or(stand_in)
}

/// What a browser sends: scheme, host and perhaps a port. Anything more would never match.
fn is_origin(text: &str) -> bool {
    let bare = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*".contains(&b))
    };
    let host = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty());
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    text == ANY_ORIGIN
        || (text.len() <= ORIGIN_BYTES_MAX && lower && host.is_some_and(|(_, host)| bare(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let long = format!("https://{}", "h".repeat(ORIGIN_BYTES_MAX));
        for good in ["*", "https://a.example", "http://localhost:3000", "capacitor://localhost"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["", "a.example", "https://", "https://a/", "https://A", "https://*.a", &long] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
