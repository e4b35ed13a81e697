//! Two rows with one value of a unique key: which of them keeps it, and what the other one is called.

use super::apart::has_row;
use super::policy::{Roster, SiteView};
use super::row::{Register, Row};
use crate::model::{Fingerprint, fingerprint};

/// The register by which a row came to its value: the last one written among the key's columns.
pub fn claimed(row: &Row, columns: &[usize]) -> Option<Register> {
    let registers = columns.iter().filter_map(|column| row.registers.get(*column)?.as_ref());
    registers.max_by_key(|register| (register.at_us, register.dot)).cloned()
}

/// Whether `one` keeps the value against `other`: it was written earlier, or at the hub, or at the site whose name comes first.
/// The same whichever of the two became known first.
pub fn keeps(one: &Register, other: &Register, roster: &Roster) -> bool {
    let order = |register: &Register| (register.at_us, roster.rank(register.dot.site), register.dot.counter);
    order(one) < order(other)
}

/// Whether the site has the row's merged values in `columns`, as far as is known. It may have come to them by itself, also in
/// a row that stands apart.
pub fn stands_at(row: &Row, view: &SiteView, columns: &[usize]) -> bool {
    let merged = |column: usize| row.registers[column].as_ref().map(|register| fingerprint(&register.value));
    let same = |column: &usize| held_print(row, view, *column) == merged(*column);
    row.life.exists() && has_row(row, view) && columns.iter().all(same)
}

/// Whether the site's row, which was `before`, does not have what it had in `columns` any more.
pub fn gives_up(before: &Row, after: &Row, view: &SiteView, columns: &[usize]) -> bool {
    let same = |column: &usize| held_print(before, view, *column) == held_print(after, view, *column);
    has_row(before, view) && !(has_row(after, view) && columns.iter().all(same))
}

/// What the site has in a column, as far as is known.
fn held_print(row: &Row, view: &SiteView, column: usize) -> Option<Fingerprint> {
    let listed = row.held(view.id).map(|held| (held.life, held.columns.iter().find(|(c, _)| usize::from(*c) == column)));
    match listed {
        Some((_, Some((_, version)))) => version.map(|(_, print)| print),
        Some((life, None)) if life != row.life => None,
        _ => row.registers[column].as_ref().map(|register| fingerprint(&register.value)),
    }
}

/// `{value}` and `{site}` in `pattern` filled in; a number from 2 on tells further names apart. The value gives way where the whole
/// would be longer than `chars_max`.
pub fn other_name(pattern: &str, value: &str, site: &str, number: u32, chars_max: Option<usize>) -> String {
    let site = if number > 1 { format!("{site}-{number}") } else { site.to_owned() };
    let frame = pattern.replace("{value}", "").replace("{site}", &site).chars().count();
    let room = chars_max.map_or(usize::MAX, |max| max.saturating_sub(frame));
    let value: String = value.chars().take(room).collect();
    pattern.replace("{site}", &site).replace("{value}", &value)
}

/// Gives the row another value in one column, in the name of the site that `register` says: every site is owed it.
pub fn overwrite(row: &mut Row, roster: &Roster, column: usize, register: Register) {
    row.spell_out(roster, None);
    row.set_register(column, register);
    row.tidy(roster);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Dot, Life, SiteId, Value};
    use crate::resolve::Known;

    fn roster() -> Roster {
        let view = |n: u16| SiteView { id: SiteId(n), rank: n - 1, has: vec![true; 2], known: Known::Merged };
        Roster { sites: vec![view(1), view(2), view(3)] }
    }

    fn register(site: u16, counter: u64, at_us: i64) -> Register {
        Register { value: Value::text("joe"), dot: Dot { site: SiteId(site), counter }, at_us }
    }

    #[test]
    fn the_earlier_one_keeps_its_name_then_the_hubs_then_the_first_sites() {
        let roster = roster();
        assert!(keeps(&register(3, 1, 5), &register(1, 1, 6), &roster));
        assert!(keeps(&register(1, 9, 5), &register(2, 1, 5), &roster) && keeps(&register(2, 9, 5), &register(3, 1, 5), &roster));
        assert!(keeps(&register(2, 1, 5), &register(2, 2, 5), &roster) && !keeps(&register(2, 2, 5), &register(2, 1, 5), &roster));
    }

    #[test]
    fn other_names_fit_the_column() {
        assert_eq!(other_name("{value}-{site}", "joe", "nj", 1, None), "joe-nj");
        assert_eq!(other_name("{value}-{site}", "joe", "nj", 3, Some(60)), "joe-nj-3");
        assert_eq!(other_name("{value}-{site}", "jürgen", "nj", 1, Some(7)), "jürg-nj");
        assert_eq!(other_name("{value} ({site})", "joe", "nj", 1, Some(2)), " (nj)");
    }

    #[test]
    fn every_site_is_owed_the_other_name() {
        let roster = roster();
        let mut row = Row { life: Life(1), registers: vec![Some(register(2, 1, 5)); 2], ..Row::default() };
        overwrite(&mut row, &roster, 1, Register { value: Value::text("joe-b"), ..register(2, 2, 5) });
        for site in 1..=3 {
            let write = crate::resolve::owed(&row, roster.site(SiteId(site)), None).expect("it is owed");
            assert_eq!(write.columns, vec![(1, Dot { site: SiteId(2), counter: 2 })]);
        }
        assert!(!stands_at(&row, roster.site(SiteId(3)), &[1]) && stands_at(&row, roster.site(SiteId(3)), &[0]));
    }

    #[test]
    fn a_row_that_a_first_scan_has_not_come_by_stands_in_nobodys_way() {
        let mut roster = roster();
        roster.sites[2].known = Known::Unknown { generation: 1, restored: 0 };
        let row = Row { life: Life(1), registers: vec![Some(register(2, 1, 5)); 2], ..Row::default() };
        assert!(stands_at(&row, roster.site(SiteId(2)), &[1]) && !stands_at(&row, roster.site(SiteId(3)), &[1]));
    }

    #[test]
    fn a_row_that_stands_apart_is_in_the_way_with_the_value_that_it_has() {
        let roster = roster();
        let apart_with = |name: &str| {
            let mut row = Row { life: Life(1), registers: vec![Some(register(2, 1, 5)); 2], ..Row::default() };
            let content = [Cell::Value(Value::text("jim")), Cell::Value(Value::text(name))];
            crate::resolve::stand_apart(&mut row, &roster, Dot { site: SiteId(3), counter: 1 }, &content);
            stands_at(&row, roster.site(SiteId(3)), &[1])
        };
        assert!(apart_with("joe") && !apart_with("jack"));
    }

    #[test]
    fn a_site_gives_its_value_up_by_writing_another_or_deleting_the_row() {
        let roster = roster();
        let before = Row { life: Life(1), registers: vec![Some(register(2, 1, 5)); 2], ..Row::default() };
        let site = roster.site(SiteId(2));
        let policy = crate::resolve::TablePolicy::plain(2);
        let seen = |cells: Option<Vec<Cell>>| {
            let mut row = before.clone();
            crate::resolve::observe(&mut row, &roster, &policy, Dot { site: SiteId(2), counter: 9 }, cells.as_deref(), 9);
            gives_up(&before, &row, site, &[1])
        };
        let cell = |text: &str| Cell::Value(Value::text(text));
        assert!(seen(None) && seen(Some(vec![Cell::Unchanged, cell("jim")])));
        assert!(!seen(Some(vec![cell("jim"), cell("joe")])) && !seen(Some(vec![cell("jim"), Cell::Unchanged])));
    }
}
