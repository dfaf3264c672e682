//! Users who talk all the time, below every limit, and come back whenever their node does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use narrowcast::client::{Client, ClientError, FrameSink, FrameSource, Incoming};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::token;

/// Between two turns of a user: a message and an event.
const TURN: Duration = Duration::from_millis(200);

/// Before a user comes back.
const PAUSE: Duration = Duration::from_millis(200);

/// A part of the acknowledgement of a message.
const SENT: &str = r#""op":"sent""#;

/// Users of each node, on a thread of their own: they talk while a test waits for something else.
pub struct Talkers {
    sent: Arc<AtomicU64>,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Talkers {
    /// So many users of each node. All nodes of the list are one deployment.
    pub fn start(urls: &[String], users: usize) -> Self {
        let (sent, end) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let count = urls.len() * users;
        let talkers: Vec<Talker> = (0..count)
            .map(|number| Talker {
                number,
                count,
                url: urls[number % urls.len()].clone(),
                sent: Arc::clone(&sent),
            })
            .collect();
        let until = end.clone();
        let thread = Some(std::thread::spawn(move || talk(talkers, &until)));
        Self { sent, end, thread }
    }

    /// Messages that were acknowledged so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Talkers {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in there shows as the failure of the test that it is for.
            let _ended = thread.join();
        }
    }
}

fn talk(talkers: Vec<Talker>, end: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut all: JoinSet<()> = talkers.into_iter().map(Talker::talk_on).collect();
        end.cancelled().await;
        all.shutdown().await;
    });
}

struct Talker {
    number: usize,
    count: usize,
    url: String,
    sent: Arc<AtomicU64>,
}

impl Talker {
    async fn talk_on(self) {
        loop {
            let _ended = self.session().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Talks to the next user, who is on another node, until the session ends.
    async fn session(&self) -> Option<()> {
        let mut client = Client::login(&self.url, &token(&user(self.number))).await.ok()?;
        let own = format!("topic.{}.>", user(self.number));
        client.ask(json!({"op": "subscribe", "patterns": [own]})).await.ok()?;
        let (source, sink) = client.into_halves();
        tokio::select! {
            () = self.listen(source) => {}
            _ended = self.say(&sink) => {}
        }
        None
    }

    async fn listen(&self, mut source: FrameSource) {
        while let Ok(Incoming::Text(frame)) = source.next().await {
            if frame.contains(SENT) {
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn say(&self, sink: &FrameSink) -> Result<(), ClientError> {
        let next = user((self.number + 1) % self.count);
        let (conversation, subject) = (format!("user.{next}"), format!("topic.{next}.x"));
        for id in 1_u64.. {
            let message = json!({"op": "send", "id": id, "conversation": conversation, "body": id});
            sink.send(&message.to_string()).await?;
            let event = json!({"op": "publish", "subject": subject, "data": id});
            sink.send(&event.to_string()).await?;
            tokio::time::sleep(TURN).await;
        }
        Ok(())
    }
}

fn user(number: usize) -> String {
    format!("talker{number}")
}
