//! What a few people do, one thing at a time, while the crowd is at work around them.

use std::sync::Arc;
use std::time::Duration;

use rosterd::daemon::Daemon;
use rosterd::ledger::ConflictRecord;
use rosterd::model::Value;

use super::Trouble;
use super::people::{self, Profile};
use super::stage::{DEADLINE, Stage, lags};

/// Existing people whom the crowd leaves alone.
pub const RESERVED: u64 = 4;

/// The story's `number`th existing person.
pub fn uid_of(people: u64, number: u64) -> u64 {
    people + 1 - number
}

pub async fn all(stage: &mut Stage, daemon: &Arc<Daemon>, people: u64) -> Result<(), Trouble> {
    let willow = newcomer(stage).await?;
    both_survive(stage, uid_of(people, 0)).await?;
    password(stage, uid_of(people, 1)).await?;
    role(stage, willow).await?;
    conflict(stage, daemon, uid_of(people, 2)).await?;
    deletion(stage, willow).await
}

async fn newcomer(stage: &mut Stage) -> Result<u64, Trouble> {
    let (shop, last) = (1, stage.last());
    let uid = stage.demo.sites[shop].next_uid();
    let engine = stage.engine(shop);
    let register = Profile::new(uid, "willow", "Lisbon").register(engine);
    let whole = format!(
        "SELECT count(*) FROM users u JOIN field_data_field_city f ON f.entity_id = u.uid \
         JOIN field_revision_field_city r ON r.entity_id = u.uid WHERE u.uid = {uid}"
    );
    let text = format!("willow registers at {}", stage.name(shop));
    stage.act(shop, &text, &[register], &whole, "1").await?;

    let session = format!("SELECT count(*) FROM sessions WHERE uid = {uid} AND sid = 'willow-{uid}'");
    let text = format!("willow logs in at {}", stage.name(shop));
    stage.act(shop, &text, &people::login(engine, uid, &format!("willow-{uid}")), &session, "1").await?;
    stage.say.note("The browser is known everywhere now: one login for all sites.");

    let text = format!("willow logs out at {}", stage.name(last));
    stage.act(last, &text, &[people::logout(&format!("willow-{uid}"))], &session, "0").await?;
    Ok(uid)
}

/// Two forms of the same person, opened and saved at once: each application writes everything, each person meant one thing.
async fn both_survive(stage: &mut Stage, uid: u64) -> Result<(), Trouble> {
    let (hub, last) = (0, stage.last());
    let mut at_hub = open(stage, hub, uid).await?;
    let mut at_last = at_hub.clone();
    at_hub.city = "Bergen".into();
    at_last.signature = "Sent from the garden".into();
    let since = stage.act_at_once((hub, &at_hub.save()), (last, &at_last.save())).await?;
    let both = format!(
        "SELECT count(*) FROM users u JOIN field_data_field_city f ON f.entity_id = u.uid \
         WHERE u.uid = {uid} AND f.field_city_value = 'Bergen' AND u.signature = 'Sent from the garden'"
    );
    let seen = stage.seen_elsewhere(&[], &both, "1", since).await?;
    stage.say.done(&format!("user{uid}: city at {}, signature at {}, at once", stage.name(hub), stage.name(last)), &longest(&seen));
    stage.say.note("Both forms were open at the same time and both edits are everywhere: nobody's work was overwritten.");
    rest(stage).await;
    Ok(())
}

async fn password(stage: &mut Stage, uid: u64) -> Result<(), Trouble> {
    let (hub, last) = (0, stage.last());
    let engine = stage.engine(last);
    let [_, session] = people::login(engine, uid, &format!("session-of-{uid}"));
    let sessions = format!("SELECT count(*) FROM sessions WHERE uid = {uid}");
    let others: i64 = stage.eyes[last].db.cell(&sessions).await?.parse().unwrap_or(0);
    let text = format!("user{uid} is logged in at {}", stage.name(last));
    stage.act(last, &text, &[session, people::cache(engine, uid)], &sessions, &(others + 1).to_string()).await?;

    let hash = people::hash(&format!("user{uid}"), 2);
    let changed = format!(
        "SELECT count(*) FROM users u WHERE uid = {uid} AND pass = '{hash}' \
         AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.uid = u.uid) \
         AND NOT EXISTS (SELECT 1 FROM cache_entity_user c WHERE c.cid = '{uid}')"
    );
    let text = format!("user{uid} changes the password at {}", stage.name(hub));
    stage.act(hub, &text, &[people::change_password(uid, &hash)], &changed, "1").await?;
    stage.say.note(&format!(
        "The old sessions are gone everywhere, and so is what {} had cached about the account: the new password works at once.",
        stage.name(last)
    ));
    Ok(())
}

async fn role(stage: &mut Stage, uid: u64) -> Result<(), Trouble> {
    let last = stage.last();
    let profile = open(stage, last, uid).await?;
    let grant = [profile.save(), vec![people::grant_role(uid, "moderator")]].concat();
    let query = format!("SELECT count(*) FROM users_roles WHERE uid = {uid} AND role = 'moderator'");
    let text = format!("willow becomes a moderator at {}", stage.name(last));
    stage.act(last, &text, &[grant], &query, "1").await
}

async fn conflict(stage: &mut Stage, daemon: &Arc<Daemon>, uid: u64) -> Result<(), Trouble> {
    let (hub, shop) = (0, 1);
    let profile = open(stage, hub, uid).await?;
    let mail = |site: usize| format!("user{uid}@{}.example.org", ["one", "two"][site]);
    let save = |site| Profile { mail: mail(site), ..profile.clone() }.save();
    let since = stage.act_at_once((hub, &save(hub)), (shop, &save(shop))).await?;
    stage.say.done(&format!("user{uid}: one mail address at {}, another at {}", stage.name(hub), stage.name(shop)), "");

    let record = decided(daemon, uid).await?;
    let site = |id| daemon.members.iter().position(|member| member.id == id).unwrap_or_default();
    let (winner, loser) = (site(record.winner), site(record.loser));
    let query = format!("SELECT mail FROM users WHERE uid = {uid}");
    let seen = stage.seen_elsewhere(&[], &query, &mail(winner), since).await?;
    let kept = record.lost.iter().any(|(_, value)| matches!(value, Value::Text(value) if *value == mail(loser)));
    if !kept {
        return Err(Trouble(format!("the conflict over user{uid}'s mail address was decided, but the losing value was not kept")));
    }
    let why =
        if winner == hub { "it was committed last, or at the same moment, when the hub's goes first" } else { "it was committed last" };
    stage.say.done(&format!("decided: {}'s is everywhere", stage.name(winner)), &longest(&seen));
    stage.say.note(&format!(
        "A conflict: the same column, at two sites, neither knowing of the other. {}'s value stays because {why} (last-writer-wins). \
         {}'s is kept in the ledger: `rosterd conflicts` shows it, and it can be put back.",
        stage.name(winner),
        stage.name(loser)
    ));
    rest(stage).await;
    Ok(())
}

/// Waits for the conflict over that person's mail address.
async fn decided(daemon: &Arc<Daemon>, uid: u64) -> Result<ConflictRecord, Trouble> {
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        let record = daemon.ledger.call(move |ledger| {
            let Some(users) = ledger.tables().iter().find(|shared| shared.table.name == "users") else { return Ok(None) };
            let (table, mail) = (users.table.id, users.table.column("mail"));
            let about = |record: &ConflictRecord| {
                record.table == table
                    && record.lost.iter().any(|(column, _)| Some(*column) == mail)
                    && matches!(record.key.0.as_slice(), [Value::Int(n)] if u64::try_from(*n) == Ok(uid))
                    || matches!(record.key.0.as_slice(), [Value::UInt(n)] if *n == uid)
            };
            Ok(ledger.conflicts(10_000)?.into_iter().find(about))
        });
        match record.await.map_err(|error| Trouble(error.to_string()))? {
            Some(record) => return Ok(record),
            None if tokio::time::Instant::now() > until => {
                return Err(Trouble(format!("the daemon has not noticed the conflict over user{uid}'s mail address")));
            }
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn deletion(stage: &mut Stage, uid: u64) -> Result<(), Trouble> {
    let hub = 0;
    let left = ["users", "users_roles", "sessions"].map(|table| format!("(SELECT count(*) FROM {table} WHERE uid = {uid})"));
    let fields = ["field_data_field_city", "field_revision_field_city"]
        .map(|table| format!("(SELECT count(*) FROM {table} WHERE entity_id = {uid})"));
    let query = format!("SELECT {} + {}", left.join(" + "), fields.join(" + "));
    let text = format!("willow's account is deleted at {}", stage.name(hub));
    stage.act(hub, &text, &[people::delete_account(uid)], &query, "0").await
}

async fn open(stage: &mut Stage, site: usize, uid: u64) -> Result<Profile, Trouble> {
    let profile = Profile::open(&mut stage.applications[site], uid).await?;
    profile.ok_or_else(|| Trouble(format!("{} does not know user number {uid}", stage.name(site))))
}

fn longest(seen: &[(String, Duration)]) -> String {
    let longest = seen.iter().max_by_key(|(_, lag)| *lag).cloned().into_iter().map(|(_, lag)| ("everywhere".to_owned(), lag));
    lags(&longest.collect::<Vec<_>>())
}

async fn rest(stage: &Stage) {
    tokio::time::sleep(stage.pause).await;
}
