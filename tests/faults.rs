//! What fails under load: the daemon is restarted or killed, a server is killed, connections break, the ledger's disk is full.
//! In the end every site holds all that any of them has confirmed, once.

#[path = "support/load.rs"]
mod load;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::time::Duration;

use load::Load;
use proxy::Proxy;
use roster::Engine::{self, *};
use roster::{ColumnKind, Roster, Table};

/// People who were there before, for a first copy that is still under way when the trouble begins.
const PERSON: Table = Table::new(
    "person",
    "uid INT PRIMARY KEY, name VARCHAR(60), visits INT",
    &[("uid", ColumnKind::Plain), ("name", ColumnKind::Plain), ("visits", ColumnKind::Plain)],
);
const PEOPLE: u32 = 3000;

fn loaded(roster: &mut Roster) {
    load::prepare(roster);
    roster.share(PERSON, "");
    let rows: Vec<String> = (1..=PEOPLE).map(|uid| format!("({uid}, 'person {uid}', 0)")).collect();
    for rows in rows.chunks(1000) {
        roster.sql(0, &format!("INSERT INTO person VALUES {}", rows.join(", ")));
    }
    roster.set("chunk_rows_max = 100");
    roster.set("copy_rows_per_second_max = 2000");
}

fn assert_copied(roster: &Roster) {
    assert_eq!(roster.rows(0, "person").len(), PEOPLE as usize);
}

/// Moments that differ from run to run and have no pattern.
fn random_moment(below_ms: u64) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    Duration::from_millis(std::hash::RandomState::new().build_hasher().finish() % below_ms)
}

#[test]
fn the_daemon_is_killed_with_mariadb_postgres_and_sqlite() {
    killed(&[MariaDb1011, Postgres18, Sqlite]);
}

#[test]
fn the_daemon_is_killed_with_postgres_mysql_and_mariadb() {
    killed(&[Postgres15, MySql97, MariaDb118]);
}

#[test]
fn the_daemon_is_killed_with_sqlite_postgres_and_sqlite() {
    killed(&[Sqlite, Postgres18, Sqlite]);
}

const KILLS: u32 = 8;

fn killed(engines: &[Engine]) {
    let mut roster = Roster::new(engines);
    loaded(&mut roster);
    let load = Load::start(&roster, 1);
    for _ in 0..KILLS {
        let mut daemon = roster.spawn();
        let captured = roster.captured();
        // It gets on a little, so that the moment is not always one of starting.
        roster.wait("the daemon to capture something", || {
            daemon.assert_runs();
            (roster.captured() <= captured).then(|| format!("nothing after {captured}\n{}", daemon.log()))
        });
        std::thread::sleep(random_moment(700));
        daemon.assert_runs();
        daemon.kill();
        load.wait_written(20);
    }
    let mut daemon = roster.spawn();
    load.wait_written(20);
    load.finish(&roster);
    assert_copied(&roster);
    daemon.assert_runs();
    assert!(daemon.stop().success());
}

#[test]
fn the_daemon_is_restarted_under_load() {
    let mut roster = Roster::new(&[MariaDb118, Postgres15, Sqlite]);
    loaded(&mut roster);
    let load = Load::start(&roster, 1);
    for _ in 0..5 {
        roster.start();
        std::thread::sleep(random_moment(900));
        roster.stop();
        load.wait_written(20);
    }
    roster.start();
    load.wait_written(20);
    load.finish(&roster);
    assert_copied(&roster);
    roster.stop();
}

#[test]
fn mariadb_and_postgres_servers_are_killed_under_load() {
    servers_killed(&[MariaDb118, Postgres18, Sqlite]);
}

#[test]
fn postgres_and_mysql_servers_are_killed_under_load() {
    servers_killed(&[Postgres15, MySql97, Sqlite]);
}

fn servers_killed(engines: &[Engine]) {
    let (mut servers, mut roster) = Roster::on_own_servers(engines, |_| &[]);
    loaded(&mut roster);
    roster.start();
    let load = Load::start(&roster, 1);
    for at in [0, 1, 0, 1] {
        load.wait_written(60);
        std::thread::sleep(random_moment(400));
        servers[at].kill();
        load.wait_written(5);
        servers[at].restart();
    }
    load.wait_written(60);
    load.finish(&roster);
    assert_copied(&roster);
    roster.stop();
}

#[test]
fn connections_break_under_load() {
    let mut roster = Roster::new(&[MariaDb1011, Postgres15, MySql97, Sqlite]);
    let proxies: Vec<Proxy> = roster.sites[..3].iter_mut().map(Proxy::before).collect();
    loaded(&mut roster);
    roster.start();
    let load = Load::start(&roster, 1);
    let mut cut = 0;
    for turn in 0..12 {
        load.wait_written(25);
        std::thread::sleep(random_moment(300));
        cut += proxies[turn % proxies.len()].cut();
    }
    assert!(cut > 12, "only {cut} connections were there to be cut");
    load.wait_written(25);
    load.finish(&roster);
    assert_copied(&roster);
    roster.stop();
}

#[test]
fn the_ledgers_disk_is_full_for_a_while() {
    let mut roster = Roster::new(&[MariaDb1011, Postgres15, Sqlite]);
    loaded(&mut roster);
    let disk = SmallDisk::mount(&roster.state_dir());
    roster.start();
    let load = Load::start(&roster, 1);
    load.wait_written(50);
    roster.wait("the first copy to end", || (roster.rows(1, "person").len() < PEOPLE as usize).then(|| "it goes on".into()));
    disk.fill();
    roster.wait("the daemon to say that there is no room", || {
        let said = roster
            .daemon()
            .daemon
            .members
            .iter()
            .any(|member| member.health.figures().last_error.as_deref().is_some_and(|error| error.contains("no room")));
        (!said).then(|| "it does not".into())
    });
    load.wait_written(100);
    disk.make_room();
    load.wait_written(20);
    load.finish(&roster);
    assert_copied(&roster);
    roster.stop();
}

/// A file system of a few megabytes, in memory. It takes root's rights to mount it.
struct SmallDisk {
    folder: std::path::PathBuf,
}

impl SmallDisk {
    fn mount(folder: &std::path::Path) -> SmallDisk {
        std::fs::create_dir(folder).expect("the folder can be made");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=700", "rosterd-test"])
            .arg(folder)
            .output()
            .expect("mount runs");
        assert!(mounted.status.success(), "this test mounts a small disk, as root: {}", String::from_utf8_lossy(&mounted.stderr));
        SmallDisk { folder: folder.into() }
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.folder.join("filler")).expect("there is room yet");
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.folder.join("filler")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as the daemon may still have its ledger open when a test has failed.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
