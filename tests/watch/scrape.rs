//! A real scrape of a daemon at work, and what is built on it: alert rules and the dashboard.

use std::collections::BTreeSet;

use rosterd::ops::admin::Request;

use crate::ask::{free_port, get, promtool, sample};
use crate::roster::Engine::{MariaDb118, Postgres18, Sqlite};
use crate::roster::{ColumnKind::Plain, Roster, Table};

const PERSON: Table = Table::new("person", "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL", &[("uid", Plain), ("name", Plain)]);
const SESSION: Table = Table::new("session", "sid INT PRIMARY KEY, uid INT NOT NULL", &[("sid", Plain), ("uid", Plain)]);

const RULES: &str = include_str!("../../config/prometheus/rosterd.rules.yml");
const RULE_TESTS: [&str; 2] = [include_str!("rules_test.yml"), include_str!("rules_of_days_test.yml")];
const DASHBOARD: &str = include_str!("../../config/grafana/rosterd.json");

/// Told of the scrape itself by Prometheus.
const OF_PROMETHEUS: [&str; 1] = ["up"];

fn text_of(scrape: Option<(u16, String)>) -> String {
    let (code, text) = scrape.expect("the daemon answers");
    assert_eq!(code, 200, "{text}");
    text
}

#[test]
fn what_is_scraped_is_right_and_enough_for_rules_and_dashboard() {
    let mut roster = Roster::new(&[MariaDb118, Postgres18, Sqlite]);
    roster.share(PERSON, "insert = \"quarantine\"");
    roster.share(SESSION, "urgent = true");
    let port = free_port();
    roster.set(&format!("listen = \"127.0.0.1:{port}\"\nverify_every = \"1s\"\nheartbeat = \"1s\""));
    let names: Vec<String> = roster.sites.iter().map(|site| site.name.clone()).collect();
    let (hub, postgres, sqlite) = (&names[0], &names[1], &names[2]);
    let daemon = roster.spawn();
    roster.sql(0, "INSERT INTO person VALUES (1, 'ann-o-nym')");
    roster.wait_value(1, "SELECT name FROM person WHERE uid = 1", "ann-o-nym");
    roster.sql(1, "INSERT INTO session VALUES (7, 1)");
    roster.wait_value(2, "SELECT uid FROM session WHERE sid = 7", "1");
    // Two people under one number: neither site has seen the other's.
    roster.ask(&Request::Pause { site: sqlite.clone() }).expect("it is paused");
    roster.sql(0, "INSERT INTO person VALUES (2, 'one-o-nym')");
    roster.sql(2, "INSERT INTO person VALUES (2, 'two-o-nym')");
    roster.ask(&Request::Resume { site: sqlite.clone(), accept: None }).expect("it goes on");
    roster.wait("one of them to stand apart", || {
        let scrape = text_of(get(port, "/metrics"));
        let apart = sample(&scrape, &format!("rosterd_quarantined_rows{{site=\"{sqlite}\",kind=\"apart\"}}"));
        (apart != Some(1.0)).then_some(scrape)
    });
    let mut scrape = String::new();
    roster.wait("a verification, and heartbeats from all sites", || {
        scrape = text_of(get(port, "/metrics"));
        let has = |begins: String| sample(&scrape, &begins).is_some();
        let beats = names.iter().all(|site| has(format!("rosterd_heartbeat_seconds{{site=\"{site}\"}}")));
        (!beats || !has("rosterd_verify_timestamp_seconds".into())).then(|| scrape.clone())
    });

    let said = promtool(&["check", "metrics"], &scrape);
    assert_eq!(said.trim(), "", "promtool has something to say of the names, types or help texts");
    assert!(!scrape.contains("-o-nym"), "no values");
    let value = |begins: &str| sample(&scrape, begins).unwrap_or_else(|| panic!("no {begins} in:\n{scrape}"));
    assert_eq!(value("rosterd_build_info{version=\""), 1.0);
    let urgent = |le: &str| format!("rosterd_lag_seconds_bucket{{source=\"{postgres}\",site=\"{sqlite}\",group=\"urgent\",le=\"{le}\"}}");
    assert!(value(&urgent("+Inf")) >= 1.0 && value(&urgent("60")) == value(&urgent("+Inf")), "{scrape}");
    let count = format!("rosterd_lag_seconds_count{{source=\"{postgres}\",site=\"{sqlite}\",group=\"urgent\"}}");
    assert_eq!(value(&count), value(&urgent("+Inf")));
    assert!(value(&format!("rosterd_lag_seconds_sum{{source=\"{hub}\",site=\"{postgres}\",group=\"other\"}}")) > 0.0);
    assert!(value(&format!("rosterd_captured_changes_total{{site=\"{hub}\"}}")) >= 1.0);
    let conflicts: f64 =
        names.iter().map(|site| value(&format!("rosterd_conflicts_total{{site=\"{site}\",kind=\"insert_exists\"}}"))).sum();
    assert!(conflicts >= 1.0 && value("rosterd_kept_conflicts") >= 1.0, "{scrape}");
    for site in &names {
        assert_eq!(value(&format!("rosterd_site_state{{site=\"{site}\",state=\"following\"}}")), 1.0);
        assert!(value(&format!("rosterd_heartbeat_seconds{{site=\"{site}\"}}")) < 5.0);
        assert!(value(&format!("rosterd_log_position_age_seconds{{site=\"{site}\"}}")) < 10.0);
        assert_eq!(value(&format!("rosterd_errors_total{{site=\"{site}\",cause=\"unreachable\"}}")), 0.0);
    }
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_cpu_seconds_total") > 0.0);
    assert!(value("rosterd_ledger_free_bytes") > 0.0 && value("process_open_fds") > 10.0);

    let known = families(&scrape);
    for (what, text) in [("the rules", rule_expressions()), ("the dashboard", dashboard_expressions())] {
        let unknown: Vec<String> = metrics_in(&text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{what} name metrics that no scrape has: {unknown:?}");
    }
    let documented = include_str!("../../docs/operating.md");
    let untold: Vec<&String> = known.iter().filter(|name| !documented.contains(&format!("`{}`", family_of(name)))).collect();
    assert!(untold.is_empty(), "docs/operating.md does not explain {untold:?}");
    assert!(daemon.stop().success());
}

/// Names of all samples.
fn families(scrape: &str) -> BTreeSet<String> {
    scrape.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// A histogram's samples are explained by its name.
fn family_of(sample: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| sample.strip_suffix(part)).filter(|name| *name == "rosterd_lag_seconds").unwrap_or(sample)
}

/// Names of metrics in PromQL: what begins like one of ours, and `up`.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let found = words.filter(|word| word.starts_with("rosterd_") || word.starts_with("process_") || OF_PROMETHEUS.contains(word));
    found.filter(|word| !OF_PROMETHEUS.contains(word)).map(str::to_owned).collect()
}

fn rule_expressions() -> String {
    let found: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(found.len() > 10 && found.iter().all(|line| !line.starts_with(['>', '|'])), "each expression is a line: {found:#?}");
    found.join("\n")
}

fn dashboard_expressions() -> String {
    let json: serde_json::Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut found = Vec::new();
    gather(&json, &mut found);
    assert!(found.len() > 20, "{found:#?}");
    found.join("\n")
}

fn gather(json: &serde_json::Value, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Some(text)) = (["expr", "query", "definition"].contains(&name.as_str()), value.as_str()) {
                    found.push(text.to_owned());
                }
                gather(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_rules_fire_on_what_they_say() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus/rosterd.rules.yml");
    let checked = promtool(&["check", "rules", rules], "");
    assert!(checked.contains("SUCCESS") && !checked.contains("duplicate"), "{checked}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tests = folder.path().join("rules_test.yml");
    for text in RULE_TESTS {
        std::fs::write(&tests, text.replace("{rules}", rules)).expect("it can be written");
        promtool(&["test", "rules", tests.to_str().expect("a plain path")], "");
    }
    for alert in RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(RULE_TESTS.iter().any(|text| text.contains(alert)), "no test has {alert} fire");
        let (_, rule) = RULES.split_once(&format!("- alert: {alert}\n")).expect("it is there");
        let rule = rule.split("- alert:").next().unwrap_or_default();
        for part in ["summary:", "description:", "severity:"] {
            assert!(rule.contains(part), "{alert} has no {part}");
        }
    }
}

#[test]
fn the_dashboard_is_whole() {
    let json: serde_json::Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    assert!(json["title"] == "rosterd" && json["uid"] == "rosterd" && json["schemaVersion"].as_u64() >= Some(36), "{json:#}");
    let panels = json["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = &panel["gridPos"];
        let side = |name: &str| place[name].as_u64().unwrap_or_else(|| panic!("{} has no place", panel["title"]));
        assert!(side("x") + side("w") <= 24, "{} is out of the page", panel["title"]);
        for (x, y) in (side("x")..side("x") + side("w")).flat_map(|x| (side("y")..side("y") + side("h")).map(move |y| (x, y))) {
            assert!(taken.insert((x, y)), "{} lies on another panel", panel["title"]);
        }
        if panel["type"] != "row" {
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{} shows nothing", panel["title"]);
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
    let variables: Vec<&str> =
        json["templating"]["list"].as_array().expect("variables").iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(variables, ["datasource", "job", "instance", "site"]);
}

#[test]
fn the_dashboards_expressions_can_be_read() {
    // As rules, with Grafana's variables filled in: promtool parses them.
    let json: serde_json::Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut text = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let targets = json["panels"].as_array().into_iter().flatten().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    for (at, expression) in targets.filter_map(|target| target["expr"].as_str()).enumerate() {
        let filled = expression.replace("$__rate_interval", "5m").replace("$job", "rosterd");
        text += &format!("  - record: dashboard:panel:{at}\n    expr: {filled:?}\n");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, text).expect("it can be written");
    promtool(&["check", "rules", rules.to_str().expect("a plain path")], "");
}
