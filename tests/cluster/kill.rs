//! `kill -9` at any moment loses nothing that was acknowledged.
//!
//! Its negative control is a store that acknowledges what is still in its own memory: with one
//! the first round fails. What the kernel has survives the process, synced or not, so a missing
//! fsync is not seen here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use narrowcast::client::{Client, FrameSink, FrameSource, Incoming};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::chat::{history, login};
use crate::harness::{Served, eventually, token};

const ROUNDS: usize = 20;
const WRITERS: usize = 4;

/// As many as a session may have.
const IN_FLIGHT: usize = 16;

/// Acknowledgements before the kill, by round: from the very first one, while the store is busy
/// with its first batch, to a few hundred.
const fn acks_of(round: usize) -> usize {
    1 + round * round
}

/// What a writer's messages are by now, by id.
type Acked = BTreeMap<String, Value>;

fn configuration(directory: &Path) -> String {
    let path = json!(directory.join("data"));
    format!(
        "workers = 2\n[listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
         [store]\npath = {path}\n"
    )
}

/// Sends as fast as the node lets it, until the node is gone: what was acknowledged. Every
/// acknowledgement takes one of the permits that the killer waits for.
async fn write(client: Client, round: usize, acks: Arc<Semaphore>) -> Acked {
    let (mut reader, writer) = client.into_halves();
    let mut acked = Acked::new();
    let mut next = 0;
    while next < IN_FLIGHT && send(&writer, round, next).await {
        next += 1;
    }
    while let Some(frame) = read(&mut reader).await {
        assert_eq!(frame["op"], "sent", "{frame}");
        let message = &frame["message"];
        let id = message["id"].as_str().expect("an id").to_owned();
        assert!(acked.insert(id, message["body"].clone()).is_none(), "{message} is acked twice");
        acks.add_permits(1);
        // What was acknowledged before the end may still be there to be read.
        let _gone = send(&writer, round, next).await;
        next += 1;
    }
    acked
}

async fn send(writer: &FrameSink, round: usize, number: usize) -> bool {
    let body = json!({"round": round, "number": number});
    let request = json!({"op": "send", "id": number, "conversation": "user.bob", "body": body});
    writer.send(&request.to_string()).await.is_ok()
}

/// The next frame, until the connection is gone.
async fn read(reader: &mut FrameSource) -> Option<Value> {
    match reader.next().await.ok()? {
        Incoming::Text(text) => Some(serde_json::from_str(&text).expect("frames are JSON")),
        Incoming::Closed { .. } => None,
    }
}

struct Author {
    name: String,
    token: String,
    acked: Acked,
    /// What the store had at the last look, by id.
    stored: Acked,
}

impl Author {
    fn new(number: usize) -> Self {
        let name = format!("writer-{number}");
        let token = token(&name);
        Self { name, token, acked: Acked::new(), stored: Acked::new() }
    }

    /// Reads everything back: all that was ever acknowledged is there, once and unchanged, and
    /// what an earlier run showed is there still.
    async fn check(&mut self, url: &str, round: usize) {
        let mut client = login(url, &self.token).await;
        let page = history(&mut client, "bob").await;
        let stored: Acked = page.iter().cloned().collect();
        assert_eq!(stored.len(), page.len(), "{} in round {round}: a message twice", self.name);
        for (id, body) in self.acked.iter().chain(&self.stored) {
            assert_eq!(stored.get(id), Some(body), "{} in round {round}: {id}", self.name);
        }
        self.stored = stored;
    }
}

async fn serve(config: &Path) -> Served {
    let node = Served::start(config);
    eventually("the node is ready", || node.operator.readiness().1 == "ready").await;
    node
}

/// One life of the node, ended in the middle of the load: what was acknowledged, by author.
async fn live_and_die(node: &mut Served, authors: &[Author], round: usize) -> Vec<Acked> {
    let acks = Arc::new(Semaphore::new(0));
    let mut clients = Vec::new();
    for author in authors {
        clients.push(login(&node.url, &author.token).await);
    }
    let write = |client| tokio::spawn(write(client, round, Arc::clone(&acks)));
    let writers: Vec<_> = clients.into_iter().map(write).collect();
    let enough = acks.acquire_many(acks_of(round) as u32).await;
    enough.expect("it is never closed").forget();
    let errors = node.process.finish();
    assert!(!errors.contains("panicked"), "{errors}");
    let mut acked = Vec::new();
    for writer in writers {
        acked.push(writer.await.expect("the writer did not panic"));
    }
    acked
}

#[tokio::test]
async fn kill_9_loses_no_acknowledged_message() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("narrowcast.toml");
    std::fs::write(&config, configuration(directory.path())).expect("a file");
    let mut authors: Vec<Author> = (0..WRITERS).map(Author::new).collect();
    let mut node = serve(&config).await;
    for round in 0..ROUNDS {
        let newest = authors.iter().filter_map(|author| author.stored.keys().last()).max().cloned();
        let acked = live_and_die(&mut node, &authors, round).await;
        let first = acked.iter().filter_map(|acked| acked.keys().next()).min().cloned();
        assert!(first > newest, "round {round} begins with {first:?}, after {newest:?}");
        for (author, acked) in authors.iter_mut().zip(acked) {
            author.acked.extend(acked);
        }
        node = serve(&config).await;
        for author in &mut authors {
            author.check(&node.url, round).await;
        }
    }
    let acked: usize = authors.iter().map(|author| author.acked.len()).sum();
    assert!(acked >= (0..ROUNDS).map(acks_of).sum(), "every round acknowledged what it waited for");
}
