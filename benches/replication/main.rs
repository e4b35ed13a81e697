//! `cargo bench --bench replication`: rosterd beside each engine's own replication, in one run, on real servers.
//!
//! docs/PERFORMANCE.md says what each case measures. Commits are durable on both sides wherever the anchor's are, and a case whose end
//! states differ fails. Figures are of this machine and this run: read ratios, not digits.

mod anchors;
mod backlog;
mod by_hand;
mod case;
mod connection;
mod copy;
mod daemon;
mod drain;
mod earlier;
mod fan_out;
mod idle;
mod lag;
mod native;
mod outage;
mod people;
mod plots;
mod probe;
mod report;
#[path = "../../tests/support/servers.rs"]
mod servers;
mod trio;
mod verify;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::FutureExt;

use case::{Case, Group, Run, Scale};
use report::{Outcome, Report};

/// Measure rosterd beside each engine's own replication
#[derive(Parser)]
struct Arguments {
    /// Small cases, once each: whether they work, not how fast they are
    #[arg(long)]
    quick: bool,
    /// Only this case; may be given several times
    #[arg(long, value_name = "NAME", value_parser = case_names())]
    case: Vec<String>,
    /// How often each case measures [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: Option<u16>,
    /// People in the cases that copy [default: 1000000, with --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    rows: Option<u64>,
    /// The names of the cases
    #[arg(long)]
    list: bool,
    /// All samples, medians and verdicts
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The results' table goes between the marks in this document
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// An SVG for each case
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// Take the figures of other cases from what an earlier run of the same build has written with --json; may be given several times
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn groups() -> Vec<Group> {
    let first = drain::GROUPS.into_iter().chain(lag::GROUPS).chain(copy::GROUPS);
    first.chain(fan_out::GROUPS).chain(verify::GROUPS).chain(outage::GROUPS).chain(idle::GROUPS).collect()
}

fn cases() -> Vec<&'static Case> {
    groups().iter().flat_map(|group| group.cases).collect()
}

fn case_names() -> Vec<&'static str> {
    cases().iter().map(|case| case.name).collect()
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        cases().iter().for_each(|case| println!("{:16} {}", case.name, case.about));
        return std::process::ExitCode::SUCCESS;
    }
    anchors::prefer();
    let (scale, longest_seconds) = if arguments.quick { (Scale::QUICK, 180) } else { (Scale::FULL, 7200) };
    connection::LONGEST.set(Duration::from_secs(longest_seconds)).expect("it is set here only");
    let scale = Scale { copy_rows: arguments.rows.unwrap_or(scale.copy_rows), ..scale };
    let repetitions = arguments.repetitions.map_or(if arguments.quick { 1 } else { 3 }, usize::from);
    let mut run = Run::new(scale, repetitions);
    let mut outcomes = Vec::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for group in groups() {
        let wanted =
            |case: &&Case| (arguments.case.is_empty() && arguments.with.is_empty()) || arguments.case.iter().any(|name| name == case.name);
        let cases: Vec<&'static Case> = group.cases.iter().filter(wanted).collect();
        if !cases.is_empty() {
            outcomes.extend(runtime.block_on(run_group(&group, cases, &mut run)));
        }
    }
    let about = about(&arguments, repetitions);
    for path in &arguments.with {
        earlier::add(path, &cases(), &about, &mut run, &mut outcomes);
    }
    let report = Report::new(&outcomes, &mut run, about);
    report.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .unwrap_or_else(|error| panic!("{} can't be written: {error}", path.display()));
    }
    if let Some(path) = &arguments.markdown {
        report.write_markdown(path);
    }
    if let Some(folder) = &arguments.plots {
        plots::write(&report, folder);
    }
    if report.failures.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// Its servers go with a group that fails; the others go on.
async fn run_group(group: &Group, cases: Vec<&'static Case>, run: &mut Run) -> Vec<Outcome> {
    let begun = Instant::now();
    run.wanted = cases.iter().map(|case| case.name).collect();
    eprintln!("{}", run.wanted.join(", "));
    let ended = AssertUnwindSafe((group.run)(run)).catch_unwind().await;
    let failure = ended.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "it panicked".to_owned(), |text| text.to_string()),
    });
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("  {} after {seconds:.0} s", if failure.is_some() { "failed" } else { "done" });
    cases.into_iter().map(|case| Outcome { case, failure: failure.clone(), seconds }).collect()
}

/// On what the figures were measured.
fn about(arguments: &Arguments, repetitions: usize) -> Vec<(&'static str, String)> {
    let output = |program: &str, words: &[&str]| {
        let output = std::process::Command::new(program).args(words).output();
        output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).map_or("", |line| line.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let servers = [people::MARIADB, people::POSTGRES].map(|kind| {
        let found = output(
            &kind.home().join("bin").join(if kind.is_postgres() { "postgres" } else { "mariadbd" }).to_string_lossy(),
            &["--version"],
        );
        let words: Vec<&str> = found.split_whitespace().collect();
        if kind.is_postgres() {
            format!("PostgreSQL {}", words.last().unwrap_or(&""))
        } else {
            format!("MariaDB {}", words.get(2).unwrap_or(&""))
        }
    });
    vec![
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()),
        ("machine", format!("{cores} cores, {model}")),
        ("rosterd", format!("{} ({build} build)", output("git", &["describe", "--always", "--dirty"]))),
        ("servers", servers.join(", ")),
        ("scale", format!("{}, {repetitions} repetitions", if arguments.quick { "quick" } else { "full" })),
    ]
}

/// Processor time that a process has used so far.
pub fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("the name is in parentheses").1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number");
    // SAFETY: sysconf has no preconditions.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}
