//! What must hold of a history: pure, from what was written and seen to what is wrong in the end.
//!
//! Every value that is written is written once: its tag tells who wrote it. A write names the value that it replaced, read in its own
//! transaction, so the values of one cell are a tree: below each value stand those that were written on top of it, by somebody who had
//! seen it. A value that nobody has replaced is a leaf. In the end one leaf stands, and a conflict tells of each of the others.

use std::collections::{BTreeMap, BTreeSet};

pub type Tag = String;
pub type Column = &'static str;
pub type Cells = BTreeMap<Column, Tag>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowName {
    pub table: &'static str,
    pub key: String,
}

/// What one committed transaction did to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Index of the site.
    pub site: usize,
    pub row: RowName,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Insert(Cells),
    /// Each column's value as it was seen, and as it was written.
    Change(BTreeMap<Column, (Tag, Tag)>),
    /// The values that were seen in the row that went.
    Delete(Cells),
}

/// What there is when everything has settled.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The rows of each site.
    pub sites: Vec<BTreeMap<RowName, Cells>>,
    /// Values that lost a conflict, as the operator is told of them.
    pub told: Vec<Told>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub row: RowName,
    pub column: String,
    pub tag: Tag,
}

/// A table whose rows belong to rows of another one, where the row that is there has to be of a kind to count.
pub struct Belongs {
    pub child: &'static str,
    pub parent: &'static str,
    /// The parent's column that says so, and how the values begin with which nobody is let in.
    pub barred: (Column, &'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    SitesDiffer {
        site: usize,
        row: RowName,
    },
    /// Nobody who committed has written it.
    FromNowhere {
        row: RowName,
        column: Column,
        tag: Tag,
    },
    /// It stands although somebody who had seen it replaced it.
    CameBack {
        row: RowName,
        column: Column,
        tag: Tag,
    },
    /// Nobody replaced it, it does not stand, and no conflict tells of it.
    Lost {
        row: RowName,
        column: Column,
        tag: Tag,
    },
    /// A row is gone that nobody deleted.
    RowLost {
        row: RowName,
    },
    DeletedAlive {
        row: RowName,
    },
    /// It belongs to a row that was gone, or that let nobody in, when it was made.
    LetIn {
        row: RowName,
        parent: RowName,
    },
    ToldTwice {
        told: Told,
    },
    /// Nothing was written without having seen it.
    ToldWithoutCause {
        told: Told,
    },
}

impl Fault {
    /// The row that it is about.
    pub fn row(&self) -> &RowName {
        match self {
            Fault::SitesDiffer { row, .. } | Fault::RowLost { row } | Fault::DeletedAlive { row } | Fault::LetIn { row, .. } => row,
            Fault::FromNowhere { row, .. } | Fault::CameBack { row, .. } | Fault::Lost { row, .. } => row,
            Fault::ToldTwice { told } | Fault::ToldWithoutCause { told } => &told.row,
        }
    }
}

/// All that was written to one cell.
#[derive(Default)]
struct Tree {
    /// Each value with the one that it replaced; None: it came with the row.
    parents: BTreeMap<Tag, Option<Tag>>,
    /// Values that a delete of the row has seen.
    buried: BTreeSet<Tag>,
    deletes: usize,
}

impl Tree {
    fn replaced(&self) -> BTreeSet<&Tag> {
        self.parents.values().flatten().chain(&self.buried).collect()
    }

    /// Whether `later` was written by somebody who had seen `tag`, or something written on top of it.
    fn is_above(&self, tag: &Tag, later: &Tag) -> bool {
        let mut at = Some(later);
        while let Some(here) = at {
            if here == tag {
                return true;
            }
            at = self.parents.get(here).and_then(Option::as_ref);
        }
        false
    }

    /// Whether something was written, or the row deleted, by somebody who had not seen the value, and was not seen by who wrote it.
    fn has_rival(&self, tag: &Tag) -> bool {
        let by_write = self.parents.keys().any(|other| !self.is_above(tag, other) && !self.is_above(other, tag));
        let seen = self.buried.iter().filter(|buried| self.is_above(tag, buried)).count();
        by_write || seen < self.deletes
    }
}

#[derive(Default)]
struct Rows {
    trees: BTreeMap<RowName, BTreeMap<Column, Tree>>,
    deleted: BTreeSet<RowName>,
}

fn gathered(writes: &[Write]) -> Rows {
    let mut rows = Rows::default();
    for write in writes {
        let trees = rows.trees.entry(write.row.clone()).or_default();
        match &write.act {
            Act::Insert(cells) => {
                for (column, tag) in cells {
                    trees.entry(column).or_default().parents.insert(tag.clone(), None);
                }
            }
            Act::Change(cells) => {
                for (column, (saw, wrote)) in cells {
                    trees.entry(column).or_default().parents.insert(wrote.clone(), Some(saw.clone()));
                }
            }
            Act::Delete(cells) => {
                for (column, tag) in cells {
                    let tree = trees.entry(column).or_default();
                    tree.buried.insert(tag.clone());
                    tree.deletes += 1;
                }
                rows.deleted.insert(write.row.clone());
            }
        }
    }
    rows
}

/// Everything that is wrong.
pub fn check(writes: &[Write], ending: &Ending, belongs: &[Belongs]) -> Vec<Fault> {
    let rows = gathered(writes);
    let mut faults = Vec::new();
    let Some((first, others)) = ending.sites.split_first() else { return faults };
    for (at, other) in others.iter().enumerate() {
        let names: BTreeSet<&RowName> = first.keys().chain(other.keys()).collect();
        let differing = names.into_iter().filter(|row| first.get(row) != other.get(row));
        faults.extend(differing.map(|row| Fault::SitesDiffer { site: at + 1, row: row.clone() }));
    }
    for (row, cells) in first {
        if rows.deleted.contains(row) {
            faults.push(Fault::DeletedAlive { row: row.clone() });
        }
        let nothing = BTreeMap::new();
        let trees = rows.trees.get(row).unwrap_or(&nothing);
        for (column, tag) in cells {
            if !trees.get(column).is_some_and(|tree| tree.parents.contains_key(tag)) {
                faults.push(Fault::FromNowhere { row: row.clone(), column, tag: tag.clone() });
            }
        }
    }
    let told: BTreeSet<&Told> = ending.told.iter().collect();
    for (row, trees) in &rows.trees {
        let there = first.get(row);
        if there.is_none() && !rows.deleted.contains(row) {
            faults.push(Fault::RowLost { row: row.clone() });
            continue;
        }
        for (column, tree) in trees {
            cell(row, column, tree, there.and_then(|cells| cells.get(column)), &told, &mut faults);
        }
    }
    faults.extend(told_wrongly(&rows, &ending.told));
    faults.extend(let_in(writes, first, belongs));
    faults
}

/// `stands`: the value in the end; None: the row has been deleted.
fn cell(row: &RowName, column: Column, tree: &Tree, stands: Option<&Tag>, told: &BTreeSet<&Told>, faults: &mut Vec<Fault>) {
    let replaced = tree.replaced();
    if let Some(tag) = stands.filter(|tag| replaced.contains(tag)) {
        faults.push(Fault::CameBack { row: row.clone(), column, tag: tag.clone() });
    }
    for tag in tree.parents.keys().filter(|tag| !replaced.contains(tag) && Some(*tag) != stands) {
        let this = Told { row: row.clone(), column: column.into(), tag: tag.clone() };
        if !told.contains(&this) {
            faults.push(Fault::Lost { row: row.clone(), column, tag: tag.clone() });
        }
    }
}

fn told_wrongly(rows: &Rows, told: &[Told]) -> Vec<Fault> {
    let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
    for this in told {
        if !seen.insert(this) {
            faults.push(Fault::ToldTwice { told: this.clone() });
            continue;
        }
        let tree = rows.trees.get(&this.row).and_then(|trees| trees.get(this.column.as_str()));
        if !tree.is_some_and(|tree| tree.parents.contains_key(&this.tag) && tree.has_rival(&this.tag)) {
            faults.push(Fault::ToldWithoutCause { told: this.clone() });
        }
    }
    faults
}

/// What belongs to a row that lets nobody in was made by somebody who could not know.
fn let_in(writes: &[Write], there: &BTreeMap<RowName, Cells>, belongs: &[Belongs]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Belongs { child, parent, barred: (column, barred) } in belongs {
        for (row, cells) in there.iter().filter(|(row, _)| row.table == *child) {
            let Some(of) = cells.get(OF) else { continue };
            let (key, saw) = of.split_once('@').unwrap_or((of, ""));
            let name = RowName { table: parent, key: key.to_owned() };
            let deleted_before = writes.iter().any(|write| {
                write.row == name && matches!(&write.act, Act::Delete(cells) if cells.get(column).is_some_and(|tag| is_before(writes, &name, column, tag, saw)))
            });
            if saw.starts_with(barred) || deleted_before {
                faults.push(Fault::LetIn { row: row.clone(), parent: name });
            }
        }
    }
    faults
}

/// The column of a child that names its parent, and behind `@` the parent's value that its maker had seen: `17@open-4`.
pub const OF: Column = "whose";

/// Whether `saw` was written on top of `tag`, which the delete has seen: then the row was there again without having been made.
fn is_before(writes: &[Write], row: &RowName, column: Column, tag: &str, saw: &str) -> bool {
    let rows = gathered(&writes.iter().filter(|write| write.row == *row).cloned().collect::<Vec<_>>());
    let tree = rows.trees.get(row).and_then(|trees| trees.get(column));
    tree.is_some_and(|tree| tag != saw && tree.is_above(&tag.to_owned(), &saw.to_owned()))
}

/// Rows of the end that belong to one that is gone or lets nobody in, made by somebody who could not know: they open no door, as the
/// application asks for the parent first.
pub fn stranded(ending: &Ending, belongs: &[Belongs]) -> usize {
    let Some(there) = ending.sites.first() else { return 0 };
    let is_stranded = |belongs: &Belongs, cells: &Cells| {
        let Some(of) = cells.get(OF) else { return false };
        let key = of.split_once('@').map_or(of.as_str(), |(key, _)| key).to_owned();
        let parent = there.get(&RowName { table: belongs.parent, key });
        parent.is_none_or(|cells| cells.get(belongs.barred.0).is_some_and(|tag| tag.starts_with(belongs.barred.1)))
    };
    let of = |belongs: &Belongs| there.iter().filter(|(row, cells)| row.table == belongs.child && is_stranded(belongs, cells)).count();
    belongs.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELONGS: [Belongs; 1] = [Belongs { child: "session", parent: "account", barred: ("status", "blocked") }];

    fn account(key: &str) -> RowName {
        RowName { table: "account", key: key.into() }
    }

    fn session(key: &str) -> RowName {
        RowName { table: "session", key: key.into() }
    }

    fn cells<const N: usize>(cells: [(Column, &str); N]) -> Cells {
        cells.into_iter().map(|(column, tag)| (column, tag.to_owned())).collect()
    }

    fn insert(row: RowName, mail: &str) -> Write {
        Write { site: 0, row, act: Act::Insert(cells([("mail", mail)])) }
    }

    fn change(site: usize, saw: &str, wrote: &str) -> Write {
        Write { site, row: account("1"), act: Act::Change([("mail", (saw.to_owned(), wrote.to_owned()))].into()) }
    }

    fn delete(saw: &str) -> Write {
        Write { site: 1, row: account("1"), act: Act::Delete(cells([("mail", saw)])) }
    }

    fn told(tag: &str) -> Told {
        Told { row: account("1"), column: "mail".into(), tag: tag.into() }
    }

    /// Two sites that hold this of account 1, with these values told of.
    fn ending(mail: Option<&str>, lost: &[&str]) -> Ending {
        let rows: BTreeMap<RowName, Cells> = mail.map(|mail| (account("1"), cells([("mail", mail)]))).into_iter().collect();
        Ending { sites: vec![rows.clone(), rows], told: lost.iter().map(|tag| told(tag)).collect() }
    }

    fn faults(writes: &[Write], ending: &Ending) -> Vec<Fault> {
        check(writes, ending, &BELONGS)
    }

    #[test]
    fn a_history_without_fault_has_none() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b"), change(1, "a", "c"), change(1, "c", "d")];
        // The value that lost when it was met may have been replaced since, at its own site.
        assert_eq!(faults(&writes, &ending(Some("d"), &["b", "c"])), []);
        assert_eq!(faults(&writes, &ending(Some("b"), &["d"])), []);
        let gone = [insert(account("1"), "a"), change(0, "a", "b"), delete("a")];
        assert_eq!(faults(&gone, &ending(None, &["b"])), []);
    }

    #[test]
    fn sites_that_differ_are_found() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b")];
        let mut end = ending(Some("b"), &[]);
        end.sites[1].insert(account("1"), cells([("mail", "a")]));
        assert_eq!(faults(&writes, &end), [Fault::SitesDiffer { site: 1, row: account("1") }]);
        end.sites[1].remove(&account("1"));
        assert_eq!(faults(&writes, &end), [Fault::SitesDiffer { site: 1, row: account("1") }]);
    }

    #[test]
    fn a_value_from_nowhere_is_found() {
        let found = faults(&[insert(account("1"), "a")], &ending(Some("x"), &[]));
        let (row, column) = (account("1"), "mail");
        assert!(found.contains(&Fault::FromNowhere { row: row.clone(), column, tag: "x".into() }), "{found:?}");
        assert!(found.contains(&Fault::Lost { row, column, tag: "a".into() }), "{found:?}");
    }

    #[test]
    fn a_replaced_value_that_stands_is_found() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b")];
        let (row, column) = (account("1"), "mail");
        let lost = Fault::Lost { row: row.clone(), column, tag: "b".into() };
        assert_eq!(faults(&writes, &ending(Some("a"), &[])), [Fault::CameBack { row, column, tag: "a".into() }, lost]);
    }

    #[test]
    fn an_update_that_is_lost_without_a_word_is_found() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b"), change(1, "a", "c")];
        let lost = |tag: &str| vec![Fault::Lost { row: account("1"), column: "mail", tag: tag.into() }];
        assert_eq!(faults(&writes, &ending(Some("c"), &[])), lost("b"));
        assert_eq!(faults(&writes, &ending(Some("b"), &[])), lost("c"));
        // What stands has to be told of no less when the row is deleted by somebody who had not seen it.
        let gone = [insert(account("1"), "a"), change(0, "a", "b"), delete("a")];
        assert_eq!(faults(&gone, &ending(None, &[])), lost("b"));
    }

    #[test]
    fn a_row_that_nobody_deleted_is_missed() {
        assert_eq!(faults(&[insert(account("1"), "a")], &ending(None, &[])), [Fault::RowLost { row: account("1") }]);
    }

    #[test]
    fn a_deleted_account_that_is_there_is_found() {
        let found = faults(&[insert(account("1"), "a"), delete("a")], &ending(Some("a"), &[]));
        assert!(found.contains(&Fault::DeletedAlive { row: account("1") }), "{found:?}");
    }

    #[test]
    fn a_conflict_is_told_once() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b"), change(1, "a", "c")];
        assert_eq!(faults(&writes, &ending(Some("c"), &["b", "b"])), [Fault::ToldTwice { told: told("b") }]);
    }

    #[test]
    fn a_conflict_has_two_sides() {
        let writes = [insert(account("1"), "a"), change(0, "a", "b"), change(1, "b", "c")];
        assert_eq!(faults(&writes, &ending(Some("c"), &["b"])), [Fault::ToldWithoutCause { told: told("b") }]);
        assert_eq!(faults(&writes, &ending(Some("c"), &["x"])), [Fault::ToldWithoutCause { told: told("x") }]);
        let gone = [insert(account("1"), "a"), delete("a")];
        assert_eq!(faults(&gone, &ending(None, &["a"])), [Fault::ToldWithoutCause { told: told("a") }]);
    }

    fn login(of: &str) -> Write {
        Write { site: 0, row: session("s"), act: Act::Insert(cells([(OF, of)])) }
    }

    fn with_session(mut end: Ending, of: &str) -> Ending {
        for site in &mut end.sites {
            site.insert(session("s"), cells([(OF, of)]));
        }
        end
    }

    fn status(saw: &str, wrote: &str) -> Write {
        Write { site: 0, row: account("1"), act: Act::Change([("status", (saw.to_owned(), wrote.to_owned()))].into()) }
    }

    fn open_account() -> Write {
        Write { site: 0, row: account("1"), act: Act::Insert(cells([("status", "open-1")])) }
    }

    fn standing(tag: &str) -> Ending {
        let rows: BTreeMap<RowName, Cells> = [(account("1"), cells([("status", tag)]))].into();
        Ending { sites: vec![rows.clone(), rows], told: Vec::new() }
    }

    #[test]
    fn a_session_of_somebody_who_was_blocked_when_it_was_made_is_found() {
        let let_in = [Fault::LetIn { row: session("s"), parent: account("1") }];
        let blocked = [open_account(), status("open-1", "blocked-2"), login("1@blocked-2")];
        assert_eq!(faults(&blocked, &with_session(standing("blocked-2"), "1@blocked-2")), let_in);
        // Who logs in before the block is known at the site is let in there: the session opens no door.
        let late = [open_account(), status("open-1", "blocked-2"), login("1@open-1")];
        let end = with_session(standing("blocked-2"), "1@open-1");
        assert_eq!((faults(&late, &end), stranded(&end, &BELONGS)), (vec![], 1));
    }

    #[test]
    fn a_session_of_an_account_that_had_been_deleted_is_found() {
        let deleted = Write { site: 1, row: account("1"), act: Act::Delete(cells([("status", "open-1")])) };
        let end = with_session(Ending { sites: vec![BTreeMap::new(); 2], told: Vec::new() }, "1@open-3");
        let told = Told { row: account("1"), column: "status".into(), tag: "open-3".into() };
        let end = Ending { told: vec![told], ..end };
        let writes = [open_account(), deleted, status("open-1", "open-3"), login("1@open-3")];
        assert!(faults(&writes, &end).contains(&Fault::LetIn { row: session("s"), parent: account("1") }));
        assert_eq!(stranded(&end, &BELONGS), 1);
    }

    #[test]
    fn a_session_that_was_deleted_with_its_account_is_missed_no_less() {
        let row = session("s");
        let writes = [login("1@open-1"), Write { site: 1, row: row.clone(), act: Act::Delete(cells([(OF, "1@open-1")])) }];
        let end = with_session(Ending { sites: vec![BTreeMap::new(); 2], told: Vec::new() }, "1@open-1");
        assert!(faults(&writes, &end).contains(&Fault::DeletedAlive { row }));
    }
}
