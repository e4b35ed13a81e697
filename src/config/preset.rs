//! The presets that come with the daemon: table rules for applications that share their users.

use std::path::Path;

use toml::de::DeTable;

use super::TableRule;
use super::error::{Fault, Problem, Report};
use super::load::toml_fault;
use super::raw::RawPreset;
use super::rule::{contradiction, rule};
use super::unknown;

const PRESETS: [(&str, &str); 5] = [
    ("backdrop", include_str!("../../schemas/presets/backdrop.toml")),
    ("drupal7", include_str!("../../schemas/presets/drupal7.toml")),
    ("drupal6", include_str!("../../schemas/presets/drupal6.toml")),
    ("multisite-login", include_str!("../../schemas/presets/multisite-login.toml")),
    ("wordpress", include_str!("../../schemas/presets/wordpress.toml")),
];

/// Their names, as `preset` takes them.
pub(super) fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|(name, _)| *name).collect()
}

/// The text of the preset `name`; an unknown one names the nearest.
pub(super) fn text(name: &str) -> Result<&'static str, Fault> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text).ok_or_else(|| Fault::unknown("preset", name, &names()))
}

/// The rules that a preset's `text` states.
pub(super) fn rules(name: &str, text: &str) -> Result<Vec<TableRule>, Vec<Problem>> {
    let mut report = Report::new(format!("preset {name}"), Path::new("/"), text);
    let mut rules = Vec::new();
    match DeTable::parse(text) {
        Ok(root) => unknown::check_preset(root.get_ref(), &mut report),
        Err(error) => report.add(error.span(), "", toml_fault(&error)),
    }
    if report.is_clean() {
        match toml::from_str::<RawPreset>(text) {
            Ok(raw) => {
                for table in raw.table {
                    let span = table.span();
                    rules.extend(rule(table, &mut report));
                    if let Some(fault) = contradiction(&rules) {
                        report.add(Some(span), "", fault);
                    }
                }
            }
            Err(error) => report.add(error.span(), "", toml_fault(&error)),
        }
    }
    if report.is_clean() { Ok(rules) } else { Err(report.finish()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ColumnPolicy, InsertPolicy, rule_for};

    fn preset(name: &str) -> Vec<TableRule> {
        rules(name, text(name).unwrap()).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn all_presets_are_valid_and_share_no_password_in_the_open() {
        for name in names() {
            let rules = preset(name);
            for (table, column) in
                [("users", "pass"), ("users", "user_pass"), ("sessions", "sid"), ("sessions", "session"), ("usermeta", "meta_value")]
            {
                let rule = rules.iter().find(|rule| rule.name == table);
                let is_secret = |rule: &TableRule| rule.secret.iter().flatten().any(|secret| secret == column);
                let has = matches!((name, column), ("wordpress", "user_pass" | "meta_value"))
                    || (name != "wordpress" && matches!(column, "pass" | "sid" | "session"));
                assert!(!has || rule.is_none_or(is_secret), "{name}: {table}.{column}");
            }
        }
    }

    #[test]
    fn administrators_and_anonymous_stay_local_with_all_that_is_theirs() {
        for name in ["backdrop", "drupal7", "drupal6"] {
            for table in ["users", "users_roles", "sessions"] {
                let filter = rule_for(&preset(name), table).unwrap().filter.unwrap();
                assert!(filter.text.contains("uid > 1"), "{name} {table}");
            }
        }
        let field = rule_for(&preset("drupal7"), "field_data_field_city").unwrap();
        assert!(field.filter.unwrap().text.contains("entity_type = 'user'"));
    }

    #[test]
    fn people_are_never_blended_and_sessions_go_first() {
        for name in ["backdrop", "drupal7", "drupal6", "wordpress"] {
            assert_eq!(rule_for(&preset(name), "users").unwrap().insert, Some(InsertPolicy::Quarantine), "{name}");
        }
        let sessions = rule_for(&preset("backdrop"), "sessions").unwrap();
        assert_eq!((sessions.urgent, sessions.insert), (Some(true), Some(InsertPolicy::Merge)));
        assert_eq!(sessions.conflict.get("timestamp"), Some(&ColumnPolicy::Max));
    }

    #[test]
    fn an_unknown_preset_names_the_nearest() {
        assert_eq!(text("drupal").unwrap_err().advice, "did you mean `drupal7`?");
        assert_eq!(text("backdrp").unwrap_err().advice, "did you mean `backdrop`?");
    }
}
