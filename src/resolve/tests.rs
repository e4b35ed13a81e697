//! The observable rules of the merge, each in a few lines. Sites 1 (the hub), 2 and 3 share a table of two columns.

use super::*;
use crate::config::{ColumnPolicy, DeletePolicy, InsertPolicy};
use crate::model::{Cell, Dot, Key, Life, SentRow, SiteId, TableId, Value, WriteKind, Writer};

const HUB: u16 = 1;
const A: u16 = 2;
const B: u16 = 3;
const LEFT_OUT: i64 = -1;

struct Bench {
    row: Row,
    roster: Roster,
    policy: TablePolicy,
    counter: u64,
    clock: i64,
}

impl Bench {
    fn new() -> Bench {
        let view = |id| SiteView { id: SiteId(id), rank: id - 1, has: vec![true; 2], known: Known::Merged };
        let roster = Roster { sites: [HUB, A, B].map(view).into() };
        Bench { row: Row::new(2), roster, policy: TablePolicy::plain(2), counter: 0, clock: 0 }
    }

    /// All sites hold the row (1, 2).
    fn shared() -> Bench {
        let mut bench = Bench::new();
        bench.sees(HUB, Some([1, 2]));
        [A, B].into_iter().for_each(|site| bench.delivers(site));
        assert!(bench.row.held.is_empty());
        bench
    }

    fn dot(&mut self, site: u16) -> Dot {
        (self.counter, self.clock) = (self.counter + 1, self.clock + 1);
        Dot { site: SiteId(site), counter: self.counter }
    }

    fn sees(&mut self, site: u16, content: Option<[i64; 2]>) -> Observed {
        let dot = self.dot(site);
        observe(&mut self.row, &self.roster, &self.policy, dot, content.map(cells).as_deref(), self.clock)
    }

    fn scans(&mut self, site: u16, content: Option<[i64; 2]>) -> Observed {
        let dot = self.dot(site);
        scan(&mut self.row, &self.roster, &self.policy, dot, content.map(cells).as_deref(), self.clock)
    }

    fn owed(&self, site: u16) -> Option<Write> {
        owed(&self.row, self.roster.site(SiteId(site)), None)
    }

    fn sent(&self, site: u16) -> SentRow {
        sent_row(&self.row, &self.owed(site).expect("something is owed"), TableId(1), &Key(vec![]))
    }

    /// What the site is owed lands there, without an image.
    fn delivers(&mut self, site: u16) {
        let sent = self.sent(site);
        self.lands(site, &sent, None);
    }

    fn lands(&mut self, site: u16, sent: &SentRow, content: Option<[i64; 2]>) -> (Observed, Vec<usize>) {
        let dot = self.dot(site);
        landed(&mut self.row, &self.roster, &self.policy, dot, sent, content.map(cells).as_deref(), self.clock)
    }

    fn knows(&mut self, site: u16, known: Known) {
        self.roster.sites[usize::from(site) - 1].known = known;
    }

    fn merged(&self) -> Option<[i64; 2]> {
        let value = |column: usize| match self.row.registers[column].as_ref().map(|register| &register.value) {
            Some(Value::Int(n)) => *n,
            _ => LEFT_OUT,
        };
        self.row.life.exists().then(|| [value(0), value(1)])
    }
}

fn cells(row: [i64; 2]) -> Vec<Cell> {
    row.into_iter().map(|n| if n == LEFT_OUT { Cell::Unchanged } else { Cell::Value(Value::Int(n)) }).collect()
}

fn kinds(observed: &Observed) -> Vec<ConflictKind> {
    observed.conflicts.iter().map(|conflict| conflict.kind).collect()
}

const FIRST: Known = Known::Unknown { generation: 1, restored: 0 };
const AFTER_A_GAP: Known = Known::Unsure { generation: 2, restored: 0 };
const AFTER_A_BACKUP: Known = Known::Unsure { generation: 2, restored: 2 };

#[test]
fn changes_to_different_columns_merge() {
    let mut bench = Bench::shared();
    assert!(bench.sees(A, Some([5, 2])).conflicts.is_empty());
    assert!(bench.sees(B, Some([1, 6])).conflicts.is_empty());
    assert_eq!(bench.merged(), Some([5, 6]));
    let columns = |write: Write| write.columns.iter().map(|(column, _)| *column).collect::<Vec<_>>();
    assert_eq!(bench.owed(A).map(columns), Some(vec![1]));
    assert_eq!(bench.owed(B).map(columns), Some(vec![0]));
}

#[test]
fn a_change_on_top_of_another_wins_whatever_the_clock_says() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    bench.delivers(B);
    bench.clock = -1000;
    assert!(bench.sees(B, Some([6, 2])).conflicts.is_empty());
    assert_eq!(bench.merged(), Some([6, 2]));
}

#[test]
fn the_later_of_two_conflicting_changes_wins_and_the_other_is_kept() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    let observed = bench.sees(B, Some([6, 2]));
    assert_eq!(kinds(&observed), [ConflictKind::UpdateOriginDiffers]);
    assert_eq!(observed.conflicts[0].lost, [(0, Value::Int(5))]);
    assert_eq!(bench.merged(), Some([6, 2]));
}

#[test]
fn the_larger_value_wins_by_the_policy_max() {
    let mut bench = Bench::shared();
    bench.policy.columns[0] = ColumnPolicy::Max;
    bench.sees(A, Some([9, 2]));
    bench.sees(B, Some([6, 2]));
    assert_eq!(bench.merged(), Some([9, 2]));
    assert!(bench.owed(A).is_none() && bench.owed(B).is_some());
}

/// The hub's value loses and is on its way to A for a moment longer: what is written on top of it there has not seen A's.
fn gone_over(policy: ColumnPolicy, then: i64) -> (Bench, Observed) {
    let mut bench = Bench::shared();
    bench.policy.columns[0] = policy;
    bench.sees(HUB, Some([5, 2]));
    let sent = bench.sent(A);
    assert_eq!(kinds(&bench.sees(A, Some([7, 2]))), [ConflictKind::UpdateOriginDiffers]);
    bench.lands(A, &sent, Some([5, 2]));
    let observed = bench.sees(A, Some([then, 2]));
    (bench, observed)
}

#[test]
fn a_value_that_a_write_of_ours_has_gone_over_is_kept_when_another_follows_it_there() {
    let (bench, observed) = gone_over(ColumnPolicy::LastWriterWins, 6);
    assert_eq!(bench.merged(), Some([6, 2]));
    assert_eq!(observed.conflicts[0].lost, [(0, Value::Int(7))]);
    let (bench, observed) = gone_over(ColumnPolicy::Max, 6);
    assert_eq!(bench.merged(), Some([7, 2]), "the larger value of two that have not seen each other");
    assert_eq!(observed.conflicts[0].lost, [(0, Value::Int(6))]);
}

#[test]
fn equal_values_are_no_conflict() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    assert!(bench.sees(B, Some([5, 2])).conflicts.is_empty());
    assert!(bench.owed(B).is_none());
}

#[test]
fn a_delete_wins_over_an_update_by_default() {
    let mut bench = Bench::shared();
    bench.sees(A, None);
    assert_eq!(kinds(&bench.sees(B, Some([5, 2]))), [ConflictKind::UpdateDeleted]);
    assert_eq!(bench.merged(), None);
    assert_eq!(bench.owed(B).unwrap().kind, WriteKind::Delete);
}

#[test]
fn an_update_wins_over_a_delete_where_the_policy_says_so() {
    for delete_first in [true, false] {
        let mut bench = Bench::shared();
        bench.policy.delete = DeletePolicy::UpdateWins;
        let (deleted, updated) = ((A, None), (B, Some([5, 2])));
        let order = if delete_first { [deleted, updated] } else { [updated, deleted] };
        for (site, content) in order {
            bench.sees(site, content);
        }
        assert_eq!(bench.merged(), Some([5, 2]));
        assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Insert);
    }
}

#[test]
fn each_coming_and_going_is_a_life() {
    let mut bench = Bench::shared();
    assert_eq!(bench.row.life, Life(1));
    bench.sees(A, None);
    assert_eq!(bench.row.life, Life(2));
    bench.sees(A, Some([7, 8]));
    assert_eq!(bench.row.life, Life(3));
    assert_eq!(bench.owed(B).unwrap().kind, WriteKind::Replace);
}

#[test]
fn a_row_is_over_when_every_site_holds_its_delete() {
    let mut bench = Bench::shared();
    bench.sees(A, None);
    for site in [HUB, B] {
        assert!(!bench.row.is_over(&bench.roster));
        bench.delivers(site);
    }
    assert!(bench.row.is_over(&bench.roster));
}

#[test]
fn a_new_life_does_not_keep_what_it_has_no_value_for() {
    let mut bench = Bench::shared();
    bench.roster.sites[1].has[1] = false;
    bench.sees(A, None);
    bench.sees(A, Some([7, LEFT_OUT]));
    assert_eq!(bench.owed(B).unwrap().kind, WriteKind::Delete);
    bench.delivers(B);
    assert_eq!(bench.owed(B).unwrap().kind, WriteKind::Insert);
}

#[test]
fn a_landing_is_no_change() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    let (observed, altered) = bench.lands(B, &bench.sent(B), Some([5, 2]));
    assert_eq!((observed.changes, altered.len()), (0, 0));
    assert!(bench.owed(B).is_none());
}

#[test]
fn what_a_trigger_did_to_another_column_is_a_change_made_there() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    let (observed, altered) = bench.lands(B, &bench.sent(B), Some([5, 99]));
    assert_eq!((observed.changes, altered.len()), (1, 0));
    assert_eq!(bench.merged(), Some([5, 99]));
    assert!(bench.owed(A).is_some() && bench.owed(B).is_none());
}

#[test]
fn a_value_that_the_site_alters_as_it_is_written_is_told_and_left() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    let (observed, altered) = bench.lands(B, &bench.sent(B), Some([4, 2]));
    assert_eq!((observed.changes, altered), (0, vec![0]));
    assert_eq!((bench.merged(), bench.owed(B)), (Some([5, 2]), None));
}

#[test]
fn two_sites_that_insert_a_row_have_a_conflict() {
    let mut bench = Bench::new();
    bench.policy.columns[0] = ColumnPolicy::HubWins;
    bench.sees(HUB, Some([1, 2]));
    assert_eq!(kinds(&bench.sees(A, Some([3, 4]))), [ConflictKind::InsertExists; 2]);
    assert_eq!(bench.merged(), Some([1, 4]));
}

#[test]
fn two_people_of_one_number_stay_apart() {
    let mut bench = Bench::new();
    bench.policy.insert = InsertPolicy::Quarantine;
    bench.sees(HUB, Some([1, 2]));
    assert!(bench.sees(A, Some([3, 4])).apart);
    bench.sees(A, Some([3, 5]));
    assert_eq!((bench.merged(), bench.owed(A)), (Some([1, 2]), None));
    bench.sees(A, None);
    assert_eq!(bench.merged(), Some([1, 2]));
    assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Insert);
}

#[test]
fn a_first_copy_adopts_equal_rows_and_goes_by_its_policy_for_others() {
    let met = |policy, content| {
        let mut bench = Bench::new();
        bench.policy.initial = policy;
        bench.knows(A, FIRST);
        bench.sees(HUB, Some([1, 2]));
        let observed = bench.scans(A, content);
        let owed = bench.owed(A).map(|write| write.kind);
        (bench.merged().unwrap(), owed, observed.conflicts.len(), observed.apart)
    };
    assert_eq!(met(InitialPolicy::Hub, Some([1, 2])), ([1, 2], None, 0, false));
    assert_eq!(met(InitialPolicy::Hub, None), ([1, 2], Some(WriteKind::Insert), 0, false));
    assert_eq!(met(InitialPolicy::Hub, Some([7, 2])), ([1, 2], Some(WriteKind::Columns), 1, false));
    assert_eq!(met(InitialPolicy::Newest(0), Some([7, 3])), ([7, 3], None, 1, false));
    assert_eq!(met(InitialPolicy::Newest(0), Some([0, 3])), ([1, 2], Some(WriteKind::Columns), 1, false));
    assert_eq!(met(InitialPolicy::Quarantine, Some([7, 2])), ([1, 2], None, 1, true));
}

#[test]
fn a_row_that_only_a_client_has_is_an_insert_there() {
    let mut bench = Bench::new();
    bench.knows(A, FIRST);
    assert_eq!(bench.scans(A, Some([7, 8])).changes, 1);
    assert_eq!(bench.owed(HUB).unwrap().kind, WriteKind::Insert);
}

#[test]
fn nothing_is_written_to_a_row_that_a_scan_has_not_come_by() {
    let mut bench = Bench::shared();
    bench.knows(A, AFTER_A_GAP);
    bench.sees(B, Some([5, 2]));
    assert!(bench.owed(A).is_none() && bench.owed(HUB).is_some());
    bench.scans(A, Some([1, 2]));
    assert!(bench.owed(A).is_some());
}

#[test]
fn what_people_changed_in_a_lost_stretch_of_log_is_merged() {
    let mut bench = Bench::shared();
    bench.knows(A, AFTER_A_GAP);
    bench.sees(B, Some([5, 2]));
    assert!(bench.scans(A, Some([1, 6])).conflicts.is_empty());
    assert_eq!(bench.merged(), Some([5, 6]));
}

#[test]
fn the_ledger_wins_over_a_restored_backup() {
    let mut bench = Bench::shared();
    bench.knows(A, AFTER_A_BACKUP);
    let observed = bench.scans(A, Some([0, 2]));
    assert_eq!(kinds(&observed), [ConflictKind::RestoredDiffers]);
    assert_eq!(observed.conflicts[0].lost, [(0, Value::Int(0))]);
    assert_eq!(bench.merged(), Some([1, 2]));
    assert_eq!(bench.owed(A).unwrap().columns.len(), 1);
}

#[test]
fn nothing_of_a_deleted_row_comes_from_a_backup_into_the_one_made_anew() {
    let mut bench = Bench::shared();
    bench.sees(B, None);
    bench.roster.sites[2].has[1] = false;
    bench.sees(B, Some([5, LEFT_OUT]));
    bench.knows(A, AFTER_A_BACKUP);
    let observed = bench.scans(A, Some([5, 2]));
    assert_eq!((bench.merged(), &*observed.conflicts[0].lost), (Some([5, LEFT_OUT]), &[(1, Value::Int(2))][..]));
    assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Delete, "what the new row has no value for goes with the old one");
}

#[test]
fn a_restored_row_that_the_ledger_does_not_know_is_removed() {
    let mut bench = Bench::new();
    bench.knows(A, AFTER_A_BACKUP);
    assert_eq!(kinds(&bench.scans(A, Some([1, 2]))), [ConflictKind::RestoredDiffers]);
    assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Delete);
}

#[test]
fn a_change_after_a_restore_is_told_from_what_is_older_by_its_image_before() {
    let mut bench = Bench::shared();
    bench.sees(HUB, Some([1, 3]));
    bench.knows(A, AFTER_A_BACKUP);
    let dot = bench.dot(A);
    let (before, after) = (cells([1, 2]), cells([5, 2]));
    let images = (Some(before.as_slice()), Some(after.as_slice()));
    logged(&mut bench.row, &bench.roster, &bench.policy, dot, images, 100, Reach::Part).unwrap();
    assert_eq!(bench.merged(), Some([5, 3]));
}

#[test]
fn an_image_in_part_waits_for_the_scan() {
    let mut bench = Bench::shared();
    bench.knows(A, AFTER_A_GAP);
    let (dot, after) = (bench.dot(A), cells([5, LEFT_OUT]));
    assert!(logged(&mut bench.row, &bench.roster, &bench.policy, dot, (None, Some(&after)), 100, Reach::Part).is_none());
    bench.roster.sites[1].has[1] = false;
    assert!(logged(&mut bench.row, &bench.roster, &bench.policy, dot, (None, Some(&after)), 100, Reach::Part).is_some());
}

#[test]
fn a_write_against_the_direction_is_reverted_or_kept_where_it_is() {
    for keep in [false, true] {
        let mut bench = Bench::shared();
        bench.policy.from_hub[0] = Some(keep);
        assert_eq!(kinds(&bench.sees(A, Some([5, 2]))), [ConflictKind::AgainstDirection]);
        assert_eq!((bench.merged(), bench.owed(A).is_none()), (Some([1, 2]), keep));
        bench.sees(HUB, Some([6, 2]));
        assert!(bench.owed(A).is_some());
    }
}

#[test]
fn rows_that_come_and_go_at_the_hub_only_are_put_back() {
    let mut bench = Bench::shared();
    bench.policy.rows_from_hub = Some(false);
    bench.sees(A, None);
    assert_eq!(bench.merged(), Some([1, 2]));
    assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Insert);
}

#[test]
fn an_update_against_the_direction_does_not_bring_back_what_the_hub_has_deleted() {
    let mut bench = Bench::shared();
    bench.policy.rows_from_hub = Some(false);
    bench.policy.delete = DeletePolicy::UpdateWins;
    bench.sees(HUB, None);
    bench.sees(A, Some([5, 2]));
    assert_eq!(bench.merged(), None);
    assert_eq!(bench.owed(A).unwrap().kind, WriteKind::Delete);
}

#[test]
fn a_default_that_our_insert_left_is_not_kept_against_the_hubs_value() {
    let mut bench = Bench::new();
    bench.policy.from_hub[1] = Some(true);
    bench.sees(B, Some([1, LEFT_OUT]));
    let sent = bench.sent(A);
    bench.sees(HUB, Some([1, 7]));
    bench.lands(A, &sent, Some([1, 0]));
    let owed = |bench: &Bench| bench.owed(A).unwrap().columns.iter().map(|(column, _)| *column).collect::<Vec<_>>();
    assert_eq!(owed(&bench), [1]);
    bench.sees(A, Some([2, 0]));
    assert_eq!((bench.merged(), owed(&bench)), (Some([2, 7]), vec![1]), "nor when another column is changed there");
}

/// One of its parts is a value of some row too.
fn key() -> Key {
    Key(vec![Value::Int(5)])
}

/// The record and what stands beside it.
fn encoded(row: &Row) -> (Vec<u8>, Vec<u8>) {
    let (mut record, mut rest) = (Writer::new(), Writer::new());
    row.encode(&key(), &mut record, &mut rest, |_| false);
    (record.into_bytes(), rest.into_bytes())
}

fn decoded((record, rest): &(Vec<u8>, Vec<u8>), width: usize) -> Row {
    Row::decode(&key(), record, Some(rest.as_slice()).filter(|rest| !rest.is_empty()), width).unwrap()
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    bench.sees(B, Some([1, 6]));
    bench.row.transactions = vec![3, 9];
    let bytes = encoded(&bench.row);
    assert_eq!(decoded(&bytes, 2), bench.row);
    assert_eq!(decoded(&bytes, 3).registers[2], None);
    let stored = Row::values_in(&bytes.0, &[0, 1, 7]).unwrap();
    let values: Vec<Option<Value>> =
        [0, 1, 7].map(|column| bench.row.registers.get(column)?.as_ref().map(|register| register.value.clone())).into();
    assert_eq!((stored.exists, stored.values(&key()).unwrap()), (true, values.clone()));
    assert!(stored.are(values.iter().map(Option::as_ref), &key()));
    assert!(!stored.are([values[0].as_ref(), Some(&Value::Int(77)), None].into_iter(), &key()));
    bench.sees(HUB, None);
    let bytes = encoded(&bench.row);
    assert_eq!(decoded(&bytes, 2), bench.row);
    assert!(!Row::exists_in(&bytes.0));
    assert!(!Row::values_in(&bytes.0, &[0]).unwrap().exists);
}

#[test]
fn what_most_rows_have_in_common_is_not_written() {
    let register = |n, at_us| Some(Register { value: Value::Int(n), dot: Dot { site: SiteId(1), counter: 9 }, at_us });
    let row = |life, registers: [Option<Register>; 2], held: &[(u16, u32)]| {
        let held = held.iter().map(|(site, seen)| Held::quiet(SiteId(*site), *seen, Life(life))).collect();
        Row { life: Life(life), registers: registers.into(), held, transactions: Vec::new() }
    };
    let length = |row: &Row| {
        let bytes = encoded(row);
        assert_eq!(decoded(&bytes, 2), *row);
        assert_eq!(Row::exists_in(&bytes.0), row.life.exists());
        for (site, seen) in row.held.iter().map(|held| (held.site, held.seen)) {
            assert_eq!(Row::seen_in(&bytes.0, site).unwrap(), Some((row.life.exists(), seen)));
        }
        assert!(bytes.1.is_empty());
        bytes.0.len()
    };
    let copied = row(1, [register(5, 0), register(7, 0)], &[(1, 1), (2, 1), (5, 1)]);
    assert_eq!(length(&copied), 6, "form with the site, counter, columns, two values, sites");
    assert_eq!(length(&row(1, [register(5, 0), register(7, 0)], &[(1, 1), (12, 1)])), 7);
    assert_eq!(length(&row(1, [register(5, 0), register(7, 0)], &[(1, 1), (13, 1)])), 10);
    assert_eq!(length(&row(1, [register(5, 0), register(7, 0)], &[(1, 1), (2, 3)])), 10);
    assert_eq!(length(&row(1, [register(5, 0), register(7, 0)], &[])), 5);
    assert_eq!(length(&row(2, [register(5, 0), register(7, 0)], &[(1, 1)])), 7);
    assert_eq!(length(&row(1, [register(5, 2), register(7, 2)], &[(1, 1)])), 7);
    assert_eq!(length(&row(1, [register(5, 0), register(7, 2)], &[(1, 1)])), 14);
    assert_eq!(length(&row(1, [register(5, 0), None], &[(1, 1)])), 8);
    assert_eq!(length(&row(0, [None, None], &[])), 6);
    let from = |site| {
        let register = |n| Some(Register { value: Value::Int(n), dot: Dot { site: SiteId(site), counter: 9 }, at_us: 0 });
        length(&row(1, [register(5), register(7)], &[]))
    };
    assert_eq!([1, 15, 16, 300].map(from), [5, 5, 6, 7]);
}

/// As formats 1 to 3 of the ledger had them: value by value, each with its stamp, and in the first with what sites hold instead.
#[test]
fn records_of_earlier_formats_are_read() {
    let register = |value, counter| Some(Register { value, dot: Dot { site: SiteId(1), counter }, at_us: 2 });
    let registers = vec![register(Value::Int(5), 9), register(Value::Text("ash".into()), 9), None, register(Value::Int(7), 4)];
    let row = Row { life: Life(1), registers, held: vec![Held::quiet(SiteId(2), 3, Life(1))], transactions: Vec::new() };
    let stamps = [1, 2, 1, 9, 4, 1, 4, 4];
    let columns = [4, 1, 1, 10, 1, 5, 3, b'a', b's', b'h', 0, 2, 1, 14];
    let compact = [4, 1, 16, 1, 0x43, b'a', b's', b'h', 0, 2, 0x87];
    let bytes =
        |format: u8, held: &[u8]| [[format].as_slice(), &stamps, if format < 3 { columns.as_slice() } else { &compact }, held].concat();
    let read = |record: &[u8]| {
        let stored = Row::values_in(record, &[1, 2]).unwrap();
        assert_eq!(stored.values(&key()).unwrap(), [Some(Value::Text("ash".into())), None]);
        assert!(stored.are([row.registers[1].as_ref().map(|register| &register.value), None].into_iter(), &key()));
        Row::decode(&key(), record, None, 4).unwrap()
    };
    assert_eq!(read(&bytes(3, &[1, 2, 3])), row);
    assert_eq!(Row::seen_in(&bytes(3, &[1, 2, 3]), SiteId(2)).unwrap(), Some((true, 3)));
    let uniform = [4, 1, 1, 1, 9, 4, 2, 16, 1, 0xb2, 9, 1, 2, 3];
    let values = Row::decode(&key(), &uniform, None, 2).unwrap().registers.into_iter().map(|register| register.map(|found| found.value));
    assert_eq!(values.collect::<Vec<_>>(), [Some(Value::Int(5)), Some(Value::Int(601))], "numbers were written otherwise");
    assert_eq!(read(&bytes(2, &[1, 2, 3])), row);
    assert_eq!(Row::seen_in(&bytes(2, &[1, 2, 3]), SiteId(2)).unwrap(), Some((true, 3)));
    assert_eq!(read(&bytes(1, &[1, 2, 3, 1, 0, 0, 0, 0])), row);
    assert_eq!(Row::seen_in(&bytes(1, &[1, 2, 3, 1, 0, 0, 0, 0]), SiteId(2)).unwrap(), None);
    assert!(encoded(&row).0.len() < bytes(2, &[1, 2, 3]).len());
}

#[test]
fn a_record_is_the_same_before_and_after_what_a_site_was_owed_has_arrived() {
    let mut bench = Bench::shared();
    bench.sees(HUB, Some([5, 2]));
    let (record, rest) = encoded(&bench.row);
    assert!(!rest.is_empty());
    for site in [A, B] {
        let sent = bench.sent(site);
        bench.lands(site, &sent, Some([5, 2]));
    }
    assert_eq!(encoded(&bench.row), (record, Vec::new()));
}

#[test]
fn that_a_scan_came_by_is_told_by_the_record_alone() {
    let mut bench = Bench::shared();
    bench.row.put_held(Held::quiet(SiteId(A), 3, bench.row.life));
    let bytes = encoded(&bench.row);
    assert!(bytes.1.is_empty());
    assert_eq!(decoded(&bytes, 2), bench.row);
    assert_eq!(Row::seen_in(&bytes.0, SiteId(A)).unwrap(), Some((true, 3)));
    assert_eq!(Row::seen_in(&bytes.0, SiteId(B)).unwrap(), Some((true, 0)));
    let (mut record, mut rest) = (Writer::new(), Writer::new());
    bench.row.encode(&key(), &mut record, &mut rest, |held| held.seen == 3);
    assert_eq!(Row::seen_in(record.as_slice(), SiteId(A)).unwrap(), Some((true, 0)));
}

#[test]
fn no_bytes_make_the_reading_of_a_record_panic_or_differ() {
    let mut bench = Bench::shared();
    bench.sees(A, Some([5, 2]));
    bench.row.put_held(Held::quiet(SiteId(B), 3, bench.row.life));
    let (record, rest) = encoded(&bench.row);
    let look = |record: &[u8], rest: &[u8]| {
        let values = Row::values_in(record, &[0, 1]).and_then(|stored| stored.values(&key()));
        let _ = (Row::decode(&key(), record, Some(rest), 2), values, Row::seen_in(record, SiteId(B)));
        let (mut seen, key) = (vec![None; 2], key());
        let shown = Row::see_values(record, &key, 2, |at, value| seen[at] = Some(value.into_value())).map(|()| seen);
        let values = |row: Row| row.registers.into_iter().map(|register| register.map(|found| found.value)).collect();
        assert_eq!(shown, Row::decode(&key, record, None, 2).map(values), "{record:?}");
    };
    for at in 0..record.len().max(rest.len()) {
        look(&record[..at.min(record.len())], &rest[..at.min(rest.len())]);
        for byte in 0..=u8::MAX {
            let changed = |bytes: &[u8]| bytes.iter().enumerate().map(|(n, b)| if n == at { byte } else { *b }).collect::<Vec<u8>>();
            look(&changed(&record), &rest);
            look(&record, &changed(&rest));
        }
    }
    for length in 0..64 {
        look(&vec![0xFF; length], &vec![0xFF; length]);
    }
}
