//! A real Prometheus of a test's own, which scrapes nodes and evaluates rules.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use narrowcast::client::http_get;
use serde_json::{Value, json};

use super::{Process, free_port};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);

pub struct Prometheus {
    process: Process,
    address: String,
    _directory: tempfile::TempDir,
}

/// A series of an answer.
#[derive(Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Its values by time, in seconds since the Unix epoch.
    pub points: Vec<(f64, f64)>,
}

impl Prometheus {
    /// Scrapes these operators' listeners, `host:port`, once a second, and evaluates rules as often.
    pub async fn start(targets: &[String], rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = json!({
            "global": {
                "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s",
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": "narrowcast", "static_configs": [{"targets": targets}]},
            ],
        });
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("a file: JSON is YAML");
        std::fs::write(directory.path().join("rules.yml"), rules).expect("a file");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command.args(["--config.file", "prometheus.yml", "--storage.tsdb.path", "data"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(directory.path());
        let process = Process::start(&mut command);
        let mut started = Self { process, address, _directory: directory };
        started.until_ready().await;
        started
    }

    async fn until_ready(&mut self) {
        let until = Instant::now() + START;
        while !matches!(http_get(&self.address, "/-/ready").await, Ok((200, _))) {
            let starts = self.process.is_running() && Instant::now() < until;
            assert!(starts, "Prometheus does not answer: {}", self.process.finish());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The alerts that fire, by their names.
    pub async fn firing(&self) -> BTreeSet<String> {
        self.alerts("firing").await
    }

    /// The alerts whose expression holds, but not yet for as long as their `for` says.
    pub async fn pending(&self) -> BTreeSet<String> {
        self.alerts("pending").await
    }

    async fn alerts(&self, state: &str) -> BTreeSet<String> {
        let data = self.get("/api/v1/alerts").await;
        let alerts = data["alerts"].as_array().expect("a list").iter();
        let alerts = alerts.filter(|alert| alert["state"] == state);
        alerts.map(|alert| text(&alert["labels"]["alertname"])).collect()
    }

    /// What an expression is now: one point a series.
    pub async fn query(&self, expression: &str) -> Vec<Series> {
        let data = self.get(&format!("/api/v1/query?query={}", encoded(expression))).await;
        let result = data["result"].as_array().expect("a vector").iter();
        result.map(|series| Series::of(series, std::slice::from_ref(&series["value"]))).collect()
    }

    /// What an expression was in the last `seconds`, a point every `step` seconds, as a panel of a
    /// dashboard asks for it.
    pub async fn range(&self, expression: &str, seconds: u64, step: u64) -> Vec<Series> {
        let now = super::tokens::now();
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={now}&step={step}",
            encoded(expression),
            now - seconds,
        );
        let data = self.get(&path).await;
        let result = data["result"].as_array().expect("a matrix").iter();
        let points = |series: &Value| series["values"].as_array().expect("a list").clone();
        result.map(|series| Series::of(series, &points(series))).collect()
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = http_get(&self.address, path).await.expect("Prometheus answers");
        assert_eq!(status, 200, "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"].clone()
    }
}

impl Series {
    fn of(series: &Value, points: &[Value]) -> Self {
        let labels = series["metric"].as_object().expect("labels").iter();
        let point = |point: &Value| {
            let value = point[1].as_str().and_then(|value| value.parse().ok());
            (point[0].as_f64().expect("a time"), value.expect("a number, or NaN"))
        };
        Self {
            labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
            points: points.iter().map(point).collect(),
        }
    }

    /// Whether it has a value that can be drawn.
    pub fn is_drawn(&self) -> bool {
        self.points.iter().any(|(_, value)| value.is_finite())
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Percent-encodes a value of a query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
