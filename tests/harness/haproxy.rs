//! The shipped file of HAProxy, for the nodes of a test.
//!
//! Changed are the addresses, as an operator changes them, and what only root may do. The bound on
//! connections is an argument of the program.

use super::{replaced, shipped};

/// Connections at once: each takes two files.
const CONNECTIONS_MAX: &str = "4000";

const BIND: &str = "bind 127.0.0.1:8000";
const FRONTEND: &str = "frontend clients\n";

/// The first line of each list of nodes.
const FIRST_PLACED: &str = "    server n1 10.0.0.11:8080 id 1\n";
const FIRST_UNPLACED: &str = "    server n1 10.0.0.11:8080 track placed/n1\n";

/// What HAProxy does as root alone.
const OF_ROOT: [&str; 3] =
    ["    user haproxy\n", "    group haproxy\n", "    chroot /var/lib/haproxy\n"];

/// The file that an operator has.
pub fn shipped_file() -> String {
    shipped("config/haproxy.cfg")
}

/// The file for nodes at these addresses, listening at a port. The rules come first in the
/// frontend.
pub fn file(nodes: &[String], port: u16, rules: &str) -> String {
    let mut text = replaced(&shipped_file(), BIND, &format!("bind 127.0.0.1:{port}"));
    for line in OF_ROOT {
        text = replaced(&text, line, "");
    }
    for first in [FIRST_PLACED, FIRST_UNPLACED] {
        let lines = nodes.iter().enumerate().map(|(place, node)| server(first, place + 1, node));
        text = replaced(&text, first, &lines.collect::<String>());
    }
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.retain(|line| !line.contains(" 10.0.0.1"));
    replaced(&lines.concat(), FRONTEND, &format!("{FRONTEND}{rules}\n"))
}

/// The arguments of the program.
pub fn arguments(file: &str) -> [&str; 5] {
    ["-db", "-n", CONNECTIONS_MAX, "-f", file]
}

/// The line of one node, made of the first one's.
fn server(first: &str, number: usize, node: &str) -> String {
    let line = first.replace("10.0.0.11:8080", node).replace("n1", &format!("n{number}"));
    line.replace(" id 1", &format!(" id {number}"))
}
