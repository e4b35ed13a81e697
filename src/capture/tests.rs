//! What capture makes of rows that are held back from a site, on a ledger of two sites that share the people whose status is 1.

use std::sync::Arc;

use super::{Report, Watch, absorb, chunk};
use crate::ledger::{Lane, Ledger, Mode, Phase, QuarantineKind, RowId, Shared, TableProgress};
use crate::model::*;
use crate::resolve::{Known, Roster, SiteView, TablePolicy};

struct Bench {
    ledger: Ledger,
    watch: Watch,
    hub: SiteId,
    client: SiteId,
    table: TableId,
    items: u64,
}

impl Bench {
    fn new() -> Bench {
        let mut ledger = Ledger::in_memory().unwrap();
        let sites = ledger.register_sites(&["hub", "nj"]).unwrap();
        let columns = ["uid", "status"].map(String::from);
        let (id, _) = ledger.register_table("people", &columns[..1], &columns).unwrap();
        let column = |name: &String| Column { name: name.clone(), family: Family::Integer, secret: false };
        let table = Table { id, name: "people".into(), key: vec![0], columns: columns.iter().map(column).collect(), urgent: false };
        let active = Predicate::Compare(Operand::Column("status".into()), Comparison::Equal, Operand::Literal(Value::Int(1)));
        let view = |(rank, id): (usize, &SiteId)| SiteView { id: *id, rank: rank as u16, has: vec![true; 2], known: Known::Merged };
        let roster = Roster { sites: sites.iter().enumerate().map(view).collect() };
        ledger.bind(vec![Shared::new(Arc::new(table), TablePolicy::plain(2), Some(active), roster)]).unwrap();
        for site in &sites {
            ledger.set_progress(*site, id, TableProgress { phase: Phase::Done, ..TableProgress::first() }).unwrap();
        }
        Bench { ledger, watch: Watch::default(), hub: sites[0], client: sites[1], table: id, items: 0 }
    }

    fn key() -> Key {
        Key(vec![Value::Int(7)])
    }

    /// An application's change of person 7: its status afterwards; None: it is gone.
    fn changes(&mut self, site: SiteId, status: Option<i64>) {
        self.items += 1;
        let after = status.map(|status| [7, status].map(|n| Cell::Value(Value::Int(n))).into());
        let change = Change { table: self.table, key: Bench::key(), before: None, after, moved_from: None };
        let position = Some(Position(self.items.to_string()));
        let transaction = Transaction { site, position, committed_us: 1, origin: Origin::Local, changes: vec![change] };
        absorb(&mut self.ledger, &mut self.watch, LogItem::Transaction(transaction), 1, &mut Report::default()).unwrap();
    }

    /// Person 7 is shared by the hub, and held back from the client, which has a row of its own under that key.
    fn held_back() -> (Bench, RowId) {
        let mut bench = Bench::new();
        bench.changes(bench.client, Some(0));
        bench.changes(bench.hub, Some(1));
        let id = bench.ledger.pop(bench.client, Lane::Live).expect("the client is owed the hub's row");
        bench.ledger.quarantine(bench.client, id, bench.table, &Bench::key(), QuarantineKind::Data, "in the way", 1).unwrap();
        (bench, id)
    }

    fn goes_on(&self, id: RowId, lane: Lane) -> bool {
        !self.ledger.is_quarantined(self.client, id) && self.ledger.queues(self.client).unwrap().len(lane) == 1
    }
}

#[test]
fn a_row_that_the_sites_own_was_in_the_way_of_goes_there_when_that_is_deleted() {
    let (mut bench, id) = Bench::held_back();
    bench.changes(bench.client, Some(2));
    assert!(!bench.goes_on(id, Lane::Live), "it is still in the way");
    bench.changes(bench.client, None);
    assert!(bench.goes_on(id, Lane::Live));
}

#[test]
fn a_row_that_the_sites_own_was_in_the_way_of_goes_there_when_a_scan_finds_none() {
    let (mut bench, id) = Bench::held_back();
    bench.ledger.rescan_table(bench.client, bench.table, Mode::Gap).unwrap();
    let progress = TableProgress { phase: Phase::Sweeping, ..bench.ledger.progress(bench.client, bench.table) };
    bench.ledger.set_progress(bench.client, bench.table, progress).unwrap();
    chunk::sweep(&mut bench.ledger, bench.client, bench.table, 10, 1, &mut Report::default()).unwrap();
    assert!(bench.goes_on(id, Lane::Live));
}

#[test]
fn a_row_that_the_sites_own_was_in_the_way_of_goes_there_when_that_is_shared_though_it_loses_to_the_ledger() {
    let (mut bench, id) = Bench::held_back();
    bench.ledger.rescan_table(bench.client, bench.table, Mode::Restored).unwrap();
    bench.changes(bench.client, Some(1));
    assert!(!bench.ledger.is_quarantined(bench.client, id));
}
