//! The daemon under test: in this process, or as the process that it really is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rosterd::config::Config;
use rosterd::daemon::Daemon;
use rosterd::ops::admin::{self, Operator, Request};
use rosterd::ops::history::{HeldBack, Quarantine};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::DEADLINE;

/// SIGTERM and `Daemon::stop` end the daemon within this time.
const STOP_MAX: Duration = Duration::from_secs(5);
const RUNTIME_STOP_MAX: Duration = Duration::from_secs(5);

pub struct InProcess {
    pub daemon: Arc<Daemon>,
    running: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl InProcess {
    pub fn start(configuration: &Path) -> Result<InProcess, String> {
        log_to_test();
        let config = Config::load(configuration).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the system has threads");
        let daemon = match runtime.block_on(Daemon::start(config)) {
            Ok(daemon) => daemon,
            Err(error) => {
                runtime.shutdown_timeout(RUNTIME_STOP_MAX);
                return Err(error.to_string());
            }
        };
        let at_work = daemon.clone();
        let running = runtime.spawn(async move { at_work.run().await });
        Ok(InProcess { daemon, running: Some(running), runtime: Some(runtime) })
    }

    /// As after SIGTERM. Panics when it takes too long or the daemon has panicked.
    #[track_caller]
    pub fn stop(mut self) {
        self.daemon.stop();
        let (running, runtime) = (self.running.take().expect("it runs"), self.runtime.take().expect("it runs"));
        let begun = Instant::now();
        let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, running).await });
        let took = begun.elapsed();
        runtime.shutdown_timeout(RUNTIME_STOP_MAX);
        ended.expect("the daemon stops").expect("the daemon does not panic");
        assert!(took < STOP_MAX, "the daemon took {took:?} to stop");
    }

    /// The answer to what a command asks of the daemon, or why there is none.
    pub fn ask(&self, request: Request) -> Result<serde_json::Value, String> {
        self.runtime.as_ref().expect("it runs").block_on(self.daemon.answer(request))
    }

    /// As `rosterd quarantine list` tells it.
    #[track_caller]
    pub fn held_back(&self) -> Vec<HeldBack> {
        let answer = self.ask(Request::Quarantine).expect("the daemon answers");
        serde_json::from_value::<Quarantine>(answer).expect("its own format").rows
    }

    pub fn situation(&self) -> String {
        let members = self.daemon.members.iter();
        members
            .map(|member| {
                let figures = member.health.figures();
                let error = figures.last_error.as_deref().unwrap_or("no error");
                format!("{}: {:?}, {} connects, last error: {error}\n", member.config.name, figures.state, figures.connects)
            })
            .collect()
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.daemon.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(RUNTIME_STOP_MAX);
        }
    }
}

/// The answer of a daemon that is a process of its own, or why there is none.
pub fn ask(state_dir: &Path, request: &Request) -> Result<serde_json::Value, admin::Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system has threads");
    runtime.block_on(admin::ask(state_dir, request))
}

/// What the daemon logs goes to the output of the test that started it.
fn log_to_test() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ROSTERD_LOG").unwrap_or_else(|_| "info".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().with_target(false).with_ansi(false).try_init();
}

/// `rosterd run` as a process. Killed when it is dropped.
pub struct Binary {
    child: Child,
    log: PathBuf,
}

impl Binary {
    #[track_caller]
    pub fn spawn(configuration: &Path, log: &Path) -> Binary {
        Binary::spawn_with(configuration, log, &[])
    }

    /// With variables of its environment.
    #[track_caller]
    pub fn spawn_with(configuration: &Path, log: &Path, environment: &[(&str, &str)]) -> Binary {
        let file = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.arg("run").arg("--config").arg(configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        command.envs(environment.iter().copied());
        let child = command.spawn().expect("the binary runs");
        Binary { child, log: log.into() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the exit status.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        // SAFETY: it has no preconditions.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let begun = Instant::now();
        let status = self.wait_end();
        let took = begun.elapsed();
        assert!(took < STOP_MAX, "the daemon took {took:?} to stop:\n{}", self.log());
        status
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon did not end within {DEADLINE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.ended() {
            panic!("the daemon has ended with {status}:\n{}", self.log());
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
