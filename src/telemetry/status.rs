//! `/healthz`, `/readyz` and `/metrics`, alike in both programs.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::process;

/// Whether a process can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot; the reason is shown by `/readyz`, so it holds no secret and no payload.
    NotReady(String),
}

/// Where a process says whether it is ready, and where `/readyz` reads it. Clones share one state.
#[derive(Debug, Clone)]
pub struct StatusBoard(watch::Sender<Readiness>);

impl StatusBoard {
    /// A board that is not ready for `reason`.
    #[must_use]
    pub fn not_ready(reason: &str) -> Self {
        Self(watch::Sender::new(Readiness::NotReady(reason.to_owned())))
    }

    /// Sets the state; setting what stands already does nothing.
    pub fn set(&self, readiness: Readiness) {
        self.0.send_if_modified(|now| {
            let changed = *now != readiness;
            if changed {
                *now = readiness;
            }
            changed
        });
    }

    /// The state now.
    #[must_use]
    pub fn get(&self) -> Readiness {
        self.0.borrow().clone()
    }

    /// Follows the state's changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Readiness> {
        self.0.subscribe()
    }
}

/// The three routes. `/healthz` answers 200 as soon as the process serves; `/readyz` 200 or 503 with the reason;
/// `/metrics` in Prometheus' text format.
pub fn status_routes(board: StatusBoard, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { plain(StatusCode::OK, "ok\n".to_owned()) }))
        .route("/readyz", get(move || std::future::ready(readyz(&board))))
        .route("/metrics", get(move || std::future::ready(scrape(&metrics))))
}

fn readyz(board: &StatusBoard) -> Response {
    match board.get() {
        Readiness::Ready => plain(StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

fn scrape(metrics: &PrometheusHandle) -> Response {
    const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = without_unknown(&metrics.render()) + &process::render();
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

/// Leaves out gauges that are [`super::UNKNOWN`]: no sample says so more clearly than one that is no number.
fn without_unknown(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.starts_with('#') || !line.ends_with(" NaN\n")).collect()
}

/// Text that no cache keeps.
fn plain(status: StatusCode, text: String) -> Response {
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    (status, [(header::CACHE_CONTROL, NO_STORE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_gives_the_reason_until_the_process_is_ready_while_healthz_answers_all_along() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let board = StatusBoard::not_ready("no position in the stream yet");
        let router = status_routes(board.clone(), recorder.handle());

        assert_eq!(ask(&router, "/healthz").await.0, StatusCode::OK);
        let (status, text) = ask(&router, "/readyz").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: no position in the stream yet\n")
        );

        board.set(Readiness::Ready);
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
        board.set(Readiness::NotReady("MongoDB does not answer".into()));
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let router = status_routes(StatusBoard::not_ready("x"), recorder.handle());
        metrics::with_local_recorder(&recorder, || metrics::counter!("taskwire_changes_read_total").increment(3));
        assert!(ask(&router, "/metrics").await.1.contains("taskwire_changes_read_total 3"));
    }

    #[tokio::test]
    async fn a_gauge_that_is_unknown_is_absent_until_it_is_known_again() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let router = status_routes(StatusBoard::not_ready("x"), recorder.handle());
        let set =
            |value: f64| metrics::with_local_recorder(&recorder, || metrics::gauge!("lag", "of" => "a").set(value));
        for (value, shown) in [(7.0, true), (crate::telemetry::UNKNOWN, false), (0.0, true)] {
            set(value);
            let text = ask(&router, "/metrics").await.1;
            assert_eq!(text.lines().any(|line| line.starts_with("lag{")), shown, "{value}: {text}");
        }
    }
}
