//! Whether a database that answers under a site's name is the one that the ledger knows, and as new as the ledger: told before
//! anything is read from it or written to it.

use crate::model::{MarkerId, MarkerKind, Payload, SiteId, Watermark};
use crate::sites::{Continuation, MarkerRow, Past};

/// What the ledger knows of a site.
pub struct Remembered<'a> {
    pub ledger: u64,
    pub site: SiteId,
    /// None: the ledger has never met it.
    pub identity: Option<&'a str>,
    /// The last watermark heard from it.
    pub marked: Option<MarkerId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never met, and nothing stands against it.
    New,
    /// It is what it was; its log says the rest.
    Same,
    /// Another server with the same transactions in its log, such as a replica that took over.
    TookOver,
    /// Another database with all that the ledger has heard, but another log: it was moved, or restored without loss.
    Moved,
    /// An earlier state of the site's database: it was restored from a backup, or a replica took over that had not got everything.
    Older,
    /// Nothing in it says that it has ever been this site.
    Stranger,
    /// Another ledger's markers are there: another rosterd serves it, or this ledger has replaced one that was lost.
    OtherLedger,
    /// It has markers that this ledger has never made: the ledger was put back from a copy.
    LedgerOlder,
}

/// `found`: the identity of the database that answers. `is_from_later`: whether this ledger can't have made a marker of its own.
pub fn judge(known: &Remembered, found: &str, past: &Past, is_from_later: impl Fn(MarkerId) -> bool) -> Verdict {
    let ours =
        |row: &&MarkerRow| maker(row).is_some_and(|(ledger, site)| ledger == known.ledger && site.is_none_or(|site| site == known.site));
    let others = |row: &&MarkerRow| maker(row).is_some_and(|(ledger, _)| ledger != known.ledger);
    if past.markers.iter().filter(ours).any(|(marker, ..)| is_from_later(*marker)) {
        return Verdict::LedgerOlder;
    }
    let Some(identity) = known.identity else {
        return if past.markers.iter().any(|row| others(&row)) { Verdict::OtherLedger } else { Verdict::New };
    };
    let has_all = !is_older(known, &past.markers);
    let was_here = past.markers.iter().any(|row| ours(&row) && row.1 == MarkerKind::Watermark);
    match (identity == found, &past.log) {
        // Its log may go on all the same: a server that was put back gives names and places out again that it had given out before.
        (true, _) if !has_all => Verdict::Older,
        (true, _) => Verdict::Same,
        (false, Continuation::Proven) if was_here && has_all => Verdict::TookOver,
        (false, _) if was_here && has_all && known.marked.is_some() => Verdict::Moved,
        (false, _) if was_here => Verdict::Older,
        (false, _) => Verdict::Stranger,
    }
}

/// The database lacks the last watermark that the ledger has heard from it.
pub fn is_older(known: &Remembered, markers: &[MarkerRow]) -> bool {
    let is_ours = |row: &MarkerRow| maker(row).is_none_or(|(ledger, _)| ledger == known.ledger);
    known.marked.is_some_and(|marked| !markers.iter().any(|row| row.0 >= marked && is_ours(row)))
}

/// Whose marker it is, as far as it says so: the ledger, and of a watermark the site.
fn maker((_, kind, payload): &MarkerRow) -> Option<(u64, Option<SiteId>)> {
    match kind {
        MarkerKind::Batch => Payload::decode(payload).ok().map(|payload| (payload.ledger, None)),
        MarkerKind::Watermark => Watermark::decode(payload).ok().map(|watermark| (watermark.ledger, Some(watermark.site))),
        MarkerKind::Tombstone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::{Cause, Error};

    const HERE: SiteId = SiteId(2);

    fn watermark(number: i64, ledger: u64, site: SiteId) -> MarkerRow {
        (MarkerId(number), MarkerKind::Watermark, Watermark { ledger, site }.encode())
    }

    fn lost() -> Continuation {
        Continuation::Lost(Error::new(Cause::LogLost, "nj", "the log is gone"))
    }

    /// The ledger, number 7, knows the site as `a` and has heard watermark 20 from it; numbers from 50 on are none of its own.
    fn judged(found: &str, log: Continuation, markers: &[MarkerRow]) -> Verdict {
        let known = Remembered { ledger: 7, site: HERE, identity: Some("a"), marked: Some(MarkerId(20)) };
        judge(&known, found, &Past { markers: markers.to_vec(), log }, |marker| marker.0 >= 50)
    }

    #[test]
    fn a_site_that_goes_on_is_the_same() {
        let marked = [watermark(20, 7, HERE), watermark(30, 7, HERE)];
        assert_eq!(judged("a", Continuation::Proven, &marked), Verdict::Same);
        assert_eq!(judged("a", Continuation::Plausible, &marked), Verdict::Same);
        assert_eq!(judged("a", lost(), &marked), Verdict::Same);
    }

    #[test]
    fn a_backup_lacks_the_last_watermark() {
        let marked = [watermark(10, 7, HERE)];
        assert_eq!(judged("a", Continuation::Plausible, &marked), Verdict::Older);
        assert_eq!(judged("a", Continuation::Proven, &marked), Verdict::Older);
        assert_eq!(judged("a", lost(), &[]), Verdict::Older);
        assert_eq!(judged("b", lost(), &marked), Verdict::Older);
        assert_eq!(judged("b", Continuation::Proven, &marked), Verdict::Older);
        assert_eq!(judged("a", Continuation::Plausible, &[watermark(20, 8, HERE)]), Verdict::Older);
    }

    #[test]
    fn another_server_is_the_site_when_it_has_its_last_watermark() {
        assert_eq!(judged("b", Continuation::Proven, &[watermark(20, 7, HERE)]), Verdict::TookOver);
        assert_eq!(judged("b", lost(), &[watermark(20, 7, HERE)]), Verdict::Moved);
        assert_eq!(judged("b", Continuation::Plausible, &[watermark(21, 7, HERE)]), Verdict::Moved);
    }

    #[test]
    fn a_database_that_never_was_the_site_is_a_stranger() {
        assert_eq!(judged("b", lost(), &[]), Verdict::Stranger);
        assert_eq!(judged("b", Continuation::Plausible, &[watermark(20, 7, SiteId(1))]), Verdict::Stranger);
        assert_eq!(judged("b", Continuation::Proven, &[watermark(20, 8, HERE)]), Verdict::Stranger);
    }

    #[test]
    fn markers_that_the_ledger_has_not_made_show_a_ledger_that_is_not_the_last() {
        assert_eq!(judged("a", Continuation::Proven, &[watermark(20, 7, HERE), watermark(50, 7, HERE)]), Verdict::LedgerOlder);
        // Another's numbers say nothing of this one.
        assert_eq!(judged("a", Continuation::Proven, &[watermark(20, 7, HERE), watermark(50, 7, SiteId(1))]), Verdict::Same);
        let met_first = |markers: &[MarkerRow]| {
            let known = Remembered { ledger: 7, site: HERE, identity: None, marked: None };
            judge(&known, "a", &Past { markers: markers.to_vec(), log: Continuation::Plausible }, |_| false)
        };
        assert_eq!(met_first(&[watermark(20, 8, HERE)]), Verdict::OtherLedger);
        assert_eq!(met_first(&[(MarkerId(3), MarkerKind::Batch, Payload { ledger: 8, rows: vec![] }.encode())]), Verdict::OtherLedger);
        assert_eq!(met_first(&[]), Verdict::New);
        // A client that was set up from a dump of the hub.
        assert_eq!(met_first(&[watermark(20, 7, SiteId(1))]), Verdict::New);
    }
}
