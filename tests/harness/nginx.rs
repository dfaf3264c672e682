//! The shipped file of nginx, for the nodes of a test.
//!
//! Changed are the addresses, as an operator changes them, and the places of files that only root
//! may write.

use std::fmt::Write;
use std::path::Path;

use super::{replaced, shipped};

const LISTEN: &str = "listen 127.0.0.1:8000;";
const ACCESS_LOG: &str = "access_log /var/log/nginx/access.log;";
const FIRST_NODE: &str = "10.0.0.11:8080";

/// What nginx keeps in files of its own.
const KEPT: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// The file that an operator has.
pub fn shipped_file() -> String {
    shipped("config/nginx.conf")
}

/// The file for nodes at these addresses, listening at a port.
pub fn file(nodes: &[String], port: u16, directory: &Path) -> String {
    let text = replaced(&shipped_file(), LISTEN, &format!("listen 127.0.0.1:{port};"));
    let mut kept = "access_log off;\n".to_owned();
    for name in KEPT {
        let path = directory.join(name);
        writeln!(kept, "    {name}_temp_path {};", path.display()).expect("a text");
    }
    let text = replaced(&text, ACCESS_LOG, &kept);
    text.split_inclusive('\n').map(|line| for_nodes(line, nodes)).collect()
}

/// A line of the file, once for each node if it is about the first one.
fn for_nodes(line: &str, nodes: &[String]) -> String {
    if line.contains(FIRST_NODE) {
        nodes.iter().map(|node| line.replace(FIRST_NODE, node)).collect()
    } else if line.contains(" 10.0.0.1") {
        String::new()
    } else {
        line.to_owned()
    }
}

/// Directives for one process that ends with its test.
pub fn directives(directory: &Path) -> String {
    let pid = directory.join("pid");
    format!("daemon off; master_process off; pid {};", pid.display())
}
