//! Shards behind TLS.

use std::fs;

use serde_json::json;

use super::chat::{body, login, send};
use super::refusals::failure;
use crate::harness::{Authority, Certificate, Demo, Process, RedisServer, eventually, free_port};

/// A Redis with a plain port for the test and one with TLS for the nodes.
struct EncryptedRedis {
    plain: RedisServer,
    port: String,
}

impl EncryptedRedis {
    fn start(certificate: &Certificate, authority: &Authority, asks_clients: &str) -> Self {
        let (port, ca) = (free_port().to_string(), authority.file());
        let Certificate { file, key } = certificate;
        let [file, key, ca] = [file, key, &ca].map(String::as_str);
        let files = ["--tls-cert-file", file, "--tls-key-file", key, "--tls-ca-cert-file", ca];
        let keys = ["--tls-port", port.as_str(), "--tls-auth-clients", asks_clients];
        let plain = RedisServer::start(&[&keys[..], &files].concat());
        Self { plain, port }
    }

    fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}

async fn talks(demo: &Demo) {
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut bob = login(&demo.nodes[1].url, &demo.bob).await;
    send(&mut alice, "bob", json!("in private")).await;
    assert_eq!(body(&mut bob).await, "in private");
}

fn start(url: &str, keys: &[(&str, &str)]) -> Process {
    Process::start(&mut Demo::command(1, &[url], keys))
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn nodes_talk_by_an_authority_of_a_file_or_of_the_system() {
    let authority = Authority::new();
    let redis = EncryptedRedis::start(&authority.issue("127.0.0.1"), &authority, "no");
    let (url, ca) = (redis.url(), authority.file());
    let limits = ("RATES__LIMIT_USERS", "true");
    let mut demo = Demo::start(2, &[&url], &[("REDIS__CA_FILE", &ca), limits]);
    talks(&demo).await;
    let said = demo.process.finish();
    assert!(said.contains(" INFO n1 shard r1 is Redis 7"), "{said}");
    let told = said.lines().filter(|line| line.contains("n1 shard r1 is Redis")).count();
    assert_eq!(told, 1, "once, and not by each connection: {said}");
    assert!(!said.contains("on this node alone"), "the limiter counts there: {said}");
    let mut system = Demo::command(2, &[&url], &[]);
    system.env("SSL_CERT_FILE", &ca);
    talks(&Demo::of(Process::start(&mut system))).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_may_ask_for_a_certificate_and_have_another_name() {
    let authority = Authority::new();
    let redis = EncryptedRedis::start(&authority.issue("r1.example.com"), &authority, "yes");
    let (url, ca, own) = (redis.url(), authority.file(), authority.issue("node"));
    let name = ("REDIS__SERVER_NAME", "r1.example.com");
    let keys = [("REDIS__CA_FILE", ca.as_str()), name];
    let without = start(&url, &keys);
    let certificate = [("REDIS__CERT_FILE", own.file.as_str()), ("REDIS__KEY_FILE", &own.key)];
    let demo = Demo::start(2, &[&url], &[&keys[..], &certificate].concat());
    talks(&demo).await;
    let said = failure(without);
    assert!(said.contains("CertificateRequired"), "{said}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_certificate_that_does_not_pass_is_told_by_its_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let serve = |certificate| EncryptedRedis::start(&certificate, &authority, "no");
    let expired = serve(authority.issue_until("127.0.0.1", 2020));
    let misnamed = serve(authority.issue("r1.example.com"));
    let good = serve(authority.issue("127.0.0.1"));
    let (ca, other) = (authority.file(), other.file());
    let plain = good.plain.url().replace("redis://", "rediss://");
    let unknown = "invalid peer certificate: UnknownIssuer";
    let started = [
        (expired.url(), Some(&ca), "invalid peer certificate: certificate expired"),
        (misnamed.url(), Some(&ca), "certificate not valid for name \"127.0.0.1\""),
        (good.url(), Some(&other), unknown),
        (good.url(), None, unknown),
        (plain, Some(&ca), "does the port speak TLS?"),
    ]
    .map(|(url, ca, reason)| {
        let keys: Vec<(&str, &str)> = ca.iter().map(|ca| ("REDIS__CA_FILE", ca.as_str())).collect();
        (start(&url, &keys), reason)
    });
    for (process, reason) in started {
        let said = failure(process);
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

/// Certificates are renewed under running nodes.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn files_are_read_again_at_each_reconnect() {
    let (old, new) = (Authority::new(), Authority::new());
    let certificate = old.issue("127.0.0.1");
    let mut redis = EncryptedRedis::start(&certificate, &old, "no");
    let ca = old.file();
    let demo = Demo::start(2, &[&redis.url()], &[("REDIS__CA_FILE", &ca)]);
    let told = |part: &str| {
        let (_, verdict, reasons) = demo.nodes[0].operator.readiness();
        verdict == "degraded" && reasons.contains(part)
    };
    redis.plain.kill();
    let renewed = new.issue("127.0.0.1");
    fs::copy(&renewed.file, &certificate.file).expect("the certificate is replaced");
    fs::copy(&renewed.key, &certificate.key).expect("the key is replaced");
    redis.plain.restart();
    eventually("the certificate is refused", || told("UnknownIssuer")).await;
    fs::remove_file(&ca).expect("it was there");
    let missing = format!("ca_file {ca}: cannot be read");
    eventually("the file is missed", || told(&missing)).await;
    fs::write(&ca, new.pem()).expect("it can be written");
    for node in &demo.nodes {
        eventually("it is up again", || node.operator.readiness().1 == "ready").await;
    }
    talks(&demo).await;
}
