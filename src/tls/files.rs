//! The files that a TLS client needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// The files that a TLS client needs, in PEM. They are read at each connection, because certificates
/// are renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may sign the server's certificate; none are those of the system.
    pub authorities: Option<PathBuf>,
    /// The client's certificate, with those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// The key of the client's certificate. Both are given, or neither.
    pub key: Option<PathBuf>,
}

/// A file that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", place(path))]
pub struct TlsFileError {
    /// The file; empty if it is the system's.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// What an error begins with.
fn place(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) }
}

impl TlsFiles {
    /// Reads the files, for one connection or several. It blocks.
    pub fn read(&self) -> Result<Arc<ClientConfig>, TlsFileError> {
        let client = builder()?.with_root_certificates(self.roots()?);
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(Arc::new(client.with_no_client_auth()));
        };
        let chain = certificates(certificate)?;
        let of_key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
        let client = client.with_client_auth_cert(chain, of_key);
        Ok(Arc::new(client.map_err(|error| refused(key, error.to_string()))?))
    }

    fn roots(&self) -> Result<RootCertStore, TlsFileError> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.authorities else {
            // Some that this library does not know are in many systems.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let missing = || refused(Path::new(""), "the system trusts no authority".to_owned());
            return if roots.is_empty() { Err(missing()) } else { Ok(roots) };
        };
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| refused(file, error.to_string()))?;
        }
        Ok(roots)
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsFileError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| refused(Path::new(""), error.to_string()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(file, error))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| unreadable(file, error))?;
    if found.is_empty() {
        return Err(refused(file, "it holds no certificate".to_owned()));
    }
    Ok(found)
}

fn unreadable(file: &Path, error: pem::Error) -> TlsFileError {
    let why = match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => "it holds no key".to_owned(),
        other => other.to_string(),
    };
    refused(file, why)
}

fn refused(file: &Path, why: String) -> TlsFileError {
    TlsFileError { path: file.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn why(files: &TlsFiles) -> String {
        files.read().map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn each_file_of_no_use_is_named() {
        let empty = file(b"");
        let path = Some(empty.path().to_owned());
        let authorities = TlsFiles { authorities: path.clone(), ..TlsFiles::default() };
        assert!(why(&authorities).ends_with(": it holds no certificate"), "{}", why(&authorities));
        let nowhere = Some(PathBuf::from("/nowhere/ca.pem"));
        let missing = TlsFiles { authorities: nowhere, ..TlsFiles::default() };
        assert!(why(&missing).starts_with("/nowhere/ca.pem: cannot be read: No such file"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged(content in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let text = [b"-----BEGIN CERTIFICATE-----\n", &content[..], b"\n-----END CERTIFICATE-----\n"];
            let file = file(&text.concat());
            let path = Some(file.path().to_owned());
            let files = TlsFiles { authorities: path.clone(), certificate: path.clone(), key: path };
            proptest::prop_assert!(files.read().is_err());
        }
    }
}
