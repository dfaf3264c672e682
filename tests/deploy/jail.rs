//! A process in surroundings of its own: file system, user, limits, environment, process 1.
//!
//! As root the user is a real one. Otherwise everything is in a user namespace, where the user that
//! runs the tests stands for the user of the process, and for the owner of its files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::document::Environment;
use crate::harness::{Operator, Process, Served, eventually};

/// Where the images and the unit have the program.
pub const PROGRAM: &str = "/usr/local/bin/narrowcast";

/// What distroless/cc has of the libraries that a program of Rust needs.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"];

/// Makes the root, read-only except for the places to write to, and becomes the program. Arguments:
/// the root, the program here, the user, the network, places to write to up to `--`, and then what
/// is to be run.
const SCRIPT: &str = r#"
set -e
root=$1 program=$2 user=$3 network=$4
shift 4
if [ "$network" = own ]; then
  ip link set lo up
  echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
fi
mount --bind "$root" "$root"
mount --bind "$program" "$root/usr/local/bin/narrowcast"
mount --bind /dev/null "$root/dev/null"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
  mount -t tmpfs -o "size=64m,mode=700" tmpfs "$root$1"
  chown "$user:$user" "$root$1" 2> /dev/null || :
  shift
done
shift
mount -o remount,bind,ro "$root"
exec "$@"
"#;

pub struct Jail {
    root: tempfile::TempDir,
    user: u32,
    open_files: u32,
    has_network: bool,
    writable: Vec<String>,
    environment: Environment,
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// How many files a process may open at most where the tests run.
fn open_files_here() -> u32 {
    let told = Process::run(Command::new("sh").args(["-c", "ulimit -Hn"]));
    told.output.trim().parse().unwrap_or(u32::MAX)
}

impl Jail {
    /// A root with the program and its libraries. Group and user have the same number. There are
    /// fewer open files where the tests themselves may not have as many.
    pub fn new(user: u32, open_files: u32) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let open_files = open_files.min(open_files_here());
        // Its own mode would keep the user out.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let jail = Self {
            root,
            user,
            open_files,
            has_network: false,
            writable: Vec::new(),
            environment: Vec::new(),
        };
        jail.file("/dev/null", 0o644, "");
        jail.file(PROGRAM, 0o755, "");
        jail.directory("/proc");
        for library in libraries() {
            let there = jail.at(&library);
            fs::create_dir_all(there.parent().expect("a directory")).expect("it is ours");
            fs::copy(&library, there).expect("a library");
        }
        jail
    }

    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment.extend(environment.iter().cloned());
        self
    }

    /// A directory that the user may write to.
    pub fn writable(mut self, path: &str) -> Self {
        self.directory(path);
        self.writable.push(path.to_owned());
        self
    }

    /// In a network of its own, where 127.0.0.1 is and nothing else.
    pub fn without_ipv6(self) -> Self {
        Self { has_network: true, ..self }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path.strip_prefix('/').expect("from the root"))
    }

    fn directory(&self, path: &str) {
        fs::create_dir_all(self.at(path)).expect("it is ours");
    }

    /// A file that belongs to root.
    pub fn file(&self, path: &str, mode: u32, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("it is ours");
        fs::write(&path, text).expect("it is ours");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    }

    /// A file that belongs to root, and to the group of the user. Where one user stands for both,
    /// it is the user's alone.
    pub fn groups_file(&self, path: &str, mode: u32, text: &str) {
        self.file(path, if is_root() { mode } else { 0o400 }, text);
        if is_root() {
            chown(self.at(path), None, Some(self.user)).expect("it is ours");
        }
    }

    /// A file that belongs to the user.
    pub fn users_file(&self, path: &str, mode: u32, text: &str) {
        self.file(path, mode, text);
        if is_root() {
            chown(self.at(path), Some(self.user), Some(self.user)).expect("it is ours");
        }
    }

    /// The program with these arguments as process 1.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let user = self.user.to_string();
        let mut command = Command::new("unshare");
        command.args(if is_root() { &[][..] } else { &["--user", "--map-root-user"] });
        command.args(if self.has_network { &["--net"][..] } else { &[] });
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT, "sh"]);
        command.arg(self.root.path()).arg(Process::narrowcast().get_program());
        let network = if self.has_network { "own" } else { "shared" };
        command.args([&*user, network]).args(&self.writable).arg("--");
        command.args(["prlimit", &format!("--nofile={0}:{0}", self.open_files)]);
        command.args(["setpriv", "--no-new-privs", "/usr/bin/env", "-i"]);
        command.args(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(["/usr/bin/unshare", &format!("--root={}", self.root.path().display())]);
        if is_root() {
            command.args([&format!("--setgid={user}"), &format!("--setuid={user}")]);
        } else {
            command.args([&format!("--map-user={user}"), &format!("--map-group={user}")]);
        }
        command.arg(PROGRAM).args(arguments);
        command
    }

    /// Starts a node: ready when this returns.
    pub async fn serve(&self, arguments: &[&str]) -> JailedNode<'_> {
        let node = self.started(&mut self.command(arguments));
        eventually("the node is ready", || node.operator().get("/readyz").0 == 200).await;
        node
    }

    /// A node that a command of this jail starts.
    pub fn started(&self, command: &mut Command) -> JailedNode<'_> {
        JailedNode { served: Served::running(Process::start(command)), _jail: self }
    }
}

/// The files of the libraries that the program needs, which must be those that the image has.
fn libraries() -> Vec<String> {
    let told = Process::run(Command::new("ldd").arg(Process::narrowcast().get_program()));
    let files: Vec<String> = told
        .output
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect();
    for file in &files {
        let name = file.rsplit('/').next().expect("a name");
        let is_arm = name == "ld-linux-aarch64.so.1";
        assert!(is_arm || LIBRARIES.contains(&name), "{name} is not in the image");
    }
    assert!(files.len() > 1, "libraries are found: {}", told.output);
    files
}

/// A node that is process 1 of its jail.
pub struct JailedNode<'jail> {
    served: Served,
    /// When the directory goes, the node loses its files.
    _jail: &'jail Jail,
}

impl JailedNode<'_> {
    pub fn operator(&self) -> &Operator {
        &self.served.operator
    }

    /// The process of the node, as it is called out here.
    pub fn id(&self) -> u32 {
        let outer = self.served.process.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let children = children.expect("it runs");
        children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("a child")
    }

    /// A line of `/proc/ID/status`.
    pub fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a line").trim().to_owned()
    }

    /// The number of its user, as it sees itself.
    pub fn user(&self) -> u32 {
        let map = fs::read_to_string(format!("/proc/{}/uid_map", self.id())).expect("it runs");
        let user = if is_root() { self.status("Uid") } else { map };
        user.split_whitespace().next().and_then(|user| user.parse().ok()).expect("a number")
    }

    /// Runs a shell beside the node, in its namespace of this kind: what it printed.
    pub fn beside(&self, namespace: &str, script: &str) -> String {
        let mut command = Command::new("nsenter");
        if !is_root() {
            // The other namespaces belong to the user of the process around.
            command.arg(format!("--user=/proc/{}/ns/user", self.served.process.id()));
            command.arg("--preserve-credentials");
        }
        command.arg(format!("--{namespace}=/proc/{}/ns/{namespace}", self.id()));
        let ended = Process::run(command.args(["sh", "-c", script]));
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        ended.output
    }

    /// Sends the node itself a signal.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(status.expect("kill is there").success(), "it runs");
    }

    /// Asks it to end by SIGTERM: its exit code, and its log.
    pub fn ended(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.served.process.wait()
    }

    /// Ends it, which takes less than it may, and goes well. Returns the log.
    pub fn ends_within(self, bound_ms: u64) -> String {
        let asked = std::time::Instant::now();
        let (code, errors) = self.ended();
        let took = asked.elapsed().as_millis();
        assert_eq!(code, Some(0), "{errors}");
        assert!(took < u128::from(bound_ms), "it took {took} ms of {bound_ms} ms");
        errors
    }
}

/// The warnings of a log in JSON. That files are few is the machine's matter.
pub fn warnings(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let loud = lines.filter(|line| line["level"] == "WARN" || line["level"] == "ERROR");
    let messages = loud.map(|line| line["fields"]["message"].to_string());
    messages.filter(|message| !message.contains("raise the limit of open files")).collect()
}

/// Whether a path lies below another one.
pub fn is_below(path: &str, directory: &str) -> bool {
    Path::new(path).starts_with(directory)
}
