//! A configuration file to a `Config`: all of it is checked, and all that is wrong is told at once.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{Error, Fault, Problem, Report, nearest};
use super::ids;
use super::listen::listen;
use super::matching::{is_pattern, matches};
use super::preset;
use super::raw::{OneOrMany, RawDaemon, RawFile, RawTable};
use super::rule::{contradiction, rule};
use super::secret::Env;
use super::site::site;
use super::unknown;
use super::{Config, Daemon, Role, SiteConfig, TableRule};

const STATE_DIR_DEFAULT: &str = "/var/lib/rosterd";
/// Longest configuration.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Sections `[[table]]` of one file at most.
const TABLES_MAX: usize = 2000;
/// A site that was put back from a backup is told by the watermark that it lacks: one is left there so often at least.
const HEARTBEAT_MAX: Duration = Duration::from_secs(10);

impl Config {
    /// The configuration in the file at `path`, with the passwords it names read.
    ///
    /// # Errors
    /// The file can't be read, or something in it is wrong: then everything that is wrong.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let unreadable = |cause: std::io::Error| Error::Unreadable { path: path.into(), cause: cause.to_string() };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
        Config::parse(&text, path)
    }

    /// The configuration that `text` states, as if it stood in the file at `path`: relative paths start from its folder.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(text: &str, path: &Path) -> Result<Config, Error> {
        parse_with(text, path, &|name| std::env::var_os(name))
    }

    /// Names of the presets that `[share] preset` takes.
    pub fn preset_names() -> Vec<&'static str> {
        preset::names()
    }

    /// The rules of the preset `name`; None when there is no such preset.
    pub fn preset_rules(name: &str) -> Option<Vec<TableRule>> {
        preset::rules(name, preset::text(name).ok()?).ok()
    }
}

impl Default for Daemon {
    /// As without a `[daemon]`.
    fn default() -> Daemon {
        daemon(RawDaemon::default(), &mut Report::new(String::new(), Path::new("/"), ""), &|_| None)
    }
}

/// `Config::parse` in an environment of `env`'s.
pub(super) fn parse_with(text: &str, path: &Path, env: Env<'_>) -> Result<Config, Error> {
    if text.len() > CONFIG_BYTES_MAX {
        return Err(Error::Unreadable { path: path.into(), cause: format!("it has more than {CONFIG_BYTES_MAX} bytes") });
    }
    let folder = absolute(path);
    let mut report = Report::new(path.display().to_string(), &folder, text);
    let Some(raw) = read(text, &mut report) else { return Err(Error::Invalid(report.finish())) };
    let daemon = daemon(raw.daemon, &mut report, env);
    let (sites, spans) = sites(raw.site, &mut report, env);
    let mut preset_problems = Vec::new();
    let tables = tables(raw.share.preset, raw.table, &mut report, &mut preset_problems);
    check_site_tables(&sites, &spans, &tables, &mut report);
    let except = except(raw.share.except, &tables, &mut report);
    if report.is_clean() && preset_problems.is_empty() {
        return Ok(Config { daemon, sites, tables, except });
    }
    let mut problems = report.finish();
    problems.append(&mut preset_problems);
    Err(Error::Invalid(problems))
}

/// The folder that `path`'s relative paths start from.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// The file as written; None when it is no TOML or a value has the wrong type.
fn read(text: &str, report: &mut Report<'_>) -> Option<RawFile> {
    match DeTable::parse(text) {
        Ok(root) => unknown::check_file(root.get_ref(), report),
        Err(error) => {
            report.add(error.span(), "", toml_fault(&error));
            return None;
        }
    }
    match toml::from_str(text) {
        Ok(raw) => Some(raw),
        Err(error) => {
            // A section of the wrong shape has been reported in better words.
            if error.span().is_none_or(|span| !report.knows_line(span.start)) {
                report.add(error.span(), "", toml_fault(&error));
            }
            None
        }
    }
}

/// The message alone: the error's own `Display` would show lines with what is in them.
pub(super) fn toml_fault(error: &toml::de::Error) -> Fault {
    let cause = error.message().replace('\n', ", ");
    Fault::new(cause, "see config/rosterd.example.toml for how it is written")
}

fn daemon(mut raw: RawDaemon, report: &mut Report<'_>, env: Env<'_>) -> Daemon {
    let place = "[daemon]";
    let listen = listen(&mut raw, report, env);
    let mut number = |name: &str, raw: &Option<Spanned<i64>>, range: RangeInclusive<i64>, default: i64| -> i64 {
        let Some(raw) = raw else { return default };
        if range.contains(raw.get_ref()) {
            return *raw.get_ref();
        }
        let advice = format!("give a number from {} to {}, or leave it out for {default}", range.start(), range.end());
        report.add(Some(raw.span()), place, Fault::new(format!("{name} is {}", raw.get_ref()), advice));
        default
    };
    let batch_rows_max = number("batch_rows_max", &raw.batch_rows_max, 1..=100_000, 500);
    let batch_bytes_max = number("batch_bytes_max", &raw.batch_bytes_max, 1024..=1 << 30, 1 << 20);
    let chunk_rows_max = number("chunk_rows_max", &raw.chunk_rows_max, 1..=1_000_000, 1000);
    let connect_timeout_ms = number("connect_timeout_ms", &raw.connect_timeout_ms, 1..=3_600_000, 10_000);
    let lock_wait_ms = number("lock_wait_ms", &raw.lock_wait_ms, 1..=3_600_000, 1000);
    let after_apply_repeat_ms = number("after_apply_repeat_ms", &raw.after_apply_repeat_ms, 0..=3_600_000, 1000);
    let conflict_days = number("conflict_days", &raw.conflict_days, 1..=36_500, 30);
    let mut limit = |name: &str, raw: Option<Spanned<i64>>| {
        let raw = raw?;
        let read = u32::try_from(*raw.get_ref()).ok().filter(|n| *n > 0);
        let fault = || Fault::new(format!("{name} is {}", raw.get_ref()), "give a number from 1 up, or leave it out for no limit");
        report.check(raw.span(), place, read.ok_or_else(fault))
    };
    let copy_rows_per_second_max = limit("copy_rows_per_second_max", raw.copy_rows_per_second_max);
    let verify_rows_per_second_max = limit("verify_rows_per_second_max", raw.verify_rows_per_second_max);
    let verify_every = raw.verify_every.and_then(|raw| report.check(raw.span(), place, verify_every(raw.get_ref())));
    let heartbeat = match raw.heartbeat {
        None => Some(HEARTBEAT_MAX),
        Some(raw) => report.check(raw.span(), place, heartbeat(raw.get_ref())).flatten(),
    };
    let state_dir = match raw.state_dir {
        Some(raw) if raw.get_ref().is_empty() => {
            report.add(
                Some(raw.span()),
                place,
                Fault::new("state_dir is empty", format!("name a folder, or leave it out for {STATE_DIR_DEFAULT}")),
            );
            STATE_DIR_DEFAULT.into()
        }
        Some(raw) => report.folder.join(raw.get_ref()),
        None => STATE_DIR_DEFAULT.into(),
    };
    Daemon {
        state_dir,
        listen,
        copy_rows_per_second_max,
        verify_every,
        heartbeat,
        verify_rows_per_second_max,
        batch_rows_max: batch_rows_max as usize,
        batch_bytes_max: batch_bytes_max as usize,
        chunk_rows_max: chunk_rows_max as usize,
        connect_timeout: Duration::from_millis(connect_timeout_ms as u64),
        lock_wait: Duration::from_millis(lock_wait_ms as u64),
        after_apply_repeat: Duration::from_millis(after_apply_repeat_ms as u64),
        conflict_days: conflict_days as u32,
    }
}

/// `24h`, `90m`, `1d 12h`; at least a second.
fn verify_every(text: &str) -> Result<Duration, Fault> {
    duration(text).filter(|every| *every >= Duration::from_secs(1)).ok_or_else(|| {
        Fault::new(format!("verify_every is `{text}`"), "give a time such as \"24h\" or \"30m\", from \"1s\" up, or leave it out")
    })
}

fn duration(text: &str) -> Option<Duration> {
    let read = text.parse::<jiff::Span>().ok().and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    read.and_then(|duration| Duration::try_from(duration).ok())
}

/// `10s`, `1s`; `0s`: none.
fn heartbeat(text: &str) -> Result<Option<Duration>, Fault> {
    match duration(text) {
        Some(Duration::ZERO) => Ok(None),
        Some(every) if (Duration::from_secs(1)..=HEARTBEAT_MAX).contains(&every) => Ok(Some(every)),
        _ => Err(Fault::new(
            format!("heartbeat is `{text}`"),
            "give a time from \"1s\" to \"10s\", \"0s\" for none, or leave it out for 10s",
        )),
    }
}

/// The sites, the hub first, and where each stands in the file by its name.
fn sites(
    raw: Vec<Spanned<super::raw::RawSite>>,
    report: &mut Report<'_>,
    env: Env<'_>,
) -> (Vec<SiteConfig>, BTreeMap<String, Range<usize>>) {
    if raw.is_empty() {
        report.add(None, "", Fault::new("there is no [[site]]", "add one with role = \"hub\", and one for each client"));
    }
    let count = raw.len();
    let mut sites: Vec<SiteConfig> = Vec::new();
    let mut spans: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let (mut named, mut identities) = (BTreeMap::new(), BTreeMap::<String, String>::new());
    for mut raw in raw {
        let span = raw.span();
        let ids = raw.get_mut().ids.take();
        let Some(site) = site(raw, report, env) else { continue };
        let place = format!("site \"{}\"", site.name);
        let identity = site.endpoint.identity();
        if spans.contains_key(&site.name) {
            report.add(Some(span.clone()), &place, Fault::new("another site has the same name", "give each site its own name"));
        } else if let Some(other) = identities.get(&identity) {
            let cause = format!("its url names the same database as site \"{other}\"");
            report.add(Some(span.clone()), &place, Fault::new(cause, "one site is one database: take one of them out"));
        }
        identities.entry(identity).or_insert_with(|| site.name.clone());
        named.extend(ids.map(|ids| (site.name.clone(), ids)));
        spans.insert(site.name.clone(), span);
        sites.push(site);
    }
    let hubs: Vec<&SiteConfig> = sites.iter().filter(|site| site.role == Role::Hub).collect();
    match hubs.as_slice() {
        // With a site that could not be read, the hub may be that one.
        [] if count > 0 && sites.len() == count => {
            report.add(None, "", Fault::new("no site is the hub", "give the site that has the roster now role = \"hub\""));
        }
        [first, second, ..] => {
            let fault = Fault::new(format!("site \"{}\" is the hub already", first.name), "keep role = \"hub\" for one site only");
            report.add(spans.get(&second.name).cloned(), &format!("site \"{}\"", second.name), fault);
        }
        _ => {}
    }
    sites.sort_by_key(|site| site.role != Role::Hub);
    // Without all of them, the places of the others are not known.
    if sites.len() == count {
        ids::settle(&mut sites, &named, report);
    }
    (sites, spans)
}

/// The rules: those of the presets first, then the file's own.
fn tables(
    presets: Option<Spanned<OneOrMany>>,
    raw: Vec<Spanned<RawTable>>,
    report: &mut Report<'_>,
    preset_problems: &mut Vec<Problem>,
) -> Vec<TableRule> {
    let mut rules = Vec::new();
    let is_any = presets.is_some() || !raw.is_empty();
    if let Some(presets) = presets {
        let span = presets.span();
        for name in presets.into_inner().into_vec() {
            if let Some(text) = report.check(span.clone(), "[share]", preset::text(&name)) {
                match preset::rules(&name, text) {
                    Ok(found) => rules.extend(found),
                    Err(problems) => preset_problems.extend(problems),
                }
            }
        }
    }
    if let Some(first) = raw.get(TABLES_MAX) {
        let cause = format!("there are {} [[table]] sections, more than {TABLES_MAX}", raw.len());
        report.add(Some(first.span()), "", Fault::new(cause, "share tables by patterns, such as field_data_*"));
        return rules;
    }
    for table in raw {
        let span = table.span();
        let Some(rule) = rule(table, report) else { continue };
        let place = format!("table \"{}\"", rule.name);
        rules.push(rule);
        if let Some(fault) = contradiction(&rules) {
            report.add(Some(span), &place, fault);
        }
    }
    if !is_any || (rules.is_empty() && report.is_clean() && preset_problems.is_empty()) {
        let advice = format!("name one of the presets {} in [share], or add a [[table]]", preset::names().join(", "));
        report.add(None, "", Fault::new("no table is shared", advice));
    }
    rules
}

/// Tables that are not to be shared. One that no rule matches is a slip of the pen.
fn except(raw: Vec<Spanned<String>>, rules: &[TableRule], report: &mut Report<'_>) -> Vec<String> {
    let known: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    let is_clean = report.is_clean();
    for name in raw.iter().filter(|_| is_clean) {
        let text = name.get_ref();
        let matched = |rule: &&str| if is_pattern(text) { matches(text, rule) || is_pattern(rule) } else { matches(rule, text) };
        if !known.iter().any(matched) {
            let advice = match nearest(text, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "take it out: a table stays where it is unless a preset or a [[table]] shares it".into(),
            };
            report.add(Some(name.span()), "[share]", Fault::new(format!("except has `{text}`, which nothing shares"), advice));
        }
    }
    raw.into_iter().map(Spanned::into_inner).collect()
}

/// Refuses `[site.table.NAME]` for tables that no rule shares.
fn check_site_tables(sites: &[SiteConfig], spans: &BTreeMap<String, Range<usize>>, rules: &[TableRule], report: &mut Report<'_>) {
    // A rule or preset that could not be read may be the one that shares the table.
    if !report.is_clean() {
        return;
    }
    let known: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    for site in sites {
        for table in site.tables.keys().filter(|table| !known.iter().any(|pattern| matches(pattern, table))) {
            let advice = match nearest(table, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "share it with a [[table]], or take the section out".into(),
            };
            let fault = Fault::new(format!("[site.table.{table}] is for a table that is not shared"), advice);
            report.add(spans.get(&site.name).cloned(), &format!("site \"{}\"", site.name), fault);
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
