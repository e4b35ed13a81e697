//! Tables under a prefix and columns under another name, at clients and at the hub.

use crate::roster::Engine::*;
use crate::roster::{ColumnKind::Plain, Engine, Roster, Site, Table};

const CARD: Table =
    Table::new("card", "id INT PRIMARY KEY, mail VARCHAR(60), city VARCHAR(60)", &[("id", Plain), ("mail", Plain), ("city", Plain)]);

#[test]
fn prefixes_and_mapped_columns_at_the_clients() {
    named(&[(MariaDb118, "", false), (Postgres18, "nj_", true), (Sqlite, "ny_", false), (MySql97, "", true)]);
}

#[test]
fn a_prefix_and_a_mapped_column_at_the_hub() {
    named(&[(Postgres15, "main_", true), (MariaDb1011, "", false), (Sqlite, "", true)]);
}

fn named(sites: &[(Engine, &'static str, bool)]) {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().unwrap();
    let sites = sites.iter().zip(crate::roster::names(sites.len())).map(|((engine, prefix, renamed), name)| {
        let mut site = Site::create(*engine, &name, folder.path());
        site.prefix = (*prefix).to_owned();
        if *renamed {
            site.renamed.push(("card", "mail", "email"));
        }
        site
    });
    let sites: Vec<Site> = sites.collect();
    let mut roster = Roster::of(sites, folder);
    roster.share(CARD, "insert = \"merge\"");
    let here = |roster: &Roster, at: usize| {
        let site = &roster.sites[at];
        (format!("{}card", site.prefix), if site.renamed.is_empty() { "mail" } else { "email" })
    };
    for at in 0..roster.sites.len() {
        let (card, _) = here(&roster, at);
        roster.sql(at, &format!("INSERT INTO {card} VALUES ({at}, 'copied', 'x')"));
    }
    roster.start();
    roster.settle_equal();
    for at in 0..roster.sites.len() {
        let (card, mail) = here(&roster, at);
        let from = (at + 1) % roster.sites.len();
        roster.sql(at, &format!("INSERT INTO {card} (id, {mail}) VALUES (1{at}, 'new')"));
        roster.sql(at, &format!("UPDATE {card} SET {mail} = 'by {at}' WHERE id = {from}"));
    }
    roster.settle_equal();
    for at in 0..roster.sites.len() {
        let (card, mail) = here(&roster, at);
        let found = roster.value(at, &format!("SELECT count(*) FROM {card} WHERE {mail} LIKE 'by %' OR {mail} = 'new'"));
        assert_eq!(found.unwrap(), (2 * roster.sites.len()).to_string());
    }
    roster.stop();
}
