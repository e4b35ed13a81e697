//! A configuration proved against its live databases.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::{FORMAT, filling, filters, ids, pairs, schema};
use crate::config::{Config, SiteConfig};
use crate::ledger::Ledger;
use crate::model::{Position, SiteTable, Table, TableId};
use crate::sites::binding::{self, Plan, PlannedTable};
use crate::sites::{Cause, Error, Finding, Lane, Level, Site, TableDescription};

const SECOND_DAEMON: &str = "second daemon";

/// The answer of `rosterd check`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    #[serde(rename = "version")]
    pub format: u32,
    /// The hub first.
    pub sites: Vec<SiteReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteReport {
    pub site: String,
    pub address: String,
    pub reachable: bool,
    pub findings: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `fine`, `warning`, `error`.
    pub level: String,
    pub subject: String,
    pub text: String,
    /// The statement or setting that mends it.
    pub remedy: Option<String>,
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Line {
        let level = match finding.level {
            Level::Fine => "fine",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        Line { level: level.into(), subject: finding.subject, text: finding.text, remedy: finding.remedy }
    }
}

impl Report {
    pub fn count(&self, level: &str) -> usize {
        self.sites.iter().flat_map(|site| &site.findings).filter(|line| line.level == level).count()
    }

    /// Errors other than a site that does not answer.
    pub fn has_errors(&self) -> bool {
        self.sites.iter().any(|site| site.reachable && site.findings.iter().any(|line| line.level == "error"))
    }

    /// All errors are another daemon's locks, which end with it.
    pub fn is_only_held(&self) -> bool {
        let mut errors =
            self.sites.iter().filter(|site| site.reachable).flat_map(|site| &site.findings).filter(|line| line.level == "error");
        self.has_errors() && errors.all(|line| line.subject == SECOND_DAEMON)
    }

    pub fn unreachable(&self) -> Vec<&str> {
        self.sites.iter().filter(|site| !site.reachable).map(|site| site.site.as_str()).collect()
    }
}

/// A configured site as `check` finds it.
pub struct Subject {
    pub config: SiteConfig,
    pub site: Arc<dyn Site>,
    pub found: Vec<Finding>,
    pub reachable: bool,
    pub tables: Vec<TableDescription>,
    pub identity: Option<String>,
    /// Its own tables for the shared ones, where they fit.
    pub bound: Vec<Arc<SiteTable>>,
}

/// Looks at every site, all at once, and compares them. Nothing is changed anywhere.
/// `alone`: no daemon works on this state directory, so the sites' locks can be tried.
pub async fn check(config: &Config, connectors: Vec<Arc<dyn Site>>, ledger: &Path, alone: bool) -> Report {
    let looking = config.sites.iter().cloned().zip(connectors).map(|(config, site)| look(config, site));
    let mut subjects: Vec<Subject> = join_all(looking).await;
    same_database(&mut subjects);
    let plan = plan(config, &mut subjects);
    if let Some(tables) = &plan {
        for subject in &mut subjects {
            bind(subject, tables);
            schema::judge(subject, tables);
            filters::judge(subject, tables);
        }
        filling::judge(&mut subjects, tables);
        pairs::compare(config, &mut subjects, tables);
    }
    let known = match Ledger::is_made(ledger) {
        true => Some(Ledger::open_read_only(ledger)),
        false => None,
    };
    let positions = ledger_positions(&mut subjects, known);
    join_all(subjects.iter_mut().zip(positions).map(|(subject, from)| probe(subject, from, alone))).await;
    ids::judge(config, &mut subjects, &plan.unwrap_or_default()).await;
    let sites = subjects.into_iter().map(Subject::report).collect();
    Report { format: FORMAT, sites }
}

impl Subject {
    pub fn add(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// What was looked at could not be. A site that goes away in the middle, or is locked by its applications, is one that does not answer.
    pub fn refuse(&mut self, what: &str, error: Error) {
        self.reachable &= !error.is_away() && error.cause != Cause::Busy;
        let finding = failed(what, error, &self.config.name);
        self.add(finding);
    }

    fn report(self) -> SiteReport {
        SiteReport {
            site: self.config.name,
            address: self.site.address(),
            reachable: self.reachable,
            findings: self.found.into_iter().map(Line::from).collect(),
        }
    }
}

async fn look(config: SiteConfig, site: Arc<dyn Site>) -> Subject {
    let looked = async { Ok::<_, Error>((site.identity().await?, site.describe().await?)) }.await;
    let mut subject = Subject { config, site, found: Vec::new(), reachable: true, tables: Vec::new(), identity: None, bound: Vec::new() };
    match looked {
        Ok((identity, tables)) => {
            subject.add(Finding::fine("connection", "it answers"));
            (subject.identity, subject.tables) = (Some(identity), tables);
        }
        Err(error) => {
            subject.refuse("connection", error);
        }
    }
    subject
}

fn failed(subject: &str, error: Error, site: &str) -> Finding {
    let mut text = error.message;
    if let Some(table) = error.table {
        text = format!("table {table}: {text}");
    }
    Finding {
        level: Level::Error,
        subject: subject.into(),
        text,
        remedy: error.advice.or_else(|| Some(format!("look at the server of site {site}"))),
    }
}

fn same_database(subjects: &mut [Subject]) {
    for at in 1..subjects.len() {
        let (before, rest) = subjects.split_at_mut(at);
        let twin = before.iter().find(|other| other.identity.is_some() && other.identity == rest[0].identity);
        if let Some(other) = twin {
            let text = format!("it is the same database as site {}", other.config.name);
            rest[0].add(Finding::error("database", text, "correct its url, or take one of the two sites out"));
        }
    }
}

/// The shared tables as the hub has them; None when the hub can't be looked at.
fn plan(config: &Config, subjects: &mut [Subject]) -> Option<Vec<(PlannedTable, Arc<Table>)>> {
    let hub = &mut subjects[0];
    hub.identity.as_ref()?;
    let plan = Plan::new(config, &hub.tables);
    if plan.tables.is_empty() && plan.problems.is_empty() {
        hub.add(Finding::error(
            "tables",
            "no table is shared",
            "add [[table]] entries, or a preset in [share], whose names match the hub's tables",
        ));
    }
    hub.found.extend(plan.problems);
    let numbered = plan.tables.into_iter().enumerate().map(|(at, planned)| {
        let names: Vec<String> = planned.columns.iter().map(|column| column.name.clone()).collect();
        let table = Arc::new(planned.table(TableId(at as u16 + 1), &names));
        (planned, table)
    });
    Some(numbered.collect())
}

fn bind(subject: &mut Subject, tables: &[(PlannedTable, Arc<Table>)]) {
    if subject.identity.is_none() {
        return;
    }
    for (planned, table) in tables {
        match binding::bind(&subject.config, planned, table, &subject.tables) {
            Ok(bound) => subject.bound.push(Arc::new(bound)),
            Err(finding) => subject.found.push(finding),
        }
    }
}

/// Where capture of each site would go on, and whether the ledger and the configuration name the same sites.
fn ledger_positions(subjects: &mut [Subject], ledger: Option<crate::ledger::Result<Ledger>>) -> Vec<Option<Position>> {
    match ledger {
        None => vec![None; subjects.len()],
        Some(Err(error)) => {
            subjects[0].add(Finding::error("ledger", error.to_string(), "see the message"));
            vec![None; subjects.len()]
        }
        Some(Ok(ledger)) => {
            let unknown = |name: &str| !subjects.iter().any(|subject| subject.config.name == name);
            let gone: Vec<String> = ledger.sites().iter().map(|site| site.name.clone()).filter(|name| unknown(name)).collect();
            for name in gone {
                let text = format!("it knows the site {name}, which is not configured");
                subjects[0].add(Finding::error("ledger", text, format!("rosterd site remove {name}")));
            }
            let old_hub = ledger.sites().iter().find(|site| site.hub && site.name != subjects[0].config.name).map(|site| site.name.clone());
            if let Some(name) = old_hub {
                subjects[0].add(Finding::error(
                    "ledger",
                    format!("its hub is {name}"),
                    "make that the hub again, or name another state_dir",
                ));
            }
            for subject in subjects.iter_mut() {
                let known = ledger.site_named(&subject.config.name).and_then(|site| site.identity.clone());
                if let (Some(known), Some(found)) = (known, &subject.identity)
                    && known != *found
                {
                    let remedy = format!("if it holds the same people: rosterd reconcile {}", subject.config.name);
                    subject.add(Finding::warning("database", "it is another database than the one that the ledger knows", remedy));
                }
            }
            subjects.iter().map(|subject| ledger.site_named(&subject.config.name).and_then(|site| site.position.clone())).collect()
        }
    }
}

async fn probe(subject: &mut Subject, from: Option<Position>, alone: bool) {
    if subject.identity.is_none() {
        return;
    }
    match subject.site.probe(&subject.bound, from.as_ref()).await {
        Ok(findings) => subject.found.extend(findings),
        Err(error) => subject.refuse("server", error),
    }
    if alone {
        let found = second_daemon(subject.site.as_ref()).await;
        subject.found.extend(found);
    }
}

/// The lock is taken and given back: whether another daemon, of another state directory, holds it.
async fn second_daemon(site: &dyn Site) -> Option<Finding> {
    match site.writer(Lane::Control, "rosterd check").await {
        Ok(_) => Some(Finding::fine(SECOND_DAEMON, "no other daemon works on it")),
        Err(error) if error.cause == Cause::Held => {
            Some(Finding::error(SECOND_DAEMON, error.message, error.advice.unwrap_or_else(|| "stop one of the two".into())))
        }
        // Without a marker table yet, or without a privilege: other findings say so.
        Err(_) => None,
    }
}
