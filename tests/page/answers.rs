//! What is answered to whom: routes, headers, names of the host, the token.

use std::net::TcpStream;
use std::process::Command;

use rosterd::ops::admin::Request;

use crate::http::{Answer, ask, free_port, get, page};
use crate::roster::Engine::{MariaDb118, Sqlite};
use crate::roster::Roster;
use crate::stage::{KEY, NAME, TOKEN, ready, start, two_people, write_token};

const ROUTES: [&str; 5] = ["/", "/status.json", "/metrics", "/healthz", "/readyz"];
/// `anybody` and the token, as a browser sends them.
const BASIC: &str = "Authorization: Basic YW55Ym9keTpjb3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxl\r\n";

#[track_caller]
fn asked(port: u16, method: &str, path: &str, headers: &str) -> Answer {
    ask(port, method, path, headers).expect("the daemon answers")
}

#[test]
fn every_answer_says_what_browsers_may_do_with_it() {
    let (roster, port, daemon) = start(&[Sqlite, Sqlite], "");
    ready(&roster, port);
    for path in ROUTES {
        let answer = asked(port, "GET", path, "Host: localhost\r\n");
        assert_eq!(answer.code, 200, "{path}: {}", answer.body);
        let policy = answer.header("Content-Security-Policy");
        for word in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(word), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!((answer.header("X-Content-Type-Options"), answer.header("Referrer-Policy")), ("nosniff", "no-referrer"), "{path}");
        assert_eq!(answer.header("Cache-Control"), "no-store", "{path}");
        let head = asked(port, "HEAD", path, "Host: localhost\r\n");
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let refused = asked(port, method, path, "Host: localhost\r\nContent-Length: 0\r\n");
            assert_eq!(refused.code, 405, "{method} {path}");
        }
    }
    assert_eq!(get(port, "/nothing").map(|answer| answer.code), Some(404));

    let page = page(port);
    let assets: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    for asset in assets {
        let answer = asked(port, "GET", asset, "Host: localhost\r\n");
        assert!(answer.code == 200 && answer.header("Cache-Control").contains("immutable"), "{asset}: {answer:?}");
        let other = format!("/assets/000000000000/{}", asset.rsplit('/').next().expect("it has a name"));
        assert_eq!(get(port, &other).map(|answer| answer.code), Some(404), "another version's");
    }
    assert!(daemon.stop().success());
}

#[test]
fn other_names_of_the_host_are_refused_on_loopback() {
    let (roster, port, daemon) = start(&[Sqlite, Sqlite], "listen_name = \"roster.example.net\"");
    ready(&roster, port);
    for path in ROUTES {
        for host in ["localhost:80", "127.0.0.1", &format!("[::1]:{port}"), "roster.example.net"] {
            assert_eq!(asked(port, "GET", path, &format!("Host: {host}\r\n")).code, 200, "{path} at {host}");
        }
        for host in ["attacker.example.org", "192.0.2.7", "localhost.example.org", "roster.example.net.example.org"] {
            let answer = asked(port, "GET", path, &format!("Host: {host}\r\n"));
            assert_eq!(answer.code, 421, "{path} at {host}");
            assert!(answer.body.contains("listen_name") && !answer.body.contains(&roster.sites[0].name), "{}", answer.body);
        }
    }
    assert_eq!(asked(port, "GET", "/", "").code, 421, "no name at all");
    assert!(daemon.stop().success());
}

#[test]
fn other_addresses_ask_for_the_token() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    let port = free_port();
    roster.set(&format!("listen = \"0.0.0.0:{port}\"\nlisten_token_file = \"listen.token\""));
    write_token(&roster, &format!("{TOKEN}\n"), 0o600);
    let daemon = roster.spawn();
    ready(&roster, port);
    let host = "Host: roster.example.net\r\n";
    for path in ["/", "/status.json", "/metrics", "/assets/0/page.css", "/nothing"] {
        for wrong in
            ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic YTpi\r\n", "Cookie: token=correct-horse-battery-staple\r\n"]
        {
            let answer = asked(port, "GET", path, &format!("{host}{wrong}"));
            assert_eq!(answer.code, 401, "{path} with {wrong:?}");
            assert!(answer.header("WWW-Authenticate").starts_with("Basic realm="), "{answer:?}");
            assert!(answer.header("Content-Security-Policy").contains("default-src 'none'"), "{answer:?}");
            assert!(!answer.body.contains(&roster.sites[0].name), "{}", answer.body);
        }
    }
    for right in [&format!("Authorization: Bearer {TOKEN}\r\n"), BASIC] {
        for path in ROUTES {
            assert_eq!(asked(port, "GET", path, &format!("{host}{right}")).code, 200, "{path} with {right:?}");
        }
    }
    // Probes need no token, and get a word.
    let away = std::path::PathBuf::from(roster.sites[1].database());
    let (name, aside) = (roster.sites[1].name.clone(), away.with_extension("aside"));
    roster.ask(&Request::Pause { site: name.clone() }).expect("it is paused");
    std::fs::rename(&away, &aside).expect("it can be moved");
    roster.ask(&Request::Resume { site: name.clone(), accept: None }).expect("it goes on");
    roster.wait("the site to be missed", || {
        let answer = asked(port, "GET", "/readyz", &format!("{host}{BASIC}"));
        (answer.code != 503 || !answer.body.contains("tried again")).then_some(answer.body)
    });
    let word = asked(port, "GET", "/readyz", host);
    assert_eq!((word.code, word.body.as_str()), (503, "not ready\n"));
    assert_eq!(asked(port, "GET", "/healthz", host).body, "ok\n");
    assert!(!daemon.log().contains(TOKEN) && daemon.log().contains("wrong token"), "{}", daemon.log());
    let shown = asked(port, "GET", "/", &format!("{host}{BASIC}")).body;
    assert!(!shown.contains(TOKEN) && shown.contains(&name), "{shown}");
    std::fs::rename(&aside, &away).expect("it can be moved");
    assert!(daemon.stop().success());
}

#[test]
fn connections_that_ask_for_nothing_do_not_keep_others_out() {
    let (roster, port, daemon) = start(&[Sqlite, Sqlite], "");
    ready(&roster, port);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs").count();
    let before = files();
    let silent: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("it listens")).collect();
    roster.wait("some of them to be taken", || (files() < before + 60).then(|| format!("{} files", files())));
    assert!(files() < before + 75, "not all of them are: {} files, {before} before", files());
    // The first of them are given up within ten seconds.
    assert_eq!(get(port, "/").map(|answer| answer.code), Some(200));
    drop(silent);
    roster.wait("all of them to be gone", || (files() > before + 5).then(|| format!("{} files, {before} before", files())));
    assert!(daemon.stop().success());
}

#[test]
fn an_address_for_others_without_a_token_is_refused() {
    let mut roster = Roster::new(&[Sqlite, Sqlite]);
    roster.set("listen = \"192.0.2.1:9477\"");
    let refused = |roster: &Roster, command: &str, words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_rosterd")).arg(command).arg("--config").arg(roster.configure()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is missing in: {said}"));
        assert!(!said.contains("short-one"), "{said}");
    };
    for command in ["check", "run"] {
        refused(&roster, command, &["192.0.2.1:9477", "reached from other hosts", "listen_token_file", "127.0.0.1"]);
    }
    roster.set("listen_token_file = \"listen.token\"");
    refused(&roster, "check", &["listen.token", "can't be read"]);
    write_token(&roster, TOKEN, 0o644);
    refused(&roster, "check", &["listen.token", "mode 644", "chmod 600"]);
    write_token(&roster, "short-one", 0o600);
    refused(&roster, "check", &["listen.token", "16", "openssl rand"]);
}

#[test]
fn neither_keys_nor_values_are_told() {
    let (roster, port, daemon) = start(&[MariaDb118, Sqlite], "");
    ready(&roster, port);
    two_people(&roster, 1);
    roster.wait("one of them to stand apart", || {
        let page = page(port);
        (!page.contains("<th scope=\"row\">apart</th>")).then_some(page)
    });
    let page = page(port);
    for word in ["insert_exists", "both sites inserted the same key", "rosterd quarantine show NAME", "person"] {
        assert!(page.contains(word), "`{word}` is missing in:\n{page}");
    }
    assert!(!page.contains(NAME) && !page.contains(&KEY.to_string()), "{page}");
    assert!(daemon.stop().success());
}
