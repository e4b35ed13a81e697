//! When a site's log can't be followed any more: what is still known of the site, and what has to be read anew.

use super::Watch;
use super::intake::{Report, record};
use crate::ledger::{Freshness, Ledger, Mode, Result, RowId};
use crate::model::{Dot, MarkerKind, Payload, Position, SiteId};
use crate::resolve;
use crate::sites::MarkerRow;

/// The log between our position and `now_at` is gone. The markers that the site still has say what of ours it received;
/// its tables are then compared with the ledger, and what differs is what people changed there meanwhile.
pub fn lost_log(
    ledger: &mut Ledger,
    watch: &mut Watch,
    site: SiteId,
    markers: &[MarkerRow],
    now_at: &Position,
    now_us: i64,
) -> Result<Report> {
    let mut report = Report::default();
    watch.abandon_chunks();
    for (marker, kind, payload) in markers {
        // A marker heard before stands for what the site held then, not for what it holds since.
        if ledger.was_heard(site, *marker)? {
            continue;
        }
        ledger.heard(site, *marker)?;
        let Ok(payload) = Payload::decode(payload) else { continue };
        if *kind != MarkerKind::Batch || payload.ledger != ledger.id {
            continue;
        }
        for sent in &payload.rows {
            let (id, mut row) = ledger.load(sent.table, &sent.key)?;
            let dot = Dot { site, counter: ledger.next_counter(site) };
            let Some(shared) = ledger.shared(sent.table) else { continue };
            let (observed, _) = resolve::landed(&mut row, &shared.roster, &shared.policy, dot, sent, None, now_us);
            record(ledger, site, sent.table, &sent.key, id, row, observed, Freshness::BULK, now_us, &mut report)?;
        }
    }
    begin_again(ledger, site, Mode::Gap, now_at, now_us)?;
    Ok(report)
}

/// The site came back from a backup: what it holds is older than the ledger, which wins.
pub fn restored(ledger: &mut Ledger, watch: &mut Watch, site: SiteId, markers: &[MarkerRow], now_at: &Position, now_us: i64) -> Result<()> {
    watch.abandon_chunks();
    for (marker, ..) in markers {
        ledger.heard(site, *marker)?;
    }
    begin_again(ledger, site, Mode::Restored, now_at, now_us)
}

fn begin_again(ledger: &mut Ledger, site: SiteId, mode: Mode, now_at: &Position, now_us: i64) -> Result<()> {
    let unheard = ledger.unheard(site);
    let returned: Vec<RowId> = unheard.into_iter().flat_map(|marker| ledger.returned(site, marker)).collect();
    ledger.rescan(site, mode)?;
    ledger.bury_waiting(&returned)?;
    ledger.advance(site, now_at.clone(), None, now_us);
    Ok(())
}
