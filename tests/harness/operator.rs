//! What a node tells its operator.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// The operator's listener of a node.
#[derive(Clone)]
pub struct Operator {
    address: String,
}

impl Operator {
    /// Of `http://host:port`.
    pub fn new(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("an address of HTTP");
        Self { address: address.to_owned() }
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The status and the body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        let mut stream =
            TcpStream::connect(&self.address).expect("the operator's listener is there");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers in UTF-8");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// The verdict of `/readyz` and its reasons, in one text.
    pub fn readiness(&self) -> (u16, String, String) {
        let (status, body) = self.get("/readyz");
        let report: Value = serde_json::from_str(&body).expect("a JSON document");
        let verdict = report["status"].as_str().expect("a status").to_owned();
        (status, verdict, report["reasons"].to_string())
    }

    /// A sample, by its whole name and labels.
    pub fn sample(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The sum of the samples whose name and labels start so.
    pub fn metric(&self, start: &str) -> u64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let samples = text.lines().filter(|line| line.starts_with(start));
        let values =
            samples.map(|line| line.rsplit(' ').next().and_then(|v| v.parse::<u64>().ok()));
        let values: Vec<u64> = values.map(|value| value.expect("a whole number")).collect();
        assert!(!values.is_empty(), "no {start} in {text}");
        values.iter().sum()
    }
}
