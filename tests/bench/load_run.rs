//! One run of `narrowcast bench load`.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Finished, Process};

/// A run.
pub struct LoadRun {
    arguments: Vec<String>,
    /// Open files of its process, if they are fewer than the test's own.
    files: Option<u32>,
}

/// What became of it.
pub struct LoadOutcome {
    pub code: Option<i32>,
    /// The object of `--json`; null if there is none.
    pub report: Value,
    pub errors: String,
}

impl LoadRun {
    /// A short run of direct messages. Its bounds of time are those of a machine that has much else
    /// to do.
    pub fn new(urls: &[String]) -> Self {
        let run = Self { arguments: vec!["bench".into(), "load".into()], files: None };
        let run = run.flag("--json").with("--mix", "dm=1").with("--users", "20");
        let run = run.with("--devices", "1").with("--rate", "100").with("--seconds", "2");
        let run = run.with("--warm-up", "0").with("--settle", "8").with("--lag-ms", "5000");
        urls.iter().fold(run.with("--p99-ms", "20000"), |run, url| run.with("--url", url))
    }

    /// Gives an option; the last value of one counts where there is one.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let is_list = ["--url", "--node", "--redis", "--pid"].contains(&name);
        if let Some(place) = self.arguments.iter().position(|given| given == name && !is_list) {
            self.arguments.drain(place..=place + 1);
        }
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Takes an option back.
    pub fn without(mut self, name: &str) -> Self {
        let place = self.arguments.iter().position(|given| given == name).expect("it was given");
        self.arguments.drain(place..=place + 1);
        self
    }

    pub fn flag(mut self, name: &str) -> Self {
        self.arguments.push(name.into());
        self
    }

    /// Gives its process so many files.
    pub fn with_files(mut self, files: u32) -> Self {
        self.files = Some(files);
        self
    }

    pub fn start(&self) -> Process {
        let mut command = Command::new("sh");
        let limit = self.files.map_or_else(String::new, |files| format!("ulimit -n {files} && "));
        command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]);
        command.arg(Process::narrowcast().get_program()).args(&self.arguments);
        Process::start(&mut command)
    }

    /// Runs it to its end.
    pub fn run(&self) -> LoadOutcome {
        LoadOutcome::of(self.start())
    }
}

impl LoadOutcome {
    /// Waits for the end of a run.
    pub fn of(mut process: Process) -> Self {
        let Finished { code, output, errors } = process.ended();
        let last = output.lines().last().unwrap_or_default();
        Self { code, report: serde_json::from_str(last).unwrap_or(Value::Null), errors }
    }

    /// A count of the report.
    pub fn count(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {self}"))
    }

    pub fn assert_passed(&self) {
        assert_eq!((self.code, &self.report["verdict"]), (Some(0), &"passed".into()), "{self}");
        assert_eq!((self.count("lost"), self.count("stray")), (0, 0), "{self}");
    }

    /// It failed, and names what is wrong.
    pub fn assert_failed_by(&self, name: &str) {
        let failures = self.report["failures"].as_array().expect("a list");
        let named = |failure: &Value| failure.as_str().is_some_and(|text| text.starts_with(name));
        assert_eq!((self.code, &self.report["verdict"]), (Some(1), &"failed".into()), "{self}");
        assert!(failures.iter().any(named), "{name}: {self}");
    }

    /// It refused its input in one line that says this.
    pub fn assert_refused(&self, reason: &str) {
        assert_eq!(self.code, Some(2), "{self}");
        let first = self.errors.lines().next().unwrap_or_default();
        assert!(first.contains(reason), "{reason}: {self}");
    }
}

impl std::fmt::Display for LoadOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n{}\n{}", self.code, self.report, self.errors)
    }
}
