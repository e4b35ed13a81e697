//! What Backdrop and Drupal write when a person does something: the statements, transaction by transaction.

use crate::drupal::Flavor;
use crate::roster::Engine;

/// What an application knows of somebody: with each save of the profile it writes all of it.
#[derive(Clone)]
pub struct Person {
    pub uid: u32,
    pub name: &'static str,
    pub city: &'static str,
    pub bio: &'static str,
}

/// A transaction's statements.
pub type Transaction = Vec<String>;

/// The application of one site.
#[derive(Clone, Copy)]
pub struct Application {
    pub flavor: Flavor,
    pub engine: Engine,
}

impl Application {
    /// A literal for a column of bytes; Drupal 6 has text there.
    pub fn bytes(self, text: &str) -> String {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        match self.flavor {
            Flavor::Six => format!("'{text}'"),
            _ if self.engine.is_postgres() => format!("'\\x{hex}'"),
            _ => format!("x'{hex}'"),
        }
    }

    /// The account and the fields together; what follows is a login.
    pub fn register(self, person: &Person, now: u32) -> Vec<Transaction> {
        let Person { uid, name, .. } = person;
        let data = self.bytes("a:1:{s:7:\"overlay\";i:1;}").replace('{', "(").replace('}', ")");
        let account = format!(
            "INSERT INTO {{users}} (uid, name, pass, mail, created, status, init, data) \
             VALUES ({uid}, '{name}', 'hash-of-{name}', '{name}@example.net', {now}, 1, '{name}@example.net', {data})"
        );
        let number = match self.flavor {
            Flavor::Six => vec![],
            _ if self.engine.is_postgres() => vec![vec!["INSERT INTO {sequences} DEFAULT VALUES".to_owned()]],
            _ => vec![vec!["INSERT INTO {sequences} () VALUES ()".to_owned()]],
        };
        let created = std::iter::once(account).chain(self.insert_fields(person)).collect();
        number.into_iter().chain([created]).collect()
    }

    pub fn login(self, person: &Person, sid: &str, now: u32) -> Vec<Transaction> {
        let uid = person.uid;
        let session = self.bytes("");
        let columns = match self.flavor {
            Flavor::Six => format!("(uid, sid, hostname, timestamp, session) VALUES ({uid}, '{sid}', '192.0.2.7', {now}, {session})"),
            _ => format!("(uid, sid, ssid, hostname, timestamp, session) VALUES ({uid}, '{sid}', '', '192.0.2.7', {now}, {session})"),
        };
        vec![vec![format!("UPDATE {{users}} SET login = {now} WHERE uid = {uid}")], vec![format!("INSERT INTO {{sessions}} {columns}")]]
    }

    /// Nothing is written until three minutes have passed.
    pub fn page_view(self, person: &Person, sid: &str, now: u32) -> Vec<Transaction> {
        vec![
            vec![format!("UPDATE {{users}} SET access = {now} WHERE uid = {}", person.uid)],
            vec![format!("UPDATE {{sessions}} SET timestamp = {now} WHERE sid = '{sid}'")],
        ]
    }

    /// A form that is saved writes its message into the session, and takes it out when it has been shown.
    pub fn saved_form(self, sid: &str) -> Vec<Transaction> {
        ["messages", ""].map(|text| vec![format!("UPDATE {{sessions}} SET session = {} WHERE sid = '{sid}'", self.bytes(text))]).into()
    }

    pub fn logout(self, sid: &str) -> Transaction {
        vec![format!("DELETE FROM {{sessions}} WHERE sid = '{sid}'")]
    }

    /// Every field is deleted and inserted, changed or not. `more`: what else is saved with it.
    pub fn profile_save(self, person: &Person, set: &str, more: &[String]) -> Transaction {
        let mut all = vec![format!("UPDATE {{users}} SET {set} WHERE uid = {}", person.uid)];
        all.extend(self.delete_fields(person.uid));
        all.extend(self.insert_fields(person));
        all.extend_from_slice(more);
        all
    }

    pub fn grant_role(self, uid: u32) -> String {
        match self.flavor {
            Flavor::Backdrop => format!("INSERT INTO {{users_roles}} (uid, role) VALUES ({uid}, 'editor')"),
            _ => format!("INSERT INTO {{users_roles}} (uid, rid) VALUES ({uid}, 4)"),
        }
    }

    pub fn revoke_roles(self, uid: u32) -> String {
        format!("DELETE FROM {{users_roles}} WHERE uid = {uid}")
    }

    /// A new password or a block ends all sessions, in the same transaction.
    pub fn and_out(self, uid: u32, set: &str) -> Transaction {
        vec![format!("UPDATE {{users}} SET {set} WHERE uid = {uid}"), format!("DELETE FROM {{sessions}} WHERE uid = {uid}")]
    }

    pub fn delete_account(self, uid: u32) -> Transaction {
        let mut all = self.delete_fields(uid);
        all.extend(["sessions", "users_roles", "users"].map(|table| format!("DELETE FROM {{{table}}} WHERE uid = {uid}")));
        all
    }

    fn insert_fields(self, person: &Person) -> Vec<String> {
        let Person { uid, city, bio, .. } = person;
        if self.flavor == Flavor::Six {
            return [(1, city), (2, bio)]
                .iter()
                .map(|(fid, value)| format!("INSERT INTO {{profile_values}} (fid, uid, value) VALUES ({fid}, {uid}, '{value}')"))
                .collect();
        }
        let mut all = Vec::new();
        for (field, value) in [("field_city", city), ("field_bio", bio)] {
            for kind in ["data", "revision"] {
                all.push(format!(
                    "INSERT INTO {{field_{kind}_{field}}} (entity_type, bundle, deleted, entity_id, revision_id, language, delta, {field}_value) \
                     VALUES ('user', 'user', 0, {uid}, {uid}, 'und', 0, '{value}')"
                ));
            }
        }
        all
    }

    fn delete_fields(self, uid: u32) -> Vec<String> {
        if self.flavor == Flavor::Six {
            return vec![format!("DELETE FROM {{profile_values}} WHERE uid = {uid}")];
        }
        let fields = ["field_city", "field_bio"].into_iter().flat_map(|field| ["data", "revision"].map(|kind| (kind, field)));
        fields
            .map(|(kind, field)| format!("DELETE FROM {{field_{kind}_{field}}} WHERE entity_type = 'user' AND entity_id = {uid}"))
            .collect()
    }
}
