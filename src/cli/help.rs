//! What `--help` says below the options.

/// An example of a command, and the exit codes of all.
macro_rules! example {
    ($($line:literal),+) => {
        concat!(
            "Example:\n",
            $("  narrowcast ", $line, "\n",)+
            "\nExit codes: 0 done, 1 failed, 2 the command or the configuration is wrong, 75 try again"
        )
    };
}

pub(super) use example;
