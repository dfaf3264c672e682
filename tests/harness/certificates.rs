//! Certificates of a test's own.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// The number of the next authority.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// An authority, and the files of what it signed.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// The files of a certificate and of its key.
pub struct Certificate {
    pub file: String,
    pub key: String,
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // A name of its own, or one authority would be looked for where another one signed.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name = common_name(&format!("authority {number}"));
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Self { issuer, directory };
        authority.write("ca.pem", &authority.pem());
        authority
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The file of its own certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// A certificate for names and addresses, valid today.
    pub fn issue(&self, name: &str) -> Certificate {
        self.issue_until(name, 2100)
    }

    /// The same, valid until a year.
    pub fn issue_until(&self, name: &str, year: i32) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name = common_name(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed");
        let stem = format!("{name}-{year}");
        Certificate {
            file: self.write(&format!("{stem}.pem"), &certificate.pem()),
            key: self.write(&format!("{stem}.key"), &key.serialize_pem()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("it can be written");
        path.display().to_string()
    }
}
