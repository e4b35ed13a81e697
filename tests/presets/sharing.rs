//! What `init` finds where tables are in another schema, roles have other numbers, and a column is missing.

use crate::stage::Stage;

pub fn run() {
    let mut stage = Stage::new(&["drupal7"], ["", "", "nj_"]);
    stage.sql(1, "CREATE SCHEMA shared; ALTER TABLE users SET SCHEMA shared; ALTER TABLE sessions SET SCHEMA shared");
    stage.sql(2, "ALTER TABLE {users} DROP COLUMN theme; DROP TABLE {realname}");
    for (at, four) in ["editor", "editor", "trader"].iter().enumerate() {
        stage.sql(at, &format!("INSERT INTO {{role}} (rid, name) VALUES (1, 'anonymous user'), (2, 'authenticated user'), (4, '{four}')"));
    }
    let (printed, text) = stage.init(&[]);
    assert_eq!(printed.code, 0, "{printed:?}\n{text}");
    for part in [
        "prefix = { sessions = \"shared.\", users = \"shared.\" }\n",
        "prefix = \"nj_\"\n",
        "exclude = [\"picture\", \"theme\"]\n",
        "\"role\",",
        "\"users_roles\",",
        "# sites number their roles differently\n",
        "\"realname\",",
        "# not at client2",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let joined = text.replace("\n#     ", " ");
    assert!(joined.contains("4 is editor at hub_") && joined.contains("trader at client2_"), "{text}");
    stage.log_whole_rows(&text, "authmap");
    stage.prove(&text);
    another_database(&stage);
}

/// The hub's table is on the same server: which of the two is meant is not for `init` to say.
fn another_database(stage: &Stage) {
    let (hub, own) = (stage.roster.sites[0].database(), stage.roster.sites[2].database());
    let other = format!("{own}_elsewhere");
    stage.sql(2, &format!("CREATE DATABASE {other}; RENAME TABLE {{users}} TO {other}.users"));
    let (printed, text) = stage.init(&[]);
    stage.sql(2, &format!("DROP DATABASE {other}"));
    assert_eq!(printed.code, 1, "{printed:?}");
    let joined = text.replace("\n#     ", " ");
    assert!(joined.contains("users is there as ") && joined.contains(&format!("{other}.users")), "{text}");
    assert!(joined.contains(&format!("{hub}.users")) && joined.contains(&format!("there is no table {own}.nj_users")), "{text}");
}
