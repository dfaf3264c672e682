//! The address of a node's operator's listener, and what is read from it.

use std::str::FromStr;
use std::time::Instant;

use serde::Deserialize;

use super::cluster_answer::ClusterAnswer;
use super::node_sample::NodeSample;
use super::samples::Samples;
use crate::client::{ClientError, http_get};

/// A sample that every node of this version has.
const MARKER: &str = "narrowcast_live_nodes";

/// Why a node was not read.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// It is no address of an operator's listener.
    #[error("`{0}` is not like http://127.0.0.1:8081")]
    Url(String),
    /// Nothing answers, or not in time.
    #[error("{url} cannot be read: {error}")]
    Unread {
        /// Which node.
        url: String,
        /// Why.
        error: ClientError,
    },
    /// What answers is something else.
    #[error("{url} is not the operator's listener of a node that this program knows: {why}")]
    Stranger {
        /// Which address.
        url: String,
        /// What it answers.
        why: String,
    },
}

impl MonitorError {
    /// Returns the cause without the address.
    pub fn cause(&self) -> String {
        match self {
            Self::Url(_) => "no address".to_owned(),
            Self::Unread { error, .. } => error.to_string(),
            Self::Stranger { why, .. } => format!("not an operator's listener: {why}"),
        }
    }
}

/// Where the operator's listener of a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorUrl {
    url: String,
    authority: String,
}

impl FromStr for OperatorUrl {
    type Err = MonitorError;

    fn from_str(url: &str) -> Result<Self, MonitorError> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|rest| !rest.is_empty() && !rest.contains('/'));
        let authority = authority.ok_or_else(|| MonitorError::Url(url.to_owned()))?.to_owned();
        Ok(Self { url: url.to_owned(), authority })
    }
}

/// One node, read once.
#[derive(Debug)]
pub struct NodeReading {
    /// Where it was read.
    pub url: String,
    /// What it answers about the cluster.
    pub cluster: ClusterAnswer,
    /// Its metrics.
    pub samples: Samples,
}

/// What `/readyz` answers. Of a version that answers otherwise it is empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ReadinessAnswer {
    status: String,
    reasons: Vec<ReasonView>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ReasonView {
    detail: String,
}

impl OperatorUrl {
    /// Returns the URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Returns `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Reads the cluster and the metrics, which come last.
    pub async fn read(&self) -> Result<NodeReading, MonitorError> {
        let cluster = serde_json::from_str(&self.text("/v1/cluster").await?);
        let cluster = cluster.map_err(|error| self.stranger(format!("/v1/cluster: {error}")))?;
        let samples = Samples::read(&self.text("/metrics").await?);
        if !samples.has(MARKER) {
            return Err(self.stranger(format!("/metrics has no {MARKER}")));
        }
        Ok(NodeReading { url: self.url.clone(), cluster, samples })
    }

    /// Reads all that a row shows.
    pub async fn sample(&self) -> Result<NodeSample, MonitorError> {
        let reading = self.read().await?;
        let at = Instant::now();
        let (_status, text) = self.get("/readyz").await?;
        let ready: ReadinessAnswer = serde_json::from_str(&text).unwrap_or_default();
        let reasons = ready.reasons.into_iter().map(|reason| reason.detail).collect();
        Ok(NodeSample::of(reading, at).with_readiness(ready.status, reasons))
    }

    async fn text(&self, path: &str) -> Result<String, MonitorError> {
        match self.get(path).await? {
            (200, text) => Ok(text),
            (status, _) => Err(self.stranger(format!("{path} answers {status}"))),
        }
    }

    async fn get(&self, path: &str) -> Result<(u16, String), MonitorError> {
        let unread = |error| MonitorError::Unread { url: self.url.clone(), error };
        http_get(&self.authority, path).await.map_err(unread)
    }

    fn stranger(&self, why: String) -> MonitorError {
        MonitorError::Stranger { url: self.url.clone(), why }
    }
}
