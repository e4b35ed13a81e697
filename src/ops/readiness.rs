//! Whether every site is at work: what `/readyz` answers.

use super::status::{SiteState, SiteStatus, Status};

/// What is missing until all sites that nobody has paused are followed and known, one sentence each; none: nothing is.
pub fn missing(status: &Status) -> Vec<String> {
    status.sites.iter().filter(|site| site.state != SiteState::Paused).flat_map(of_site).collect()
}

fn of_site(site: &SiteStatus) -> Vec<String> {
    let name = &site.name;
    if let Some(why) = site.blown() {
        return vec![format!("site {name} is stopped, {why}")];
    }
    let state = match site.state {
        SiteState::Following | SiteState::Paused => None,
        SiteState::Starting => Some("is being connected to"),
        SiteState::CatchingUp => Some("is catching up with its log"),
        SiteState::Retrying => Some("can't be worked with and is tried again"),
        SiteState::Stopped => Some("waits for somebody to mend it"),
        SiteState::NotRunning => Some("is not worked with"),
    };
    let mut missing = Vec::new();
    if let Some(state) = state {
        let error = site.last_error.as_ref().filter(|_| matches!(site.state, SiteState::Retrying | SiteState::Stopped));
        missing.push(format!("site {name} {state}{}", error.map_or_else(String::new, |error| format!(" ({})", error.text))));
    }
    missing
        .extend(site.stopped_tables.iter().map(|stopped| format!("site {name}, table {} has stopped: {}", stopped.table, stopped.reason)));
    missing.extend(site.scans.iter().map(|scan| format!("site {name}, table {} is being compared ({})", scan.table, scan.why)));
    missing
}
