//! The page's style sheet, script and icon, under paths that change with what is in them.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    pub name: &'static str,
    pub content_type: &'static str,
    pub text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset { name: "page.css", content_type: "text/css; charset=utf-8", text: include_str!("page.css") },
    Asset { name: "page.js", content_type: "text/javascript; charset=utf-8", text: include_str!("page.js") },
    Asset { name: "icon.svg", content_type: "image/svg+xml", text: include_str!("icon.svg") },
];

static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    ASSETS.iter().for_each(|asset| hash.update(asset.text));
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Another one with each change of any of them.
pub(super) fn fingerprint() -> &'static str {
    &FINGERPRINT
}

pub(super) fn path(name: &str) -> String {
    format!("/assets/{}/{name}", fingerprint())
}

/// The file of that name; None where the fingerprint is another version's.
pub fn asset(of: &str, name: &str) -> Option<Asset> {
    ASSETS.into_iter().find(|asset| asset.name == name && of == fingerprint())
}
