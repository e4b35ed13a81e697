//! A site is taken out of the roster by a command that dies, and comes in again.

use std::process::{Command, Stdio};

use rosterd::crash::{EXIT_CODE, VARIABLE};

use crate::stage::{PEOPLE, Stage};

pub fn removed(stage: &mut Stage) {
    // What is written at a site that is not in the roster is nobody's.
    let load = stage.load_elsewhere();
    let daemon = stage.up();
    stage.roster.settle_fences(&[0, 1, 2]);
    assert!(daemon.stop().success());
    for (point, is_site) in [
        ("remove.slot-dropped", true),
        ("remove.publication-dropped", true),
        ("remove.uninstalled", true),
        ("remove.locked", true),
        ("remove.dismantled", true),
        ("remove.forgetting", false),
        ("remove.forgotten", true),
    ] {
        if stage.passes(point) {
            let at = if is_site { format!("{point}@{}", stage.site()) } else { point.to_owned() };
            let (code, said) = remove(stage, Some(&at));
            assert_eq!(code, Some(EXIT_CODE), "instead of dying at {at} ({}) the command said: {said}", stage.engine);
            stage.note(point, &at);
        }
    }
    let (code, said) = remove(stage, None);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(left_over(stage), Vec::<String>::new());
    // It comes in as a new site: rows that it still had, and others have deleted meanwhile, would be its own and go everywhere.
    stage.roster.empty(stage.at);
    let daemon = stage.up();
    stage.roster.wait_value(stage.at, "SELECT count(*) FROM fence", &stage.roster.sites.len().to_string());
    stage.roster.wait_value(stage.at, &format!("SELECT count(*) FROM person WHERE uid <= {PEOPLE}"), &PEOPLE.to_string());
    daemon.kill();
    stage.assert_all_well(load);
}

fn remove(stage: &Stage, crash: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.args(["site", "remove", &stage.site(), "--config"]).arg(stage.roster.configure()).stdin(Stdio::null());
    command.envs(crash.map(|at| (VARIABLE, at)));
    let output = command.output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What is ours at the site.
fn left_over(stage: &Stage) -> Vec<String> {
    let site = &stage.roster.sites[stage.at];
    let own = format!("rosterd_{}", site.name);
    let queries: Vec<String> = match stage.engine {
        "postgres" => vec![
            format!("SELECT slot_name FROM pg_replication_slots WHERE slot_name = '{own}'"),
            format!("SELECT pubname FROM pg_publication WHERE pubname = '{own}'"),
            "SELECT relname FROM pg_class WHERE relname LIKE 'rosterd%'".into(),
        ],
        "sqlite" => vec!["SELECT name FROM sqlite_schema WHERE name LIKE 'rosterd%'".into()],
        _ => vec!["SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'rosterd%'".into()],
    };
    let mut session = site.session();
    let found: Vec<String> =
        queries.iter().flat_map(|query| session.rows(query)).filter_map(|row| row.into_iter().next().flatten()).collect();
    let locks = std::fs::read_dir(stage.roster.folder())
        .expect("the folder is there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let locks = locks.filter(|name| stage.engine == "sqlite" && name.starts_with(&format!("{}.db.rosterd", site.name)));
    found.into_iter().chain(locks).collect()
}
