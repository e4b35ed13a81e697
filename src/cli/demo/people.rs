//! What people do at a web site, as the statements that Backdrop CMS would write for it: each list is one transaction.

use super::Trouble;
use super::database::{Database, Engine};

/// A person's profile as a form shows it. Saving writes all of it back, changed or not: that is how these applications are.
#[derive(Clone, Debug)]
pub struct Profile {
    pub uid: u64,
    pub name: String,
    pub mail: String,
    pub signature: String,
    pub timezone: String,
    pub city: String,
}

pub fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A stand-in for a password's hash.
pub fn hash(name: &str, number: u64) -> String {
    format!("$S$E-demo-{name}-{number}")
}

impl Profile {
    pub fn new(uid: u64, name: &str, city: &str) -> Profile {
        Profile {
            uid,
            name: name.into(),
            mail: format!("{name}@example.net"),
            signature: String::new(),
            timezone: "UTC".into(),
            city: city.into(),
        }
    }

    /// What the form shows; None when there is no such person.
    pub async fn open(db: &mut Database, uid: u64) -> Result<Option<Profile>, Trouble> {
        let query = format!(
            "SELECT u.name, u.mail, u.signature, u.timezone, f.field_city_value FROM users u LEFT JOIN field_data_field_city f \
             ON f.entity_type = 'user' AND f.entity_id = u.uid AND f.deleted = 0 WHERE u.uid = {uid}"
        );
        let Some(row) = db.rows(&query).await?.into_iter().next() else { return Ok(None) };
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        Ok(Some(Profile { uid, name: next(), mail: next(), signature: next(), timezone: next(), city: next() }))
    }

    fn fields(&self) -> Vec<String> {
        let row = |table: &str| {
            let (uid, city) = (self.uid, text(&self.city));
            format!(
                "INSERT INTO {table} (entity_type, bundle, deleted, entity_id, revision_id, language, delta, field_city_value) \
                 VALUES ('user', 'user', 0, {uid}, {uid}, 'und', 0, {city})"
            )
        };
        vec![row("field_data_field_city"), row("field_revision_field_city")]
    }

    pub fn register(&self, engine: Engine) -> Vec<String> {
        let (uid, name, mail, zone, now) = (self.uid, text(&self.name), text(&self.mail), text(&self.timezone), now_s());
        let (pass, data) = (text(&hash(&self.name, 1)), engine.bytes("a:1:{s:7:\"contact\";i:1;}"));
        let user = format!(
            "INSERT INTO users (uid, name, pass, mail, created, changed, status, timezone, language, init, data) \
             VALUES ({uid}, {name}, {pass}, {mail}, {now}, {now}, 1, {zone}, 'en', {mail}, {data})"
        );
        [vec![user], self.fields()].concat()
    }

    /// The whole profile, and every field row deleted and inserted again.
    pub fn save(&self) -> Vec<String> {
        let update = format!(
            "UPDATE users SET name = {}, mail = {}, signature = {}, timezone = {}, changed = {} WHERE uid = {}",
            text(&self.name),
            text(&self.mail),
            text(&self.signature),
            text(&self.timezone),
            now_s(),
            self.uid
        );
        [vec![update], delete_fields(self.uid), self.fields()].concat()
    }
}

fn delete_fields(uid: u64) -> Vec<String> {
    let delete = |table: &str| format!("DELETE FROM {table} WHERE entity_type = 'user' AND entity_id = {uid}");
    vec![delete("field_data_field_city"), delete("field_revision_field_city")]
}

/// Two transactions, as the applications have it.
pub fn login(engine: Engine, uid: u64, sid: &str) -> [Vec<String>; 2] {
    let now = now_s();
    let session = engine.bytes(&format!("uid|i:{uid};"));
    [
        vec![format!("UPDATE users SET login = {now} WHERE uid = {uid}")],
        vec![format!(
            "INSERT INTO sessions (uid, sid, ssid, hostname, timestamp, session) VALUES ({uid}, {}, '', '192.0.2.1', {now}, {session})",
            text(sid)
        )],
    ]
}

pub fn logout(sid: &str) -> Vec<String> {
    vec![format!("DELETE FROM sessions WHERE sid = {}", text(sid))]
}

/// A page view after a while: two transactions.
pub fn page_view(uid: u64, sid: &str) -> [Vec<String>; 2] {
    let now = now_s();
    [
        vec![format!("UPDATE users SET access = {now} WHERE uid = {uid}")],
        vec![format!("UPDATE sessions SET timestamp = {now} WHERE sid = {}", text(sid))],
    ]
}

/// A form remembers something in the session.
pub fn remember(engine: Engine, sid: &str, what: &str) -> Vec<String> {
    vec![format!("UPDATE sessions SET session = {} WHERE sid = {}", engine.bytes(what), text(sid))]
}

/// The new hash, and every session of the person's gone.
pub fn change_password(uid: u64, hash: &str) -> Vec<String> {
    vec![
        format!("UPDATE users SET pass = {}, changed = {} WHERE uid = {uid}", text(hash), now_s()),
        format!("DELETE FROM sessions WHERE uid = {uid}"),
    ]
}

pub fn grant_role(uid: u64, role: &str) -> String {
    format!("INSERT INTO users_roles (uid, role) VALUES ({uid}, {})", text(role))
}

pub fn revoke_role(uid: u64, role: &str) -> String {
    format!("DELETE FROM users_roles WHERE uid = {uid} AND role = {}", text(role))
}

pub fn delete_account(uid: u64) -> Vec<String> {
    let rest =
        ["sessions", "users_roles", "users"].into_iter().map(|table| format!("DELETE FROM {table} WHERE uid = {uid}")).collect::<Vec<_>>();
    [delete_fields(uid), rest].concat()
}

/// The application keeps the person's whole record, password hash included, in its cache.
pub fn cache(engine: Engine, uid: u64) -> Vec<String> {
    vec![
        format!("DELETE FROM cache_entity_user WHERE cid = '{uid}'"),
        format!("INSERT INTO cache_entity_user (cid, data) VALUES ('{uid}', {})", engine.bytes("O:4:\"User\"")),
    ]
}
