//! A ledger is made and a site comes in, with its first copy; later, tables and columns come in.

use crate::roster::{ColumnKind::Plain, Table};
use crate::stage::Stage;

/// In the order in which they are passed, so that each is still ahead when its turn comes.
pub fn born(stage: &mut Stage) {
    let load = stage.load();
    for point in ["ledger.making", "ledger.made", "ledger.numbered"] {
        stage.die_anywhere(point, 1);
    }
    stage.die("ledger.site-registered");
    stage.die_anywhere("ledger.table-registered", 2);
    stage.die_anywhere("ledger.shortened", 1);
    for point in [
        "site.identified",
        "definitions.settled",
        "prepare.marker-table",
        "prepare.publication",
        "prepare.slot",
        "prepare.triggers",
        "prepare.done",
        "lanes.taken",
        "position.first",
        "fence.drawn",
        "fence.marked",
        "fence.reached",
        "landed.noted",
        "numbers.aligned",
        "scan.begun",
        "chunk.opened",
        "chunk.low",
        "chunk.read",
        "chunk.high",
        "chunk.closing",
        "chunk.closed",
        "sweep.taken",
        "sweep.committed",
        "scan.tidied",
        "scan.known",
    ] {
        stage.die(point);
    }
    stage.assert_all_well(load);
}

const SPARE: Table = Table::new("spare", "k INT PRIMARY KEY, v VARCHAR(60)", &[("k", Plain), ("v", Plain)]);

/// A table is shared that was not, and then gets a column.
pub fn altered(stage: &mut Stage) {
    let load = stage.load();
    stage.roster.share(SPARE, "insert = \"merge\"");
    for at in 0..stage.roster.sites.len() {
        stage.roster.sql(at, &format!("INSERT INTO spare VALUES ({at}, 'of {at}')"));
    }
    stage.die_anywhere("ledger.table-registered", 1);
    stage.die("prepare.published");
    stage.die("prepare.triggers");
    for site in &stage.roster.sites {
        site.sql("ALTER TABLE spare ADD COLUMN extra INT");
    }
    stage.die_anywhere("ledger.column-registered", 1);
    stage.assert_all_well(load);
}
