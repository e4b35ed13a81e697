//! Who may ask over HTTP, and what every answer says to browsers about itself.
//!
//! On a loopback address a page of some other host, open in a browser here, must not get at the daemon by a name that it has
//! made to lead here: requests have to name this machine (or `listen_name`). With a token, whoever asks has to show it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Listen;

/// Nothing is loaded from elsewhere, nothing in the document itself is a script or a style, and nobody frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                                       frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Answered without a token too, with a word.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Whether whoever asked may know more than a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trusted(pub bool);

/// Who may ask.
pub(super) struct Guard {
    loopback: bool,
    name: Option<String>,
    /// Of the token: two of these are of one length.
    token: Option<[u8; 32]>,
}

impl Guard {
    pub(super) fn new(listen: &Listen) -> Arc<Guard> {
        let token = listen.token.as_ref().map(|token| Sha256::digest(token.reveal()).into());
        Arc::new(Guard { loopback: listen.address.ip().is_loopback(), name: listen.name.clone(), token })
    }

    /// Whether the request names this machine, where that has to be looked at.
    fn knows(&self, headers: &HeaderMap) -> bool {
        if !self.loopback {
            return true;
        }
        let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let Some(host) = named.as_ref().map(|authority| authority.host().to_ascii_lowercase()) else { return false };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback()) || self.name.as_ref() == Some(&host)
    }

    /// Whether it shows the token, where one is asked for.
    fn trusts(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| shown(value.to_str().ok()?));
        // Compared in a time that does not tell how much of it is right.
        shown.is_some_and(|shown| Sha256::digest(shown).ct_eq(token).into())
    }
}

/// The token in `Bearer TOKEN`, or in `Basic`, where it is the password of whatever user.
fn shown(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(rest.trim()).ok())??;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

/// Lets a request pass or refuses it, and adds to the answer what every answer has.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let trusted = guard.trusts(request.headers());
    let mut response = if !guard.knows(request.headers()) {
        misdirected()
    } else if trusted || OPEN.contains(&request.uri().path()) {
        request.extensions_mut().insert(Trusted(trusted));
        next.run(request).await
    } else {
        if request.headers().contains_key(header::AUTHORIZATION) {
            tracing::warn!("somebody asked for the page or the metrics with a wrong token; the right one is where listen_token_file says");
        }
        unauthorized()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn misdirected() -> Response {
    let text = "This address answers only requests that name this machine: localhost, 127.0.0.1 or [::1].\n\
                Where a proxy passes on another name, set listen_name to it in rosterd's configuration.\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

/// A browser asks for it by itself.
fn unauthorized() -> Response {
    let text = "Show the token that listen_token_file names: as the password, with any user, or as Authorization: Bearer TOKEN.\n";
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"rosterd\", charset=\"UTF-8\"")];
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn guard_of(address: &str, token: Option<&str>, name: Option<&str>) -> Arc<Guard> {
        let token = token.map(|token| Secret::new(token.into()));
        Guard::new(&Listen { address: address.parse().unwrap(), token, name: name.map(str::to_owned) })
    }

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_loopback_address_answers_those_who_name_this_machine() {
        let guard = guard_of("127.0.0.1:9477", None, Some("roster.example.net"));
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:9477", "127.8.8.8", "[::1]:9477", "roster.example.net", "Roster.Example.Net:443"]
        {
            assert!(guard.knows(&with(header::HOST, host)), "{host}");
        }
        for host in [
            "example.net",
            "localhost.example.net",
            "127.0.0.1.example.net",
            "192.0.2.1",
            "[2001:db8::1]",
            "",
            "a b",
            "x@localhost.example.net",
        ] {
            assert!(!guard.knows(&with(header::HOST, host)), "{host}");
        }
        assert!(!guard.knows(&HeaderMap::new()));
        assert!(guard_of("192.0.2.1:9477", Some("0123456789abcdef"), None).knows(&with(header::HOST, "db1.example.net")));
    }

    #[test]
    fn the_token_is_taken_both_ways_and_nothing_else_is() {
        let guard = guard_of("192.0.2.1:9477", Some("0123456789abcdef"), None);
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for right in [
            "Bearer 0123456789abcdef".to_owned(),
            "bearer  0123456789abcdef".into(),
            basic(":0123456789abcdef"),
            basic("ann:0123456789abcdef"),
        ] {
            assert!(guard.trusts(&with(header::AUTHORIZATION, &right)), "{right}");
        }
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "0123456789abcdef",
            "Digest 0123456789abcdef",
            "Basic %%",
        ];
        for wrong in wrong.into_iter().map(str::to_owned).chain([
            basic("0123456789abcdef"),
            basic("0123456789abcdef:"),
            basic("a:b:0123456789abcdef"),
        ]) {
            assert!(!guard.trusts(&with(header::AUTHORIZATION, &wrong)), "{wrong}");
        }
        assert!(!guard.trusts(&HeaderMap::new()));
        assert!(guard_of("127.0.0.1:9477", None, None).trusts(&HeaderMap::new()));
    }
}
