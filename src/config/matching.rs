//! Which rules hold for a table: names and patterns, the last rule winning key by key.

use super::TableRule;

/// The rule for `table` (its name without prefix): every rule that matches, in order, a later one winning key by key;
/// column policies are merged column by column. None when no rule matches. It carries the table's own name.
pub fn rule_for(rules: &[TableRule], table: &str) -> Option<TableRule> {
    let mut matching = rules.iter().filter(|rule| matches(&rule.name, table)).cloned();
    let mut merged = matching.next()?;
    for later in matching {
        merged = overridden(merged, later);
    }
    merged.name = table.into();
    Some(merged)
}

/// True when `name` has a wildcard in it.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// True when `pattern` matches all of `name`: `*` any run of characters, `?` any one.
/// Linear in name times pattern: one place to return to suffices.
pub fn matches(pattern: &str, name: &str) -> bool {
    if !is_pattern(pattern) {
        return pattern == name;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut retry) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after, from)) => {
                    (p, n) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn overridden(earlier: TableRule, later: TableRule) -> TableRule {
    let mut conflict = earlier.conflict;
    conflict.extend(later.conflict);
    let mut column_direction = earlier.column_direction;
    if later.direction.is_some() {
        // A word for the whole table takes back what an earlier rule said of single columns.
        column_direction.clear();
    }
    column_direction.extend(later.column_direction);
    TableRule {
        name: later.name,
        optional: earlier.optional || later.optional,
        key: later.key.or(earlier.key),
        filter: later.filter.or(earlier.filter),
        direction: later.direction.or(earlier.direction),
        column_direction,
        exclude: later.exclude.or(earlier.exclude),
        secret: later.secret.or(earlier.secret),
        urgent: later.urgent.or(earlier.urgent),
        conflict,
        delete: later.delete.or(earlier.delete),
        insert: later.insert.or(earlier.insert),
        unique: later.unique.or(earlier.unique),
        initial: later.initial.or(earlier.initial),
        after_apply: later.after_apply.or(earlier.after_apply),
        references: later.references.or(earlier.references),
        sequence: later.sequence.or(earlier.sequence),
        fuse_rows: later.fuse_rows.or(earlier.fuse_rows),
        fuse_percent: later.fuse_percent.or(earlier.fuse_percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ColumnPolicy::{HubWins, Max, Min};

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, yes) in [
            ("users", "users", true),
            ("users", "users2", false),
            ("field_data_*", "field_data_city", true),
            ("field_data_*", "field_data_", true),
            ("field_data_*", "field_revision_city", false),
            ("*_?", "field_x", true),
            ("*_?", "field_", false),
            ("a*b*c", "aXbYbZc", true),
            ("*", "", true),
            ("?", "ü", true),
        ] {
            assert_eq!(matches(pattern, name), yes, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn the_last_rule_wins_key_by_key() {
        let rule = |name: &str| TableRule { name: name.into(), ..TableRule::default() };
        let rules = [
            TableRule {
                key: Some(vec!["a".into()]),
                urgent: Some(true),
                conflict: [("x".into(), Max), ("y".into(), Min)].into(),
                ..rule("field_*")
            },
            TableRule { urgent: Some(false), conflict: [("x".into(), HubWins)].into(), ..rule("field_city") },
            TableRule { key: Some(vec!["b".into()]), ..rule("other") },
        ];
        let city = rule_for(&rules, "field_city").unwrap();
        assert_eq!((city.name.as_str(), city.key, city.urgent), ("field_city", Some(vec!["a".into()]), Some(false)));
        assert_eq!(city.conflict, [("x".into(), HubWins), ("y".into(), Min)].into());
        assert_eq!(rule_for(&rules, "field_zip").unwrap().urgent, Some(true));
        assert!(rule_for(&rules, "node").is_none());
    }
}
