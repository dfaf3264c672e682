//! A listener whose queue holds a wave of connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Connections that wait to be accepted. Beyond it the kernel drops newcomers. A peer then tries
/// again a second later at the earliest, which is as long as health checks wait. The kernel's own
/// bound (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// Listens on an address, for an event loop.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted node has its address back while connections of the previous process linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    /// Far above the 128 of the standard library, and allowed by every kernel.
    const WAVE: usize = 512;

    #[test]
    fn a_wave_is_connected_before_any_of_it_is_accepted() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
        let wave: Vec<TcpStream> = (0..WAVE).map(connect).collect();
        assert_eq!(wave.len(), WAVE);
    }
}
