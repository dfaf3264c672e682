//! A sentinel that says what a test wants it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Listens on a port of its own until it is dropped.
pub struct FalseSentinel {
    address: String,
    ended: Arc<AtomicBool>,
}

impl FalseSentinel {
    /// One that names this host and port, in a failover that is newer than any other.
    pub fn naming(host: &str, port: &str) -> Self {
        Self::answering(&format!("*2\r\n{}{}", bulk(host), bulk(port)))
    }

    /// One that answers the question for the primary with these bytes.
    pub fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it listens").to_string();
        let ended = Arc::<AtomicBool>::default();
        let (answer, is_ended) = (answer.to_owned(), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_ended.load(Ordering::Relaxed) {
                    return;
                }
                let answer = answer.clone();
                std::thread::spawn(move || talk(stream, &answer));
            }
        });
        Self { address, ended }
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for FalseSentinel {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // So that the listener sees it.
        let _woken = TcpStream::connect(&self.address);
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Answers until the client goes.
fn talk(stream: TcpStream, address: &str) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let command = read_command(&mut stream)?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let answer = match words[..] {
            ["HELLO", ..] => format!("%1\r\n{}{}", bulk("server"), bulk("redis")),
            ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", _] => address.to_owned(),
            ["SENTINEL", "MASTER", _] => {
                format!("%1\r\n{}{}", bulk("config-epoch"), bulk(&u64::MAX.to_string()))
            }
            ["SUBSCRIBE", channel] => format!(">3\r\n{}{}:1\r\n", bulk("subscribe"), bulk(channel)),
            _ => "+OK\r\n".to_owned(),
        };
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn read_command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = read_number(stream)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; read_number(stream)? + 2];
        stream.read_exact(&mut bytes).ok()?;
        words.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
    }
    Some(words)
}

fn read_number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    line.trim_end().get(1..)?.parse().ok()
}
