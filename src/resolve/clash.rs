//! Two rows with one value of a unique key: which of them keeps it, and what the other one is called.

use super::policy::Roster;
use super::row::{Register, Row};
use crate::model::SiteId;

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

/// Whether `site` has the row's merged values in `columns`.
pub fn stands_at(row: &Row, site: SiteId, columns: &[usize]) -> bool {
    let lists = |column: u16| columns.contains(&usize::from(column));
    row.life.exists()
        && row.held(site).is_none_or(|held| held.life == row.life && !held.apart && !held.columns.iter().any(|(column, _)| lists(*column)))
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
    use crate::model::{Dot, Life, Value};
    use crate::resolve::{Known, SiteView};

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
        assert!(!stands_at(&row, SiteId(3), &[1]) && stands_at(&row, SiteId(3), &[0]));
    }
}
