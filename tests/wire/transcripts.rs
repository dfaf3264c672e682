//! Golden transcripts: what clients say and what they hear, line by line. Each version of the
//! protocol has a folder of its own.
//!
//! | line | means |
//! | --- | --- |
//! | `# …` | a remark |
//! | `% KEY=value` | a key of the node's configuration |
//! | `= name` | the next lines are those of this client; it connects when first named |
//! | `> …` | it sends |
//! | `< …` | it receives, next; placeholders are those of [`super::expected`] |
//! | `! 4001 reason` | it is closed |
//!
//! At the end every open client pings, and must hear nothing but the answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use narrowcast::client::{ClientError, FrameSink, FrameSource, Incoming, connect};
use serde_json::Value;
use tokio::time::timeout;

use super::expected::Names;
use crate::harness::{Demo, DemoNode, PATIENCE};

const FAREWELL: &str = r#"{"op":"ping","id":"farewell"}"#;

struct Session {
    reader: FrameSource,
    writer: FrameSink,
    is_open: bool,
}

impl Session {
    async fn open(url: &str) -> Self {
        let (reader, writer) = connect(url).await.expect("the node takes it");
        Self { reader, writer, is_open: true }
    }

    async fn next(&mut self) -> Result<Incoming, String> {
        let next = timeout(PATIENCE, self.reader.next()).await;
        let next = next.map_err(|_late| "nothing came".to_owned())?;
        next.map_err(|error: ClientError| error.to_string())
    }

    async fn receive(&mut self) -> Result<Value, String> {
        match self.next().await? {
            Incoming::Text(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            Incoming::Closed { code, reason } => Err(format!("closed: {code} {reason}")),
        }
    }

    async fn closed(&mut self) -> Result<String, String> {
        self.is_open = false;
        match self.next().await? {
            Incoming::Closed { code, reason } => Ok(format!("{code} {reason}")),
            Incoming::Text(text) => Err(format!("not closed, but {text}")),
        }
    }

    async fn send(&self, text: &str) -> Result<(), String> {
        self.writer.send(text).await.map_err(|error| error.to_string())
    }
}

/// A transcript that is being played. Clients are spread over the nodes in the order they come.
struct Play<'a> {
    nodes: &'a [DemoNode],
    sessions: BTreeMap<String, Session>,
    current: String,
    names: Names,
}

impl Play<'_> {
    async fn line(&mut self, line: &str) -> Result<(), String> {
        let (kind, rest) = line.split_once(' ').ok_or("a line is a sign, a space and a text")?;
        match kind {
            "=" => {
                self.switch(rest).await;
                Ok(())
            }
            ">" => {
                let text = self.names.fill(rest);
                self.session()?.send(&text).await
            }
            "<" => {
                let expected = serde_json::from_str(rest).map_err(|error| error.to_string())?;
                let found = self.session()?.receive().await?;
                self.names.compare(&expected, &found)
            }
            "!" => {
                let found = self.session()?.closed().await?;
                let same = found == rest;
                same.then_some(()).ok_or_else(|| format!("expected close {rest}, found {found}"))
            }
            "#" | "%" => Ok(()),
            other => Err(format!("`{other}` is no sign")),
        }
    }

    async fn switch(&mut self, name: &str) {
        name.clone_into(&mut self.current);
        if !self.sessions.contains_key(name) {
            let node = &self.nodes[self.sessions.len() % self.nodes.len()];
            self.sessions.insert(name.to_owned(), Session::open(&node.url).await);
        }
    }

    fn session(&mut self) -> Result<&mut Session, String> {
        self.sessions.get_mut(&self.current).ok_or_else(|| "no client was named".to_owned())
    }

    async fn end(mut self) -> Result<(), String> {
        for (name, session) in self.sessions.iter_mut().filter(|(_, session)| session.is_open) {
            session.send(FAREWELL).await?;
            let answer = session.receive().await?;
            if answer["op"] != "pong" {
                return Err(format!("{name} was sent more: {answer}"));
            }
        }
        Ok(())
    }
}

pub fn transcripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/transcripts/v1");
    let files = std::fs::read_dir(directory).expect("the directory of transcripts");
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|is| is == "txt")).collect();
    files.sort();
    assert!(!files.is_empty(), "there are transcripts");
    files
}

async fn play(path: &Path, nodes: usize, workers: &str) {
    let text = std::fs::read_to_string(path).expect("a transcript");
    let keys = text.lines().filter_map(|line| line.strip_prefix("% ")?.split_once('='));
    let keys: Vec<_> = keys.chain([("WORKERS", workers)]).collect();
    let demo = Demo::start(nodes, &[], &keys);
    let mut play = Play {
        nodes: &demo.nodes,
        sessions: BTreeMap::new(),
        current: String::new(),
        names: Names::default(),
    };
    let place = |number: usize| format!("{}:{number} on {nodes} x {workers}", path.display());
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Err(error) = play.line(line).await {
            panic!("{}: {line}\n{error}", place(at + 1));
        }
    }
    if let Err(error) = play.end().await {
        panic!("{}: {error}", place(text.lines().count()));
    }
}

#[tokio::test]
async fn transcripts_hold_on_one_event_loop() {
    for path in transcripts() {
        play(&path, 1, "1").await;
    }
}

#[tokio::test]
async fn transcripts_hold_where_sessions_move_between_workers() {
    for path in transcripts() {
        play(&path, 1, "3").await;
    }
}

#[tokio::test]
async fn transcripts_hold_where_clients_are_on_different_nodes() {
    for path in transcripts() {
        play(&path, 2, "2").await;
    }
}
