//! Visitors at every site at once, each on a connection of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Trouble;
use super::database::{Database, Engine};
use super::lag::{Eye, Lags, seen_by};
use super::people::{self, Profile};
use super::sites::Demo;

const VISITORS_PER_SITE: u64 = 3;
/// Between two things that a visitor does.
const THINK_MS: u64 = 30;
const DEADLINE: Duration = Duration::from_secs(30);
const CITIES: [&str; 5] = ["Turin", "Ghent", "Izmir", "Busan", "Recife"];
const ZONES: [&str; 3] = ["UTC", "Asia/Tokyo", "America/Lima"];

/// What the story and the visitors tell each other.
pub struct Crowd {
    state: Arc<Shared>,
    visitors: JoinSet<Result<(), Trouble>>,
}

#[derive(Default)]
struct Shared {
    leaving: AtomicBool,
    /// Lags are measured while the daemon is there.
    measuring: AtomicBool,
    waiting: AtomicU64,
    committed: AtomicU64,
    slowest: Mutex<Duration>,
    lags: Lags,
}

impl Crowd {
    /// `people`: how many of the hub's existing people they act as.
    pub async fn come(demo: &Arc<Demo>, people: u64, lags: &Lags) -> Result<Crowd, Trouble> {
        let state = Arc::new(Shared { lags: lags.clone(), measuring: AtomicBool::new(true), ..Shared::default() });
        let mut visitors = JoinSet::new();
        for site in 0..demo.sites.len() {
            for number in 0..VISITORS_PER_SITE {
                let visitor = Visitor::new(demo.clone(), site, number, people, state.clone()).await?;
                visitors.spawn(visitor.stay());
            }
        }
        Ok(Crowd { state, visitors })
    }

    pub fn committed(&self) -> u64 {
        self.state.committed.load(Ordering::Relaxed)
    }

    /// The longest that one of their transactions took.
    pub fn slowest(&self) -> Duration {
        *self.state.slowest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when a visitor's application did.
    pub fn all_well(&mut self) -> Result<(), Trouble> {
        while let Some(ended) = self.visitors.try_join_next() {
            ended.map_err(|_| Trouble("a simulated application panicked".into()))??;
        }
        Ok(())
    }

    /// They go on, but nobody waits for the other sites until [`Crowd::measure`].
    pub async fn stop_measuring(&mut self) -> Result<(), Trouble> {
        self.state.measuring.store(false, Ordering::SeqCst);
        while self.state.waiting.load(Ordering::SeqCst) > 0 {
            self.all_well()?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    pub fn measure(&self) {
        self.state.measuring.store(true, Ordering::SeqCst);
    }

    /// All finish what they are doing and go.
    pub async fn leave(mut self) -> Result<(), Trouble> {
        self.state.leaving.store(true, Ordering::SeqCst);
        while let Some(ended) = self.visitors.join_next().await {
            ended.map_err(|_| Trouble("a simulated application panicked".into()))??;
        }
        Ok(())
    }
}

struct Visitor {
    demo: Arc<Demo>,
    site: usize,
    name: String,
    db: Database,
    eyes: Vec<Eye>,
    people: u64,
    dice: u64,
    steps: u64,
    registered: Vec<u64>,
    session: Option<(u64, String)>,
    state: Arc<Shared>,
}

impl Visitor {
    async fn new(demo: Arc<Demo>, site: usize, number: u64, people: u64, state: Arc<Shared>) -> Result<Visitor, Trouble> {
        let db = demo.sites[site].open().await?;
        let mut eyes = Vec::new();
        for (_, other) in demo.sites.iter().enumerate().filter(|(at, _)| *at != site) {
            eyes.push(Eye::at(other).await?);
        }
        let name = format!("{}{number}", demo.sites[site].name);
        let dice = 0x9E37_79B9_7F4A_7C15 ^ ((site as u64 + 1) << 32) ^ (number + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        Ok(Visitor { demo, site, name, db, eyes, people, dice, steps: 0, registered: Vec::new(), session: None, state })
    }

    async fn stay(mut self) -> Result<(), Trouble> {
        while !self.state.leaving.load(Ordering::SeqCst) {
            self.steps += 1;
            let acted = self.act().await;
            acted.map_err(|Trouble(text)| {
                Trouble(format!("a simulated application at {} failed: {text}", self.demo.sites[self.site].name))
            })?;
            let think = THINK_MS / 2 + self.roll(THINK_MS);
            tokio::time::sleep(Duration::from_millis(think)).await;
        }
        Ok(())
    }

    async fn act(&mut self) -> Result<(), Trouble> {
        if self.session.is_none() {
            return self.log_in().await;
        }
        match self.roll(20) {
            0..5 => self.view_page().await,
            5..8 => self.save_form().await,
            8..14 => self.edit_profile().await,
            14..15 => self.change_role().await,
            15..16 => self.register().await,
            16..17 => self.delete_account().await,
            _ => self.log_out().await,
        }
    }

    async fn log_in(&mut self) -> Result<(), Trouble> {
        let uid = 2 + self.roll(self.people);
        let chance = self.roll(u64::MAX);
        let sid = format!("{}-{}-{chance:016x}", self.name, self.steps);
        for statements in people::login(self.engine(), uid, &sid) {
            self.commit(&statements).await?;
        }
        let committed = Instant::now();
        self.session = Some((uid, sid.clone()));
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        let seen = if self.state.measuring.load(Ordering::SeqCst) && self.steps.is_multiple_of(2) {
            let query = format!("SELECT count(*) FROM sessions WHERE sid = '{sid}'");
            seen_by(self.eyes.iter_mut().collect(), &query, "1", committed, DEADLINE).await
        } else {
            Ok(Vec::new())
        };
        self.state.waiting.fetch_sub(1, Ordering::SeqCst);
        seen?.into_iter().for_each(|(_, lag)| self.state.lags.add(lag));
        Ok(())
    }

    async fn view_page(&mut self) -> Result<(), Trouble> {
        let (uid, sid) = self.visiting();
        for statements in people::page_view(uid, &sid) {
            self.commit(&statements).await?;
        }
        Ok(())
    }

    async fn save_form(&mut self) -> Result<(), Trouble> {
        let (uid, sid) = self.visiting();
        for what in [format!("uid|i:{uid};form|i:{};", self.steps), format!("uid|i:{uid};")] {
            self.commit(&people::remember(self.engine(), &sid, &what)).await?;
        }
        Ok(())
    }

    async fn edit_profile(&mut self) -> Result<(), Trouble> {
        let (uid, _) = self.visiting();
        let Some(mut profile) = Profile::open(&mut self.db, uid).await? else { return Ok(()) };
        match self.roll(3) {
            0 => profile.city = CITIES[self.roll(CITIES.len() as u64) as usize].into(),
            1 => profile.timezone = ZONES[self.roll(ZONES.len() as u64) as usize].into(),
            _ => profile.signature = format!("written at {} ({})", self.name, self.steps),
        }
        self.commit(&profile.save()).await
    }

    async fn change_role(&mut self) -> Result<(), Trouble> {
        let (uid, _) = self.visiting();
        let Some(profile) = Profile::open(&mut self.db, uid).await? else { return Ok(()) };
        let role = format!("team-{}", self.name);
        let has = self.db.cell(&format!("SELECT count(*) FROM users_roles WHERE uid = {uid} AND role = '{role}'")).await?;
        let change = if has == "0" { people::grant_role(uid, &role) } else { people::revoke_role(uid, &role) };
        self.commit(&[profile.save(), vec![change]].concat()).await
    }

    async fn register(&mut self) -> Result<(), Trouble> {
        let uid = self.demo.sites[self.site].next_uid();
        self.commit(&Profile::new(uid, &format!("user{uid}"), "Dakar").register(self.engine())).await?;
        self.registered.push(uid);
        Ok(())
    }

    async fn delete_account(&mut self) -> Result<(), Trouble> {
        let Some(uid) = self.registered.pop() else { return Ok(()) };
        self.commit(&people::delete_account(uid)).await
    }

    async fn log_out(&mut self) -> Result<(), Trouble> {
        let (_, sid) = self.visiting();
        self.session = None;
        self.commit(&people::logout(&sid)).await
    }

    async fn commit(&mut self, statements: &[String]) -> Result<(), Trouble> {
        let begun = Instant::now();
        self.db.transaction(statements).await?;
        let took = begun.elapsed();
        let mut slowest = self.state.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = took.max(*slowest);
        self.state.committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn visiting(&self) -> (u64, String) {
        self.session.clone().unwrap_or_default()
    }

    fn engine(&self) -> Engine {
        self.demo.sites[self.site].engine
    }

    /// A number below `below`, the same in every run (xorshift).
    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }
}
