//! Backdrop, Drupal 7 and Drupal 6: each action of the facts' table, at sites in turn.

use crate::drupal_people::{Application, Person, Transaction};
use crate::roster::Session;
use crate::stage::{ENGINES, Shared, Stage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    Backdrop,
    Seven,
    Six,
}

const PEOPLE: &str = "uid > 1";
const FIELDS: &str = "entity_type = 'user' AND entity_id > 1";

const BACKDROP: [Shared; 8] = [
    ("users", PEOPLE, &["picture"]),
    ("sessions", PEOPLE, &[]),
    ("users_roles", PEOPLE, &[]),
    ("realname", PEOPLE, &[]),
    ("field_data_field_city", FIELDS, &[]),
    ("field_revision_field_city", FIELDS, &[]),
    ("field_data_field_bio", FIELDS, &[]),
    ("field_revision_field_bio", FIELDS, &[]),
];
const SEVEN: [Shared; 11] = [
    BACKDROP[0],
    BACKDROP[1],
    BACKDROP[2],
    BACKDROP[3],
    BACKDROP[4],
    BACKDROP[5],
    BACKDROP[6],
    BACKDROP[7],
    ("role", "", &["weight"]),
    ("authmap", PEOPLE, &["aid"]),
    ("profile_value", PEOPLE, &[]),
];
const SIX: [Shared; 8] = [
    BACKDROP[0],
    BACKDROP[1],
    BACKDROP[2],
    ("role", "", &[]),
    ("authmap", PEOPLE, &["aid"]),
    ("profile_values", PEOPLE, &[]),
    ("multisite_login", "", &[]),
    ("multisite_login_sessions", "", &[]),
];

impl Flavor {
    fn presets(self) -> &'static [&'static str] {
        match self {
            Flavor::Backdrop => &["backdrop"],
            Flavor::Seven => &["drupal7"],
            Flavor::Six => &["drupal6", "multisite-login"],
        }
    }

    fn shared(self) -> &'static [Shared] {
        match self {
            Flavor::Backdrop => &BACKDROP,
            Flavor::Seven => &SEVEN,
            Flavor::Six => &SIX,
        }
    }

    fn prefixes(self) -> [&'static str; 3] {
        match self {
            Flavor::Backdrop => ["", "ny_", "nj_"],
            Flavor::Seven => ["main_", "d7.", ""],
            Flavor::Six => ["", "", "nj_"],
        }
    }

    /// The cache that has a person's old values, and the row's name there.
    fn cache(self, uid: u32) -> Option<(&'static str, String)> {
        match self {
            Flavor::Backdrop => Some(("cache_entity_user", uid.to_string())),
            Flavor::Seven => Some(("cache_field", format!("field:user:{uid}"))),
            Flavor::Six => None,
        }
    }
}

struct Play {
    stage: Stage,
    flavor: Flavor,
}

pub fn run(flavor: Flavor) {
    let mut stage = Stage::new(flavor.presets(), flavor.prefixes());
    let willow = Person { uid: 2, name: "willow", city: "Lisbon", bio: "before rosterd" };
    let fern = Person { uid: 13, name: "fern", city: "Oslo", bio: "of a client" };
    furnish(&stage, flavor, &willow, &fern);
    let (printed, text) = stage.init(&[]);
    assert_eq!(printed.code, 0, "{printed:?}\n{text}");
    if flavor != Flavor::Six {
        assert!(text.contains("\"field_data_body\",") && text.contains("# only of: node"), "{text}");
    }
    if flavor != Flavor::Backdrop {
        stage.log_whole_rows(&text, "authmap");
    }
    stage.start(&text, flavor.shared());
    let play = Play { stage, flavor };
    play.stage.everywhere("SELECT count(*) FROM {users} WHERE uid > 1", "2");
    play.profile_is(&fern, "fern@example.net");
    let alder = play.registers_and_looks_around();
    play.edits(alder);
    play.rights_and_passwords(&willow);
    play.goes_away(&willow, &fern);
    play.what_is_local_has_stayed();
    play.stage.roster.settle_equal();
    assert!(play.stage.roster.quarantined().is_empty(), "{:?}", play.stage.roster.quarantined());
    let mut stage = play.stage;
    stage.roster.stop();
}

/// What there is before rosterd comes: accounts 0 and 1 everywhere, somebody at the hub, somebody else at a client.
fn furnish(stage: &Stage, flavor: Flavor, willow: &Person, fern: &Person) {
    for at in 0..3 {
        let app = Application { flavor, engine: ENGINES[at] };
        if flavor != Flavor::Six || app.engine.is_postgres() {
            stage.sql(at, "INSERT INTO {users} (uid, name) VALUES (0, '')");
        }
        stage.sql(at, &format!("INSERT INTO {{users}} (uid, name, mail) VALUES (1, 'admin', 'admin{at}@example.net')"));
        if flavor != Flavor::Backdrop {
            stage.sql(at, "INSERT INTO {role} (rid, name) VALUES (1, 'anonymous user'), (2, 'authenticated user'), (4, 'editor')");
        }
        match flavor {
            Flavor::Six => stage.sql(at, "INSERT INTO {profile_fields} (fid, name) VALUES (1, 'profile_city'), (2, 'profile_bio')"),
            _ => stage.sql(
                at,
                &format!(
                    "INSERT INTO {{field_data_body}} (entity_type, bundle, entity_id, language, delta, body_value) \
                     VALUES ('node', 'page', 7, 'und', 0, 'a page of site {at}')"
                ),
            ),
        }
        let person = [Some(willow), None, Some(fern)][at];
        for transaction in person.map(|person| app.register(person, 1000)).into_iter().flatten() {
            commit(stage, at, &transaction);
        }
    }
    if flavor != Flavor::Six {
        stage.sql(0, "INSERT INTO {realname} VALUES (2, 'Willow the First')");
    }
    if flavor == Flavor::Seven {
        stage.sql(2, "INSERT INTO {authmap} (uid, authname, module) VALUES (13, 'fern@openid.example.net', 'openid')");
    }
}

fn commit(stage: &Stage, at: usize, transaction: &Transaction) {
    stage.sql(at, &whole(transaction));
}

fn whole(transaction: &Transaction) -> String {
    format!("BEGIN; {}; COMMIT", transaction.join("; "))
}

impl Play {
    fn app(&self, at: usize) -> Application {
        Application { flavor: self.flavor, engine: ENGINES[at] }
    }

    /// One action: its transactions one after the other, as the application commits them.
    fn act(&self, at: usize, transactions: &[Transaction]) {
        transactions.iter().for_each(|transaction| commit(&self.stage, at, transaction));
        self.stage.roster.settle();
    }

    /// As `act`, by which the person's cached values become stale at the other sites, and have to be gone there.
    #[track_caller]
    fn act_on_cached(&self, at: usize, uid: u32, transactions: &[Transaction]) {
        let cache = self.flavor.cache(uid);
        if let Some((cache, cid)) = &cache {
            for site in 0..3 {
                let data = self.app(site).bytes("stale");
                self.stage.sql(
                    site,
                    &format!("DELETE FROM {{{cache}}}; INSERT INTO {{{cache}}} (cid, data) VALUES ('{cid}', {data}), ('other', {data})"),
                );
            }
        }
        self.act(at, transactions);
        if let Some((cache, cid)) = &cache {
            for site in (0..3).filter(|site| *site != at) {
                let left = self.stage.value(site, &format!("SELECT count(*) FROM {{{cache}}} WHERE cid = '{cid}'"));
                assert_eq!(left.as_deref(), Some("0"), "{cid} is still cached at site {site}");
                let other = self.stage.value(site, &format!("SELECT count(*) FROM {{{cache}}} WHERE cid = 'other'"));
                assert_eq!(other.as_deref(), Some("1"), "more than {cid} was dropped at site {site}");
            }
        }
    }

    #[track_caller]
    fn profile_is(&self, person: &Person, mail: &str) {
        let Person { uid, city, bio, .. } = person;
        self.stage.everywhere(&format!("SELECT mail FROM {{users}} WHERE uid = {uid}"), mail);
        for (field, fid, value) in [("field_city", 1, city), ("field_bio", 2, bio)] {
            match self.flavor {
                Flavor::Six => {
                    self.stage.everywhere(&format!("SELECT value FROM {{profile_values}} WHERE uid = {uid} AND fid = {fid}"), value)
                }
                _ => {
                    for kind in ["data", "revision"] {
                        let query =
                            format!("SELECT {field}_value FROM {{field_{kind}_{field}}} WHERE entity_type = 'user' AND entity_id = {uid}");
                        self.stage.everywhere(&query, value);
                    }
                }
            }
        }
    }

    /// Page view, login, logout, registration.
    fn registers_and_looks_around(&self) -> Person {
        let alder = Person { uid: 21, name: "alder", city: "Quito", bio: "new here" };
        self.act(1, &self.app(1).register(&alder, 2000));
        self.act(1, &self.app(1).login(&alder, "sid-alder-1", 2000));
        self.stage.everywhere("SELECT name FROM {users} WHERE uid = 21", "alder");
        self.stage.everywhere("SELECT uid FROM {sessions} WHERE sid = 'sid-alder-1'", "21");
        self.profile_is(&alder, "alder@example.net");

        self.act_on_cached_users(2, 21, &self.app(2).page_view(&alder, "sid-alder-1", 2200));
        self.stage.everywhere("SELECT access FROM {users} WHERE uid = 21", "2200");
        self.stage.everywhere("SELECT timestamp FROM {sessions} WHERE sid = 'sid-alder-1'", "2200");

        self.act(0, &self.app(0).login(&alder, "sid-alder-2", 2300));
        self.stage.everywhere("SELECT login FROM {users} WHERE uid = 21", "2300");
        self.stage.sql(2, "INSERT INTO {flood} (event, identifier, timestamp) VALUES ('failed_login_attempt_user', '21-192.0.2.7', 2301)");
        if self.flavor == Flavor::Six {
            self.stage.sql(0, "INSERT INTO {multisite_login} (sid, hostname, timestamp) VALUES ('sid-alder-2', '192.0.2.7', 2300)");
            self.stage.roster.settle();
            self.stage.everywhere("SELECT hostname FROM {multisite_login} WHERE sid = 'sid-alder-2'", "192.0.2.7");
            self.act(1, &[vec!["DELETE FROM {multisite_login} WHERE sid = 'sid-alder-2'".into()]]);
            self.stage.everywhere("SELECT count(*) FROM {multisite_login}", "0");
        }
        self.act(2, &[self.app(2).logout("sid-alder-1")]);
        self.stage.everywhere("SELECT count(*) FROM {sessions} WHERE uid = 21", "1");
        alder
    }

    /// Backdrop keeps whole people in its cache, so that a change of the account alone makes it stale.
    fn act_on_cached_users(&self, at: usize, uid: u32, transactions: &[Transaction]) {
        match self.flavor {
            Flavor::Backdrop => self.act_on_cached(at, uid, transactions),
            _ => self.act(at, transactions),
        }
    }

    /// Profile saves: one alone, and two at once whose forms were both open.
    fn edits(&self, mut alder: Person) {
        alder.city = "Dakar";
        let save = self.app(2).profile_save(&alder, "mail = 'alder@new.example.net'", &[]);
        self.act_on_cached(2, 21, &[save]);
        self.profile_is(&alder, "alder@new.example.net");
        self.act(0, &self.app(0).saved_form("sid-alder-2"));
        let is_empty = if self.flavor == Flavor::Six { "session = ''" } else { "length(session) = 0" };
        self.stage.everywhere(&format!("SELECT count(*) FROM {{sessions}} WHERE sid = 'sid-alder-2' AND {is_empty}"), "1");

        let by_alder = Person { city: "Kyoto", ..alder.clone() };
        let by_editor = Person { bio: "corrected", ..alder.clone() };
        let mut sessions: Vec<Session> = [0, 1].map(|at| self.stage.roster.sites[at].session()).into();
        for (at, person) in [(0, &by_alder), (1, &by_editor)] {
            let statements = self.app(at).profile_save(person, "status = 1", &[]);
            sessions[at].sql(&self.stage.prefixed(at, &format!("BEGIN; {}", statements.join("; "))));
        }
        sessions.iter_mut().for_each(|session| session.sql("COMMIT"));
        self.stage.roster.settle();
        self.profile_is(&Person { city: "Kyoto", bio: "corrected", ..alder }, "alder@new.example.net");
    }

    /// Role change, password change.
    fn rights_and_passwords(&self, willow: &Person) {
        let grant = self.app(1).profile_save(willow, "status = 1", &[self.app(1).grant_role(2)]);
        self.act_on_cached_users(1, 2, &[grant]);
        let role = if self.flavor == Flavor::Backdrop { ("role", "editor") } else { ("rid", "4") };
        self.stage.everywhere(&format!("SELECT {} FROM {{users_roles}} WHERE uid = 2", role.0), role.1);
        let revoke = self.app(2).profile_save(willow, "status = 1", &[self.app(2).revoke_roles(2)]);
        self.act_on_cached_users(2, 2, &[revoke]);
        self.stage.everywhere("SELECT count(*) FROM {users_roles} WHERE uid = 2", "0");

        self.act(0, &self.app(0).login(willow, "sid-willow", 3000));
        self.act_on_cached_users(2, 2, &[self.app(2).and_out(2, "pass = 'hash-of-a-new-one'")]);
        self.stage.everywhere("SELECT pass FROM {users} WHERE uid = 2", "hash-of-a-new-one");
        self.stage.everywhere("SELECT count(*) FROM {sessions} WHERE uid = 2", "0");
    }

    /// Block, deletion of an account.
    fn goes_away(&self, willow: &Person, fern: &Person) {
        self.act(1, &self.app(1).login(fern, "sid-fern", 3100));
        self.act_on_cached_users(0, 13, &[self.app(0).and_out(13, "status = 0")]);
        self.stage.everywhere("SELECT status FROM {users} WHERE uid = 13", "0");
        self.stage.everywhere("SELECT count(*) FROM {sessions} WHERE uid = 13", "0");

        self.act(2, &self.app(2).login(willow, "sid-willow-2", 3200));
        self.act_on_cached(1, 2, &[self.app(1).delete_account(2)]);
        let tables: &[&str] = match self.flavor {
            Flavor::Six => &["users WHERE uid", "sessions WHERE uid", "users_roles WHERE uid", "profile_values WHERE uid"],
            _ => &[
                "users WHERE uid",
                "sessions WHERE uid",
                "users_roles WHERE uid",
                "field_data_field_city WHERE entity_id",
                "field_revision_field_bio WHERE entity_id",
            ],
        };
        for table in tables {
            let (table, column) = table.split_once(' ').unwrap();
            self.stage.everywhere(&format!("SELECT count(*) FROM {{{table}}} {column} = 2"), "0");
        }
    }

    fn what_is_local_has_stayed(&self) {
        for at in 0..3 {
            let mail = self.stage.value(at, "SELECT mail FROM {users} WHERE uid = 1");
            assert_eq!(mail, Some(format!("admin{at}@example.net")));
            let failed = self.stage.value(at, "SELECT count(*) FROM {flood}");
            assert_eq!(failed.as_deref(), Some(if at == 2 { "1" } else { "0" }));
            if self.flavor != Flavor::Six {
                let page = self.stage.value(at, "SELECT body_value FROM {field_data_body}");
                assert_eq!(page, Some(format!("a page of site {at}")));
            }
        }
        if self.flavor == Flavor::Seven {
            self.stage.everywhere("SELECT uid FROM {authmap} WHERE authname = 'fern@openid.example.net'", "13");
        }
    }
}
