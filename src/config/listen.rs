//! `[listen]`: where this node listens, and for how many.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde::ser::SerializeMap;

use super::key_type::{Checked, Entry, Flag, Integer, KeyType, Strings};
use super::keys::keys;
use super::section::Section;
use crate::socket::TrustedNetworks;

const ORIGIN: Checked = Checked(
    "\"*\" or a lower-case origin such as \"https://chat.example.com\", without a path, is required",
    is_origin,
);
const ORIGIN_BYTES_MAX: usize = 300;
const ANY_ORIGIN: &str = "*";

keys! {
    /// Where to listen.
    pub struct ListenConfig {
        /// For clients: WebSocket and HTTP API.
        pub clients: SocketAddr = Address,
        /// For operators: metrics and health.
        pub operator: SocketAddr = Address,
        /// The `Origin` headers of browsers that may connect, matched exactly; a lone `*` is any.
        pub origins: Vec<String> = Strings(0..=64, ORIGIN),
        /// The networks of balancers, which may say whose connection or request it is.
        pub trusted: TrustedNetworks = Networks(0..=64),
        /// Whether connections from them must begin with a PROXY header.
        pub proxy_protocol: bool = Flag,
        /// Client connections at once.
        pub connections: usize = Integer(1..=1_000_000),
        /// Connections at once that have not finished their HTTP upgrade.
        pub handshakes: usize = Integer(1..=65_536),
        /// Whether each session gets a frame and a field that no client knows.
        pub unknown_frames: bool = Flag,
    }
    relate Self::relate;
}

impl ListenConfig {
    /// Whether pages of any origin may connect.
    pub(super) fn allows_any_origin(&self) -> bool {
        self.origins.iter().any(|origin| origin == ANY_ORIGIN)
    }

    fn relate(&self, s: &mut Section) {
        let shared = self.operator == self.clients && self.operator.port() != 0;
        if shared && !s.is_mistaken("operator") && !s.is_mistaken("clients") {
            s.refuse("operator", self.operator, "an address other than listen.clients is required");
        }
        if self.proxy_protocol && self.trusted.is_empty() && !s.is_mistaken("trusted") {
            s.refuse(
                "proxy_protocol",
                true,
                "a PROXY header is taken from listen.trusted alone, which is empty",
            );
        }
        if self.origins.len() > 1 && self.allows_any_origin() {
            s.report(
                "origins",
                "\"*\" allows every origin, so it must be the only one or be left out",
            );
        }
    }
}

/// An IP address and port.
struct Address;

impl KeyType<SocketAddr> for Address {
    fn read(&self, s: &mut Section, key: &'static str) -> SocketAddr {
        let wanted = "an IP address and port such as \"127.0.0.1:8080\" is required";
        let stand_in = (Ipv4Addr::UNSPECIFIED, 0).into();
        s.string(key, wanted, |text| text.parse().ok()).unwrap_or(stand_in)
    }

    fn print<M: SerializeMap>(&self, value: &SocketAddr, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// A list of so many networks.
struct Networks(RangeInclusive<usize>);

impl KeyType<TrustedNetworks> for Networks {
    fn read(&self, s: &mut Section, key: &'static str) -> TrustedNetworks {
        let wanted = "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\" is required, with no bit \
            set after its prefix, and not all addresses";
        let is_network = |text: &str| TrustedNetworks::parse([text]).is_ok();
        let networks = s.strings(key, &self.0, wanted, is_network);
        TrustedNetworks::parse(networks.iter().map(String::as_str)).unwrap_or_default()
    }

    fn print<M: SerializeMap>(
        &self,
        value: &TrustedNetworks,
        to: Entry<M>,
    ) -> Result<(), M::Error> {
        to.put(&value.iter().collect::<Vec<_>>())
    }
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
