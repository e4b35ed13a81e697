//! The words that stand for choices in the TOML, and what each means.

use super::error::Fault;
use super::{ColumnPolicy, DeletePolicy, Initial, InsertPolicy, Role, TlsMode, UniquePolicy};

pub(super) const ROLES: [(&str, Role); 2] = [("hub", Role::Hub), ("client", Role::Client)];

pub(super) const TLS_MODES: [(&str, TlsMode); 3] =
    [("verify-full", TlsMode::VerifyFull), ("verify-ca", TlsMode::VerifyCa), ("off", TlsMode::Off)];

pub(super) const COLUMN_POLICIES: [(&str, ColumnPolicy); 5] = [
    ("last-writer-wins", ColumnPolicy::LastWriterWins),
    ("hub-wins", ColumnPolicy::HubWins),
    ("max", ColumnPolicy::Max),
    ("min", ColumnPolicy::Min),
    ("quarantine", ColumnPolicy::Quarantine),
];

pub(super) const DELETE_POLICIES: [(&str, DeletePolicy); 2] =
    [("delete-wins", DeletePolicy::DeleteWins), ("update-wins", DeletePolicy::UpdateWins)];

pub(super) const INSERT_POLICIES: [(&str, InsertPolicy); 2] = [("merge", InsertPolicy::Merge), ("quarantine", InsertPolicy::Quarantine)];

/// The direction's words; true: from the hub only.
pub(super) const DIRECTIONS: [(&str, bool); 2] = [("both", false), ("from-hub", true)];

/// What a local write against the direction gets; true: it is kept.
pub(super) const LOCAL_WRITES: [(&str, bool); 2] = [("revert", false), ("keep", true)];

/// The meaning of `text` among `choices`; an unknown one names the nearest.
pub(super) fn word<T: Clone>(what: &str, text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, meaning)) => Ok(meaning.clone()),
        None => Err(Fault::unknown(what, text, &choices.iter().map(|(name, _)| *name).collect::<Vec<_>>())),
    }
}

/// `hub`, `quarantine` or `newest(column)`.
pub(super) fn initial(text: &str) -> Result<Initial, Fault> {
    if let Some(column) = text.strip_prefix("newest(").and_then(|rest| rest.strip_suffix(')')) {
        return match column.trim() {
            "" => Err(Fault::new("initial = \"newest()\" names no column", "name one, as in newest(changed)")),
            column => Ok(Initial::Newest { column: column.into() }),
        };
    }
    match text {
        "hub" => Ok(Initial::Hub),
        "quarantine" => Ok(Initial::Quarantine),
        other => Err(Fault::unknown("initial", other, &["hub", "quarantine", "newest(column)"])),
    }
}

/// `quarantine` or `rename:` with a pattern.
pub(super) fn unique(text: &str) -> Result<UniquePolicy, Fault> {
    match text.strip_prefix("rename:") {
        Some(pattern) => rename(pattern),
        None if text == "quarantine" => Ok(UniquePolicy::Quarantine),
        None => Err(Fault::unknown("unique", text, &["quarantine", "rename:{value}-{site}"])),
    }
}

/// A pattern with both `{value}` and `{site}`: without the first the name is lost, without the second two renamed rows clash.
pub(super) fn rename(pattern: &str) -> Result<UniquePolicy, Fault> {
    let rest = pattern.replace("{value}", "").replace("{site}", "");
    if rest.contains(['{', '}']) || !pattern.contains("{value}") || !pattern.contains("{site}") {
        let cause = format!("the pattern `{pattern}` does not have {{value}} and {{site}} and nothing else in braces");
        return Err(Fault::new(cause, "write, for example, rename:{value}-{site}"));
    }
    Ok(UniquePolicy::Rename(pattern.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_meaning_and_others_name_the_nearest() {
        assert_eq!(word("role", "hub", &ROLES), Ok(Role::Hub));
        let fault = word("conflict", "last-write-wins", &COLUMN_POLICIES).unwrap_err();
        assert_eq!(fault.advice, "did you mean `last-writer-wins`?");
        assert_eq!(initial("newest(changed)"), Ok(Initial::Newest { column: "changed".into() }));
        assert!(initial("newest()").is_err() && initial("newst(a)").unwrap_err().advice.contains("newest(column)"));
    }

    #[test]
    fn a_rename_pattern_needs_both_parts() {
        assert_eq!(unique("rename:{value}-{site}"), Ok(UniquePolicy::Rename("{value}-{site}".into())));
        for bad in ["rename:", "rename:{value}", "rename:{site}", "rename:{value}{site}{uid}", "renam"] {
            assert!(unique(bad).is_err(), "{bad}");
        }
    }
}
