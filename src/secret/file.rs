//! A file that holds one secret.

use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

/// Why a secret cannot be used. No text repeats any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is shorter or longer than it may be.
    #[error("a secret of {least} to {most} bytes is required, this one has {given}")]
    Size {
        /// The fewest bytes.
        least: usize,
        /// The most bytes.
        most: usize,
        /// What it has: a number, or `more`, since no more than that is read.
        given: String,
    },
}

impl SecretError {
    /// Checks the size of a secret.
    pub fn check_size(secret: &[u8], bytes: &RangeInclusive<usize>) -> Result<(), Self> {
        let (least, most) = (*bytes.start(), *bytes.end());
        let given = match secret.len() {
            size if bytes.contains(&size) => return Ok(()),
            size if size > most => "more".to_owned(),
            size => size.to_string(),
        };
        Err(Self::Size { least, most, given })
    }
}

/// Reads a secret of so many bytes. One line break at the end is no part of it, since editors and
/// `echo` leave one. A file that is a device is not read to its end.
pub fn read_secret_file(
    file: &Path,
    bytes: &RangeInclusive<usize>,
) -> Result<Vec<u8>, SecretError> {
    let unreadable = |error: io::Error| SecretError::Unreadable(error.to_string());
    let secret = read_bounded(file, *bytes.end()).map_err(unreadable)?;
    SecretError::check_size(&secret, bytes)?;
    Ok(secret)
}

/// Reads no more than shows that it is too much.
fn read_bounded(file: &Path, most: usize) -> io::Result<Vec<u8>> {
    let most = (most + "\r\n".len() + 1) as u64;
    let mut secret = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut secret)?;
    let bare = secret.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(bare.map(<[u8]>::to_vec).unwrap_or(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<u8>, SecretError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read_secret_file(file.path(), &(1..=8))
    }

    #[test]
    fn one_line_break_is_no_part_of_it() {
        for (content, secret) in [
            (&b"pw"[..], &b"pw"[..]),
            (b"pw\n", b"pw"),
            (b"pw\r\n", b"pw"),
            (b"pw\n\n", b"pw\n"),
            (b" p w ", b" p w "),
            (b"12345678\r\n", b"12345678"),
        ] {
            assert_eq!(read(content).as_deref(), Ok(secret), "{content:?}");
        }
    }

    #[test]
    fn a_size_out_of_bounds_is_named_and_a_device_has_no_end() {
        let size = |given: &str| SecretError::Size { least: 1, most: 8, given: given.into() };
        assert_eq!(read(b""), Err(size("0")));
        assert_eq!(read(b"\n"), Err(size("0")));
        assert_eq!(read(b"123456789"), Err(size("more")));
        assert_eq!(read_secret_file(Path::new("/dev/zero"), &(1..=8)), Err(size("more")));
        let missing = read_secret_file(Path::new("/nowhere/pw"), &(1..=8)).unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
    }
}
