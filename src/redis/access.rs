//! What a connection to a Redis needs beyond its URL.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::secret::read_secret_file;
use crate::tls::{TlsFileError, TlsFiles};

/// From one character to what a token of a cloud's identity service may have.
const PASSWORD_BYTES: RangeInclusive<usize> = 1..=4096;

/// What a connection to a Redis needs beyond its URL. The files are read at each connection, because
/// passwords and certificates are renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisAccess {
    /// The user; none is the server's default one.
    pub username: Option<String>,
    /// The file of the user's password.
    pub password_file: Option<PathBuf>,
    /// The file of the authorities that may sign the server's certificate; none are the system's.
    pub ca_file: Option<PathBuf>,
    /// The file of the certificate that the server may ask for.
    pub cert_file: Option<PathBuf>,
    /// The file of that certificate's key.
    pub key_file: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host of the URL.
    pub server_name: Option<String>,
}

/// A file that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", place(key, path))]
pub struct RedisFileError {
    /// The key that names it.
    pub key: &'static str,
    /// The file; empty if it is the system's.
    pub path: PathBuf,
    /// What is wrong with it. No text repeats a secret.
    pub why: String,
}

/// What an error begins with. What is the system's has no file that could be named.
fn place(key: &str, path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{key} {}: ", path.display()) }
}

impl RedisAccess {
    /// Reads the password as it is now. It blocks.
    pub fn password(&self) -> Result<Option<String>, RedisFileError> {
        self.password_file.as_deref().map(read_password).transpose()
    }

    /// Checks that every file is there and has what it should. It blocks. What the system trusts is
    /// found out by a connection that needs it: a machine without TLS may trust no authority.
    pub fn check(&self) -> Result<(), RedisFileError> {
        self.password()?;
        let files = self.tls_files();
        if files != TlsFiles::default() {
            files.read().map_err(|error| self.of_tls(error))?;
        }
        Ok(())
    }

    pub(super) fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            authorities: self.ca_file.clone(),
            certificate: self.cert_file.clone(),
            key: self.key_file.clone(),
        }
    }

    pub(super) fn of_tls(&self, error: TlsFileError) -> RedisFileError {
        let TlsFileError { path, why } = error;
        let files = [("key_file", &self.key_file), ("cert_file", &self.cert_file)];
        let named = files.into_iter().find(|(_, file)| file.as_ref() == Some(&path));
        RedisFileError { key: named.map_or("ca_file", |(key, _)| key), path, why }
    }
}

fn read_password(file: &Path) -> Result<String, RedisFileError> {
    let refused = |why: String| RedisFileError { key: "password_file", path: file.to_owned(), why };
    let password = read_secret_file(file, &PASSWORD_BYTES).map_err(|it| refused(it.to_string()))?;
    String::from_utf8(password).map_err(|_| refused("a password in UTF-8 is required".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_if_there_is_one() {
        let told = |path: &str| {
            let access = RedisAccess { ca_file: Some("/ca".into()), ..RedisAccess::default() };
            access.of_tls(TlsFileError { path: path.into(), why: "no".to_owned() }).to_string()
        };
        assert_eq!((told("/ca").as_str(), told("").as_str()), ("ca_file /ca: no", "no"));
    }
}
