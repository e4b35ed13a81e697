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
#[command(after_help = "Examples:\n  rosterd demo\n  rosterd demo --keep ./demo")]
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
        let exit = match self.configure(&folder).await {
            Ok(demo) => self.show(say, Arc::new(demo)).await,
            Err(exit) => exit,
        };
        if self.keep.is_none() && !matches!(exit, Exit::BadNews) {
            let _ = std::fs::remove_dir_all(&folder);
        }
        exit
    }

    /// Everything after the first write to a database: whatever comes of it, what was made is tidied away.
    async fn show(&self, say: Say, demo: Arc<sites::Demo>) -> Exit {
        let mut service: Option<Service> = None;
        let told = tokio::select! {
            told = self.tell(say, demo.clone(), &mut service) => told.map_err(Some),
            () = interrupted() => Err(None),
        };
        say.passed();
        if let Some(service) = service.take()
            && let Err(Trouble(text)) = service.stop().await
        {
            say.bad(&text);
        }
        self.tidy(say, &demo).await;
        self.end(say, &demo, told)
    }

    async fn tell(&self, say: Say, demo: Arc<sites::Demo>, service: &mut Option<Service>) -> Result<(), Trouble> {
        self.make(say, &demo).await?;
        story::tell(say, demo, self.pace(), service).await
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        if self.quick {
            return Pace { pause: ms(0), crowd: ms(500), away: ms(500), people: 200 };
        }
        Pace { pause: ms(500), crowd: ms(3000), away: ms(2000), people: 2000 }
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

    fn places(&self) -> Vec<Place> {
        let Some(hub) = &self.hub else {
            let file = |name| Place { url: format!("sqlite:{name}.sqlite"), password_file: None };
            return ["hub", "shop", "forum"].map(file).into();
        };
        let place = |url: &String| match url.strip_prefix("sqlite:").filter(|path| !path.starts_with('/')) {
            // Where the person is, not where the configuration is.
            Some(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
                Place { url: format!("sqlite:{}", path.display()), password_file: None }
            }
            None => Place { url: url.clone(), password_file: self.password_file.clone().filter(|_| !url.starts_with("sqlite")) },
        };
        std::iter::once(hub).chain(&self.client).map(place).collect()
    }

    /// Nothing is written to any database yet.
    async fn configure(&self, folder: &Path) -> Result<sites::Demo, Exit> {
        let demo = sites::Demo::configure(folder, &self.places()).map_err(|Trouble(text)| Exit::Usage(text))?;
        if self.hub.is_some() {
            for site in &demo.sites {
                let used = site.used().await.map_err(|Trouble(text)| Exit::Unreachable(text))?;
                if let Some(table) = used {
                    return Err(Exit::Usage(format!(
                        "{}'s database has a table {table} already: the demo makes its own and touches nobody's; name an empty database",
                        site.name
                    )));
                }
            }
        }
        Ok(demo)
    }

    async fn make(&self, say: Say, demo: &sites::Demo) -> Result<(), Trouble> {
        let (people, sites) = (self.pace().people, demo.sites.len());
        say.title(&format!("rosterd demo: {sites} web sites, {sites} databases, one roster of people"));
        demo.fill(people).await?;
        for (at, site) in demo.sites.iter().enumerate() {
            let who = match at {
                0 => format!("{} people", number(people)),
                1 => "3 people of its own".into(),
                _ => "nobody yet".into(),
            };
            say.verbatim(&format!("   {:<8}{who:<21}{}", site.name, demo.connector(at).address()));
        }
        Ok(())
    }

    /// Databases that the person named are left as they were found, unless they are to be kept.
    async fn tidy(&self, say: Say, demo: &sites::Demo) {
        if self.hub.is_none() || self.keep.is_some() {
            return;
        }
        match demo.drop_tables().await {
            Ok(()) => say.line("What the demo made in your databases has been dropped again."),
            Err(Trouble(text)) => say.bad(&format!("What the demo made in your databases could not all be dropped: {text}")),
        }
    }

    fn end(&self, say: Say, demo: &sites::Demo, told: Result<(), Option<Trouble>>) -> Exit {
        match told {
            Ok(()) => {
                self.try_next(say, demo);
                Exit::Fine
            }
            Err(None) => Exit::Usage("interrupted".into()),
            Err(Some(Trouble(text))) => {
                say.bad(&format!("Something is not as it has to be: {text}"));
                say.line(&format!("Files and the daemon's log are kept for a look in {}", demo.folder.display()));
                Exit::BadNews
            }
        }
    }

    fn try_next(&self, say: Say, demo: &sites::Demo) {
        say.title("Try next");
        let program = std::env::args().next().unwrap_or_else(|| "rosterd".into());
        if self.keep.is_some() {
            let config = demo.config_file();
            say.verbatim(&format!("   {program} --config {} status", config.display()));
            say.verbatim(&format!("   {program} --config {} conflicts", config.display()));
            if self.hub.is_none() {
                let file = demo.folder.join("forum.sqlite");
                say.verbatim(&format!("   sqlite3 {} 'SELECT * FROM users LIMIT 5'", file.display()));
            }
            return;
        }
        say.verbatim(&format!("   {program} demo --keep DIR   the same, and the databases stay for a look"));
        say.verbatim(&format!("   {program} init --help       write a configuration for sites of your own"));
        say.verbatim("   README.md: what it is for, how it works, what it needs");
    }
}

/// Ctrl-C, or a polite kill.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The daemon's log goes to a file: the terminal is the story's.
fn log_to(path: &Path) {
    let Ok(file) = std::fs::File::create(path) else { return };
    let filter = tracing_subscriber::EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(file).with_ansi(false).with_target(false);
    let _ = log.try_init();
}
