//! Words and small pieces that several parts of the page use, and what kinds of conflicts and held back rows mean.

use maud::{Markup, PreEscaped, html};

use crate::ops::status::{SiteState, SiteStatus};
use crate::ops::text::moment;

/// A sentence; what stands in backticks is a command or a name to be typed.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A moment, in words and for machines.
pub(super) fn time(us: i64) -> Markup {
    let shown = moment(us);
    html! { time datetime=(shown.replace(' ', "T")) { (shown) } }
}

pub(super) fn fact(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// What a state is drawn as; its word always stands beside it.
pub(super) fn tone(state: SiteState) -> &'static str {
    match state {
        SiteState::Following => "good",
        SiteState::Starting | SiteState::CatchingUp => "doubt",
        SiteState::Paused => "rest",
        SiteState::Retrying | SiteState::Stopped | SiteState::NotRunning => "bad",
    }
}

/// As `rosterd status` calls it.
pub(super) fn state(site: &SiteStatus) -> String {
    match site.scans.iter().any(|scan| scan.phase != "waiting") && site.state == SiteState::Following {
        true => "following, copying".into(),
        false => site.state_in_words().into(),
    }
}

/// A shape for each tone, so that it can be told without its colour.
pub(super) fn symbol(tone: &str) -> Markup {
    let shape = match tone {
        "good" => r#"<circle cx="6" cy="6" r="5"/>"#,
        "doubt" => r#"<path d="M6 1a5 5 0 1 0 0 10z"/><circle cx="6" cy="6" r="4.25" fill="none" stroke-width="1.5"/>"#,
        "rest" => r#"<path d="M2 1h3v10H2zM7 1h3v10H7z"/>"#,
        _ => r#"<path d="M6 .5 11.8 11H.2z"/>"#,
    };
    html! { svg.symbol viewBox="0 0 12 12" aria-hidden="true" { (PreEscaped(shape)) } }
}

/// What is said where there is nothing to show.
pub(super) fn none(text: &str) -> Markup {
    html! { p.none { (text) } }
}

/// Why rows are held back under this kind, and what to do.
pub(super) fn held_back(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "apart" => (
            "the site's own row under this key is another person's, or a conflict that was left to you",
            "`rosterd quarantine list` has the names; `rosterd quarantine show NAME` says what can be done",
        ),
        "kin" => ("the row belongs to a person who stands apart at this site", "settle that person, and it goes on by itself"),
        "unique" => ("another row there has its value of a unique key", "rename one of the two at its own site; both go on by themselves"),
        "reference" => ("its parent is missing there", "share the parent's table or add the parent, then `rosterd quarantine retry NAME`"),
        "data" => (
            "the site refuses it: a check, a trigger, a value that is too long",
            "`rosterd quarantine list` has the reason; mend it, then `rosterd quarantine retry NAME`",
        ),
        "value" => (
            "a value has no lossless form at the site, or at its source",
            "change the value or the column at its site; the row is shared again when it changes",
        ),
        _ => ("for a reason of its own", "`rosterd quarantine list` has it"),
    }
}

/// What has happened in conflicts of this kind.
pub(super) fn conflict(kind: &str) -> &'static str {
    match kind {
        "insert_exists" => "both sites inserted the same key",
        "update_origin_differs" => "both changed the same column without having seen each other's value",
        "update_deleted" => "one changed a row that the other had deleted",
        "delete_origin_differs" => "one deleted a row that the other had changed",
        "initial_differs" => "the row differed when the site was first copied; the table's `initial` policy decided",
        "restored_differs" => "the site came back from an older backup; what the roster had since was kept",
        "against_direction" => "the site wrote what belongs to the hub",
        "multiple_unique_conflicts" => "two rows have one value of a unique key; the earlier one keeps it",
        _ => "one site's value won over the other's",
    }
}

/// What helps against an error of this cause.
pub(super) fn next_step(cause: &str) -> &'static str {
    match cause {
        "unreachable" => {
            "It is tried again by itself. See that the server runs and can be reached from here; `rosterd check` tries it now."
        }
        "disconnected" => "It is connected again by itself; if that goes on, its server's log says why.",
        "credentials" => {
            "Mend the account or the password file; a new password counts after a restart. `rosterd grants` prints the statements."
        }
        "tls" => "Mend the certificate or the TLS settings; files are read again at each try. `rosterd check` says more.",
        "privilege" => "Run what `rosterd grants` prints for this site.",
        "read_only" => "It goes on by itself when the server takes writes again.",
        "full" => "Make room on the server's disk; it goes on by itself.",
        "busy" => "It is done again by itself. If that goes on, look for a long transaction there.",
        "log_lost" => "Nothing to do: the tables are compared, and what differs is merged.",
        "held" => "Another daemon works on this site: stop one of the two.",
        "missing" | "unsupported" => "`rosterd check` says what has to be there and the statement that mends it.",
        "ledger" => "See that the disk of `state_dir` has room and can be written; the daemon's log says more.",
        "after_apply" => "Mend the statement in `after_apply`, or the table that it names; the row itself has been written.",
        _ => "The daemon's log says more.",
    }
}
