//! The net effect of a transaction: each row once, as it was before and as it is after.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::{Cell, Change, Image, Key, TableId};

/// What a transaction did to one row, whatever the number of its statements.
#[derive(Clone, Debug)]
pub struct Net {
    pub table: TableId,
    pub key: Key,
    /// The row before the transaction, where the log has it.
    pub before: Option<Image>,
    pub after: Option<Image>,
    pub moved_from: Option<Key>,
}

/// Rows in the order in which the transaction first touched them: parents before the children that came after them.
pub fn net_effect(changes: Vec<Change>) -> Vec<Net> {
    let mut at: HashMap<(TableId, Key), usize> = HashMap::with_capacity(if changes.len() > 1 { changes.len() } else { 0 });
    let mut rows: Vec<Net> = Vec::with_capacity(changes.len());
    let single = changes.len() == 1;
    for Change { table, key, before, after, moved_from } in changes {
        let net = Net { table, key, before, after, moved_from };
        if single {
            return vec![net];
        }
        match at.entry((net.table, net.key.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(rows.len());
                rows.push(net);
            }
            Entry::Occupied(entry) => {
                let row = &mut rows[*entry.get()];
                row.after = match (row.after.take(), net.after) {
                    (Some(earlier), Some(later)) => Some(overlaid(earlier, later)),
                    (_, later) => later,
                };
                row.moved_from = net.moved_from.or(row.moved_from.take());
            }
        }
    }
    rows
}

/// `later` over `earlier`: what the later image leaves out is as it was.
pub fn overlaid(earlier: Image, later: Image) -> Image {
    let cell = |(earlier, later)| if later == Cell::Unchanged { earlier } else { later };
    earlier.into_iter().zip(later).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn change(before: Option<i64>, after: Option<i64>) -> Change {
        let image = |n: i64| vec![Cell::Value(Value::Int(n))];
        let key = Key(vec![Value::Int(1)]);
        Change { table: TableId(1), key, before: before.map(image), after: after.map(image), moved_from: None }
    }

    #[test]
    fn a_delete_and_an_insert_of_one_row_are_an_update() {
        let net = net_effect(vec![change(Some(1), None), change(None, Some(2))]);
        assert_eq!(net.len(), 1);
        assert_eq!(net[0].before, Some(vec![Cell::Value(Value::Int(1))]));
        assert_eq!(net[0].after, Some(vec![Cell::Value(Value::Int(2))]));
    }

    #[test]
    fn a_row_that_comes_and_goes_is_nothing_after() {
        let net = net_effect(vec![change(None, Some(1)), change(Some(1), None)]);
        assert_eq!((net.len(), net[0].after.is_none(), net[0].before.is_none()), (1, true, true));
    }

    #[test]
    fn a_later_image_leaves_what_it_does_not_have() {
        let text = |t: &str| Cell::Value(Value::text(t));
        let image = overlaid(vec![text("a"), text("b")], vec![Cell::Unchanged, text("c")]);
        assert_eq!(image, vec![text("a"), text("c")]);
    }
}
