//! The operator's listener: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::problem::{body, problem};
use super::readiness::{Readiness, Verdict};
use crate::domain::{Class, Micros};
use crate::router::Services;
use crate::socket;

/// How long an operator's request may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves for ever.
pub async fn serve_operator(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    services: Arc<Services>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(HEADER_TIMEOUT).await;
            continue;
        };
        let (readiness, services) = (Arc::clone(&readiness), Arc::clone(&services));
        tokio::task::spawn_local(async move {
            let respond = async |request: Request<_>| respond(&request, &readiness, &services);
            if let Err(error) = socket::serve_http1(stream, HEADER_TIMEOUT, respond).await {
                tracing::debug!(%error, "an operator's connection failed");
            }
        });
    }
}

fn respond<B>(
    request: &Request<B>,
    readiness: &Readiness,
    services: &Services,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here");
    }
    match request.uri().path() {
        "/healthz" => body(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => ready(readiness),
        "/metrics" => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            body(StatusCode::OK, content_type, metrics(readiness, services))
        }
        _ => problem(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics here"),
    }
}

/// All metrics; what is a state and no count is looked up now.
fn metrics(readiness: &Readiness, services: &Services) -> String {
    let metrics = &services.metrics;
    for class in Class::ALL {
        let held = services.interest.held(class);
        metrics.buckets_held[class as usize].set(held.into());
    }
    for (gauge, count) in metrics.links.iter().zip(readiness.links_by_state()) {
        gauge.set(count);
    }
    let watermark = Micros(metrics.watermark.get() as u64);
    metrics.watermark_lag.set(services.wall.now().since(watermark).as_secs_f64());
    metrics.render()
}

/// The verdict with what speaks against it. Degraded is still ready: sends are stored, and the
/// load balancer has nowhere better to go.
fn ready(readiness: &Readiness) -> Response<Full<Bytes>> {
    let (verdict, reasons) = readiness.verdict();
    let status = match verdict {
        Verdict::Ready | Verdict::Degraded => StatusCode::OK,
        Verdict::Starting | Verdict::Unready | Verdict::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let report = serde_json::json!({ "status": verdict, "reasons": reasons });
    body(status, "application/json", format!("{report}\n"))
}
