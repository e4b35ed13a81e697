//! The demo's web sites: their databases, made and filled, and a rosterd configuration for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rosterd::config::{Config, Endpoint, SiteConfig};
use rosterd::model::SiteId;

use super::Trouble;
use super::database::{Database, Engine};
use super::people::{Profile, grant_role, login};

pub const TABLES: [&str; 6] =
    ["users", "sessions", "users_roles", "field_data_field_city", "field_revision_field_city", "cache_entity_user"];
const CLIENTS: [&str; 4] = ["shop", "forum", "wiki", "blog"];
const CITIES: [&str; 6] = ["Lisbon", "Oslo", "Quito", "Dakar", "Kyoto", "Perth"];
/// Each site gives out user numbers of its own residue class.
const CLASSES: u64 = 10;

/// A database that the person named, or one of the demo's own files.
pub struct Place {
    pub url: String,
    pub password_file: Option<PathBuf>,
}

pub struct DemoSite {
    pub name: String,
    pub engine: Engine,
    pub config: SiteConfig,
    class: u64,
    last_uid: AtomicU64,
}

impl DemoSite {
    pub async fn open(&self) -> Result<Database, Trouble> {
        Database::open(&self.config).await
    }

    /// A table that stands where one of the demo's would, or one of rosterd's.
    pub async fn used(&self) -> Result<Option<String>, Trouble> {
        let mut db = self.open().await?;
        let mut names = db.rows(self.engine.tables_query()).await?.into_iter().filter_map(|row| row.into_iter().next().flatten());
        Ok(names.find(|name| TABLES.contains(&name.as_str()) || name.starts_with("rosterd_")))
    }

    /// A number for a new person. Sites that register people at once never give the same.
    pub fn next_uid(&self) -> u64 {
        self.last_uid.fetch_add(CLASSES, Ordering::Relaxed) + CLASSES
    }
}

/// Everything that the demo made.
pub struct Demo {
    pub folder: PathBuf,
    pub config: Config,
    pub sites: Vec<DemoSite>,
}

impl Demo {
    /// Writes the configuration, reads it back as rosterd would, and gives the sites in its order.
    pub fn configure(folder: &Path, places: &[Place]) -> Result<Demo, Trouble> {
        let text = toml(places)?;
        let file = folder.join("rosterd.toml");
        std::fs::write(&file, &text).map_err(|cause| Trouble(format!("{} can't be written: {cause}", file.display())))?;
        let config = Config::parse(&text, &file).map_err(|error| Trouble(error.to_string()))?;
        let site = |(class, site): (usize, &SiteConfig)| DemoSite {
            name: site.name.clone(),
            engine: Engine::of(&site.endpoint),
            config: site.clone(),
            class: class as u64 + 1,
            last_uid: AtomicU64::new(0),
        };
        let sites = config.sites.iter().enumerate().map(site).collect();
        Ok(Demo { folder: folder.into(), config, sites })
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.join("rosterd.toml")
    }

    pub fn connector(&self, site: usize) -> Arc<dyn rosterd::sites::Site> {
        rosterd::daemon::connect(SiteId(site as u16 + 1), &self.sites[site].config, &self.config.daemon)
    }

    /// Makes the tables and the people there are before rosterd comes: `people` at the hub, three at the first client.
    pub async fn fill(&self, people: u64) -> Result<(), Trouble> {
        for site in &self.sites {
            let first = (people / 1000 + 1) * 1000;
            site.last_uid.store(first + site.class, Ordering::Relaxed);
            let mut db = site.open().await?;
            db.define(site.engine.schema()).await?;
            db.transaction(&own_accounts(site)).await?;
        }
        let hub = &self.sites[0];
        let mut db = hub.open().await?;
        let members: Vec<u64> = (2..people + 2).collect();
        for members in members.chunks(500) {
            let statements: Vec<String> = members.iter().flat_map(|uid| existing(hub.engine, *uid)).collect();
            db.transaction(&statements).await?;
        }
        let client = &self.sites[1];
        let mut db = client.open().await?;
        for name in ["fern", "thistle", "lichen"] {
            db.transaction(&Profile::new(client.next_uid(), name, "Quito").register(client.engine)).await?;
        }
        Ok(())
    }

    /// Removes what the demo made in databases that are not its own files. rosterd's part is removed by rosterd.
    pub async fn drop_tables(&self) -> Result<(), Trouble> {
        for (id, site) in self.sites.iter().enumerate() {
            if let Endpoint::Sqlite { path } = &site.config.endpoint
                && path.starts_with(&self.folder)
            {
                continue;
            }
            self.connector(id).dismantle().await.map_err(|error| Trouble(error.to_string()))?;
            let mut db = site.open().await?;
            let script: Vec<String> = TABLES.iter().map(|table| format!("DROP TABLE IF EXISTS {table}")).collect();
            db.define(&script.join(";")).await?;
        }
        Ok(())
    }
}

/// Accounts 0 and 1 are each site's own.
fn own_accounts(site: &DemoSite) -> Vec<String> {
    let account = |uid: u8, name: &str| {
        format!("INSERT INTO users (uid, name, mail, status) VALUES ({uid}, '{name}', '{name}@{}.example.net', {uid})", site.name)
    };
    vec![account(0, ""), account(1, "admin")]
}

fn existing(engine: Engine, uid: u64) -> Vec<String> {
    let city = CITIES[uid as usize % CITIES.len()];
    let mut statements = Profile::new(uid, &format!("user{uid}"), city).register(engine);
    if uid.is_multiple_of(10) {
        statements.push(grant_role(uid, "editor"));
    }
    if uid.is_multiple_of(25) {
        let [_, session] = login(engine, uid, &format!("before-{uid}"));
        statements.extend(session);
    }
    statements
}

fn toml(places: &[Place]) -> Result<String, Trouble> {
    let mut text = String::from(
        "# Made by `rosterd demo`: a hub and its clients, sharing the people of a Backdrop CMS.\n\n\
         [daemon]\nstate_dir = \"state\"\nlisten = \"\"\n",
    );
    for (at, place) in places.iter().enumerate() {
        let (name, role) = match at {
            0 => ("hub".to_owned(), "hub"),
            at => (CLIENTS.get(at - 1).map_or_else(|| format!("client{at}"), |name| (*name).to_owned()), "client"),
        };
        text += &format!("\n[[site]]\nname = \"{name}\"\nrole = \"{role}\"\nurl  = {}\n", quoted(&place.url));
        if let Some(file) = &place.password_file {
            let file = std::path::absolute(file).map_err(|cause| Trouble(format!("{}: {cause}", file.display())))?;
            text += &format!("password_file = {}\n", quoted(&file.display().to_string()));
        }
    }
    Ok(text + "\n[share]\npreset = \"backdrop\"\n")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
