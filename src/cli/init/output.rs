//! The file that `init` writes, and what it says afterwards.

use std::fmt::Write as _;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rosterd::ops::init::Draft;

/// It names accounts and hosts, though no passwords.
const MODE: u32 = 0o640;

pub fn refusal(path: &Path) -> String {
    format!("{} is there already; name another file, or --force writes over it", path.display())
}

/// Writes the file whole or not at all.
pub fn write(path: &Path, text: &str, force: bool) -> Result<(), String> {
    let failed = |cause: std::io::Error| format!("{} can't be written: {cause}; look at the folder and its permissions", path.display());
    let name = path.file_name().ok_or_else(|| format!("{} is no name of a file", path.display()))?;
    let fresh = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&fresh).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        // Whatever the umask took away.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()?;
        // A link is refused where a file has come to be meanwhile; a rename would replace it.
        if force { std::fs::rename(&fresh, path) } else { std::fs::hard_link(&fresh, path) }
    });
    let _ = std::fs::remove_file(&fresh);
    match written {
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Err(refusal(path)),
        other => other.map_err(failed),
    }
}

/// What was written, and what comes next.
pub fn summary(draft: &Draft, path: &Path) -> String {
    let sites: Vec<&str> = draft.sites.iter().map(|site| site.config.name.as_str()).collect();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {} with the preset {}, {} tables shared, {} left where they are",
        path.display(),
        sites.join(", "),
        draft.presets.join(" and "),
        draft.shared.len(),
        draft.except.len()
    );
    for (site, statement) in &draft.statements {
        let _ = writeln!(out, "to be run at {site}: {statement}");
    }
    for (title, texts) in [("to settle", &draft.faults), ("note", &draft.notes)] {
        for text in texts {
            let _ = writeln!(out, "{title}: {text}");
        }
    }
    let config = path.display();
    let _ =
        write!(out, "next: rosterd --config {config} grants\n      rosterd --config {config} check\n      rosterd --config {config} run\n");
    out
}
