//! Each target, fed with damaged copies of its corpus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::damage::damaged;
use super::memory;
use super::{TARGETS, Target};
use crate::model::tests::Random;

/// A target's time where the environment does not say more.
const TIME: Duration = Duration::from_millis(800);
/// So many damaged copies at least.
const DAMAGED_MIN: usize = 20;
/// No input may take longer, on a busy machine too.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);
/// What one input may have allocated at one time: so much, and so many bytes for each of its own.
const BYTES_MAX: usize = 64 << 20;
const BYTES_PER_BYTE_MAX: usize = 256;

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            survives(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_test() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

targets!(
    binlog,
    images,
    jsonb,
    statement,
    gtids,
    pgoutput,
    stream,
    pgvalues,
    changelog,
    database,
    ledger,
    cells,
    record,
    json,
    filter,
    config,
    after_apply
);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn survives(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("it is in the list");
    let seeds = seeds(target);
    let time = setting("ROSTERD_HOSTILE_SECONDS").map_or(TIME, Duration::from_secs);
    let seed = setting("ROSTERD_SEED").unwrap_or(1);
    let (sender, fed) = channel();
    let worker = std::thread::spawn(move || feed(target, &seeds, time, seed, |input| _ = sender.send(input)));
    let mut under_way = Vec::new();
    let (mut count, start) = (0u64, Instant::now());
    loop {
        match fed.recv_timeout(INPUT_TIME_MAX) {
            Ok(input) => (under_way, count) = (input, count + 1),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => failed(target, &under_way, &format!("took more than {INPUT_TIME_MAX:?}")),
        }
    }
    let bytes_per_byte = match worker.join() {
        Ok(Ok(most)) => most,
        Ok(Err(why)) => failed(target, &under_way, &why),
        Err(_) => failed(target, &under_way, "panicked"),
    };
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{name}: {count} inputs, {rate:.0}/s, at most {bytes_per_byte} bytes of memory for each byte of an input of 4 KB or more");
}

/// Feeds `target` for `time`: the seeds themselves first. Gives the most memory that an input took for each of its bytes.
fn feed(target: &Target, seeds: &[Vec<u8>], time: Duration, seed: u64, told: impl Fn(Vec<u8>)) -> Result<usize, String> {
    let (mut random, start, mut most) = (Random::new(seed), Instant::now(), 0);
    let mut whole = seeds.iter();
    let mut left = seeds.len() + DAMAGED_MIN;
    while left > 0 || start.elapsed() < time {
        left = left.saturating_sub(1);
        let input = whole.next().cloned().unwrap_or_else(|| damaged(&mut random, seeds, target.words));
        told(input.clone());
        let mut outcome = Ok(());
        let bytes = memory::peak(|| outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))));
        if outcome.is_err() {
            return Err("panicked".into());
        }
        if bytes > BYTES_MAX + BYTES_PER_BYTE_MAX * input.len() {
            return Err(format!("took {bytes} bytes of memory for {} of input", input.len()));
        }
        if input.len() >= 4096 {
            most = most.max(bytes / input.len());
        }
    }
    Ok(most)
}

fn failed(target: &Target, input: &[u8], why: &str) -> ! {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("hostile-{}", target.name));
    let kept = std::fs::write(&path, input).map_or_else(|_| "could not be kept".into(), |()| format!("is in {}", path.display()));
    panic!("{}: an input of {} bytes {why}; it {kept}", target.name, input.len());
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let seeds: Vec<Vec<u8>> = target.corpus_files().iter().map(|file| std::fs::read(file).expect("a file")).collect();
    assert!(!seeds.is_empty(), "{} has no corpus", target.name);
    seeds
}

/// Nesting without end, which recursion would follow until its stack is full.
#[test]
fn deep_nesting_is_refused() {
    let megabyte = 1 << 20;
    for (open, close) in [("(", ")"), ("NOT ", ""), ("[", "]"), ("{", "}"), ("a=(", ")"), ("-", ""), ("CASE WHEN ", ""), ("{\"a\":", "}")] {
        for depth in [40, 60, 400, megabyte / open.len()] {
            let text = format!("{}a = 1{}", open.repeat(depth), close.repeat(depth.min(megabyte)));
            for name in ["filter", "after_apply", "json", "config", "statement"] {
                run(name, text.as_bytes());
            }
        }
    }
    for depth in [100, 10_000, megabyte / 2] {
        for text in [
            format!("a{} = 1", ".a".repeat(depth)),
            format!("[a{}]", ".a".repeat(depth)),
            format!("a = {}", "[".repeat(depth)),
            format!("a = {}1{}", "[".repeat(depth), "]".repeat(depth)),
            format!("a = {}", "{a=".repeat(depth / 2)),
            "[[a]]\n[a.a]\n".repeat(depth / 20),
        ] {
            run("config", text.as_bytes());
        }
    }
}

/// What is long rather than deep must not take the square of its length.
#[test]
fn long_lists_are_read_in_good_time() {
    let sites: String = (0..9000).map(|n| format!("[[site]]\nname = \"s{n}\"\nurl = \"mysql://a@b{n}/c\"\nx = 1\n")).collect();
    let tables: String = (0..40_000).map(|n| format!("[[table]]\nname='t{n}'\n")).collect();
    let keys: String = (0..100_000).map(|n| format!("k{n}=1\n")).collect();
    let line = format!("daemon = {{ {} }}", (0..60_000).map(|n| format!("k{n}=1,")).collect::<String>());
    let columns =
        format!("[[table]]\nname = 'a'\nkey = [{0}]\nexclude = [{0}]", (0..50_000).map(|n| format!("'c{n}',")).collect::<String>());
    let word = "a".repeat(500_000);
    let words = format!("[share]\nexcept = ['{word}']\n[[table]]\nname = '{word}'\n[daemon]\n{word} = 1\n");
    for text in [sites, tables, keys, line, columns, words] {
        run("config", &text.as_bytes()[..text.len().min(1 << 20)]);
    }
    let gtids: String = (0..100_000).rev().map(|n| format!(":{}", 2 * n + 1)).collect();
    let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    run("gtids", format!("\n\n{uuid}{gtids}\n{uuid}{gtids}").as_bytes());
    run("statement", "ROLLBACK TO ".repeat(100_000).as_bytes());
    run("json", format!("[{}0]", "{\"\":[]},".repeat(100_000)).as_bytes());
}

/// As `survives` does, on a small stack.
fn run(name: &'static str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("it is in the list");
    let copy = input.to_vec();
    let (sender, done) = channel();
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let bytes = memory::peak(|| (target.run)(&copy));
        let _ = sender.send(bytes);
    });
    match done.recv_timeout(INPUT_TIME_MAX) {
        Ok(bytes) if bytes <= BYTES_MAX + BYTES_PER_BYTE_MAX * input.len() => {}
        Ok(bytes) => failed(target, input, &format!("took {bytes} bytes of memory")),
        Err(RecvTimeoutError::Timeout) => failed(target, input, &format!("took more than {INPUT_TIME_MAX:?}")),
        Err(RecvTimeoutError::Disconnected) => failed(target, input, "panicked"),
    }
    drop(worker);
}
