//! One log reader for all sites that live on one server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::capture::lock;
use crate::model::{LogItem, Position, SiteId};
use crate::sites::ahead::{self, Receiver, Sender};
use crate::sites::{Cause, Error, LogMember, LogReader, Site};

/// Log items that wait for one site's ledger transaction, at most.
const ITEMS_MAX: usize = 4096;
const ITEMS_KB_MAX: u32 = 16 << 10;

/// A site's end of a shared reader.
pub struct Subscription {
    pub items: Receiver<LogItem>,
    /// The error that ended the reader, once `items` has ended.
    pub failure: Arc<Mutex<Option<Error>>>,
}

struct Member {
    log: LogMember,
    items: Sender<LogItem>,
    failure: Arc<Mutex<Option<Error>>>,
}

enum Command {
    Join(Arc<dyn Site>, Box<Member>),
}

/// The readers at work, by the key that sites on one server have in common.
#[derive(Default)]
pub struct Readers(Mutex<HashMap<String, Group>>);

struct Group {
    commands: mpsc::UnboundedSender<Command>,
    acknowledgements: mpsc::UnboundedSender<(SiteId, Position)>,
}

impl Readers {
    /// Adds a site to the reader of its server, starting it when it is the first, and gives the items of its log from `log.from` on.
    pub fn subscribe(&self, site: Arc<dyn Site>, log: LogMember) -> (Subscription, mpsc::UnboundedSender<(SiteId, Position)>) {
        let (sender, items) = ahead::queue(ITEMS_MAX, ITEMS_KB_MAX);
        let failure = Arc::new(Mutex::new(None));
        let mut member = Box::new(Member { log, items: sender, failure: failure.clone() });
        let mut groups = lock(&self.0);
        let key = site.log_key();
        loop {
            let group = groups.entry(key.clone()).or_insert_with(Group::start);
            match group.commands.send(Command::Join(site.clone(), member)) {
                Ok(()) => return (Subscription { items, failure }, group.acknowledgements.clone()),
                Err(mpsc::error::SendError(Command::Join(_, back))) => {
                    member = back;
                    groups.remove(&key);
                }
            }
        }
    }
}

impl Group {
    fn start() -> Group {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (acknowledgements, acknowledged) = mpsc::unbounded_channel();
        tokio::spawn(serve(inbox, acknowledged));
        Group { commands, acknowledgements }
    }
}

/// Reads for the members there are; each time one joins or leaves, the log is opened anew where all have got to.
async fn serve(mut inbox: mpsc::UnboundedReceiver<Command>, mut acknowledged: mpsc::UnboundedReceiver<(SiteId, Position)>) {
    let mut members: HashMap<SiteId, Box<Member>> = HashMap::new();
    while let Some(Command::Join(site, member)) = inbox.recv().await {
        let mut site = site;
        join(&mut members, member);
        while !members.is_empty() {
            while let Ok(Command::Join(other, member)) = inbox.try_recv() {
                site = other;
                join(&mut members, member);
            }
            let logs: Vec<LogMember> = members.values().map(|member| member.log.clone()).collect();
            let end = match site.open_log(logs).await {
                Ok(reader) => read(reader, &mut members, &mut inbox, &mut acknowledged).await,
                Err(error) => End::Failed(error),
            };
            match end {
                End::Joined(other, member) => {
                    site = other;
                    join(&mut members, member);
                }
                End::Left => {}
                End::Failed(error) => fail(&mut members, error),
            }
        }
    }
}

enum End {
    Joined(Arc<dyn Site>, Box<Member>),
    Left,
    Failed(Error),
}

fn join(members: &mut HashMap<SiteId, Box<Member>>, member: Box<Member>) {
    members.insert(member.log.site, member);
}

fn fail(members: &mut HashMap<SiteId, Box<Member>>, error: Error) {
    let (cause, text, advice) = (error.cause, error.message.clone(), error.advice.clone());
    let mut first = Some(error);
    for (_, member) in members.drain() {
        let error = first.take().unwrap_or_else(|| {
            let again = Error::new(cause, member.log.name.clone(), text.clone());
            if let Some(advice) = &advice { again.advice(advice.clone()) } else { again }
        });
        *lock(&member.failure) = Some(error);
    }
}

async fn read(
    mut reader: Box<dyn LogReader>,
    members: &mut HashMap<SiteId, Box<Member>>,
    inbox: &mut mpsc::UnboundedReceiver<Command>,
    acknowledged: &mut mpsc::UnboundedReceiver<(SiteId, Position)>,
) -> End {
    loop {
        let item = tokio::select! {
            biased;
            Some((site, position)) = acknowledged.recv() => {
                if let Err(error) = reader.acknowledge(site, &position).await {
                    return End::Failed(error);
                }
                crate::crash_point!("log.acknowledged", members.get(&site).map_or("", |member| member.log.name.as_str()));
                continue;
            }
            command = inbox.recv() => match command {
                Some(Command::Join(site, member)) => return End::Joined(site, member),
                None => return End::Failed(Error::new(Cause::Disconnected, "", "the daemon is stopping")),
            },
            () = someone_leaves(members) => {
                members.retain(|_, member| !member.items.is_closed());
                return End::Left;
            }
            item = reader.next() => item,
        };
        let item = match item {
            Ok(item) => item,
            Err(error) => return End::Failed(error),
        };
        let Some(member) = members.get_mut(&item.site()) else { continue };
        if let Some(position) = item.position() {
            member.log.from = position.clone();
        }
        let bytes = item.weight();
        let _ = member.items.send(item, bytes).await;
    }
}

async fn someone_leaves(members: &HashMap<SiteId, Box<Member>>) {
    let gone = members.values().map(|member| Box::pin(member.items.closed()));
    futures_util::future::select_all(gone).await;
}
