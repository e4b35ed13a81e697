//! Which database each site is: the one that it was, and no other site's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::session::{Failure, other};
use super::{Daemon, Member};
use crate::capture::continuity::{Remembered, Verdict, judge};
use crate::capture::lock;
use crate::ledger::Mode;
use crate::model::SiteId;

/// Which database each site was found to be, by this daemon.
#[derive(Default)]
pub struct Identities(HashMap<SiteId, String>);

impl Identities {
    /// Notes it, unless it is another site's already: gives that one.
    fn claim(&mut self, site: SiteId, identity: &str) -> Option<SiteId> {
        let twin = self.0.iter().find(|(other, known)| **other != site && *known == identity).map(|(other, _)| *other);
        match twin {
            Some(_) => self.0.remove(&site),
            None => self.0.insert(site, identity.to_owned()),
        };
        twin
    }
}

/// How a session begins with the database that answers.
#[derive(Default)]
pub(super) struct Beginning {
    /// Its tables are compared with the ledger in this mode, whatever an operator wants.
    pub mode: Option<Mode>,
    /// It is another database than before, and is the site from now on; its log is another one.
    pub moved: Option<String>,
}

/// Another database under a known name is never taken for the same one: its missing rows would be taken for deletes. Neither is one
/// database two sites, nor an older state of one what it was.
pub(super) async fn identify(daemon: &Arc<Daemon>, member: &Arc<Member>) -> Result<Beginning, Failure> {
    if daemon.outdated.load(Ordering::Relaxed) {
        return Err(other(member, LEDGER_OLDER, true));
    }
    let identity = member.site.identity().await?;
    let id = member.id;
    if let Some(twin) = lock(&daemon.identities).claim(id, &identity)
        && let Some(twin) = daemon.members.iter().find(|member| member.id == twin)
    {
        let text = format!("it is the same database as site {}; correct the url of one of the two, or take one out", twin.config.name);
        return Err(other(member, &text, true));
    }
    let record = daemon.ledger.call(move |ledger| Ok(ledger.site(id).cloned())).await?;
    let past = member.site.past(record.as_ref().and_then(|record| record.position.as_ref())).await?;
    let found = identity.clone();
    let judged = daemon.ledger.call(move |ledger| {
        let known = Remembered {
            ledger: ledger.id,
            site: id,
            identity: record.as_ref().and_then(|record| record.identity.as_deref()),
            marked: record.as_ref().and_then(|record| record.marked),
        };
        Ok((judge(&known, &found, &past, |marker| ledger.is_from_later(marker)), ledger.is_rebuilt()?))
    });
    let (verdict, rebuilt) = judged.await?;
    let asked = member.wanted().is_some();
    match verdict {
        Verdict::Same => Ok(Beginning::default()),
        Verdict::OtherLedger if !rebuilt => Err(other(member, OTHER_LEDGER, true)),
        Verdict::New | Verdict::OtherLedger => {
            daemon.ledger.call(move |ledger| ledger.identify(id, &identity)).await?;
            crate::crash_point!("site.identified", member.config.name);
            Ok(Beginning::default())
        }
        Verdict::TookOver => {
            tracing::warn!(
                site = member.config.name,
                "another server answers, with the same transactions in its log (a failover): it goes on by them"
            );
            daemon.ledger.call(move |ledger| ledger.identify(id, &identity)).await?;
            Ok(Beginning::default())
        }
        _ if asked => Ok(Beginning { mode: None, moved: Some(identity) }),
        Verdict::Moved => {
            tracing::warn!(
                site = member.config.name,
                "another database answers, with all that was known of this site (moved, or restored without loss): what people changed \
                 there meanwhile is found by comparing"
            );
            Ok(Beginning { mode: Some(Mode::Gap), moved: Some(identity) })
        }
        Verdict::Older => {
            tracing::warn!(
                site = member.config.name,
                "the database is an earlier state of this site (a backup, or a replica that had not got everything): what it lacks is \
                 put back, and what differs is kept in the history of conflicts"
            );
            Ok(Beginning { mode: Some(Mode::Restored), moved: Some(identity) })
        }
        Verdict::Stranger => Err(other(member, STRANGER, true)),
        Verdict::LedgerOlder => {
            daemon.outdated.store(true, Ordering::Relaxed);
            daemon.members.iter().filter(|other| other.id != id).for_each(|other| other.again());
            Err(other(member, LEDGER_OLDER, true))
        }
    }
}

const STRANGER: &str = "it is another database than before, and nothing in it says that it has ever been this site; correct the url, or if it \
     holds the same people, `rosterd reconcile` compares it with the ledger";
const OTHER_LEDGER: &str = "another ledger's markers are in its table rosterd_marker: another rosterd serves it, or the ledger that did was lost; \
     put that ledger back into state_dir, or `rosterd run --rebuild` makes a new one from the sites. If the database is only a copy of one that is \
     served elsewhere, drop rosterd_marker there";
const LEDGER_OLDER: &str = "it has had writes that this ledger knows nothing of: an old copy of the ledger was put back. Nothing is read or written, as \
     old values would go out; put the latest ledger back, or `rosterd run --rebuild` makes a new one from the sites";
