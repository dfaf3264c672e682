//! A machine's clock that can be set, for one process: libfaketime stands between it and the clock.
//! The time that only passes (monotonic) stays right, as it does on a machine whose clock is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct FalseClock {
    directory: tempfile::TempDir,
}

impl Default for FalseClock {
    /// A clock that is right.
    fn default() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a directory") };
        clock.set_ahead(0);
        clock
    }
}

impl FalseClock {
    /// Sets it ahead of the machine's; it shows within a second.
    pub fn set_ahead(&self, seconds: i64) {
        let next = self.directory.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).expect("a file");
        fs::rename(next, self.offset()).expect("it is replaced at once");
    }

    /// The process of this command goes by it.
    pub fn show_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", self.offset());
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        command.env("FAKETIME_NO_CACHE", "1").env("NO_FAKE_STAT", "1");
    }

    fn offset(&self) -> PathBuf {
        self.directory.path().join("offset")
    }
}

/// Where Debian has the library: below the directory of the machine's kind.
fn library() -> PathBuf {
    let kinds = fs::read_dir("/usr/lib").expect("it is there").flatten();
    let mut found = kinds.map(|kind| kind.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path: &PathBuf| Path::is_file(path)).expect("the package `faketime` is installed")
}
