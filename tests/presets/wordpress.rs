//! WordPress: people, their metadata with sessions among it, and rights that stay at each site. It uses no transactions: each
//! statement commits by itself.

use crate::stage::{Shared, Stage};

/// As the preset has it.
const METADATA: &str = "user_id > 1 AND meta_key NOT LIKE '%capabilities' AND meta_key NOT LIKE '%user_level' \
    AND meta_key NOT LIKE '%user-settings' AND meta_key NOT LIKE '%user-settings-time' \
    AND meta_key NOT LIKE '%dashboard_quick_press_last_post_id' AND meta_key NOT IN ('primary_blog', 'source_domain')";
const SHARED: [Shared; 2] = [("users", "ID > 1", &[]), ("usermeta", METADATA, &["umeta_id"])];

/// The same prefix twice: without the filter, an administrator of one would be one of the other.
const PREFIXES: [&str; 3] = ["wp_", "wp_", "nj_"];

pub fn run() {
    let mut stage = Stage::new(&["wordpress"], PREFIXES);
    for (at, prefix) in PREFIXES.iter().enumerate() {
        stage.sql(at, &format!("INSERT INTO {{users}} (ID, user_login, user_email) VALUES (1, 'admin', 'admin{at}@example.net')"));
        stage.sql(at, &rights(1, prefix, "administrator"));
    }
    register(&stage, 0, 2, "willow");
    key_is_missing(&stage);
    let (printed, text) = stage.init(&["--preset", "wordpress"]);
    assert_eq!(printed.code, 0, "{printed:?}\n{text}");
    assert!(text.contains("[site.table.users]\ncolumns = { ID = \"id\" }"), "{text}");
    stage.log_whole_rows(&text, "usermeta");
    stage.start(&text, &SHARED);
    stage.everywhere("SELECT user_login FROM {users} WHERE ID = 2", "willow");

    register(&stage, 2, 13, "fern");
    stage.roster.settle();
    stage.everywhere("SELECT meta_value FROM {usermeta} WHERE user_id = 13 AND meta_key = 'nickname'", "fern");
    rights_stay(&stage);
    sessions(&stage);
    profile(&stage);
    goes_away(&stage);
    for at in 0..3 {
        assert_eq!(stage.value(at, "SELECT user_email FROM {users} WHERE ID = 1"), Some(format!("admin{at}@example.net")));
        assert_eq!(stage.value(at, "SELECT count(*) FROM {usermeta} WHERE user_id = 1").as_deref(), Some("1"));
    }
    stage.roster.settle_equal();
    assert!(stage.roster.quarantined().is_empty(), "{:?}", stage.roster.quarantined());
    stage.roster.stop();
}

/// `init` and `check` say so; docs/presets/wordpress.md has the statements.
fn key_is_missing(stage: &Stage) {
    let (printed, text) = stage.init(&[]);
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(text.contains("its key (user_id, meta_key) is not unique here") && printed.err.contains("to settle"), "{printed:?}\n{text}");
    for (at, prefix) in PREFIXES.iter().enumerate() {
        stage.sql(at, &format!("CREATE UNIQUE INDEX {prefix}one_of_a_name ON {{usermeta}} (user_id, meta_key)"));
    }
}

fn register(stage: &Stage, at: usize, id: u32, login: &str) {
    stage.sql(
        at,
        &format!(
            "INSERT INTO {{users}} (ID, user_login, user_pass, user_nicename, user_email, user_registered, display_name) \
             VALUES ({id}, '{login}', '$P$Bhash', '{login}', '{login}@example.net', '2026-01-31 12:00:00', '{login}')"
        ),
    );
    for (key, value) in [("nickname", login), ("first_name", ""), ("locale", "")] {
        stage.sql(at, &meta(id, key, value));
    }
    stage.sql(at, &rights(id, PREFIXES[at], "subscriber"));
}

fn meta(id: u32, key: &str, value: &str) -> String {
    format!("INSERT INTO {{usermeta}} (user_id, meta_key, meta_value) VALUES ({id}, '{key}', '{value}')")
}

fn rights(id: u32, prefix: &str, role: &str) -> String {
    // Braces would be names of tables here.
    meta(id, &format!("{prefix}capabilities"), &format!("a:1:(s:{}:\"{role}\";b:1;)", role.len()))
}

/// Neither a promotion at one site nor a network's other sites give any right elsewhere.
fn rights_stay(stage: &Stage) {
    stage.sql(0, "UPDATE {usermeta} SET meta_value = 'administrator' WHERE user_id = 2 AND meta_key = 'wp_capabilities'");
    stage.sql(0, &meta(2, "wp_2_capabilities", "administrator"));
    stage.sql(0, &meta(2, "wp_user_level", "10"));
    stage.sql(0, &meta(2, "description", "promoted"));
    stage.roster.settle();
    stage.everywhere("SELECT meta_value FROM {usermeta} WHERE user_id = 2 AND meta_key = 'description'", "promoted");
    for at in 1..3 {
        let query = "SELECT count(*) FROM {usermeta} WHERE user_id = 2 AND (meta_key LIKE '%capabilities' OR meta_key LIKE '%user_level')";
        assert_eq!(stage.value(at, query).as_deref(), Some("0"), "rights came to site {at}");
    }
}

/// Login, page view, logout: one serialized value for all sessions of a person.
fn sessions(stage: &Stage) {
    stage.sql(1, &meta(13, "session_tokens", "one session"));
    stage.roster.settle();
    stage.everywhere("SELECT meta_value FROM {usermeta} WHERE user_id = 13 AND meta_key = 'session_tokens'", "one session");
    stage.sql(2, "UPDATE {usermeta} SET meta_value = 'two sessions' WHERE user_id = 13 AND meta_key = 'session_tokens'");
    stage.roster.settle();
    stage.everywhere("SELECT meta_value FROM {usermeta} WHERE user_id = 13 AND meta_key = 'session_tokens'", "two sessions");
    stage.sql(0, "DELETE FROM {usermeta} WHERE user_id = 13 AND meta_key = 'session_tokens'");
    stage.roster.settle();
    stage.everywhere("SELECT count(*) FROM {usermeta} WHERE user_id = 13 AND meta_key = 'session_tokens'", "0");
}

/// Profile save and password change.
fn profile(stage: &Stage) {
    stage.sql(1, "UPDATE {users} SET display_name = 'Fern', user_email = 'fern@new.example.net' WHERE ID = 13");
    stage.sql(1, "UPDATE {usermeta} SET meta_value = 'Fern' WHERE user_id = 13 AND meta_key = 'nickname'");
    stage.sql(0, "UPDATE {users} SET user_pass = '$P$Bother', user_activation_key = '' WHERE ID = 13");
    stage.roster.settle();
    stage.everywhere("SELECT user_email FROM {users} WHERE ID = 13", "fern@new.example.net");
    stage.everywhere("SELECT user_pass FROM {users} WHERE ID = 13", "$P$Bother");
    stage.everywhere("SELECT meta_value FROM {usermeta} WHERE user_id = 13 AND meta_key = 'nickname'", "Fern");
}

/// A removed account takes its rights along at every site, for whoever may get its number next.
fn goes_away(stage: &Stage) {
    stage.sql(1, &rights(13, "wp_", "editor"));
    let metadata = stage.value(2, "SELECT count(*) FROM {usermeta} WHERE user_id = 13").unwrap();
    assert_eq!(metadata, "4");
    stage.sql(2, "DELETE FROM {usermeta} WHERE user_id = 13");
    stage.sql(2, "DELETE FROM {users} WHERE ID = 13");
    stage.roster.settle();
    stage.everywhere("SELECT count(*) FROM {users} WHERE ID = 13", "0");
    stage.everywhere("SELECT count(*) FROM {usermeta} WHERE user_id = 13", "0");
}
