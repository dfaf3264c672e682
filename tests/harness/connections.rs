//! A listener whose connections a test serves itself.

use std::net::{SocketAddr, TcpListener, TcpStream};

/// Serves each connection on a thread of its own until the test ends. Returns where it listens.
pub fn serve_connections(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}
