//! What `tests/servers/fetch-anchors` has fetched besides the servers, if it has.

use std::path::PathBuf;

fn folder() -> PathBuf {
    std::env::var_os("ROSTERD_ANCHORS").map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/anchors").into(), PathBuf::from)
}

fn are_there() -> bool {
    folder().join("complete").exists()
}

/// Has all servers started from the folder in which PostgreSQL has pglogical.
pub fn prefer() {
    if are_there() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("ROSTERD_SERVERS", folder().join("servers")) };
    }
}

pub fn has_pglogical() -> bool {
    are_there()
}

/// A client program's launcher.
pub fn program(name: &str) -> Option<PathBuf> {
    are_there().then(|| folder().join("clients/bin").join(name))
}
