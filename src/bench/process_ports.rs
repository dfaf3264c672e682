//! The ports that a process listens on, by `/proc` (proc(5)).

use std::collections::BTreeSet;
use std::fs;
use std::io;

/// `TCP_LISTEN` in the column `st`.
const LISTENING: &str = "0A";

/// Whether a process has a socket that listens on this port, of IPv4 or IPv6. It fails if the
/// process is gone or another user's.
pub(super) fn listens(pid: u32, port: u16) -> io::Result<bool> {
    let mut sockets = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        // A machine without IPv6 has no second table.
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        sockets.extend(table.lines().filter_map(|line| listening_socket(line, port)));
    }
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A file may be closed meanwhile.
        let Ok(target) = fs::read_link(file?.path()) else { continue };
        if target.to_str().is_some_and(|target| sockets.contains(target)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The socket of a line of `/proc/net/tcp` that listens on this port, as a link below `fd` names it.
fn listening_socket(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let (_, found) = local.rsplit_once(':')?;
    let is_it = state == LISTENING && u16::from_str_radix(found, 16) == Ok(port);
    is_it.then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_listens_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port).unwrap());
        drop(listener);
        assert!(!listens(std::process::id(), port).unwrap());
        assert!(listens(u32::MAX, port).is_err());
    }
}
