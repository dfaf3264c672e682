//! A server that asks for a password and speaks TLS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::config::{Credentials, TlsConfig};
use crate::secret::Secret;
use crate::store::conformance::{START, direct};
use server::CqlTestServer;

const ROLE_TIMEOUT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(50);

/// A key with a certificate that signs itself, and the certificate as its own authority.
fn certificate(home: &Path, name: &str) -> PathBuf {
    let (store, authority) = (home.join(format!("{name}.p12")), home.join(format!("{name}.pem")));
    let tool = |arguments: &[&str]| {
        let done = Command::new("keytool")
            .args(arguments)
            .args(["-alias", "s", "-storepass", "changeit", "-keystore"])
            .arg(&store)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let names = "SAN=dns:localhost,ip:127.0.0.1";
    let key = ["-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650"];
    let made = ["-genkeypair", "-dname", "CN=localhost", "-ext", names, "-storetype", "PKCS12"];
    tool(&[made.as_slice(), &key].concat());
    tool(&["-exportcert", "-rfc", "-file", authority.to_str().unwrap()]);
    authority
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn who_shows_no_password_or_believes_another_authority_is_not_connected() {
    let home = TempDir::new().unwrap();
    let (ours, other) = (certificate(home.path(), "server"), certificate(home.path(), "other"));
    let lines = format!(
        "authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\n\
         role_manager: CassandraRoleManager\nclient_encryption_options: {{enabled: true, \
         keystore: {}, keystore_password: changeit, store_type: PKCS12}}\n",
        home.path().join("server.p12").display()
    );
    let server = CqlTestServer::configured(TempDir::new().unwrap(), &lines).await;
    let until = Instant::now() + ROLE_TIMEOUT;
    while !server.log().contains("Created default superuser role") {
        assert!(Instant::now() < until, "{}", server.log());
        tokio::time::sleep(POLL).await;
    }
    let credentials = |password: &str| Credentials {
        username: "cassandra".to_owned(),
        password: Secret::new(password),
        file: None,
    };
    let right = with(options("nc_secured"), |cql| {
        cql.nodes = vec![server.address()];
        cql.credentials = Some(credentials("cassandra"));
        cql.tls = TlsConfig { is_on: true, authorities: ours.clone() };
    });
    for refused in [
        with(right.clone(), |cql| cql.credentials = None),
        with(right.clone(), |cql| cql.credentials = Some(credentials("wrong-hunter2"))),
        with(right.clone(), |cql| cql.tls.is_on = false),
        with(right.clone(), |cql| cql.tls.authorities = other),
    ] {
        let error = Cql::open(&refused).await.unwrap_err();
        assert!(matches!(error, CqlOpenError::Connect { .. }), "{error}");
        assert!(!format!("{error} {error:?} {refused:?}").contains("hunter2"), "{error}");
    }
    apply_schema(&right).await.unwrap();
    let store = Cql::open(&right).await.unwrap();
    store.append(direct("alice", "bob", START)).await.unwrap();
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_with_their_file() {
    let home = TempDir::new().unwrap();
    let (absent, empty) = (home.path().join("absent.pem"), home.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for path in [absent, empty] {
        let options = with(options("k"), |cql| {
            cql.nodes = vec!["127.0.0.1:1".to_owned()];
            cql.tls = TlsConfig { is_on: true, authorities: path.clone() };
        });
        let error = Cql::open(&options).await.unwrap_err();
        assert!(matches!(&error, CqlOpenError::Certificates { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
