//! A stream before its first HTTP request, and the PROXY header that may come before that.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::head::Flaw;
use super::proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};

/// A stream before its first request.
#[derive(Debug)]
pub struct HttpStream {
    pub(super) stream: TcpStream,
    /// What was read and belongs to requests.
    pub(super) unread: Vec<u8>,
    /// The end of the time for the first head, if it began before the first read of it.
    pub(super) until: Option<Instant>,
    /// Why the first request is refused before it is read.
    pub(super) flaw: Option<Flaw>,
}

/// Why a stream has no PROXY header.
#[derive(Debug, thiserror::Error)]
pub enum NoProxyHeader {
    /// The peer sent something else. It is told so in the answer to its first request.
    #[error(transparent)]
    Refused(#[from] ProxyHeaderError),
    /// The stream ended first, or failed.
    #[error("PROXY header: {0}")]
    Broken(#[from] io::Error),
}

impl From<TcpStream> for HttpStream {
    fn from(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new(), until: None, flaw: None }
    }
}

impl HttpStream {
    /// Reads the PROXY header that the stream must begin with. Returns the client that it names;
    /// none if the peer speaks for itself. It and the head of the first request may take `wait`
    /// together.
    pub async fn read_proxy_header(
        &mut self,
        wait: Duration,
    ) -> Result<Option<IpAddr>, NoProxyHeader> {
        let until = Instant::now() + wait;
        self.until = Some(until);
        let header = timeout_at(until, self.read_header()).await;
        let header =
            header.unwrap_or_else(|_late| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        if let Err(NoProxyHeader::Refused(error)) = &header {
            self.flaw = Some(Flaw::Proxy(error.to_string()));
        }
        Ok(header?.source)
    }

    /// Whether something of the first request was read.
    pub const fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads at most the bytes of the longest header. What follows the header is kept.
    async fn read_header(&mut self) -> Result<ProxyHeader, NoProxyHeader> {
        // Not a part of the future, because most connections have no such header.
        let mut bytes = vec![0; PROXY_HEADER_BYTES_MAX];
        let mut filled = 0;
        loop {
            // A header that fills the space is complete or refused, so there is always space.
            let read = self.stream.read(&mut bytes[filled..]).await?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            filled += read;
            if let Some(header) = ProxyHeader::scan(&bytes[..filled])? {
                self.unread = bytes[header.bytes..filled].to_vec();
                return Ok(header);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::closing::CLOSE_WAIT;
    use crate::socket::peer::{on_event_loop, on_paused_clock, pair};

    const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 8080\r\n";
    const WAIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_header_in_any_number_of_packets_is_read_and_the_rest_is_kept() {
        on_event_loop(async {
            for size in [1, 7, LINE.len() - 1, LINE.len(), LINE.len() + 3, LINE.len() + 5] {
                let (stream, mut peer) = pair().await;
                let sent = [LINE, b"GET /"].concat();
                let feed = async {
                    for packet in sent.chunks(size) {
                        peer.send(packet).await;
                        tokio::task::yield_now().await;
                    }
                };
                let mut stream = HttpStream::from(stream);
                let read = stream.read_proxy_header(WAIT);
                let (source, ()) = tokio::join!(read, feed);
                assert_eq!(source.unwrap(), Some("192.0.2.1".parse().unwrap()), "{size}");
                let mut rest = std::mem::take(&mut stream.unread);
                while rest.len() < 5 {
                    rest.push(stream.stream.read_u8().await.unwrap());
                }
                assert_eq!(rest, b"GET /");
            }
        });
    }

    #[test]
    fn a_header_that_does_not_come_in_time_is_not_awaited() {
        on_paused_clock(async {
            let (stream, mut peer) = pair().await;
            peer.send(&LINE[..20]).await;
            let begun = Instant::now();
            let read = HttpStream::from(stream).read_proxy_header(WAIT).await;
            assert!(matches!(read, Err(NoProxyHeader::Broken(_))), "{read:?}");
            assert!(begun.elapsed() >= WAIT && begun.elapsed() < WAIT + CLOSE_WAIT);
        });
    }

    #[test]
    fn a_stream_that_ends_within_its_header_is_broken() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            peer.send(&LINE[..20]).await;
            drop(peer);
            let read = HttpStream::from(stream).read_proxy_header(WAIT).await;
            assert!(matches!(read, Err(NoProxyHeader::Broken(_))), "{read:?}");
        });
    }
}
