//! What the daemon says over HTTP, on a loopback address only: status as a page, as JSON, and what `probes` tells. Nothing can be changed there,
//! and no row's value is ever in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::{Daemon, probes};
use crate::ops::status::Status;
use crate::ops::status_text;
use crate::ops::text::Page;

/// How long an answer may take before the daemon counts as ill.
const ANSWER: Duration = Duration::from_secs(5);

/// Serves until the daemon stops. An address that is taken is an error in the log; replication goes on without the page.
pub async fn serve(daemon: Arc<Daemon>, address: SocketAddr) {
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(%address, %error, "the status page can't be served; set `listen` to a free address, or to \"\"");
        }
    };
    let (page, json) = (daemon.clone(), daemon.clone());
    let routes = Router::new()
        .route("/", get(|| async move { answer(&page, |status| Html(html(&status)).into_response()).await }))
        .route("/status.json", get(|| async move { answer(&json, |status| json_text(&status)).await }))
        .merge(probes::routes(&daemon));
    let stopping = daemon.clone();
    let served = axum::serve(listener, routes).with_graceful_shutdown(async move { stopping.stopped().await });
    if let Err(error) = served.await {
        tracing::error!(%address, %error, "the status page has ended");
    }
}

pub(super) async fn answer(daemon: &Daemon, tell: impl FnOnce(Status) -> Response) -> Response {
    match tokio::time::timeout(ANSWER, daemon.status()).await {
        Ok(Ok(status)) => tell(status),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the ledger does not answer\n").into_response(),
    }
}

fn json_text(status: &Status) -> Response {
    match serde_json::to_string(status) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The same text as `rosterd status`, refreshed by the browser.
fn html(status: &Status) -> String {
    let text = status_text::render(status, Page::PLAIN).replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>rosterd</title><h1>rosterd</h1>\
         <pre>{text}</pre><p><a href=\"/status.json\">JSON</a> · <a href=\"/metrics\">metrics</a></p></html>"
    )
}
