//! A child process that never outlives its test.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::lines::Lines;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_narrowcast");

/// How long a process may take to end by itself: above the default time for draining, and
/// what a command takes on a machine with much else to do.
const EXIT_PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks at whether it has.
const EXIT_POLL: Duration = Duration::from_millis(5);

pub struct Process {
    child: Child,
    output: Lines,
    errors: Lines,
}

/// A process that has ended.
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed and nobody read before.
    pub output: String,
    /// All that it printed on its standard error.
    pub errors: String,
}

impl Process {
    /// Starts a command; what it prints on its standard error is kept.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_output(command, Stdio::piped())
    }

    /// The same, with its standard output elsewhere.
    pub fn start_with_output(command: &mut Command, output: Stdio) -> Self {
        Self::start_on(command, Stdio::null(), output)
    }

    /// The same, with its standard input elsewhere too.
    pub fn start_on(command: &mut Command, input: Stdio, output: Stdio) -> Self {
        Self::spawn(command.stdin(input).stdout(output).stderr(Stdio::piped()))
    }

    /// The same, with its standard error elsewhere.
    pub fn start_with_errors(command: &mut Command, errors: Stdio) -> Self {
        Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // The command holds what was given to the child: the end of a pipe that others watch.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let output = Lines::of(child.stdout.take());
        let errors = Lines::of(child.stderr.take());
        Self { child, output, errors }
    }

    /// Runs a command to its end.
    pub fn run(command: &mut Command) -> Finished {
        Self::start(command).ended()
    }

    /// The program under test.
    pub fn narrowcast() -> Command {
        Command::new(PROGRAM)
    }

    /// The next line of its standard output; panics with its errors if it ended before.
    pub fn line(&mut self) -> String {
        match self.output.next() {
            Some(line) => line,
            None => panic!("no output; its errors: {}", self.finish()),
        }
    }

    /// The next line of its standard error that `wanted` makes something of; panics with its
    /// errors if there is none in time.
    pub fn error_line<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        loop {
            match self.errors.next() {
                Some(line) => {
                    if let Some(found) = wanted(&line) {
                        return found;
                    }
                }
                None => panic!("no such line; its errors: {}", self.finish()),
            }
        }
    }

    /// The rest of its standard output, once it ended.
    pub fn output(&mut self) -> String {
        self.output.rest()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, `TERM` for example.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success(), "the process is still there");
    }

    /// Waits for its end: its exit code.
    pub fn code(&mut self) -> Option<i32> {
        self.status().code()
    }

    /// Waits for its end: its exit code, and its errors.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let Finished { code, errors, .. } = self.ended();
        (code, errors)
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Finished {
        let code = self.status().code();
        Finished { code, output: self.output.rest(), errors: self.errors.all() }
    }

    fn status(&mut self) -> ExitStatus {
        let until = Instant::now() + EXIT_PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            let late = Instant::now() > until;
            let errors = if late { self.finish() } else { String::new() };
            assert!(!late, "it does not end; its errors: {errors}");
            std::thread::sleep(EXIT_POLL);
        }
    }

    /// Ends it at once: its errors.
    pub fn finish(&mut self) -> String {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.wait().1
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
