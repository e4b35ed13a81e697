//! A replica takes over from a site's server, under the same address.

use super::proxy::Proxy;
use super::*;

#[test]
fn a_mariadb_replica_takes_over() {
    let follow = "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos;
                  START SLAVE";
    takes_over(Kind::MariaDb118, MariaDb118, &["--log-slave-updates=ON"], follow, "STOP SLAVE; RESET SLAVE ALL");
}

#[test]
fn a_mysql_replica_takes_over() {
    let follow = "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root',
                  SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA";
    takes_over(Kind::MySql97, MySql97, &[], follow, "STOP REPLICA; RESET REPLICA ALL");
}

/// The replica has everything: reading goes on by GTID, and nothing is compared.
fn takes_over(kind: Kind, engine: Engine, options: &[&str], follow: &str, promote: &str) {
    let (mut primary, replica) = (Server::start_with(kind, options), Server::start_with(kind, options));
    replica.sql("mysql", &follow.replace("{port}", &primary.port().to_string()));
    let (mut roster, proxy) = behind_proxy(&primary, engine);
    fails_over(&mut roster, &proxy, &mut primary, &replica, engine, |database| {
        replica.sql("mysql", promote);
        replica.sql(database, "INSERT INTO person VALUES (1001, 'first of the new one', 'f@x')");
    });
    assert_eq!(generations(&roster), 1, "a table has been compared anew");
    roster.stop();
}

/// PostgreSQL's standbys have no slots of ours: the tables are compared, and what people did meanwhile is merged.
#[test]
fn a_postgres_standby_takes_over() {
    let mut primary = Server::start(Kind::Postgres18);
    let (mut roster, proxy) = behind_proxy(&primary, Postgres18);
    let follow = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", primary.port());
    let standby = primary.start_copy(&[], &[("standby.signal", ""), ("postgresql.auto.conf", &follow)]);
    fails_over(&mut roster, &proxy, &mut primary, &standby, Postgres18, |database| {
        standby.sql("postgres", "SELECT pg_promote()");
        standby.sql(database, "INSERT INTO person VALUES (1001, 'first of the new one', 'f@x')");
        standby.sql(database, "DELETE FROM person WHERE uid = 3");
    });
    expect(&roster, 3, None);
    roster.stop();
}

/// The primary ends when the other has everything; `promote` lets that one work, and people with it.
#[track_caller]
fn fails_over(roster: &mut Roster, proxy: &Proxy, primary: &mut Server, other: &Server, engine: Engine, promote: impl Fn(&str)) {
    roster.start();
    roster.settle();
    roster.sql(SUBJECT, "UPDATE person SET name = 'last of the old one' WHERE uid = 1");
    roster.settle();
    let database = roster.sites[SUBJECT].database().to_owned();
    wait_has_everything(roster, primary, other);
    primary.kill();
    promote(&database);
    roster.sql(0, "UPDATE person SET mail = 'changed meanwhile' WHERE uid = 2");
    proxy.lead_to(other.port());

    roster.sites[SUBJECT] = Site::at(engine, &roster.sites[SUBJECT].name, at(other, &database));
    roster.settle_equal();
    expect(roster, 1, Some("last of the old one p1@x"));
    expect(roster, 2, Some("person 2 changed meanwhile"));
    expect(roster, 1001, Some("first of the new one f@x"));
}

#[track_caller]
fn wait_has_everything(roster: &Roster, primary: &Server, other: &Server) {
    let database = roster.sites[SUBJECT].database();
    let position = |server: &Server| server.rows(database, "SELECT max(id) FROM rosterd_marker").remove(0).remove(0);
    roster.wait("the other server to have everything", || {
        let (here, there) = (position(primary), position(other));
        (here != there).then(|| format!("it has {there:?} of {here:?}"))
    });
}

fn at(server: &Server, database: &str) -> roster::Place {
    roster::Place::Server { port: server.port(), socket: server.socket(), database: database.into() }
}

/// The daemon goes through the proxy; the applications don't.
fn behind_proxy(server: &Server, engine: Engine) -> (Roster, Proxy) {
    let folder = tempfile::Builder::new().prefix("rosterd-roster-").tempdir().expect("a temporary folder");
    let names = roster::names(3);
    let mut site = Site::on(server, engine, &names[SUBJECT]);
    let proxy = Proxy::to(server.port());
    site.url = Some(site.url().replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port())));
    let hub = if engine.is_postgres() { MariaDb118 } else { Postgres15 };
    let sites = vec![Site::create(hub, &names[0], folder.path()), site, Site::create(Sqlite, &names[2], folder.path())];
    let mut roster = Roster::of(sites, folder);
    share(&mut roster);
    (roster, proxy)
}

/// How often the table that was compared most often has been.
fn generations(roster: &Roster) -> i64 {
    let db = rusqlite::Connection::open(roster.state_dir().join("ledger.sqlite")).expect("the ledger is there");
    db.query_row("SELECT max(generation) FROM site_table", [], |row| row.get(0)).expect("tables are known")
}
