//! The command line of each kind of server.

use std::{
    fs::File,
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Command, Stdio},
};

use super::{Kind, server_folder::Folder};

pub fn command(kind: Kind, folder: &Folder, port: u16, extra: &[String]) -> Command {
    let program = match kind {
        Kind::MariaDb1011 | Kind::MariaDb118 => "mariadbd",
        Kind::MySql97 => "mysqld",
        Kind::Postgres15 | Kind::Postgres18 => "postgres",
    };
    let mut command = Command::new(kind.home().join("bin").join(program));
    if kind.is_postgres() {
        postgres(&mut command, folder, port)
    } else {
        mysql_family(&mut command, kind, folder, port)
    }
    // Written as on a command line: "-c name=value" is two arguments.
    command.args(extra.iter().flat_map(|option| option.split_whitespace()));
    let log = File::options().create(true).append(true).open(folder.log()).expect("the log can be written");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be cloned"))
        .stderr(log)
        .current_dir(folder.path())
        // So that Ctrl-C in a terminal ends the tests and they end the servers.
        .process_group(0);
    command
}

fn mysql_family(command: &mut Command, kind: Kind, folder: &Folder, port: u16) {
    command
        .arg(format!("--datadir={}", folder.data().display()))
        .arg(format!("--socket={}", folder.path().join("socket").display()))
        .arg(format!("--pid-file={}", folder.path().join("server.pid").display()))
        // A server that starts removes temporary tables from its folder for them, whichever server made them.
        .arg(format!("--tmpdir={}", folder.path().display()))
        .arg(format!("--port={port}"))
        // Unique among the servers that run at the same time, and kept over restarts.
        .arg(format!("--server-id={port}"))
        .args([
            "--bind-address=127.0.0.1",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--sync-binlog=1",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=128M",
            "--max-allowed-packet=128M",
            "--max-connections=200",
            "--character-set-server=utf8mb4",
        ]);
    if kind == Kind::MySql97 {
        command.args(["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--mysqlx=OFF", "--secure-file-priv=NULL"]);
    }
    if super::server_folder::is_root() {
        command.arg("--user=root");
    }
}

fn postgres(command: &mut Command, folder: &Folder, port: u16) {
    command.arg("-D").arg(folder.data()).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "wal_level=logical",
        "max_replication_slots=40",
        "max_wal_senders=40",
        "max_connections=200",
        "fsync=on",
        // What is committed without waiting for the disk is in the log's readers' hands this much later, at most thrice.
        "wal_writer_delay=10ms",
        // In the data directory, so that a killed server leaves nothing in /dev/shm, which is small in a container.
        "dynamic_shared_memory_type=mmap",
    ] {
        command.args(["-c", setting]);
    }
    if super::server_folder::is_root() {
        let owner = std::fs::metadata(folder.data()).expect("the data directory exists");
        command.uid(owner.uid()).gid(owner.gid());
    }
}
