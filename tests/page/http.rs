//! Requests as they come from browsers and other programs, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// A port of the loopback address that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it listens").port()
}

#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// `headers`: lines, each with its end. None where nobody answers.
pub fn ask(port: u16, method: &str, path: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let code = lines.next()?.split_whitespace().nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    // What comes in chunks has their lengths between them: the page's text is short enough for one.
    Some(Answer { code, headers, body: body.to_owned() })
}

pub fn get(port: u16, path: &str) -> Option<Answer> {
    ask(port, "GET", path, "Host: localhost\r\n")
}

#[track_caller]
pub fn page(port: u16) -> String {
    let answer = get(port, "/").expect("the daemon answers");
    assert_eq!(answer.code, 200, "{}", answer.body);
    answer.body
}
