//! A Redis connection of the test's own, so that what Redis saw is not told by the node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// An answer of a Redis, as far as the tests need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(u64),
    List(Vec<Reply>),
}

pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("redis-server is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a command and waits for its answer; panics at an error.
    pub fn ask(&mut self, command: &[impl AsRef<[u8]>]) -> Reply {
        self.try_ask(command).unwrap_or_else(|error| panic!("redis-server: {error}"))
    }

    /// Sends a command and waits for its answer, or for what the server has against it.
    pub fn try_ask(&mut self, command: &[impl AsRef<[u8]>]) -> Result<Reply, String> {
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command.iter().map(AsRef::as_ref) {
            request.extend(format!("${}\r\n", part.len()).bytes());
            request.extend(part);
            request.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("it reads");
        let line = self.line();
        match line.strip_prefix('-') {
            Some(error) => Err(error.to_owned()),
            None => Ok(self.reply(&line)),
        }
    }

    /// The payload of the next message on the channels that it subscribed.
    pub fn pushed(&mut self) -> Vec<u8> {
        let head = self.line();
        assert_eq!(head, "*3", "a push of three parts");
        let [_kind, _channel, payload] = [(); 3].map(|()| {
            let line = self.line();
            self.bytes(line.strip_prefix('$').expect("a bulk").parse().expect("a length"))
        });
        payload
    }

    /// The subscribers of a sharded channel.
    pub fn subscribers(&mut self, channel: &str) -> u64 {
        match self.ask(&["PUBSUB", "SHARDNUMSUB", channel]) {
            Reply::List(list) => match list[1] {
                Reply::Number(count) => count,
                ref other => panic!("{other:?} is no number"),
            },
            other => panic!("{other:?} is no list"),
        }
    }

    /// The sharded channels with subscribers whose names match a pattern.
    pub fn channels(&mut self, pattern: &str) -> Vec<String> {
        let Reply::List(list) = self.ask(&["PUBSUB", "SHARDCHANNELS", pattern]) else {
            panic!("a list")
        };
        let name = |reply| match reply {
            Reply::Text(name) => name,
            other => panic!("{other:?} is no name"),
        };
        list.into_iter().map(name).collect()
    }

    /// How often a command was called.
    pub fn calls(&mut self, command: &str) -> u64 {
        let Reply::Text(stats) = self.ask(&["INFO", "commandstats"]) else { panic!("a text") };
        let start = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |rest| {
            rest.split(',').next().and_then(|n| n.parse().ok()).expect("a number")
        })
    }

    fn reply(&mut self, line: &str) -> Reply {
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" => Reply::Text(rest.to_owned()),
            ":" => Reply::Number(rest.parse().expect("a number")),
            "$" => Reply::Text(self.bulk(rest.parse().expect("a length"))),
            "*" => {
                let count: usize = rest.parse().expect("a length");
                let part = |_| {
                    let line = self.line();
                    self.reply(&line)
                };
                Reply::List((0..count).map(part).collect())
            }
            _ => panic!("redis-server: {line}"),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("it answers in UTF-8");
        line.trim_end().to_owned()
    }

    fn bulk(&mut self, length: usize) -> String {
        String::from_utf8(self.bytes(length)).expect("answers are UTF-8")
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes).expect("as many as it says");
        bytes.truncate(length);
        bytes
    }
}
