//! A headless browser, driven by `browser.mjs`. `tests/servers/fetch chromium` gets it; a missing one fails the test.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For one action; what it waits for has half of it.
const ACTION_MAX: Duration = Duration::from_secs(60);
const END_MAX: Duration = Duration::from_secs(10);

pub struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Browser {
        let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let cache = std::env::var_os("ROSTERD_SERVERS").map_or_else(|| project.join("target/servers"), PathBuf::from);
        let folder = cache.join("chromium");
        assert!(folder.join("complete").exists(), "no chromium in {}: run tests/servers/fetch first", cache.display());
        let mut command = Command::new("node");
        command.arg(project.join("tests/page/browser.mjs")).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node is on this machine");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let (told, answers) = channel();
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Browser { child, input, answers }
    }

    #[track_caller]
    fn act(&mut self, action: &Value) -> Value {
        writeln!(self.input.as_mut().expect("it is open"), "{action}").expect("the browser listens");
        let line = self.answers.recv_timeout(ACTION_MAX).unwrap_or_else(|error| panic!("{action}: no answer from the browser: {error}"));
        let answer: Value = serde_json::from_str(&line).expect("it answers in JSON");
        assert!(answer["error"].is_null(), "{action}: {}", answer["error"]);
        answer
    }

    /// A new window. `more`: `width`, `height`, `dark`, `scripts`, `password`.
    #[track_caller]
    pub fn open(&mut self, port: u16, more: Value) {
        let mut action = json!({ "do": "open", "url": format!("http://localhost:{port}/") });
        action.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        let answer = self.act(&action);
        assert_eq!(answer["status"], 200, "{answer}");
    }

    /// What can be seen of an element.
    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let answer = self.act(&json!({ "do": "text", "selector": selector }));
        answer["text"].as_str().expect("it is text").to_owned()
    }

    /// Waits until an element has these words in it.
    #[track_caller]
    pub fn wait(&mut self, selector: &str, words: &str) {
        self.act(&json!({ "do": "wait", "selector": selector, "words": words }));
    }

    /// The value of a JavaScript expression.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> Value {
        self.act(&json!({ "do": "run", "script": script }))["value"].clone()
    }

    #[track_caller]
    pub fn press(&mut self, key: &str) {
        self.act(&json!({ "do": "press", "key": key }));
    }

    /// Nothing went wrong in this window: no error or warning on the console, no violation of the policy, no request elsewhere.
    #[track_caller]
    pub fn assert_silent(&mut self) {
        assert_eq!(self.said(), json!([]), "the browser has something to say");
    }

    pub fn said(&mut self) -> Value {
        self.act(&json!({ "do": "said" }))["said"].clone()
    }

    /// axe-core finds nothing against the rules of WCAG 2.2 AA and good practice.
    #[track_caller]
    pub fn assert_accessible(&mut self) {
        assert_eq!(self.violations(), json!([]));
    }

    pub fn violations(&mut self) -> Value {
        let answer = self.act(&json!({ "do": "axe" }));
        assert!(answer["passes"].as_u64().is_some_and(|passes| passes > 20), "the rules were looked at: {answer}");
        answer["violations"].clone()
    }

    /// Nothing is wider than the window.
    #[track_caller]
    pub fn assert_fits(&mut self) {
        let wide = self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(wide, 0, "the page can be scrolled to the side");
    }

    /// Into the folder that ROSTERD_PICTURES names, where it does.
    #[track_caller]
    pub fn picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("ROSTERD_PICTURES") {
            let path = PathBuf::from(folder).join(format!("{name}.png"));
            self.act(&json!({ "do": "screenshot", "path": path }));
        }
    }

    /// What can be seen without scrolling, into the same folder.
    #[track_caller]
    pub fn view(&mut self, name: &str) {
        let folder = std::env::var_os("ROSTERD_PICTURES").expect("ROSTERD_PICTURES names a folder");
        self.act(&json!({ "do": "screenshot", "path": PathBuf::from(folder).join(format!("{name}.png")), "full": false }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its input, and takes its windows along.
        drop(self.input.take());
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
