//! Limits the connections of one address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::keyed_permits::{KeyedPermit, KeyedPermits};

/// The bits of an IPv6 address that name a network. Its owner has all 2^64 addresses in it.
const NETWORK_BITS: u32 = 64;

/// Counts the connections of each address. There are no more addresses than connections.
#[derive(Debug)]
pub struct Addresses {
    /// None if there is no limit; then nothing is kept.
    permits: Option<Arc<KeyedPermits<IpAddr>>>,
}

/// Permission for one connection of an address, given back when it is dropped.
#[derive(Debug)]
pub struct AddressPermit {
    _taken: Option<Box<KeyedPermit<IpAddr>>>,
}

impl Addresses {
    /// Allows at most `max` connections per address. None is no limit.
    pub fn new(max: Option<u32>) -> Self {
        Self { permits: max.map(|max| KeyedPermits::new(max as usize)) }
    }

    /// Takes a permit, if the address has one left. No address is not limited.
    pub fn take(&self, address: Option<IpAddr>) -> Option<AddressPermit> {
        let (Some(permits), Some(address)) = (&self.permits, address) else {
            return Some(AddressPermit { _taken: None });
        };
        let taken = permits.take(&network(address))?;
        Some(AddressPermit { _taken: Some(Box::new(taken)) })
    }
}

/// Returns what counts as one address.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << NETWORK_BITS)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(addresses: &Addresses, address: &str) -> Option<AddressPermit> {
        addresses.take(Some(address.parse().unwrap()))
    }

    #[test]
    fn a_place_comes_back_when_its_connection_ends() {
        let addresses = Addresses::new(Some(2));
        let first = take(&addresses, "10.0.0.1");
        let second = take(&addresses, "::ffff:10.0.0.1");
        assert!(first.is_some() && second.is_some(), "the same address, mapped");
        assert!(take(&addresses, "10.0.0.1").is_none());
        assert!(take(&addresses, "10.0.0.2").is_some(), "another address has its own");
        drop(first);
        assert!(take(&addresses, "10.0.0.1").is_some());
        drop(second);
        let permits = addresses.permits.expect("there is a limit");
        assert_eq!(permits.keys(), 0, "nothing is kept of addresses without connections");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let addresses = Addresses::new(Some(1));
        let _held = take(&addresses, "2001:db8:0:1::1").unwrap();
        assert!(take(&addresses, "2001:db8:0:1:ffff:ffff:ffff:ffff").is_none());
        assert!(take(&addresses, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn no_address_is_not_limited() {
        let addresses = Addresses::new(Some(1));
        let held: Vec<_> = (0..9).map(|_| addresses.take(None).unwrap()).collect();
        assert_eq!((held.len(), addresses.permits.expect("there is a limit").keys()), (9, 0));
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let addresses = Addresses::new(None);
        let places: Vec<_> = (0..100).map(|_| take(&addresses, "10.0.0.1").unwrap()).collect();
        assert!(addresses.permits.is_none() && places.len() == 100);
    }
}
