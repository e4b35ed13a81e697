//! The file as it is written, before anything in it is checked. Field names are the TOML's keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
pub(super) struct RawFile {
    #[serde(default)]
    pub daemon: RawDaemon,
    #[serde(default)]
    pub site: Vec<Spanned<RawSite>>,
    #[serde(default)]
    pub share: RawShare,
    #[serde(default)]
    pub table: Vec<Spanned<RawTable>>,
}

/// A preset: tables only.
#[derive(Deserialize)]
pub(super) struct RawPreset {
    pub table: Vec<Spanned<RawTable>>,
}

#[derive(Deserialize, Default)]
pub(super) struct RawDaemon {
    pub state_dir: Option<Spanned<String>>,
    pub listen: Option<Spanned<String>>,
    pub listen_token_file: Option<Spanned<String>>,
    pub listen_name: Option<Spanned<String>>,
    pub copy_rows_per_second_max: Option<Spanned<i64>>,
    pub verify_every: Option<Spanned<String>>,
    pub heartbeat: Option<Spanned<String>>,
    pub verify_rows_per_second_max: Option<Spanned<i64>>,
    pub batch_rows_max: Option<Spanned<i64>>,
    pub batch_bytes_max: Option<Spanned<i64>>,
    pub chunk_rows_max: Option<Spanned<i64>>,
    pub connect_timeout_ms: Option<Spanned<i64>>,
    pub lock_wait_ms: Option<Spanned<i64>>,
    pub after_apply_repeat_ms: Option<Spanned<i64>>,
    pub conflict_days: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
pub(super) struct RawSite {
    pub name: Option<Spanned<String>>,
    pub role: Option<Spanned<String>>,
    pub url: Option<Spanned<String>>,
    pub password_file: Option<Spanned<String>>,
    pub password_env: Option<Spanned<String>>,
    pub tls: Option<Spanned<String>>,
    pub ca_file: Option<Spanned<String>>,
    pub cert_file: Option<Spanned<String>>,
    pub key_file: Option<Spanned<String>>,
    pub prefix: Option<RawPrefix>,
    pub schema: Option<Spanned<String>>,
    pub ids: Option<Spanned<RawIds>>,
    #[serde(default)]
    pub table: BTreeMap<String, Spanned<RawSiteTable>>,
}

#[derive(Deserialize)]
#[serde(expecting = "expected a table such as { offset = 3, increment = 10 }")]
pub(super) struct RawIds {
    pub offset: Option<Spanned<i64>>,
    pub increment: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
pub(super) struct RawSiteTable {
    pub name: Option<Spanned<String>>,
    #[serde(default)]
    pub columns: BTreeMap<String, Spanned<String>>,
    pub lacks: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub defaults: BTreeMap<String, Spanned<RawValue>>,
    #[serde(default)]
    pub constants: BTreeMap<String, Spanned<RawValue>>,
    #[serde(default)]
    pub values: BTreeMap<String, Spanned<BTreeMap<String, Spanned<RawValue>>>>,
}

/// A value of one column.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, true or false")]
pub(super) enum RawValue {
    Truth(bool),
    Whole(i64),
    Float(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a prefix as a string, or a table such as { default = \"nj_\", users = \"shared.\" }")]
pub(super) enum RawPrefix {
    Default(String),
    ByTable(BTreeMap<String, String>),
}

#[derive(Deserialize, Default)]
pub(super) struct RawShare {
    pub preset: Option<Spanned<OneOrMany>>,
    #[serde(default)]
    pub except: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(word) => vec![word],
            OneOrMany::Many(words) => words,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RawTable {
    pub name: Option<Spanned<String>>,
    pub optional: Option<bool>,
    pub key: Option<Spanned<Vec<String>>>,
    pub filter: Option<Spanned<String>>,
    pub direction: Option<Spanned<RawDirection>>,
    pub local_writes: Option<Spanned<String>>,
    pub exclude: Option<Spanned<Vec<String>>>,
    pub secret: Option<Spanned<Vec<String>>>,
    pub urgent: Option<bool>,
    #[serde(default)]
    pub conflict: BTreeMap<String, Spanned<String>>,
    pub delete: Option<Spanned<String>>,
    pub insert: Option<Spanned<String>>,
    pub unique: Option<Spanned<RawUnique>>,
    pub initial: Option<Spanned<String>>,
    pub after_apply: Option<Vec<Spanned<String>>>,
    pub references: Option<BTreeMap<String, Spanned<String>>>,
    pub sequence: Option<Spanned<String>>,
    pub fuse_rows: Option<Spanned<i64>>,
    pub fuse_percent: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"both\", \"from-hub\" or a table such as { default = \"from-hub\", login = \"both\" }")]
pub(super) enum RawDirection {
    All(String),
    ByColumn(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"quarantine\", \"rename:{value}-{site}\" or { rename = \"{value}-{site}\" }")]
pub(super) enum RawUnique {
    Word(String),
    Rename { rename: String },
}
