//! A control group of a test's own, of either version, where one can be made.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The time in which a part of a core is counted, in microseconds.
const PERIOD: u64 = 100_000;

/// Where groups of version 1 are, by what they bound, and of version 2.
const MEMORY: &str = "/sys/fs/cgroup/memory";
const CPU: &str = "/sys/fs/cgroup/cpu";
const BOTH: &str = "/sys/fs/cgroup";

pub struct ControlGroup {
    /// One for both bounds, or one for each; none where none can be made.
    directories: Vec<PathBuf>,
}

/// Makes a group with these bounds.
fn made(parent: &str, bounds: &[(&str, String)]) -> Option<PathBuf> {
    let group = Path::new(parent).join(format!("narrowcast-{:016x}", rand::random::<u64>()));
    fs::create_dir(&group).ok()?;
    let written = bounds.iter().all(|(file, value)| fs::write(group.join(file), value).is_ok());
    if !written {
        let _empty = fs::remove_dir(&group);
    }
    written.then_some(group)
}

impl ControlGroup {
    /// Bounds bytes, and cores.
    pub fn new(memory: u64, cores: f64) -> Self {
        let quota = (cores * PERIOD as f64) as u64;
        let second = [("memory.max", memory.to_string()), ("cpu.max", format!("{quota} {PERIOD}"))];
        let directories = if Path::new(BOTH).join("cgroup.controllers").exists() {
            made(BOTH, &second).into_iter().collect()
        } else {
            let memory = made(MEMORY, &[("memory.limit_in_bytes", memory.to_string())]);
            let cpu = [
                ("cpu.cfs_period_us", PERIOD.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ];
            memory.into_iter().chain(made(CPU, &cpu)).collect()
        };
        Self { directories }
    }

    pub const fn is_there(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Whether a process is in all of it.
    pub fn holds(&self, id: u32) -> bool {
        self.directories.iter().all(|group| {
            let members = fs::read_to_string(group.join("cgroup.procs")).expect("it is there");
            members.lines().any(|line| line == id.to_string())
        })
    }

    /// A command in this group.
    pub fn within(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        let join =
            r#"while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift; exec "$@""#;
        command.args(["-c", join, "sh"]).args(&self.directories).arg("--");
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }
}

impl fmt::Display for ControlGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_there() { write!(f, "{:?}", self.directories) } else { f.write_str("none") }
    }
}

impl Drop for ControlGroup {
    /// A group goes once its processes have ended.
    fn drop(&mut self) {
        for group in &self.directories {
            let _gone = fs::remove_dir(group);
        }
    }
}
