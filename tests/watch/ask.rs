//! What other programs do: ask over HTTP, and run promtool.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A port of the loopback address that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it listens").port()
}

/// Status code and body of an answer; None where nobody answers.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

/// Runs promtool, with `input` on its standard input. It must find nothing wrong.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) -> String {
    let cache = std::env::var_os("ROSTERD_SERVERS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers")), PathBuf::from);
    let program = cache.join("promtool/bin/promtool");
    assert!(program.exists(), "no promtool in {}: run tests/servers/fetch first", cache.display());
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
    text
}

/// The value of the one sample whose line begins so.
pub fn sample(scrape: &str, begins: &str) -> Option<f64> {
    scrape.lines().find_map(|line| line.strip_prefix(begins)?.split_whitespace().next_back()?.parse().ok())
}
