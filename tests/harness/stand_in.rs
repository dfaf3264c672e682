//! A scripted server of the Redis protocol, for kinds of servers that are not at hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::connections::serve_connections;

pub struct StandIn {
    address: SocketAddr,
}

/// The greeting in RESP3.
const GREETING: &str = "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";

impl StandIn {
    /// Serves until the test ends. `script` answers a command, spelled in capitals with its
    /// arguments behind it, with bytes of RESP; what it leaves is answered as a plain Redis would.
    pub fn start(script: impl Fn(&[String]) -> Option<String> + Clone + Send + 'static) -> Self {
        Self { address: serve_connections(move |stream| serve(stream, &script)) }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A text of `INFO`, as it goes over the wire.
    pub fn text(lines: &[&str]) -> String {
        let text = lines.join("\r\n") + "\r\n";
        format!("${}\r\n{text}\r\n", text.len())
    }

    /// The confirmation of a subscription by a name.
    pub fn confirmation(name: &str, channel: &str) -> String {
        format!(">3\r\n${}\r\n{name}\r\n${}\r\n{channel}\r\n:0\r\n", name.len(), channel.len())
    }
}

/// Ends with its client.
fn serve(mut stream: TcpStream, script: &impl Fn(&[String]) -> Option<String>) {
    let mut incoming = BufReader::new(stream.try_clone().expect("a handle"));
    while let Some(command) = read_command(&mut incoming) {
        let answer = script(&command).unwrap_or_else(|| plain(&command));
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn plain(command: &[String]) -> String {
    match command[0].as_str() {
        "HELLO" => GREETING.to_owned(),
        name @ ("SSUBSCRIBE" | "SUNSUBSCRIBE") => {
            let confirm = |channel: &String| StandIn::confirmation(&name.to_lowercase(), channel);
            command[1..].iter().map(confirm).collect()
        }
        "SPUBLISH" => ":0\r\n".to_owned(),
        _ => "+OK\r\n".to_owned(),
    }
}

fn read_command(incoming: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = read_number(incoming)?;
    let mut command = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; read_number(incoming)? + "\r\n".len()];
        incoming.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - "\r\n".len());
        command.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    command.first_mut()?.make_ascii_uppercase();
    Some(command)
}

/// The number behind `*` or `$`.
fn read_number(incoming: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    incoming.read_line(&mut line).ok()?;
    line.get(1..)?.trim_end().parse().ok()
}
