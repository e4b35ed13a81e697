//! `rosterd demo`: the whole thing at work, on databases made up for the purpose.

mod compare;
mod crowd;
mod database;
mod lag;
mod people;
mod say;
mod scenes;
mod service;
mod sites;
mod stage;
mod story;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::Exit;
use say::{Say, number};
use service::Service;
use sites::Place;
use story::Pace;

/// See rosterd at work: a hub and two clients with made-up people, in SQLite files or in databases that you name
///
/// It takes about half a minute and asks nothing. Exit code 0: everything was as it has to be.
#[derive(Args)]
pub struct Demo {
    /// Keep the databases, the configuration and the daemon's log in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// An empty database to be the hub: mysql://, mariadb://, postgres:// or sqlite://
    #[arg(long, value_name = "URL", requires = "client")]
    hub: Option<String>,
    /// An empty database to be a client; may be given several times
    #[arg(long, value_name = "URL", requires = "hub")]
    client: Vec<String>,
    /// File (mode 600) with the password of the accounts in the URLs
    #[arg(long, value_name = "FILE", requires = "hub")]
    password_file: Option<PathBuf>,
    /// The same with fewer people and less time to read along
    #[arg(long, hide = true)]
    quick: bool,
}

/// Why the demo ends early, in words.
#[derive(Debug)]
pub struct Trouble(pub String);

impl Demo {
    pub async fn run(&self) -> Exit {
        let say = Say::new();
        let folder = match self.folder() {
            Ok(folder) => folder,
            Err(Trouble(text)) => return Exit::Usage(text),
        };
        log_to(&folder.join("rosterd.log"));
        let mut keep = self.keep.is_some();
        let exit = match self.prepare(say, &folder).await {
            Err(Trouble(text)) => {
                say.bad(&text);
                keep = true;
                Exit::Unreachable(String::new())
            }
            Ok(demo) => {
                let demo = Arc::new(demo);
                let told = self.tell(say, demo.clone()).await;
                keep |= matches!(told, Err(Some(_)));
                self.tidy(say, &demo, keep).await;
                self.end(say, &demo, told)
            }
        };
        if !keep {
            let _ = std::fs::remove_dir_all(&folder);
        }
        exit
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        if self.quick {
            return Pace { pause: ms(0), crowd: ms(500), away: ms(500), people: 200 };
        }
        Pace { pause: ms(500), crowd: ms(4000), away: ms(2500), people: 2000 }
    }

    /// A new folder of ours alone.
    fn folder(&self) -> Result<PathBuf, Trouble> {
        let folder = self.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("rosterd-demo-{}", std::process::id())));
        let folder = std::path::absolute(&folder).map_err(|cause| Trouble(format!("{}: {cause}", folder.display())))?;
        let refused = |why: &str| Trouble(format!("{} {why}; name a folder that is not there yet, or an empty one", folder.display()));
        match std::fs::read_dir(&folder) {
            Ok(mut entries) => match entries.next() {
                None => Ok(folder),
                Some(_) => Err(refused("is not empty")),
            },
            Err(_) => {
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
                made.map_err(|cause| refused(&format!("can't be made: {cause}")))?;
                Ok(folder)
            }
        }
    }

    fn places(&self, folder: &Path) -> Vec<Place> {
        let Some(hub) = &self.hub else {
            let file = |name: &str| Place { url: format!("sqlite:{name}.sqlite"), password_file: None };
            let _ = folder;
            return vec![file("hub"), file("shop"), file("forum")];
        };
        let place = |url: &String| {
            let password_file = self.password_file.clone().filter(|_| !url.starts_with("sqlite"));
            Place { url: url.clone(), password_file }
        };
        std::iter::once(hub).chain(&self.client).map(place).collect()
    }

    async fn prepare(&self, say: Say, folder: &Path) -> Result<sites::Demo, Trouble> {
        let demo = sites::Demo::configure(folder, &self.places(folder))?;
        if self.hub.is_some() {
            demo.refuse_used().await?;
        }
        let people = self.pace().people;
        say.title(&format!("rosterd demo: {} web sites, {} databases, one roster of people", demo.sites.len(), demo.sites.len()));
        let filled = demo.fill(people).await;
        if let Err(trouble) = filled {
            let _ = demo.drop_tables().await;
            return Err(trouble);
        }
        let daemon = &demo.config.daemon;
        for (at, site) in demo.sites.iter().enumerate() {
            let who = match at {
                0 => format!("{} people", number(people)),
                1 => "3 people of its own".into(),
                _ => "nobody yet".into(),
            };
            let connector = rosterd::daemon::connect(rosterd::model::SiteId(at as u16 + 1), &site.config, daemon);
            say.verbatim(&format!("   {:<8}{who:<22}{}", site.name, connector.address()));
        }
        Ok(demo)
    }

    /// The story, unless it is interrupted: then Err(None).
    async fn tell(&self, say: Say, demo: Arc<sites::Demo>) -> Result<(), Option<Trouble>> {
        let mut service: Option<Service> = None;
        let told = tokio::select! {
            told = story::tell(say, demo, self.pace(), &mut service) => told.map_err(Some),
            _ = tokio::signal::ctrl_c() => Err(None),
        };
        say.passed();
        if let Some(service) = service.take()
            && let Err(Trouble(text)) = service.stop().await
        {
            say.bad(&text);
        }
        told
    }

    /// Databases of other people are left as they were found, unless they are to be kept.
    async fn tidy(&self, say: Say, demo: &sites::Demo, keep: bool) {
        if self.hub.is_none() || keep {
            return;
        }
        match demo.drop_tables().await {
            Ok(()) => say.line("The demo's tables are dropped again."),
            Err(Trouble(text)) => say.bad(&format!("The demo's tables could not all be dropped: {text}")),
        }
    }

    fn end(&self, say: Say, demo: &sites::Demo, told: Result<(), Option<Trouble>>) -> Exit {
        match told {
            Ok(()) => {
                self.try_next(say, demo);
                Exit::Fine
            }
            Err(None) => {
                say.line("Interrupted. Nothing is left behind.");
                Exit::BadNews
            }
            Err(Some(Trouble(text))) => {
                say.bad(&format!("Something is not as it has to be: {text}"));
                say.line(&format!("Everything is kept for a look, the daemon's log too: {}", demo.folder.display()));
                Exit::BadNews
            }
        }
    }

    fn try_next(&self, say: Say, demo: &sites::Demo) {
        say.title("Try next");
        if self.keep.is_some() {
            let config = demo.config_file();
            say.verbatim(&format!("   rosterd --config {} status", config.display()));
            say.verbatim(&format!("   rosterd --config {} conflicts", config.display()));
            if self.hub.is_none() {
                let file = demo.folder.join("forum.sqlite");
                say.verbatim(&format!("   sqlite3 {} 'SELECT * FROM users LIMIT 5'", file.display()));
            }
            return;
        }
        say.verbatim("   rosterd demo --keep DIR    the same, and the databases stay for a look");
        say.verbatim("   rosterd init               write a configuration for sites of your own");
        say.verbatim("   README.md                  how it works, and what it needs");
    }
}

/// The daemon's log goes to a file: the terminal is the story's.
fn log_to(path: &Path) {
    let Ok(file) = std::fs::File::create(path) else { return };
    let filter = tracing_subscriber::EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(file).with_ansi(false).with_target(false);
    let _ = log.try_init();
}
