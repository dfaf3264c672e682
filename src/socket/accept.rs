//! HTTP/1.1 on an accepted stream, until a request is answered with 101 or the client is done.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::closing::{CLOSE_WAIT, DISCARD_BYTES_MAX};
use super::handshake::UpgradeRejected;
use super::http_stream::HttpStream;
use super::requests::{Answering, Requests};

/// Bytes of a request's line and headers. A request with more is answered with 431. There is room
/// for a large token and the cookies of a browser.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Headers of one request.
pub const HEADERS_MAX: usize = 64;

/// Bytes that a connection buffers in each direction.
pub const HTTP_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// How long a connection waits for its client while it speaks HTTP.
#[derive(Clone, Copy, Debug)]
pub struct HttpWaits {
    /// For the whole header of a request, from the connection's begin or its first byte.
    pub header: Duration,
    /// For the next request, from the answer before it.
    pub keep_alive: Duration,
    /// For the client to take any byte of an answer.
    pub write_stall: Duration,
}

/// Answers requests with `respond` until the client is done, or until one answer is a 101 and has
/// been written. Then the stream is returned, with the bytes that were read after the request: the
/// first frames may be among them. Nothing of the requests is kept.
///
/// This future is about nine times the size of a [`super::Connection`], and a task keeps the size of
/// the largest future that it awaits. So the connection must run in a task of its own.
///
/// If something is unread when the connection ends, it is read on for a little after the last
/// answer. Otherwise a reset could destroy that answer.
pub async fn serve_http1<F, R>(
    stream: TcpStream,
    waits: HttpWaits,
    respond: F,
) -> hyper::Result<Option<(TcpStream, Bytes)>>
where
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Full<Bytes>>>,
{
    serve_heard_http1(stream.into(), waits, &|| {}, respond).await
}

/// Does the same as [`serve_http1`], and calls `heard` after each read of bytes from the client. A
/// stream whose PROXY header was refused is told so in its first answer, which is its last.
pub async fn serve_heard_http1<F, R>(
    stream: HttpStream,
    waits: HttpWaits,
    heard: &dyn Fn(),
    respond: F,
) -> hyper::Result<Option<(TcpStream, Bytes)>>
where
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response<Full<Bytes>>>,
{
    let (switched, answering) = (Cell::new(false), Answering::default());
    let service = service_fn(|request| {
        // In the step that parsed the head, so that the next head is not shown before this answer
        // is made.
        let flaw = answering.begin();
        let (switched, answering, respond) = (&switched, &answering, &respond);
        async move {
            let response = match flaw {
                Some(flaw) => UpgradeRejected::from(flaw).response(),
                None => respond(request).await,
            };
            switched.set(response.status() == StatusCode::SWITCHING_PROTOCOLS);
            if !switched.get() {
                answering.end();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let requests = Requests::new(stream, waits, &answering, heard);
    let served = builder().serve_connection(TokioIo::new(requests), service);
    let parts = served.without_shutdown().await?;
    let (stream, unread) = parts.io.into_inner().into_parts();
    if switched.get() {
        return Ok(Some((stream, [&parts.read_buf[..], &unread].concat().into())));
    }
    if !answering.is_late() {
        linger(stream).await;
    }
    Ok(None)
}

/// Shuts the write side down, and drops what the peer still sends until it ends too. The bounds are
/// those of every other end.
async fn linger(mut stream: TcpStream) {
    let discard = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(DISCARD_BYTES_MAX as u64), &mut sink()).await
    };
    // The connection is over, no matter how this ended.
    let _ended = timeout(CLOSE_WAIT, discard).await;
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HTTP_BUFFER_BYTES_MAX)
        .keep_alive(true)
        .half_close(false);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::handshake::check;
    use crate::socket::peer::{TestPeer, on_event_loop, on_paused_clock, pair, text};
    use tokio::time::Instant;

    const WAITS: HttpWaits = HttpWaits {
        header: Duration::from_secs(10),
        keep_alive: Duration::from_secs(90),
        write_stall: Duration::from_secs(20),
    };
    const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\
        connection: upgrade\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const PLAIN: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

    async fn respond(request: Request<Incoming>) -> Response<Full<Bytes>> {
        match check(&request, &[]) {
            Ok(accept) => accept.response(),
            Err(refusal) => refusal.response(),
        }
    }

    /// Returns the status line of the next answer; headers and the body are read with it.
    async fn status(peer: &mut TestPeer, body_end: &str) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(body_end.as_bytes()) {
            answer.push(peer.stream.read_u8().await.expect("an answer"));
        }
        let answer = String::from_utf8(answer).expect("a text");
        answer.lines().next().expect("a line").to_owned()
    }

    #[test]
    fn a_switched_stream_comes_back_with_the_first_frames() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            let frames = text("early");
            let upgrade = [UPGRADE.as_bytes(), &frames[..5]].concat();
            let client = async {
                peer.send(PLAIN.as_bytes()).await;
                let refused = status(&mut peer, "`websocket`\n").await;
                assert_eq!(refused, "HTTP/1.1 426 Upgrade Required");
                peer.send(&upgrade).await;
                assert_eq!(status(&mut peer, "\r\n\r\n").await, "HTTP/1.1 101 Switching Protocols");
                peer.send(&frames[5..]).await;
            };
            let (served, ()) = tokio::join!(serve_http1(stream, WAITS, respond), client);
            let (mut stream, early) = served.expect("no error").expect("switched");
            assert_eq!(early, frames[..5]);
            let mut rest = vec![0; frames.len() - 5];
            stream.read_exact(&mut rest).await.unwrap();
            assert_eq!(rest, frames[5..]);
        });
    }

    #[test]
    fn a_client_that_only_speaks_http_ends_without_a_stream() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            let client = async {
                peer.send(PLAIN.as_bytes()).await;
                status(&mut peer, "`websocket`\n").await;
                peer.stream.shutdown().await.unwrap();
            };
            let (served, ()) = tokio::join!(serve_http1(stream, WAITS, respond), client);
            assert!(served.expect("no error").is_none());
        });
    }

    #[test]
    fn a_client_that_dawdles_over_its_headers_is_dropped() {
        on_paused_clock(async {
            let (stream, mut peer) = pair().await;
            peer.send(b"GET / HTTP/1.1\r\nhost").await;
            let begun = Instant::now();
            assert!(serve_http1(stream, WAITS, respond).await.expect("no error").is_none());
            assert!(begun.elapsed() >= WAITS.header && begun.elapsed() < WAITS.header + CLOSE_WAIT);
        });
    }

    #[test]
    fn an_idle_connection_is_kept_longer_than_a_header_may_take() {
        on_paused_clock(async {
            let (stream, mut peer) = pair().await;
            let client = async {
                peer.send(PLAIN.as_bytes()).await;
                status(&mut peer, "`websocket`\n").await;
                tokio::time::sleep(WAITS.keep_alive.mul_f64(0.99)).await;
                peer.send(PLAIN.as_bytes()).await;
                status(&mut peer, "`websocket`\n").await;
                let idle = Instant::now();
                assert!(peer.stream.read_u8().await.is_err(), "it ends");
                idle.elapsed()
            };
            let (served, idle) = tokio::join!(serve_http1(stream, WAITS, respond), client);
            assert!(served.expect("no error").is_none());
            assert!(idle >= WAITS.keep_alive && idle < WAITS.keep_alive + CLOSE_WAIT, "{idle:?}");
        });
    }

    #[test]
    fn a_second_header_has_the_time_of_a_header() {
        on_paused_clock(async {
            let (stream, mut peer) = pair().await;
            let client = async {
                peer.send(PLAIN.as_bytes()).await;
                status(&mut peer, "`websocket`\n").await;
                tokio::time::sleep(WAITS.header * 2).await;
                peer.send(b"GET /").await;
                let begun = Instant::now();
                assert!(peer.stream.read_u8().await.is_err(), "it ends");
                begun.elapsed()
            };
            let (_, taken) = tokio::join!(serve_http1(stream, WAITS, respond), client);
            assert!(taken >= WAITS.header && taken < WAITS.header + CLOSE_WAIT, "{taken:?}");
        });
    }

    /// Requests that came before are answered first.
    #[test]
    fn a_flaw_behind_a_good_request_is_refused_in_its_turn() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\na\n\nb";
            let chunks = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                4\r\na\n\nb\r\n0\r\n\r\n";
            let flawed = "GET / HTTP/1.1\r\nhost: a\n\r\n";
            let read = async |request: Request<Incoming>| {
                let body = http_body_util::BodyExt::collect(request.into_body()).await;
                Response::new(Full::new(body.expect("a body").to_bytes()))
            };
            let client = async {
                peer.send([post, chunks, post, flawed, post].concat().as_bytes()).await;
                let mut answers = String::new();
                peer.stream.read_to_string(&mut answers).await.expect("an orderly end");
                drop(peer);
                answers
            };
            let (served, answers) = tokio::join!(serve_http1(stream, WAITS, read), client);
            assert!(served.expect("no error").is_none());
            assert_eq!(answers.matches("\r\n\r\na\n\nb").count(), 3, "{answers}");
            let (_, refused) = answers.rsplit_once("HTTP/1.1 400").expect("it is the last");
            assert!(refused.ends_with("must end with CRLF\n"), "{answers}");
        });
    }

    #[test]
    fn an_answer_with_something_unread_behind_it_arrives() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            let closing = async |_: Request<Incoming>| {
                let mut response = Response::new(Full::from("no\n"));
                let close = hyper::header::HeaderValue::from_static("close");
                response.headers_mut().insert(hyper::header::CONNECTION, close);
                response
            };
            let client = async {
                let unread = "x".repeat(100_000);
                let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
                peer.send(format!("{head}{unread}").as_bytes()).await;
                let mut answer = String::new();
                peer.stream.read_to_string(&mut answer).await.expect("an orderly end");
                drop(peer);
                answer
            };
            let (served, answer) = tokio::join!(serve_http1(stream, WAITS, closing), client);
            assert!(served.expect("no error").is_none());
            assert!(answer.ends_with("no\n"), "{answer}");
        });
    }

    #[test]
    fn a_client_that_leaves_an_answer_unread_is_dropped() {
        on_paused_clock(async {
            let (stream, mut peer) = pair().await;
            let large =
                async |_: Request<Incoming>| Response::new(Full::from(vec![b'x'; 64 << 20]));
            peer.send(PLAIN.as_bytes()).await;
            let begun = Instant::now();
            let error = serve_http1(stream, WAITS, large).await.expect_err("must time out");
            assert!(begun.elapsed() >= WAITS.write_stall, "{error:?}");
        });
    }

    #[test]
    fn oversized_headers_are_answered_with_431() {
        on_event_loop(async {
            let (stream, mut peer) = pair().await;
            let client = async {
                let filler = "x".repeat(HEADER_BYTES_MAX);
                peer.send(format!("GET / HTTP/1.1\r\nfiller: {filler}\r\n\r\n").as_bytes()).await;
                status(&mut peer, "\r\n").await
            };
            let (served, status) = tokio::join!(serve_http1(stream, WAITS, respond), client);
            assert!(served.is_err());
            assert_eq!(status, "HTTP/1.1 431 Request Header Fields Too Large");
        });
    }
}
