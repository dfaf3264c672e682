//! The users of a load.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use ahash::AHashMap;
use serde::Deserialize;

use crate::auth::{claimed_expiry, claimed_user};
use crate::bench::clients::{LoadTokens, user_name};
use crate::bench::error::BenchError;
use crate::clock::WallClock;
use crate::domain::UserId;

/// The largest file of users that is read: a million of them.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A user with a token.
#[derive(Debug, Clone)]
pub(super) struct LoadUser {
    pub(super) id: UserId,
    pub(super) token: String,
}

/// A line of `narrowcast token … --json`.
#[derive(Deserialize)]
struct UserLine {
    user: String,
    token: String,
}

/// Users with tokens that the development key signs.
pub(super) fn minted(count: u32) -> Vec<LoadUser> {
    let tokens = LoadTokens::new();
    let user = |number: u32| {
        let name = user_name(number);
        let id = UserId::from_raw(name.as_bytes()).expect("a short name is an id");
        LoadUser { id, token: tokens.of(&name) }
    };
    (0..count).map(user).collect()
}

/// Reads as many users as are needed. Their tokens must be good for `seconds` more.
pub(super) fn read(path: &Path, count: u32, seconds: u64) -> Result<Vec<LoadUser>, BenchError> {
    let text = text(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    if lines.len() < count as usize {
        let found = lines.len();
        return Err(wrong(format!("{} has {found} users, and {count} are needed", path.display())));
    }
    let user = |(index, line): (usize, &&str)| {
        read_line(line, seconds)
            .map_err(|why| wrong(format!("{}, line {}: {why}", path.display(), index + 1)))
    };
    let users: Vec<_> =
        lines.iter().take(count as usize).enumerate().map(user).collect::<Result<_, _>>()?;
    check_distinct(&users).map_err(|why| wrong(format!("{}, {why}", path.display())))?;
    Ok(users)
}

fn check_distinct(users: &[LoadUser]) -> Result<(), String> {
    let mut lines = AHashMap::new();
    for (index, user) in users.iter().enumerate() {
        if let Some(first) = lines.insert(&user.id, index + 1) {
            let (id, line) = (&user.id, index + 1);
            return Err(format!("line {line}: {id} is on line {first} already"));
        }
    }
    Ok(())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn read_line(line: &str, seconds: u64) -> Result<LoadUser, String> {
    let line: UserLine = serde_json::from_str(line).map_err(
        |_error| r#"{"user":…,"token":…} is required, as `narrowcast token … --json` prints it"#,
    )?;
    let id = UserId::from_raw(line.user.as_bytes()).map_err(|error| format!("`user`: {error}"))?;
    if let Some(other) = claimed_user(&line.token).filter(|other| *other != id) {
        return Err(format!("the token is of {other}, not of {id}"));
    }
    check_life(&line, seconds)?;
    Ok(LoadUser { id, token: line.token })
}

fn check_life(line: &UserLine, seconds: u64) -> Result<(), String> {
    let UserLine { user, token } = line;
    let expires = claimed_expiry(token).ok_or_else(|| format!("the token of {user} is no JWT"))?;
    let now = WallClock::system().seconds();
    match expires.checked_sub(now) {
        None => Err(format!("the token of {user} has expired: make tokens anew")),
        Some(left) if left < seconds => Err(format!(
            "the token of {user} is good for {left} s more, and the run needs {seconds} s: \
             make tokens anew"
        )),
        Some(_) => Ok(()),
    }
}

fn wrong(why: String) -> BenchError {
    BenchError::Input(format!("--users-file: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, count: u32) -> Result<Vec<LoadUser>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.json");
        fs::write(&path, text).unwrap();
        read(&path, count, 60).map_err(|error| error.to_string())
    }

    fn line(user: &str) -> String {
        serde_json::json!({"user": user, "token": LoadTokens::new().of(user)}).to_string()
    }

    #[test]
    fn lines_of_tokens_are_read() {
        let users = read_text(&format!("{}\n\n{}\n", line("a"), line("b.c")), 2).unwrap();
        assert_eq!(users[1].id.as_str(), "b%2Ec");
    }

    #[test]
    fn mistakes_name_their_line() {
        let error = |text: &str, count| read_text(text, count).unwrap_err();
        assert!(error(&line("a"), 2).ends_with("has 1 users, and 2 are needed"));
        assert!(error("{}", 1).contains(r#"line 1: {"user":…,"token":…} is required"#));
        let strange = r#"{"user":"a","token":"x"}"#;
        let text = format!("{}\n{strange}\n", line("a"));
        assert!(error(&text, 2).contains("line 2: the token of a is no JWT"));
        let other = line("a").replace(r#""user":"a""#, r#""user":"b""#);
        assert!(error(&other, 1).ends_with("line 1: the token is of a, not of b"));
        let twice = format!("{0}\n{0}\n", line("a"));
        assert!(error(&twice, 2).ends_with("line 2: a is on line 1 already"));
        assert!(error(&line(""), 1).contains("line 1: `user`: "));
        let gone = read(Path::new("/nowhere/users"), 1, 1).unwrap_err().to_string();
        assert!(gone.starts_with("--users-file: /nowhere/users: No such file"), "{gone}");
    }

    #[test]
    fn a_token_that_does_not_last_is_named() {
        let text = line("a");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.json");
        fs::write(&path, text).unwrap();
        let error = read(&path, 1, 18_000).unwrap_err().to_string();
        assert!(error.contains("more, and the run needs 18000 s: make tokens anew"), "{error}");
    }
}
