//! Which database each site is: the one that it was, and no other site's.

use std::collections::HashMap;
use std::sync::Arc;

use super::session::{Failure, other};
use super::{Daemon, Member};
use crate::capture::lock;
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

/// Another database under a known name is never taken for the same one: its missing rows would be taken for deletes.
/// Neither is one database two sites. Gives the identity of another one that an operator wants to be compared.
pub(super) async fn identify(daemon: &Arc<Daemon>, member: &Arc<Member>) -> Result<Option<String>, Failure> {
    let identity = member.site.identity().await?;
    let id = member.id;
    if let Some(twin) = lock(&daemon.identities).claim(id, &identity)
        && let Some(twin) = daemon.members.iter().find(|member| member.id == twin)
    {
        let text = format!("it is the same database as site {}; correct the url of one of the two, or take one out", twin.config.name);
        return Err(other(member, &text, true));
    }
    let known = daemon.ledger.call(move |ledger| Ok(ledger.site(id).and_then(|site| site.identity.clone()))).await?;
    match known {
        Some(known) if known == identity => Ok(None),
        Some(_) if member.wanted().is_some() => Ok(Some(identity)),
        Some(_) => Err(other(
            member,
            "it is another database than before (moved, restored or replaced); if it holds the same people, `rosterd reconcile` compares it with the ledger",
            true,
        )),
        None => {
            daemon.ledger.call(move |ledger| ledger.identify(id, &identity)).await?;
            crate::crash_point!("site.identified", member.config.name);
            Ok(None)
        }
    }
}
