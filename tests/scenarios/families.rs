//! Parents and children under a foreign key.

use crate::roster::{ColumnKind::Plain, Roster, Table};

/// `members` counts the team's members: a reader sees at once whether a transaction has come in part.
pub const TEAM: Table = Table::new(
    "team",
    "id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, members INT NOT NULL",
    &[("id", Plain), ("name", Plain), ("members", Plain)],
);
pub const MEMBER: Table = Table::new(
    "member",
    "id INT PRIMARY KEY, team INT NOT NULL, name VARCHAR(60) NOT NULL, FOREIGN KEY (team) REFERENCES $prefixteam (id)",
    &[("id", Plain), ("team", Plain), ("name", Plain)],
);

pub fn prepare(roster: &mut Roster) {
    roster.share(TEAM, "");
    roster.share(MEMBER, "");
    roster.sql(
        0,
        "INSERT INTO team VALUES (1, 'copied', 2), (2, 'counted', 0);
         INSERT INTO member VALUES (1, 1, 'copied too'), (2, 1, 'and this one')",
    );
}

pub fn run(roster: &Roster) {
    let sites = roster.sites.len();
    for at in 0..sites {
        let team = 10 + at;
        roster.sql(
            at,
            &format!(
                "INSERT INTO team VALUES ({team}, 'alone', 0);
                 BEGIN; INSERT INTO team VALUES (2{team}, 'with members', 2);
                 INSERT INTO member VALUES ({team}, 2{team}, 'one'), (1{team}, 2{team}, 'other'); COMMIT;
                 INSERT INTO member VALUES (2{team}, {team}, 'later')"
            ),
        );
    }
    roster.settle_equal();
    for at in 0..sites {
        let team = 10 + (at + 1) % sites;
        roster.sql(
            at,
            &format!(
                "BEGIN; INSERT INTO team VALUES (3{team}, 'new home', 1); UPDATE member SET team = 3{team} WHERE id = 2{team};
                 DELETE FROM team WHERE id = {team}; COMMIT;
                 BEGIN; DELETE FROM member WHERE team = 2{team}; DELETE FROM team WHERE id = 2{team}; COMMIT"
            ),
        );
    }
    roster.settle_equal();
    assert_eq!(roster.value(0, "SELECT count(*) FROM team WHERE id > 2").unwrap(), sites.to_string());
    let orphans = "SELECT count(*) FROM member m LEFT JOIN team t ON t.id = m.team WHERE t.id IS NULL";
    for at in 0..sites {
        assert_eq!(roster.value(at, orphans).as_deref(), Some("0"));
    }
    let held = roster.quarantined().into_iter().filter(|[_, table, ..]| table == "team" || table == "member").collect::<Vec<_>>();
    assert!(held.is_empty(), "{held:?}");
}
