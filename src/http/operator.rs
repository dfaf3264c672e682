//! The operator's listener: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::problem::{Problem, body, json};
use super::readiness::{Readiness, Verdict};
use crate::domain::{Class, Micros};
use crate::protocol::{Code, Refusal};
use crate::router::Services;
use crate::socket::{self, HttpWaits};

/// How long an operator's request may take to arrive, and its answer to be taken.
const WAITS: HttpWaits =
    HttpWaits { header: Duration::from_secs(5), write_stall: Duration::from_secs(5) };

/// How long to wait after the listener refused, when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(5);

/// Connections at once, one more is closed at once: some for each scraper, each load balancer that
/// asks for the health, and people.
const CONNECTIONS_MAX: usize = 256;

/// Serves for ever.
pub async fn serve_operator(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    services: Arc<Services>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (readiness, services) = (Arc::clone(&readiness), Arc::clone(&services));
        tokio::task::spawn_local(async move {
            let respond = async |request: Request<_>| respond(&request, &readiness, &services);
            if let Err(error) = socket::serve_http1(stream, WAITS, respond).await {
                tracing::debug!(%error, "an operator's connection failed");
            }
            drop(place);
        });
    }
}

fn respond<B>(
    request: &Request<B>,
    readiness: &Readiness,
    services: &Services,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let detail = "only GET is served here";
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, detail);
        return problem.with(ALLOW, HeaderValue::from_static("GET")).response();
    }
    match request.uri().path() {
        "/healthz" => body(StatusCode::OK, "text/plain", "ok\n"),
        "/readyz" => ready(readiness),
        "/metrics" => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            body(StatusCode::OK, content_type, metrics(readiness, services))
        }
        _ => {
            let detail = "there are /healthz, /readyz and /metrics here";
            Problem::from(Refusal::new(Code::NotFound, detail)).response()
        }
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
    metrics.outbox_bytes.set(services.budget.used() as i64);
    let watermark = Micros(metrics.watermark.get() as u64);
    let lag = services.wall.now().since(watermark).as_secs_f64();
    // There is none before the first: no alarm that compares is raised by that.
    metrics.watermark_lag.set(if watermark == Micros(0) { f64::NAN } else { lag });
    if let Some(figures) = services.store.figures() {
        metrics.show_store(&figures);
    }
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
    json(status, &report)
}
