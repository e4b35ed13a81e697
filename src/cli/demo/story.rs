//! The story: what happens at the sites, in order, told as it happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Trouble;
use super::compare::{Comparer, Comparison};
use super::crowd::Crowd;
use super::database::Database;
use super::lag::seen_by;
use super::people::{self, Profile};
use super::say::{Say, bar, counted, number, span};
use super::scenes;
use super::service::Service;
use super::sites::Demo;
use super::stage::{DEADLINE, Stage};

/// How long the daemon may take to copy, and to bring what is left to all sites.
const COPY: Duration = Duration::from_secs(300);
const SETTLE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const EDITS_WHILE_AWAY: u32 = 25;

/// How long the story takes its time.
#[derive(Clone, Copy)]
pub struct Pace {
    pub pause: Duration,
    pub crowd: Duration,
    pub away: Duration,
    pub people: u64,
}

/// Tells the whole story. The daemon at work is left in `service`, for whoever has to stop it when the story breaks off.
pub async fn tell(say: Say, demo: Arc<Demo>, pace: Pace, service: &mut Option<Service>) -> Result<(), Trouble> {
    let mut comparer = Comparer::open(&demo.sites).await?;
    first_copy(say, &demo, &mut comparer, pace, service).await?;

    let mut stage = Stage::set(say, demo.clone(), pace.pause).await?;
    say.scene(2, "People at work at all sites at once");
    let mut crowd = Crowd::come(&demo, pace.people - scenes::RESERVED, &stage.lags).await?;
    say.line(
        "Simulated visitors log in, browse, edit profiles, register and leave, three at each site. Among them, by name \
              (the figure is the time from the commit there until it can be read at the other sites):",
    );
    let daemon = service.as_ref().map(|service| service.daemon.clone()).ok_or_else(|| Trouble("no daemon".into()))?;
    scenes::all(&mut stage, &daemon, pace.people).await?;
    drop(daemon);
    crowd.all_well()?;
    watch_crowd(&stage, &mut crowd, pace.crowd).await?;

    say.scene(3, "The daemon stops; the sites don't");
    let before = running(service)?.conflicts().await?;
    away(&mut stage, &mut crowd, pace, service).await?;
    crowd.measure();
    watch_crowd(&stage, &mut crowd, pace.crowd).await?;
    let (committed, slowest) = (crowd.committed(), crowd.slowest());
    crowd.leave().await?;

    say.scene(4, "Everybody has gone: are the sites equal?");
    let comparison = comparer.settle(SETTLE).await?;
    show(say, &demo, &comparison);
    verdict(&stage, &mut comparer, &comparison, running(service)?).await?;
    figures(&stage, running(service)?.conflicts().await?.max(before), committed, slowest);
    match service.take() {
        Some(service) => service.stop().await.map(|_| ()),
        None => Ok(()),
    }
}

async fn verdict(stage: &Stage, comparer: &mut Comparer<'_>, comparison: &Comparison, daemon: &Service) -> Result<(), Trouble> {
    let errors = daemon.last_errors();
    errors.iter().for_each(|error| stage.say.note(&format!("On the way the daemon had to try again: {error}")));
    if !comparison.is_equal() {
        comparison.differences.iter().take(10).for_each(|difference| stage.say.bad(difference));
        return Err(Trouble(format!("the sites differ in {} places", comparison.differences.len())));
    }
    let held_back = daemon.held_back().await?;
    if let Some(first) = held_back.first() {
        return Err(Trouble(format!("{} held back; the first: {first}", counted(held_back.len() as u64, "row"))));
    }
    own_accounts(stage, comparer).await?;
    let (rows, sites) = (number(comparison.rows() as u64), stage.demo.sites.len());
    stage.say.good(&format!("Every shared row is equal at all {sites} sites: {rows} rows, compared one by one."));
    Ok(())
}

fn figures(stage: &Stage, conflicts: u64, committed: u64, slowest: Duration) {
    if let Some((count, p50, p99, worst)) = stage.lags.summary() {
        let (count, p50, p99, worst) = (number(count as u64), span(p50), span(p99), span(worst));
        stage.say.line(&format!("Lag from commit to visible, measured {count} times: p50 {p50}, p99 {p99}, worst {worst}."));
    }
    let (committed, slowest) = (counted(committed, "transaction"), span(slowest));
    stage.say.line(&format!("The visitors' applications made {committed}; none failed, the slowest took {slowest}."));
    let conflicts = counted(conflicts, "conflict");
    stage.say.line(&format!("{conflicts} decided: the losing values are kept, nothing was overwritten unseen."));
}

fn running(service: &Option<Service>) -> Result<&Service, Trouble> {
    service.as_ref().ok_or_else(|| Trouble("the daemon is not running".into()))
}

async fn first_copy(say: Say, demo: &Demo, comparer: &mut Comparer<'_>, pace: Pace, service: &mut Option<Service>) -> Result<(), Trouble> {
    say.scene(1, "The daemon starts and copies what is there");
    let counts = comparer.counts().await?;
    let whole: u64 = counts.iter().sum();
    let begun = Instant::now();
    *service = Some(Service::start(&demo.config).await?);
    loop {
        let counts = comparer.counts().await?;
        let least = counts.iter().min().copied().unwrap_or_default();
        say.passing(&format!("{} {} of {} rows everywhere", bar(least, whole), number(least), number(whole)));
        if least >= whole {
            break;
        }
        if begun.elapsed() > COPY {
            return Err(Trouble(format!("after {} the sites have {counts:?} rows of {whole}; {}", span(COPY), trouble(service))));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    say.passed();
    say.done(&format!("{} rows are at every site", number(whole)), &format!("after {}", span(begun.elapsed())));
    let comparison = comparer.settle(SETTLE).await?;
    if let Some(difference) = comparison.differences.first() {
        return Err(Trouble(format!("after the first copy {} rows differ; the first: {difference}", comparison.differences.len())));
    }
    say.done("compared row by row: equal", "");
    say.note(&format!(
        "{} people came from the hub, 3 from {}. Each site's accounts 0 and 1 stayed its own.",
        number(pace.people),
        demo.sites[1].name
    ));
    tokio::time::sleep(pace.pause).await;
    Ok(())
}

fn trouble(service: &Option<Service>) -> String {
    let errors = service.as_ref().map(Service::last_errors).unwrap_or_default();
    if errors.is_empty() { "the daemon tells no error".into() } else { errors.join("; ") }
}

/// Lets the visitors work for a while, and says how it goes.
async fn watch_crowd(stage: &Stage, crowd: &mut Crowd, time: Duration) -> Result<(), Trouble> {
    let (begun, before) = (Instant::now(), crowd.committed());
    while begun.elapsed() < time {
        crowd.all_well()?;
        let lag = stage.lags.summary().map_or_else(String::new, |(_, p50, p99, _)| format!(", lag {} (99 %: {})", span(p50), span(p99)));
        stage.say.passing(&format!("visitors: {} transactions{lag}", number(crowd.committed() - before)));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.say.passed();
    let committed = crowd.committed() - before;
    let rate = committed as f64 / begun.elapsed().as_secs_f64();
    stage.say.done(&format!("visitors: {} transactions in {}", number(committed), span(begun.elapsed())), &format!("{rate:.0} a second"));
    Ok(())
}

/// The daemon is stopped under load, the sites go on writing, it is started again.
async fn away(stage: &mut Stage, crowd: &mut Crowd, pace: Pace, service: &mut Option<Service>) -> Result<(), Trouble> {
    crowd.stop_measuring().await?;
    let stopped = service.take().ok_or_else(|| Trouble("the daemon is not running".into()))?.stop().await?;
    stage.say.done("stopped, in the middle of it all", &format!("took {}", span(stopped)));

    let (before, begun) = (crowd.committed(), Instant::now());
    let (editor, uid) = (1, scenes::uid_of(pace.people, 3));
    for edit in 1..=EDITS_WHILE_AWAY {
        let mut profile =
            Profile::open(&mut stage.applications[editor], uid).await?.ok_or_else(|| Trouble(format!("user{uid} is gone")))?;
        profile.signature = format!("edit number {edit}");
        stage.commit(editor, &profile.save()).await?;
        tokio::time::sleep(pace.away / EDITS_WHILE_AWAY).await;
    }
    crowd.all_well()?;
    let missed = crowd.committed() - before;
    stage.say.done(&format!("meanwhile: {} transactions at the sites", number(missed)), &format!("in {}", span(begun.elapsed())));
    stage.say.done(&format!("among them user{uid} saves a profile {EDITS_WHILE_AWAY} times at {}", stage.name(editor)), "");
    catch_up(stage, service, editor, uid).await
}

/// Starts the daemon; what each site wrote last is waited for everywhere, and what the others show of the edits is watched.
async fn catch_up(stage: &mut Stage, service: &mut Option<Service>, editor: usize, uid: u64) -> Result<(), Trouble> {
    for site in 0..stage.demo.sites.len() {
        let grant = people::grant_role(uid, &format!("back-at-{}", stage.name(site)));
        stage.commit(site, &[grant]).await?;
    }
    let mut watched = Vec::new();
    for (_, site) in stage.demo.sites.iter().enumerate().filter(|(at, _)| *at != editor) {
        watched.push(tokio::spawn(shown(site.open().await?, uid)));
    }
    let begun = Instant::now();
    *service = Some(Service::start(&stage.demo.config).await?);
    stage.say.done("started again", &format!("follows after {}", span(begun.elapsed())));
    let query = format!("SELECT count(*) FROM users_roles WHERE uid = {uid} AND role LIKE 'back-at-%'");
    let expected = stage.demo.sites.len().to_string();
    let eyes = stage.eyes.iter_mut().collect();
    seen_by(eyes, &query, &expected, begun, DEADLINE).await?;
    stage.say.done("what was missed has arrived everywhere", &format!("after {}", span(begun.elapsed())));
    let mut writes = 0;
    for watch in watched {
        let edits = watch.await.map_err(|_| Trouble("an onlooker panicked".into()))??;
        if edits.last() != Some(&EDITS_WHILE_AWAY) || !edits.is_sorted() {
            return Err(Trouble(format!("user{uid}'s edits 1 to {EDITS_WHILE_AWAY} came to another site as {edits:?}")));
        }
        writes = writes.max(edits.len());
    }
    // A site's log is read in stretches, and what a stretch brings may leave before the next is read.
    let writes = if writes == 1 { "one write: the last".into() } else { format!("{writes} writes") };
    stage.say.done(&format!("user{uid}'s {EDITS_WHILE_AWAY} edits came as {writes}"), "rows, not a replay");
    Ok(())
}

/// The edits that can be read at a site, until the last.
async fn shown(mut db: Database, uid: u64) -> Result<Vec<u32>, Trouble> {
    let begun = Instant::now();
    let mut edits: Vec<u32> = Vec::new();
    while edits.last() != Some(&EDITS_WHILE_AWAY) && begun.elapsed() < DEADLINE {
        let signature = db.cell(&format!("SELECT signature FROM users WHERE uid = {uid}")).await?;
        if let Some(edit) = signature.strip_prefix("edit number ").and_then(|edit| edit.parse().ok())
            && edits.last() != Some(&edit)
        {
            edits.push(edit);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(edits)
}

fn show(say: Say, demo: &Demo, comparison: &Comparison) {
    let names: String = demo.sites.iter().map(|site| format!("{:>9}", site.name)).collect();
    say.verbatim(&format!("   {:<28}{names}", "rows in"));
    for (table, counts) in &comparison.counts {
        let cells: String = counts.iter().map(|count| format!("{:>9}", number(*count as u64))).collect();
        let wrong = comparison.differences.iter().filter(|difference| difference.starts_with(&format!("{table} ("))).count();
        let verdict = if wrong == 0 { "   equal".into() } else { format!("   {wrong} differ") };
        say.verbatim(&format!("   {table:<28}{cells}{verdict}"));
    }
}

/// What the filter leaves out has not been touched.
async fn own_accounts(stage: &Stage, comparer: &mut Comparer<'_>) -> Result<(), Trouble> {
    for (site, mail) in stage.demo.sites.iter().zip(comparer.own_mails().await?) {
        if mail != format!("admin@{}.example.net", site.name) {
            return Err(Trouble(format!("{}'s own administrator was changed: the mail address is now '{mail}'", site.name)));
        }
    }
    Ok(())
}
