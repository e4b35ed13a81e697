//! What gives out a table's keys where it is not the key's column itself.

use super::Prefix;
use super::error::Fault;

/// `sequence` of a `[[table]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// A PostgreSQL sequence, by its name with `{table}` for a table with the site's prefix. In MySQL and MariaDB that table's
    /// AUTO_INCREMENT column does the same, as in Drupal's `sequences`.
    Named(Vec<SequencePiece>),
    /// Empty: the applications give out numbers by themselves, and see to it that they differ.
    Application,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequencePiece {
    Text(String),
    /// A table without its prefix.
    Table(String),
}

impl Sequence {
    /// The sequence's name at a site, with its schema where the prefix or the name has one.
    pub fn at(&self, prefix: &Prefix) -> Option<String> {
        let Sequence::Named(pieces) = self else { return None };
        let spelled = pieces.iter().map(|piece| match piece {
            SequencePiece::Text(text) => text.clone(),
            SequencePiece::Table(table) => prefix.apply(table),
        });
        Some(spelled.collect())
    }

    /// The tables that its name names.
    pub fn tables(&self) -> Vec<&str> {
        let pieces = if let Sequence::Named(pieces) = self { pieces.as_slice() } else { &[] };
        let mut tables = Vec::new();
        for piece in pieces {
            if let SequencePiece::Table(name) = piece {
                tables.push(name.as_str());
            }
        }
        tables
    }
}

/// The sequence that `text` names.
pub(super) fn sequence(text: &str) -> Result<Sequence, Fault> {
    let advice = "write it as in \"users_uid_seq\" or \"{sequences}_value_seq\"; \"\" if applications give out numbers by themselves";
    let fault = |cause: &str| Fault::new(format!("sequence {cause}"), advice);
    if text.is_empty() {
        return Ok(Sequence::Application);
    }
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ';' | '(')) {
        return Err(fault(&format!("has a {c:?} in it, where a bare name is wanted")));
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (table, after) = after.split_once('}').ok_or_else(|| fault("has a `{` that is not closed"))?;
        if table.is_empty() || table.contains('{') {
            return Err(fault("has a `{` that names no table"));
        }
        pieces.push(SequencePiece::Text(before.into()));
        pieces.push(SequencePiece::Table(table.into()));
        rest = after;
    }
    pieces.push(SequencePiece::Text(rest.into()));
    if pieces.iter().any(|piece| matches!(piece, SequencePiece::Text(text) if text.contains('}'))) {
        return Err(fault("has a `}` without its `{`"));
    }
    pieces.retain(|piece| *piece != SequencePiece::Text(String::new()));
    Ok(Sequence::Named(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_sites_prefix() {
        let drupal = sequence("{sequences}_value_seq").unwrap_or_else(|fault| panic!("{}", fault.cause));
        let prefix = Prefix { default: "nj_".into(), by_table: [("users".into(), "shared.".into())].into() };
        assert_eq!(drupal.at(&prefix).as_deref(), Some("nj_sequences_value_seq"));
        assert_eq!(drupal.tables(), ["sequences"]);
        let owned = sequence("{users}_uid_seq").unwrap_or_else(|fault| panic!("{}", fault.cause));
        assert_eq!(owned.at(&prefix).as_deref(), Some("shared.users_uid_seq"));
        let plain = sequence("ids.person").unwrap_or_else(|fault| panic!("{}", fault.cause));
        assert_eq!((plain.at(&prefix).as_deref(), plain.tables().len()), (Some("ids.person"), 0));
        assert!(matches!(sequence(""), Ok(Sequence::Application)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, cause) in [
            ("{sequences", "not closed"),
            ("{}_seq", "names no table"),
            ("a}_seq", "without its"),
            ("nextval('a')", "bare name"),
            (" ", "bare name"),
        ] {
            let fault = sequence(text).err().unwrap_or_else(|| panic!("{text} is taken"));
            assert!(fault.cause.contains(cause) && fault.advice.contains("{sequences}_value_seq"), "{text}: {}", fault.cause);
        }
    }
}
