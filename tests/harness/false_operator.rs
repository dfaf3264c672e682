//! An operator's listener that answers what a test wants it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::connections::serve_connections;

pub struct FalseOperator {
    address: SocketAddr,
}

impl FalseOperator {
    /// Serves until the test ends. `script` answers a path with a status and a body; without one it
    /// never answers.
    pub fn start(script: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + 'static) -> Self {
        Self { address: serve_connections(move |stream| serve(stream, &script)) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Ends with its client.
fn serve(mut stream: TcpStream, script: &impl Fn(&str) -> Option<(u16, String)>) {
    let mut incoming = BufReader::new(stream.try_clone().expect("a handle")).lines();
    while let Some(Ok(request)) = incoming.next() {
        let Some(path) = request.split(' ').nth(1).filter(|path| path.starts_with('/')) else {
            continue;
        };
        let Some((status, body)) = script(path) else { continue };
        let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}
