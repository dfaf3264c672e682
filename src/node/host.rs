//! The host that this process runs on, as other hosts know it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses that RFC 5737 and RFC 3849 keep for documents: they are routed as any far host is.
const FAR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Returns the name of the host, empty if it has none.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns where other hosts reach a listener. One that listens on all addresses is reached at the
/// one that this host sends from; if that is not known, it stays as it is.
pub(super) fn reached_at(listener: SocketAddr) -> SocketAddr {
    if !listener.ip().is_unspecified() {
        return listener;
    }
    let ip = own_address(FAR_V4.into()).or_else(|| own_address(FAR_V6.into()));
    SocketAddr::new(ip.unwrap_or(listener.ip()), listener.port())
}

/// Returns the address that datagrams to `far` would be sent from. None is sent.
fn own_address(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_one_address_is_reached_there() {
        let given: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(reached_at(given), given);
    }

    #[test]
    fn a_listener_of_all_addresses_keeps_its_port() {
        let found = reached_at("0.0.0.0:8080".parse().unwrap());
        assert_eq!(found.port(), 8080);
        assert!(!found.ip().is_loopback(), "others cannot reach {found}");
    }
}
