//! What `check` says of keys that are numbers which sites give out: no two sites may give out the same.

use std::sync::Arc;

use futures_util::future::join_all;

use super::check::Subject;
use crate::config::{Config, Ids};
use crate::model::{SiteTable, Table};
use crate::sites::binding::{self, PlannedTable};
use crate::sites::{Finding, Given, Level, Numbering, Result};

const SUBJECT: &str = "ids";
/// Stands for the names of tables until like findings have been put together.
const TABLES: &str = "\u{1}";

/// How one site gives out the keys of one table.
struct Fact {
    table: String,
    given: Given,
    /// The database is known to do it.
    evident: bool,
}

/// Asks every site, and compares every two.
pub async fn judge(config: &Config, subjects: &mut [Subject], tables: &[(PlannedTable, Arc<Table>)]) {
    let counting: Vec<_> = tables.iter().filter(|(planned, table)| planned.sites_give_out_keys(table)).collect();
    if subjects.len() < 2 || counting.is_empty() {
        return;
    }
    let asked: Vec<_> = join_all(subjects.iter().map(|subject| ask(subject, &counting))).await;
    let mut facts = Vec::with_capacity(subjects.len());
    for (subject, answer) in subjects.iter_mut().zip(asked) {
        let found = answer.map(|(found, notes)| {
            subject.found.extend(notes);
            found
        });
        facts.push(found.unwrap_or_else(|error| {
            subject.refuse(SUBJECT, error);
            Vec::new()
        }));
    }
    for at in 0..subjects.len() {
        let ids = config.sites[at].ids;
        let found = facts[at].iter().filter(|fact| is_evident(&facts, &fact.table)).filter_map(|fact| {
            let others = facts.iter().enumerate().filter(|(other, _)| *other != at);
            let others = others.filter_map(|(other, facts)| Some((config.sites[other].name.as_str(), of(facts, &fact.table)?)));
            Some((fact.table.clone(), verdict(ids, fact, &others.collect::<Vec<_>>())?))
        });
        let mut found = together(found.collect());
        let neighbour = neighbour(subjects, at);
        found.iter_mut().filter(|finding| finding.level == Level::Error).for_each(|finding| shared_server(finding, neighbour.as_deref()));
        subjects[at].found.extend(found);
    }
    let unknown: Vec<&str> = counting.iter().map(|(planned, _)| planned.name.as_str()).filter(|name| !is_evident(&facts, name)).collect();
    if !unknown.is_empty() {
        let text = format!(
            "{}: nothing at any site is known to give out their keys; if applications do, two sites may give the same number to two people",
            unknown.join(", ")
        );
        let remedy =
            "name in its [[table]] what does, as in sequence = \"{sequences}_value_seq\"; sequence = \"\" if no two can be the same";
        subjects[0].add(Finding::warning(SUBJECT, text, remedy));
    }
}

fn of<'f>(facts: &'f [Fact], table: &str) -> Option<&'f Fact> {
    facts.iter().find(|fact| fact.table == table)
}

/// Some site's database gives out keys of the table.
fn is_evident(facts: &[Vec<Fact>], table: &str) -> bool {
    facts.iter().any(|facts| of(facts, table).is_some_and(|fact| fact.evident))
}

async fn ask(subject: &Subject, counting: &[&(PlannedTable, Arc<Table>)]) -> Result<(Vec<Fact>, Vec<Finding>)> {
    let bound = |table: &Table| subject.bound.iter().find(|bound| bound.table.id == table.id).cloned();
    let tables: Vec<Arc<SiteTable>> = counting.iter().filter_map(|(_, table)| bound(table)).collect();
    if subject.identity.is_none() || tables.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let numberings = subject.site.numbering(subject.config.ids.class, &tables).await?;
    let (mut facts, mut notes): (Vec<Fact>, Vec<Finding>) = (Vec::new(), Vec::new());
    for (table, Numbering { given, notes: said }) in tables.iter().zip(numberings) {
        let evident = given != Given::Unknown && (table.allocation.is_some() || is_numbered(subject, table));
        facts.push(Fact { table: table.table.name.clone(), given, evident });
        notes.extend(said.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
    }
    Ok((facts, notes))
}

fn is_numbered(subject: &Subject, table: &SiteTable) -> bool {
    let Some(described) = binding::find(&subject.config, &table.table.name, &subject.tables) else { return false };
    let Some(column) = &table.columns[table.table.key[0]] else { return false };
    described.columns.iter().any(|c| c.column.name == column.name && c.numbered)
}

/// What is to be said of a table at a site, beside what other sites give out.
fn verdict(ids: Ids, fact: &Fact, others: &[(&str, &Fact)]) -> Option<Finding> {
    let own = ids.class;
    let met: Vec<&str> = others.iter().filter(|(_, other)| meet(&fact.given, other)).map(|(name, _)| *name).collect();
    let (by, remedy) = match &fact.given {
        Given::Class { class, by, .. } if *class == own => {
            return Some(Finding::fine(SUBJECT, format!("{TABLES}: {own} ({by})")));
        }
        Given::Class { by, remedy, .. } => (by, remedy),
        Given::Consecutive if fact.evident => {
            let text = format!(
                "{TABLES}: the database knows no classes: it gives out the number after the highest one, which another site may give out too"
            );
            let remedy = format!("let people register at other sites only, or let the application here give out {own} by itself");
            return Some(Finding::warning(SUBJECT, text, remedy));
        }
        Given::Consecutive => return None,
        Given::Unknown => {
            let text = format!("{TABLES}: no sequence is known to give out the keys here");
            let remedy = "name it in the table's [[table]], as in sequence = \"{sequences}_value_seq\", or let nobody register here";
            return Some(Finding::warning(SUBJECT, text, remedy));
        }
    };
    if met.is_empty() && ids.named {
        let text = format!("{TABLES}: {by}; the configuration says {own}");
        return Some(Finding::error(SUBJECT, text, format!("correct `ids` in its [[site]], or {remedy}")));
    }
    if met.is_empty() {
        let text = format!("{TABLES}: {by}, which no other site gives out too; the configuration says {own}");
        return Some(Finding::warning(SUBJECT, text, format!("correct `ids` in its [[site]], or {remedy}")));
    }
    let text = format!("{TABLES}: {by}, so {} may give out the same numbers; this site's are {own}", met.join(", "));
    let level = if fact.evident || ids.named { Level::Error } else { Level::Warning };
    Some(Finding { level, subject: SUBJECT.into(), text, remedy: Some(remedy.clone()) })
}

/// Both may give out one number.
fn meet(given: &Given, other: &Fact) -> bool {
    match (given, &other.given) {
        (Given::Class { class, .. }, Given::Class { class: other, .. }) => !class.is_apart_from(*other),
        _ => other.evident,
    }
}

/// The same of several tables is said once.
fn together(found: Vec<(String, Finding)>) -> Vec<Finding> {
    let mut all: Vec<(Vec<String>, Finding)> = Vec::new();
    for (table, finding) in found {
        match all.iter_mut().find(|(_, other)| *other == finding) {
            Some((tables, _)) => tables.push(table),
            None => all.push((vec![table], finding)),
        }
    }
    let spelled = |(tables, mut finding): (Vec<String>, Finding)| {
        finding.text = finding.text.replace(TABLES, &tables.join(", "));
        finding
    };
    all.into_iter().map(spelled).collect()
}

/// Another site on the same server, which gives out numbers by the same settings.
fn neighbour(subjects: &[Subject], at: usize) -> Option<String> {
    let key = subjects[at].site.log_key();
    let other = subjects.iter().enumerate().find(|(other, subject)| *other != at && subject.site.log_key() == key);
    other.map(|(_, subject)| subject.config.name.clone())
}

fn shared_server(finding: &mut Finding, neighbour: Option<&str>) {
    if let (Some(neighbour), Some(remedy)) = (neighbour, &mut finding.remedy) {
        *remedy += &format!(
            "\nsite {neighbour} is on the same server, with the same settings: let each application set its own in its sessions (Drupal: \
             init_commands in settings.php), and say sequence = \"\" in the table's [[table]], as rosterd can't see sessions"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    const OWN: Ids = Ids { class: Class { offset: 2, increment: 10 }, named: false };

    fn class(offset: i64, increment: i64, evident: bool) -> Fact {
        let given = Given::Class { class: Class { offset, increment }, by: "settings".into(), remedy: "mend them".into() };
        Fact { table: "users".into(), given, evident }
    }

    fn other(given: Given) -> Fact {
        Fact { table: "users".into(), given, evident: true }
    }

    fn level(ids: Ids, fact: &Fact, others: &[&Fact]) -> Level {
        let others: Vec<_> = others.iter().map(|fact| ("hub", *fact)).collect();
        verdict(ids, fact, &others).expect("there is something to say").level
    }

    #[test]
    fn a_site_in_its_class_is_fine_whatever_others_do() {
        assert_eq!(level(OWN, &class(2, 10, true), &[&class(1, 1, true), &other(Given::Consecutive)]), Level::Fine);
    }

    #[test]
    fn numbers_that_meet_are_an_error_where_the_database_gives_them_out() {
        let hub = class(1, 10, true);
        assert_eq!(level(OWN, &class(1, 1, true), &[&hub]), Level::Error);
        assert_eq!(level(OWN, &class(1, 10, true), &[&hub]), Level::Error);
        assert_eq!(level(OWN, &class(1, 1, false), &[&hub]), Level::Warning, "nothing shows that keys come from there");
        assert_eq!(level(Ids { named: true, ..OWN }, &class(1, 1, false), &[&hub]), Level::Error);
        assert_eq!(level(OWN, &class(1, 2, true), &[&class(2, 2, true)]), Level::Warning, "odd and even never meet");
        assert_eq!(level(Ids { named: true, ..OWN }, &class(1, 2, true), &[&class(2, 2, true)]), Level::Error, "the file says another");
        let told = verdict(OWN, &class(1, 1, true), &[("hub", &hub), ("ny", &class(2, 4, true))]).unwrap();
        assert_eq!(told.text, format!("{TABLES}: settings, so hub, ny may give out the same numbers; this site's are 2, 12, 22 and so on"));
    }

    #[test]
    fn sqlite_can_only_be_warned_of() {
        assert_eq!(level(OWN, &other(Given::Consecutive), &[]), Level::Warning);
        assert_eq!(level(OWN, &other(Given::Unknown), &[]), Level::Warning);
        assert_eq!(level(OWN, &class(3, 10, true), &[&other(Given::Consecutive)]), Level::Error);
    }

    #[test]
    fn the_same_of_several_tables_is_said_once() {
        let finding = || Finding::fine(SUBJECT, format!("{TABLES}: 1, 11, 21 and so on"));
        let all = together(vec![("users".into(), finding()), ("role".into(), finding())]);
        assert_eq!(all.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>(), ["users, role: 1, 11, 21 and so on"]);
    }
}
