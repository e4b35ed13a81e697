//! A first copy as an administrator makes it: one program piped into another.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use crate::anchors;
use crate::connection::{Connection, DATABASE};
use crate::people::users_for_copy;
use crate::servers::Server;

const PIPE_BYTES: usize = 256 * 1024;

/// `mariadb --batch` into COPY, which takes less time than a dump: its lines are what COPY reads.
pub async fn mariadb_to_postgres(source: &Server, target: &Server) {
    let select = format!("SELECT {} FROM users", users_for_copy());
    let mut client = client(source, &launcher(source, "mariadb"))
        .args(["--batch", "--quick", "--skip-column-names", "--default-character-set=utf8mb4", "--execute", &select, DATABASE])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program mariadb starts");
    let mut output = client.stdout.take().expect("its output is piped");
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(16);
    let reader = tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIPE_BYTES];
            let read = output.read(&mut piece).expect("the output of mariadb can be read");
            piece.truncate(read);
            if read == 0 || sender.blocking_send(piece.into()).is_err() {
                return;
            }
        }
    });
    let copy = postgres(target).await;
    let sink = copy.copy_in("COPY users FROM STDIN WITH (NULL 'NULL')").await.expect("PostgreSQL takes the copy");
    futures_util::pin_mut!(sink);
    while let Some(piece) = pieces.recv().await {
        sink.send(piece).await.expect("PostgreSQL takes the rows");
    }
    sink.finish().await.expect("PostgreSQL commits the copy");
    reader.await.expect("the reader ends");
    ended_well(client, "mariadb");
}

/// COPY into COPY.
pub async fn postgres_to_postgres(source: &Server, target: &Server) {
    let (from, to) = (postgres(source).await, postgres(target).await);
    let rows = from.copy_out("COPY users TO STDOUT").await.expect("PostgreSQL gives the copy");
    let sink = to.copy_in("COPY users FROM STDIN").await.expect("PostgreSQL takes the copy");
    futures_util::pin_mut!(rows, sink);
    while let Some(piece) = rows.next().await {
        sink.feed(piece.expect("PostgreSQL gives the rows")).await.expect("PostgreSQL takes the rows");
    }
    sink.finish().await.expect("PostgreSQL commits the copy");
}

/// mariadb-dump into mariadb. Where the dump is missing, `mariadb --batch` into LOAD DATA; it says which.
pub fn mariadb_to_mariadb(source: &Server, target: &Server) -> &'static str {
    let mariadb = launcher(source, "mariadb");
    let (from, to, said) = match anchors::program("mariadb-dump") {
        Some(dump) => {
            let mut from = client(source, &dump);
            from.args(["--no-create-info", "--single-transaction", "--quick", DATABASE, "users"]);
            let mut to = client(target, &mariadb);
            to.arg(DATABASE);
            (from, to, "by hand is mariadb-dump piped into mariadb")
        }
        None => {
            let mut from = client(source, &mariadb);
            from.args(["--batch", "--quick", "--skip-column-names", "--execute", "SELECT * FROM users", DATABASE]);
            let load = "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE users CHARACTER SET utf8mb4 \
                        (uid, name, pass, mail, created, access, login, status, @data) SET data = NULLIF(@data, 'NULL')";
            let mut to = client(target, &mariadb);
            to.args(["--local-infile=1", "--execute", load, DATABASE]);
            (from, to, "by hand is mariadb --batch piped into LOAD DATA, as there is no mariadb-dump: tests/servers/fetch-anchors gets it")
        }
    };
    pipe(from, to);
    said
}

fn pipe(mut from: Command, mut to: Command) {
    let mut from = from.stdout(Stdio::piped()).spawn().expect("the program to copy from starts");
    let output = from.stdout.take().expect("its output is piped");
    let to = to.stdin(output).spawn().expect("the program to copy to starts");
    ended_well(to, "the program that was copied to");
    ended_well(from, "the program that was copied from");
}

fn ended_well(mut child: Child, name: &str) {
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{name} ended with {status}");
}

fn launcher(server: &Server, name: &str) -> PathBuf {
    server.kind().home().join("bin").join(name)
}

fn client(server: &Server, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(format!("--socket={}", server.socket().display())).arg("--user=root");
    command
}

async fn postgres(server: &Server) -> tokio_postgres::Client {
    match Connection::open(server).await {
        Connection::Postgres(client) => client,
        Connection::MySql(_) => panic!("a copy by COPY of a server without it"),
    }
}
