//! What other programs ask over HTTP: `/metrics` for Prometheus, `/healthz` whether the daemon works, `/readyz` whether all sites do.
//! Whoever shows no token where one is asked for gets a word from the last two, and no reasons.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::Daemon;
use super::guard::Trusted;
use super::listen::answer;
use crate::ops::exposition::{self, Beside, Lag};
use crate::ops::process::{Process, free_bytes};
use crate::ops::readiness;
use crate::ops::status::Status;

pub(super) fn routes(daemon: &Arc<Daemon>) -> Router {
    let (metrics, health, ready) = (daemon.clone(), daemon.clone(), daemon.clone());
    Router::new()
        .route("/metrics", get(|| async move { answer(&metrics, |status| told(&metrics, &status)).await }))
        .route("/healthz", get(|Extension(trusted): Extension<Trusted>| async move { healthy(&health, trusted).await }))
        .route(
            "/readyz",
            get(|Extension(trusted): Extension<Trusted>| async move { answer(&ready, |status| readied(&status, trusted)).await }),
        )
}

fn told(daemon: &Daemon, status: &Status) -> Response {
    let mut lags = Vec::new();
    for member in &daemon.members {
        let figures = member.health.figures();
        for (source, urgent, histogram) in figures.lags.iter() {
            let Some(source) = daemon.members.iter().find(|other| other.id == source) else { continue };
            let (source, site) = (source.config.name.clone(), member.config.name.clone());
            lags.push(Lag { source, site, urgent, histogram: *histogram });
        }
    }
    lags.sort_by(|a, b| (&a.site, &a.source, a.urgent).cmp(&(&b.site, &b.source, b.urgent)));
    let beside = Beside { lags, process: Process::read(), free_bytes: free_bytes(&daemon.config.daemon.state_dir) };
    let text = exposition::render(status, &beside);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn healthy(daemon: &Daemon, trusted: Trusted) -> Response {
    match daemon.works().await {
        Ok(()) => "ok\n".into_response(),
        Err(text) if trusted.0 => (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "ill\n").into_response(),
    }
}

fn readied(status: &Status, trusted: Trusted) -> Response {
    let missing = readiness::missing(status);
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    let text = if trusted.0 { format!("{}\n", missing.join("\n")) } else { "not ready\n".into() };
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
