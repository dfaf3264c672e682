//! One run of a load test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Process;

/// Users that there are tokens for: as many as the largest run has sockets.
const USERS: usize = 60;

/// How long the end of a run may take behind its load.
const END_PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at whether it has ended.
const END_POLL: Duration = Duration::from_millis(20);

/// Seconds of load: 2, or as many as `scripts/soak` says.
pub fn seconds() -> u64 {
    let given = std::env::var("NARROWCAST_SOAK_SECONDS").ok();
    given.map_or(2, |text| text.parse().expect("NARROWCAST_SOAK_SECONDS is a number"))
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `scripts/test` installed the packages of Node.
pub fn packages() -> PathBuf {
    let directory = root().join("target/k6");
    assert!(directory.join("node_modules").is_dir(), "scripts/test installs the packages");
    directory
}

/// Whether k6 itself is there.
pub fn has_k6() -> bool {
    let path = std::env::var_os("PATH").expect("it is set");
    std::env::split_paths(&path).any(|directory| directory.join("k6").is_file())
}

/// A load test with its parameters.
pub struct LoadTest {
    script: String,
    parameters: Vec<String>,
    /// Open files of its process, if they are fewer than the test's own.
    files: Option<u32>,
    directory: tempfile::TempDir,
}

/// What became of it.
pub struct Outcome {
    pub code: Option<i32>,
    /// The object of `handleSummary`; null if there is none.
    pub report: Value,
    pub errors: String,
}

impl LoadTest {
    /// A short run with 20 sockets of two virtual users. Its bounds of time are those of a machine
    /// that has much else to do.
    pub fn new(script: &str, urls: &[String]) -> Self {
        packages();
        let directory = tempfile::tempdir().expect("a directory");
        let users = directory.path().join("users.json");
        fs::write(&users, tokens(&[])).expect("a file");
        let test = Self { script: script.into(), parameters: Vec::new(), files: None, directory };
        let short = [("SOCKETS", "20"), ("SOCKETS_PER_VU", "10"), ("RATE", "100")];
        let duration = format!("{}s", seconds());
        let patient = [
            ("DURATION", duration.as_str()),
            ("SETTLE", "8s"),
            ("LAG_MS", "5000"),
            ("P99_MS", "20000"),
        ];
        let test = test.with("URL", &urls.join(",")).with("USERS", &users.display().to_string());
        short.iter().chain(&patient).fold(test, |test, (name, value)| test.with(name, value))
    }

    /// Gives a parameter; the last value of a name counts.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push(format!("{name}={value}"));
        self
    }

    /// Gives its process so many files.
    pub fn with_files(mut self, files: u32) -> Self {
        self.files = Some(files);
        self
    }

    /// Writes a file beside its users, and returns where it is.
    pub fn file(&self, text: &str) -> String {
        let path = self.directory.path().join("other.json");
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    fn command(&self) -> Command {
        let script = root().join(format!("scripts/k6/{}.js", self.script));
        let tool = if has_k6() {
            vec!["k6", "run", "--quiet"]
        } else {
            vec!["node", "--experimental-vm-modules"]
        };
        let mut command = Command::new("sh");
        let limit = self.files.map_or_else(String::new, |files| format!("ulimit -n {files} && "));
        command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).args(tool);
        if !has_k6() {
            command.arg(root().join("scripts/k6/run.mjs"));
        }
        command.arg(script);
        for parameter in &self.parameters {
            command.args(["-e", parameter]);
        }
        command
    }

    /// Starts it. The value keeps its files until it has ended.
    pub fn start(self) -> (Process, Self) {
        (Process::start(&mut self.command()), self)
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        let (process, _files) = self.start();
        Outcome::of(process)
    }
}

impl Outcome {
    /// Waits for the end of a run.
    pub fn of(mut process: Process) -> Self {
        let until = Instant::now() + Duration::from_secs(2 * seconds()) + END_PATIENCE;
        while process.is_running() && Instant::now() < until {
            std::thread::sleep(END_POLL);
        }
        let ended = process.ended();
        let last = ended.output.lines().last().unwrap_or_default();
        let report = serde_json::from_str(last).unwrap_or(Value::Null);
        Self { code: ended.code, report, errors: ended.errors }
    }

    /// A count of the report.
    pub fn count(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {self}"))
    }

    pub fn assert_passed(&self) {
        assert_eq!((self.code, &self.report["verdict"]), (Some(0), &"passed".into()), "{self}");
        assert!(self.count("acked") > 0, "{self}");
    }

    /// It ended as a test whose bounds do not hold, and names what is wrong.
    pub fn assert_failed_by(&self, name: &str) {
        let failures = self.report["failures"].as_array().expect("a list");
        let named = |failure: &Value| failure.as_str().is_some_and(|text| text.starts_with(name));
        assert_eq!((self.code, &self.report["verdict"]), (Some(99), &"failed".into()), "{self}");
        assert!(failures.iter().any(named), "{name}: {self}");
    }

    /// It refused its input in one line that says this. The runner ends with 2. k6 has codes of its
    /// own, and writes the line into its log.
    pub fn assert_refused(&self, reason: &str) {
        let codes: &[i32] = if has_k6() { &[107, 108] } else { &[2] };
        assert!(self.code.is_some_and(|code| codes.contains(&code)), "{self}");
        assert!(self.errors.contains(reason), "{reason}: {self}");
        assert!(has_k6() || self.errors.lines().count() == 1, "{self}");
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n{}\n{}", self.code, self.report, self.errors)
    }
}

/// Tokens of all users, as `token --json` prints them.
pub fn tokens(options: &[&str]) -> String {
    let users = format!("load-{{0..{}}}", USERS - 1);
    let grants = ["--json", "--publish", "topic.>", "--subscribe", "topic.>"];
    let mut command = Process::narrowcast();
    let made = Process::run(command.args(["token", &users]).args(grants).args(options));
    assert_eq!(made.code, Some(0), "{}", made.errors);
    made.output
}
