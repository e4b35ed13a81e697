//! Rows that the sites have before they meet, columns that stay local and rows that the filter leaves out.

use crate::roster::{ColumnKind::*, Roster, Table};

/// The picture is each site's own, and so are the first two people.
const PERSON: Table = Table {
    name: "person",
    ddl: "uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL, mail VARCHAR(254), visits INT NOT NULL, data $blob, picture INT DEFAULT 7",
    columns: &[("uid", Plain), ("name", Plain), ("mail", Plain), ("visits", Plain), ("data", Blob)],
    filter: "uid > 1",
};

const MANY: u32 = 300;

pub fn prepare(roster: &mut Roster) {
    roster.share(PERSON, "filter = \"uid > 1\"\nexclude = [\"picture\"]");
    for at in 0..roster.sites.len() {
        let site = &roster.sites[at];
        let bytes = if site.engine.is_postgres() { r"'\x00ff41'" } else { "X'00ff41'" };
        let mut script = format!(
            "INSERT INTO person (uid, name, mail, visits, data) VALUES
             (0, 'anonymous at {name}', NULL, {at}, NULL), (1, 'administrator of {name}', NULL, {at}, NULL),
             (30, 'the same', NULL, 3, {bytes}), (40, 'differs at {name}', '{name}@example.net', 4, NULL),
             ({own}, 'only at {name}', 'o''nly@example.net', {at}, {bytes});",
            name = site.name,
            own = 50 + at,
        );
        if at == 0 {
            let rows: Vec<String> = (100..100 + MANY).map(|uid| format!("({uid}, 'person {uid}', NULL, {uid}, NULL)")).collect();
            script += &format!("INSERT INTO person (uid, name, mail, visits, data) VALUES {};", rows.join(", "));
        }
        site.sql(&script);
    }
}

pub fn run(roster: &Roster) {
    roster.settle_equal();
    let sites = roster.sites.len();
    assert_eq!(roster.rows(0, "person").len(), MANY as usize + 2 + sites, "rows of all sites");
    for at in 0..sites {
        let name = roster.sites[at].name.clone();
        let value = |sql: &str| roster.value(at, sql);
        assert_eq!(
            value("SELECT name FROM person WHERE uid = 40").unwrap(),
            format!("differs at {}", roster.sites[0].name),
            "the hub wins"
        );
        assert_eq!(value("SELECT name FROM person WHERE uid = 1").unwrap(), format!("administrator of {name}"));
        assert_eq!(value("SELECT count(*) FROM person WHERE picture = 7").unwrap(), (MANY as usize + 4 + sites).to_string());
    }
    assert!(!roster.conflicts("person").is_empty(), "the values that lost are kept");
    local_things_stay_local(roster);
}

fn local_things_stay_local(roster: &Roster) {
    let (sites, before) = (roster.sites.len(), roster.rows(0, "person"));
    for at in 0..sites {
        roster.sql(
            at,
            &format!(
                "UPDATE person SET picture = {at} WHERE uid = 30; UPDATE person SET visits = 1000 + {at} WHERE uid = 1;
                 DELETE FROM person WHERE uid = 0"
            ),
        );
    }
    roster.settle_equal();
    assert_eq!(roster.rows(0, "person"), before);
    for at in 0..sites {
        assert_eq!(roster.value(at, "SELECT picture FROM person WHERE uid = 30").unwrap(), at.to_string());
        assert_eq!(roster.value(at, "SELECT visits FROM person WHERE uid = 1").unwrap(), (1000 + at).to_string());
    }
    // Beside a local column, a shared one travels.
    roster.sql(1, "UPDATE person SET picture = 99, visits = 31 WHERE uid = 30");
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT visits * 1000 + picture FROM person WHERE uid = 30").as_deref(), Some("31000"));
}
