//! The address of a client, and the peers whose word about it is taken.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// The bits before an IPv4 address in the IPv6 address that stands for it (`::ffff:0:0/96`).
const MAPPED_BITS: u8 = 96;

/// The address of a client, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// An address that counts for the limits by address.
    Counted(IpAddr),
    /// That of a trusted peer, which speaks for many clients. No limit by address applies to it.
    Exempt(IpAddr),
}

impl ClientAddress {
    /// Returns the address that the limits by address count.
    pub const fn counted(self) -> Option<IpAddr> {
        match self {
            Self::Counted(address) => Some(address),
            Self::Exempt(_) => None,
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted(address) | Self::Exempt(address) => address.fmt(f),
        }
    }
}

/// The networks of balancers, which say for which client a connection or a request is.
#[derive(Clone, Debug, Default)]
pub struct TrustedNetworks(Vec<IpNet>);

impl TrustedNetworks {
    /// Parses networks such as `10.0.0.0/8`. Returns the first text that is none, or that would
    /// trust every address.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let parsed = networks.into_iter().map(|text| network(text).ok_or(text));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the networks as text.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(IpNet::to_string)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an address with whether it is trusted. One that stands for an IPv4 address is
    /// that address.
    pub fn judge(&self, address: IpAddr) -> ClientAddress {
        let address = address.to_canonical();
        if self.0.iter().any(|network| network.contains(&address)) {
            ClientAddress::Exempt(address)
        } else {
            ClientAddress::Counted(address)
        }
    }
}

/// Parses a network. Bits behind its prefix are a mistake, as is a network of all addresses.
fn network(text: &str) -> Option<IpNet> {
    let given: IpNet = text.parse().ok()?;
    let is_exact = given.trunc() == given;
    let network = match given {
        IpNet::V6(wide) if wide.prefix_len() >= MAPPED_BITS => {
            let mapped = wide.network().to_ipv4_mapped();
            let narrow = |ip| Ipv4Net::new(ip, wide.prefix_len() - MAPPED_BITS).ok();
            mapped.and_then(narrow).map_or(given, IpNet::V4)
        }
        IpNet::V4(_) | IpNet::V6(_) => given,
    };
    (is_exact && network.prefix_len() > 0).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_trusted(networks: &[&str], address: &str) -> bool {
        let trusted = TrustedNetworks::parse(networks.iter().copied()).expect("networks");
        trusted.judge(address.parse().unwrap()).counted().is_none()
    }

    #[test]
    fn a_network_contains_its_addresses() {
        let networks = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128"];
        for inside in ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.7", "2001:db8:1::2", "::1"] {
            assert!(is_trusted(&networks, inside), "{inside}");
        }
        for outside in ["11.0.0.1", "::ffff:11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "::"] {
            assert!(!is_trusted(&networks, outside), "{outside}");
        }
        assert!(!is_trusted(&[], "127.0.0.1"));
    }

    #[test]
    fn a_mapped_network_is_one_of_ipv4() {
        assert!(is_trusted(&["::ffff:10.0.0.0/104"], "10.1.2.3"));
        assert!(!is_trusted(&["::ffff:10.0.0.0/104"], "11.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        let bad = [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::1/64",
            "::1/129",
            "lan/8",
            "0.0.0.0/0",
            "::/0",
            "::ffff:0.0.0.0/96",
            "10.0.0.0/ 8",
            "10.0.0.0/8,11.0.0.0/8",
        ];
        for text in bad {
            let parsed = TrustedNetworks::parse(["10.0.0.0/8", text]);
            assert_eq!(parsed.err(), Some(text));
        }
    }
}
