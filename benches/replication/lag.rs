//! lag: from commit at one site to visible at another, at three rates.

use std::time::Duration;

use futures_util::FutureExt;

use crate::case::{Case, Figure, Group, ROSTERD, Run, Target, Unit, alternating};
use crate::connection::DATABASE;
use crate::daemon::Roster;
use crate::native::{self, Native};
use crate::people::{MARIADB, POSTGRES, Table};
use crate::probe::Probe;
use crate::servers::{Kind, Server};

pub const GROUPS: [Group; 1] = [Group { cases: &[LAG], run: |run| lag(run).boxed_local() }];

const LAG: Case = Case {
    name: "lag",
    about: "from commit at one site to visible at another, at 50, 200 and 1,000 one-row transactions a second",
    figures,
};

const RATES: [u64; 3] = [50, 200, 1_000];
const PERCENTS: [f64; 3] = [50.0, 99.0, 99.9];
const ENGINES: [(&str, Kind, Native); 2] = [("MariaDB", MARIADB, Native::Serial), ("PostgreSQL", POSTGRES, Native::Asynchronous)];
const ROWS: u64 = 10_000;

fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    for (engine, ..) in ENGINES {
        for rate in RATES {
            for percent in PERCENTS {
                let targets: &[Target] = match percent {
                    50.0 => &[Target::Within("native", 3.0)],
                    99.0 => &[Target::AtMost(20.0)],
                    _ => &[],
                };
                figures.push(Figure::new(figure(engine, rate, percent), Unit::Milliseconds, targets));
            }
        }
    }
    figures
}

fn figure(engine: &str, rate: u64, percent: f64) -> String {
    format!("{engine}, {rate}/s, p{percent}")
}

async fn lag(run: &mut Run) {
    for (engine, kind, anchor) in ENGINES {
        let trio = run.trio(kind).await;
        let tables = [(Table::Users, ROWS)];
        trio.fill(&tables).await;
        native::connect(&[anchor], &trio.source, &trio.native, &tables).await;
        let roster = Roster::new(&[trio.source.url(DATABASE), trio.ours.url(DATABASE)], &[Table::Users]);
        for repetition in 0..run.repetitions {
            for subject in alternating(&[None, Some(anchor)], repetition) {
                match subject {
                    None => {
                        let daemon = roster.start();
                        daemon.settled().await;
                        rates(run, engine, ROSTERD, &trio.source, &trio.ours).await;
                        daemon.settled().await;
                        daemon.stop();
                    }
                    Some(anchor) => {
                        trio.resume(anchor).await;
                        rates(run, engine, anchor.name(), &trio.source, &trio.native).await;
                        trio.pause(anchor).await;
                    }
                }
            }
        }
        let daemon = roster.start();
        trio.resume(anchor).await;
        for target in [&trio.ours, &trio.native] {
            Table::Users.becomes_equal(&trio.source, target).await;
        }
        daemon.stop();
        run.give_back(trio, &[]);
    }
}

/// One after the other, with only one of the two replications at work.
async fn rates(run: &mut Run, engine: &str, subject: &'static str, source: &Server, target: &Server) {
    let seconds = Duration::from_secs_f64(run.scale.lag_seconds);
    for rate in RATES {
        let probe = Probe { source, target, table: Table::Users, rate };
        probe.caught_up().await;
        let lags = probe.run(tokio::time::sleep(seconds)).await;
        for percent in PERCENTS {
            run.sample(LAG.name, figure(engine, rate, percent), subject, lags.at(percent));
        }
        if lags.reached < rate as f64 * 0.9 {
            run.note(LAG.name, format!("{engine} committed {:.0} of {rate} transactions a second beside {subject}", lags.reached));
        }
    }
}
