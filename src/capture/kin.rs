//! Rows that belong to another person than their key says: where a person stands apart at a site, so do that person's sessions,
//! roles and fields there, or two people would be blended by what refers to them.

use crate::ledger::{Ledger, QuarantineKind, Result, RowId};
use crate::model::{Cell, Image, Key, SiteId, TableId};
use crate::mutation;
use crate::resolve::{self, Row};

/// What becomes of a row that is seen at a site.
pub(super) enum Kinship {
    /// Nothing is apart: the merge decides.
    None,
    /// It belongs to a row that stands apart at the site, and so does it from now on.
    Joins,
    /// It belonged to one, and does not any more.
    Leaves,
}

/// Looks at what a row refers to at the site where it has been seen.
pub(super) fn kinship(ledger: &Ledger, site: SiteId, table: TableId, id: Option<RowId>, row: &Row, content: &Image) -> Result<Kinship> {
    let Some(shared) = ledger.shared(table).filter(|shared| !shared.references.is_empty()) else { return Ok(Kinship::None) };
    let mut belongs = false;
    for (column, parent) in &shared.references {
        if let Some(Cell::Value(value)) = content.get(*column) {
            belongs |= ledger.is_apart(site, *parent, &Key(vec![value.clone()]))?;
        }
    }
    let apart = resolve::is_apart(row, site);
    let by_kinship = apart && id.is_some_and(|id| ledger.quarantined_as(site, id).is_ok_and(|kind| kind == Some(QuarantineKind::Kin)));
    Ok(match belongs {
        true if !apart && !resolve::has_row(row, shared.roster.site(site)) && !mutation::without("joins") => Kinship::Joins,
        false if by_kinship && shared.references.iter().all(|(column, _)| content.get(*column) != Some(&Cell::Unchanged)) => {
            Kinship::Leaves
        }
        _ => Kinship::None,
    })
}

/// Why a row of a site's own is not shared.
pub(super) const REASON: &str = "it belongs to a row of this site that stands apart: it is shared when that has been settled";
