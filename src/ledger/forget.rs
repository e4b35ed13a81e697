//! A site leaves the roster: what the ledger keeps about it goes, and nobody waits for it any more.

use rusqlite::params;

use super::{Freshness, Ledger, Result};
use crate::model::{SiteId, TableId};

impl Ledger {
    /// Forgets a site, in one transaction. Its number stays taken: dots of its changes name it. Tables must be bound.
    pub fn forget_site(&mut self, site: SiteId) -> Result<()> {
        self.begin()?;
        match self.forget_all_of(site) {
            Ok(()) => {
                crate::crash_point!("remove.forgetting", "");
                self.commit()
            }
            Err(error) => {
                self.rollback()?;
                Err(error)
            }
        }
    }

    fn forget_all_of(&mut self, site: SiteId) -> Result<()> {
        for statement in ["DELETE FROM site_table WHERE site = ?1", "DELETE FROM quarantine WHERE site = ?1"] {
            self.db.execute(statement, [site.0])?;
        }
        self.db.execute("DELETE FROM meta WHERE name = ?1", [super::reading::paused_name(site)])?;
        // A name may come back as another site.
        self.db.execute(
            "UPDATE site SET role = 'removed', name = name || ' (removed, number ' || id || ')',
                 identity = NULL, position = NULL WHERE id = ?1",
            params![site.0],
        )?;
        self.sites.retain(|record| record.id != site);
        self.progress.retain(|(of, _), _| *of != site);
        self.refresh_known();
        self.quarantined.retain(|(of, _)| *of != site);
        self.queues.remove(&site);
        self.under_way.remove(&site);
        self.heard.remove(&site);
        self.unheard_before.remove(&site);
        for shared in &mut self.shared {
            shared.roster.sites.retain(|view| view.id != site);
        }
        let tables: Vec<TableId> = self.shared.iter().map(|shared| shared.table.id).collect();
        tables.into_iter().try_for_each(|table| self.forget_in_table(table, site))
    }

    /// Storing a row drops what it says of sites that are not in the roster; tombstones that only waited for this one go.
    fn forget_in_table(&mut self, table: TableId, site: SiteId) -> Result<()> {
        self.each_row(table, |ledger, id, key, row| match row.held(site).is_some() || !row.life.exists() {
            true => ledger.store(table, &key, Some(id), row, Freshness::BULK),
            false => Ok(()),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::{Shared, TableProgress};
    use crate::model::{Column, Dot, Family, Key, Life, Table, Value};
    use crate::resolve::{Held, Known, Register, Roster, Row, SiteView, TablePolicy};

    pub(in crate::ledger) fn ledger_of_two() -> (Ledger, Vec<SiteId>, TableId) {
        let mut ledger = Ledger::in_memory().unwrap();
        let sites = ledger.register_sites(&["hub", "nj"]).unwrap();
        let (id, _) = ledger.register_table("users", &["uid".into()], &["uid".into()]).unwrap();
        bind_two(&mut ledger, &sites, id);
        (ledger, sites, id)
    }

    pub(in crate::ledger) fn bind_two(ledger: &mut Ledger, sites: &[SiteId], id: TableId) {
        let column = Column { name: "uid".into(), family: Family::Integer, secret: false };
        let table = Arc::new(Table { id, name: "users".into(), key: vec![0], columns: vec![column], urgent: false });
        let view = |id: &SiteId| SiteView { id: *id, rank: id.0, has: vec![true], known: Known::Merged };
        let roster = Roster { sites: sites.iter().map(view).collect() };
        ledger.bind(vec![Shared::new(table, TablePolicy::plain(1), None, roster)]).unwrap();
        for site in sites {
            let mut progress = TableProgress::first();
            progress.phase = crate::ledger::Phase::Done;
            ledger.set_progress(*site, id, progress).unwrap();
        }
    }

    pub(in crate::ledger) fn held(site: SiteId, life: u32) -> Held {
        Held { site, seen: 0, life: Life(life), columns: Vec::new(), since: 0, bulk: false, apart: false }
    }

    #[test]
    fn a_removed_site_is_owed_nothing_and_its_number_is_not_given_again() {
        let (mut ledger, sites, table) = ledger_of_two();
        let key = |uid| Key(vec![Value::Int(uid)]);
        let register = Register { value: Value::Int(1), dot: Dot { site: sites[1], counter: 1 }, at_us: 5 };
        let live = Row { life: Life(1), registers: vec![Some(register)], held: vec![held(sites[1], 0)], transactions: vec![] };
        ledger.store(table, &key(1), None, live, Freshness::LIVE).unwrap();
        let gone = Row { life: Life(2), registers: vec![None], held: vec![held(sites[1], 1)], transactions: vec![] };
        ledger.store(table, &key(2), None, gone, Freshness::LIVE).unwrap();
        assert!(!ledger.queues(sites[1]).unwrap().is_empty());

        ledger.forget_site(sites[1]).unwrap();
        assert!(ledger.load(table, &key(1)).unwrap().1.held.is_empty());
        assert_eq!(ledger.load(table, &key(2)).unwrap().0, None, "its tombstone waited for the removed site only");
        assert!(ledger.queues(sites[1]).is_none());
        assert_eq!(ledger.site_name(sites[1]), "nj (removed, number 2)");

        let again = ledger.register_sites(&["hub", "nj"]).unwrap();
        assert_eq!(again[0], sites[0]);
        assert_ne!(again[1], sites[1]);
    }
}
