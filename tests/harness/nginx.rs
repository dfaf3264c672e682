//! The shipped file of nginx, for the nodes of a test.
//!
//! Changed are the addresses, as an operator changes them, and the places of files that only root
//! may write.

use std::fmt::Write;
use std::path::Path;

use super::{replaced, shipped};

const LISTEN: &str = "listen 127.0.0.1:8000;";
const ACCESS_LOG: &str = "access_log /var/log/nginx/access.log;";
const FIRST_NODE: &str = "        server 10.0.0.11:8080 max_fails=1 fail_timeout=5s;\n";

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
    let lines = nodes.iter().map(|node| FIRST_NODE.replace("10.0.0.11:8080", node));
    let text = text.replace(FIRST_NODE, &lines.collect::<String>());
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.retain(|line| !line.contains(" 10.0.0.1"));
    lines.concat()
}

/// Directives for one process that ends with its test.
pub fn directives(directory: &Path) -> String {
    let pid = directory.join("pid");
    format!("daemon off; master_process off; pid {};", pid.display())
}
