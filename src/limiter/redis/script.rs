//! The script, and a call of it.

use std::fmt::Write;
use std::sync::LazyLock;

use ::redis::{Cmd, cmd};
use sha1::{Digest, Sha1};

use crate::limiter::LimitedCall;
use crate::limiter::gcra::WINDOW_MICROS;

const TEXT: &str = include_str!("gcra.lua");

/// The name by which a server knows the script: the SHA-1 of its text, in hexadecimal.
static NAME: LazyLock<String> = LazyLock::new(|| {
    Sha1::digest(TEXT).iter().fold(String::new(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("writing to a String cannot fail");
        name
    })
});

/// Makes the command that loads the script into a server.
pub(super) fn load() -> Cmd {
    cmd("SCRIPT").arg("LOAD").arg(TEXT).clone()
}

/// Makes the command that runs the script for a call whose policies have these keys.
pub(super) fn run(call: &LimitedCall, keys: &[String]) -> Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(&*NAME).arg(keys.len()).arg(keys).arg(WINDOW_MICROS);
    for charge in &call.charges {
        let rate = charge.policy.rate();
        command.arg(rate.interval()).arg(rate.tolerance()).arg(rate.ticks(charge.cost));
    }
    command
}
