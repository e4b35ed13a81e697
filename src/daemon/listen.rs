//! What the daemon says over HTTP: the page, the status as JSON, and what `probes` tells. Nothing can be changed there, and no row's
//! value is ever in it. `guard` decides who may ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::guard::{Guard, guard};
use super::{Daemon, probes};
use crate::capture::lock;
use crate::config::Listen;
use crate::ledger;
use crate::ops::page::{self, Counted, Facts};
use crate::ops::process::{Process, free_bytes};
use crate::ops::status::Status;

/// How long an answer may take before the daemon counts as ill.
const ANSWER: Duration = Duration::from_secs(5);
/// From a connection's beginning to the end of its answer.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 64;
/// After a connection that could not be taken.
const AGAIN: Duration = Duration::from_millis(100);
/// For answers under way when the daemon stops.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(1);
/// However many look at the page, it is made so often at most.
const PAGE_AGE_MAX: Duration = Duration::from_secs(1);

/// The page as it was made last, and when.
type Made = Mutex<Option<(Instant, String)>>;

/// Serves until the daemon stops. An address that is taken is an error in the log; replication goes on without the page.
pub async fn serve(daemon: Arc<Daemon>, listen: Listen) {
    let address = listen.address;
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(%address, %error, "the status page can't be served; set `listen` to a free address, or to \"\"");
        }
    };
    let (page, json, made) = (daemon.clone(), daemon.clone(), Arc::new(Made::default()));
    let routes = Router::new()
        .route("/", get(|| async move { in_time(html(&page, &made)).await }))
        .route("/assets/{fingerprint}/{name}", get(asset))
        .route("/status.json", get(|| async move { answer(&json, |status| json_text(&status)).await }))
        .merge(probes::routes(&daemon))
        .layer(middleware::from_fn_with_state(Guard::new(&listen), guard));
    take(&daemon, listener, routes).await;
}

/// Takes connections until the daemon stops, each for one request, and no more of them and none for longer than stated: whoever asks
/// for nothing and stays can't take the daemon's files or memory.
async fn take(daemon: &Daemon, listener: TcpListener, routes: Router) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = daemon.stopped() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // No file left, say: it passes.
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            // One that breaks off has nobody left to be told.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_ANSWERS_MAX, connections.join_all()).await;
}

pub(super) async fn answer(daemon: &Daemon, tell: impl FnOnce(Status) -> Response) -> Response {
    in_time(async { Ok(tell(daemon.status().await?)) }).await
}

async fn in_time(answer: impl Future<Output = ledger::Result<Response>>) -> Response {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(Ok(response)) => response,
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

async fn html(daemon: &Daemon, made: &Made) -> ledger::Result<Response> {
    let mut made = made.lock().await;
    if let Some((_, page)) = made.as_ref().filter(|(at, _)| at.elapsed() < PAGE_AGE_MAX) {
        return Ok(Html(page.clone()).into_response());
    }
    let page = page::render(&facts(daemon).await?);
    *made = Some((Instant::now(), page.clone()));
    Ok(Html(page).into_response())
}

/// From the ledger and from memory: no site is asked.
async fn facts(daemon: &Daemon) -> ledger::Result<Facts> {
    let status = daemon.status().await?;
    let counted = daemon.ledger.call(|ledger| Counted::read(ledger)).await?;
    let troubles = |member: &Arc<super::Member>| (member.config.name.clone(), member.health.figures().troubles.iter().cloned().collect());
    Ok(Facts {
        status,
        counted,
        troubles: daemon.members.iter().map(troubles).collect(),
        samples: lock(&daemon.samples).clone(),
        verifying: lock(&daemon.verifying).as_ref().map(|progress| progress.now()),
        verify_every_s: daemon.config.daemon.verify_every.map(|every| every.as_secs()),
        process: Process::read(),
        free_bytes: free_bytes(&daemon.config.daemon.state_dir),
    })
}

/// Its path changes with its contents, so that a browser needs to ask for it once.
async fn asset(Path((fingerprint, name)): Path<(String, String)>) -> Response {
    match page::asset(&fingerprint, &name) {
        Some(asset) => {
            let headers = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, "private, max-age=31536000, immutable")];
            (headers, asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
