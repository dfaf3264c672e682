//! Whose connection it is, and its permit among the connections of that address.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;

use crate::limiter::{AddressPermit, Addresses};
use crate::socket::{ClientAddress, TrustedNetworks, forwarded_for};

/// The client of a connection, and its permit among the connections of its address.
#[derive(Debug)]
pub(super) struct ConnectionClient {
    addresses: Arc<Addresses>,
    /// Who made the connection: its client, or a balancer.
    peer: ClientAddress,
    /// The client that was named last.
    client: Cell<ClientAddress>,
    /// None if the address has too many connections.
    permit: RefCell<Option<AddressPermit>>,
}

impl ConnectionClient {
    /// Begins with the address of the peer. A balancer is exempt until it names its client.
    pub(super) fn new(addresses: &Arc<Addresses>, peer: ClientAddress) -> Self {
        Self {
            addresses: Arc::clone(addresses),
            peer,
            client: Cell::new(peer),
            permit: RefCell::new(addresses.take(peer.counted())),
        }
    }

    /// Notes whose connection it is, as the PROXY header says.
    pub(super) fn proxied(&self, client: ClientAddress) {
        let _named_once = self.assign(client);
    }

    /// Notes whose request this is, as its headers say if the peer is a balancer. Returns whether that
    /// is another client than before.
    pub(super) fn forwarded(&self, headers: &HeaderMap, trusted: &TrustedNetworks) -> bool {
        match self.peer {
            ClientAddress::Exempt(balancer) => {
                self.assign(forwarded_for(balancer, headers, trusted))
            }
            ClientAddress::Counted(_) => false,
        }
    }

    /// Whether a balancer made the connection.
    pub(super) const fn is_of_a_balancer(&self) -> bool {
        self.peer.counted().is_none()
    }

    /// Notes that a request was answered: until the next one, a balancer's connection is for no
    /// client.
    pub(super) fn answered(&self) {
        let _was_for_a_client = self.assign(self.peer);
    }

    /// Returns the address of the client, as far as it is known.
    pub(super) const fn address(&self) -> ClientAddress {
        self.client.get()
    }

    /// Returns the address that limits count; none for a balancer.
    pub(super) const fn counted(&self) -> Option<IpAddr> {
        self.client.get().counted()
    }

    /// Whether the address has too many connections with this one.
    pub(super) fn is_crowded(&self) -> bool {
        self.permit.borrow().is_none()
    }

    /// Returns the permit, if the address had one left.
    pub(super) fn into_permit(self) -> Option<AddressPermit> {
        self.permit.into_inner()
    }

    /// A connection on which many clients' requests come counts for the client of the current one.
    fn assign(&self, client: ClientAddress) -> bool {
        if self.client.replace(client) == client {
            return false;
        }
        // Given back first, because two addresses can count as one.
        self.permit.take();
        self.permit.replace(self.addresses.take(client.counted()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(address: &str) -> ClientAddress {
        ClientAddress::Counted(address.parse().unwrap())
    }

    #[test]
    fn a_connection_belongs_to_the_client_of_its_request() {
        let addresses = Arc::new(Addresses::new(Some(1)));
        let balancer = ClientAddress::Exempt("10.0.0.1".parse().unwrap());
        let [first, second] = [(); 2].map(|()| ConnectionClient::new(&addresses, balancer));
        assert!(!first.is_crowded() && !second.is_crowded(), "a balancer is not limited");
        assert!(first.assign(counted("192.0.2.1")) && !first.assign(counted("192.0.2.1")));
        assert!(second.assign(counted("192.0.2.1")) && second.is_crowded());
        assert!(first.assign(counted("192.0.2.2")) && !first.is_crowded());
        second.answered();
        assert!(second.counted().is_none() && !second.is_crowded());
        assert!(second.assign(counted("192.0.2.1")) && !second.is_crowded(), "it was given back");
    }

    #[test]
    fn an_address_in_the_same_network_takes_over() {
        let addresses = Arc::new(Addresses::new(Some(1)));
        let place = ConnectionClient::new(&addresses, counted("2001:db8::1"));
        assert!(place.assign(counted("2001:db8::2")) && !place.is_crowded());
        assert!(place.into_permit().is_some());
    }
}
