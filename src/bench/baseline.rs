//! The plain loop that a relay is compared with: the same socket and the same frames, and nothing
//! else. It has no tokens, subjects, buckets or bus: only a table of topics in one event loop.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

use super::error::BenchError;
use crate::socket::{
    ClientMessage, Connection, FrameLimits, Handler, HandlerAction, HttpWaits, Link, OutboxItem,
    WorkerShare, check, serve_http1,
};

const WAITS: HttpWaits = HttpWaits {
    header: Duration::from_secs(5),
    keep_alive: Duration::from_secs(5),
    write_stall: Duration::from_secs(5),
};
const OUTBOX_BYTES: usize = 512 * 1024;
const LIMITS: FrameLimits =
    FrameLimits { frame_bytes: 16_384, message_bytes: 16_384, fragments: 16 };

type Topics = Rc<RefCell<AHashMap<String, Vec<Rc<Link>>>>>;

/// A frame of the load, as far as the loop reads it.
#[derive(Deserialize)]
struct Request<'a> {
    op: &'a str,
    id: Option<u64>,
    #[serde(default, borrow)]
    patterns: Vec<&'a str>,
    subject: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

struct Peer {
    link: Rc<Link>,
    topics: Topics,
}

impl Handler for Peer {
    fn message(&mut self, message: ClientMessage<'_>) -> HandlerAction {
        if let ClientMessage::Text(text) = message
            && let Ok(request) = serde_json::from_str::<Request<'_>>(text)
        {
            self.answer(&request);
        }
        HandlerAction::Continue
    }

    fn other(&mut self, _bytes: usize) -> HandlerAction {
        HandlerAction::Continue
    }
}

impl Peer {
    fn answer(&self, request: &Request<'_>) {
        match request.op {
            "hello" => {
                self.push(r#"{"op":"ready"}"#.into());
                self.push(r#"{"op":"cursor"}"#.into());
            }
            "subscribe" => {
                for pattern in &request.patterns {
                    let topic = pattern.trim_end_matches(".>").to_owned();
                    self.topics.borrow_mut().entry(topic).or_default().push(Rc::clone(&self.link));
                }
            }
            _ => self.publish(request),
        }
        if let Some(id) = request.id {
            self.push(format!(r#"{{"op":"ok","id":{id}}}"#));
        }
    }

    fn publish(&self, request: &Request<'_>) {
        let (Some(subject), Some(data)) = (request.subject, request.data) else { return };
        let topic = subject.trim_end_matches(".x");
        let frame = format!(r#"{{"op":"event","subject":"{subject}","data":{}}}"#, data.get());
        let frame = bytes::Bytes::from(frame);
        for link in self.topics.borrow().get(topic).into_iter().flatten() {
            // A full outbox would show as a loss in the delivery log.
            let _full = link.push(OutboxItem::Text(frame.clone()));
            link.flush();
        }
    }

    fn push(&self, text: String) {
        // As above.
        let _full = self.link.push(OutboxItem::Text(text.into()));
        self.link.flush();
    }
}

/// Serves until the process is ended; prints its address, like `demo --json`.
pub fn plain_loop() -> Result<(), BenchError> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/", listener.local_addr()?);
        writeln!(std::io::stdout(), "{}", json!({"nodes": [{"url": url}]}))?;
        let topics = Topics::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream, Rc::clone(&topics)));
        }
    })
}

async fn serve(stream: TcpStream, topics: Topics) {
    let respond = async |request: hyper::Request<_>| match check(&request, &[]) {
        Ok(accept) => accept.response(),
        Err(refusal) => refusal.response(),
    };
    if let Ok(Some((stream, unread))) = serve_http1(stream, WAITS, respond).await {
        let (link, read) =
            Link::open(stream, OUTBOX_BYTES, &Rc::new(WorkerShare::alone(usize::MAX)));
        let peer = Peer { link: Rc::clone(&link), topics };
        tokio::task::spawn_local(Connection::new(read, link, LIMITS, peer, &unread));
    }
}
