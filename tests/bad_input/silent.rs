//! Hosts that don't answer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::TABLES;
use crate::pair::Pair;

const SCHEMES: [&str; 2] = ["mysql", "postgres"];

#[test]
fn a_host_that_never_says_a_word_is_given_up_in_time() {
    // It takes connections.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in SCHEMES {
        assert_given_up(&pair(scheme, listener.local_addr().unwrap()), 2);
    }
}

#[test]
fn a_host_that_drops_what_it_is_sent_is_given_up_in_time() {
    let (listener, _waiting) = full();
    for scheme in SCHEMES {
        assert_given_up(&pair(scheme, listener.local_addr().unwrap()), 2);
    }
}

#[test]
fn without_a_setting_a_host_has_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        for scheme in SCHEMES {
            scope.spawn(move || {
                let pair = pair(scheme, address);
                let text = std::fs::read_to_string(pair.path("rosterd.toml")).unwrap();
                std::fs::write(pair.path("rosterd.toml"), text.replace("connect_timeout_ms = 2000\n", "")).unwrap();
                assert_given_up(&pair, 10);
            });
        }
    });
}

/// A pair whose hub is at `address`.
fn pair(scheme: &str, address: SocketAddr) -> Pair {
    let pair = Pair::new();
    pair.configure("", &[("hub", &format!("{scheme}://rosterd@{address}/roster"), ""), ("nj", "sqlite:nj.db", "")], TABLES);
    pair
}

#[track_caller]
fn assert_given_up(pair: &Pair, seconds: u64) {
    let begun = Instant::now();
    let words = format!("answer within {seconds} s; check host, port and firewall; connect_timeout_ms");
    let told = words.split("; ").chain(["hub", "127.0.0.1"]).collect::<Vec<_>>();
    pair.expect(&["run"], 3, &told);
    let took = begun.elapsed().as_secs();
    assert!((seconds..seconds + 8).contains(&took), "it took {took} s");
}

/// A listener that takes no connection more: the system drops the packets of further ones.
fn full() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: the descriptor is open as long as `listener` lives.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    (listener, waiting)
}
