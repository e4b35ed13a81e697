//! Many statements in one round trip: all are sent before the first answer is waited for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::{Client, Error, Statement};

use super::errors::Fault;
use super::values::Param;

/// A prepared statement with its parameters.
#[derive(Clone)]
pub(super) struct Bound {
    pub prepared: Statement,
    pub params: Vec<Param>,
}

/// A statement that the server refused, and that was undone.
pub(super) struct Failed {
    pub fault: Fault,
}

type Answer = Result<u64, Error>;
type Sent<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Sends the plain statements and then the bound ones; the answers in that order. After a failure inside a transaction the
/// server answers everything else with 25P02.
pub(super) async fn pipelined<'a>(client: &Client, plain: &[&str], bound: impl Iterator<Item = &'a Bound>) -> Vec<Answer> {
    let mut work: Vec<Sent<'_>> = plain.iter().map(|sql| simple(client, sql)).collect();
    work.extend(bound.map(|bound| execute(client, bound)));
    all(work).await
}

fn simple<'a>(client: &'a Client, sql: &'a str) -> Sent<'a> {
    Box::pin(async move { client.batch_execute(sql).await.map(|()| 0) })
}

fn execute<'a>(client: &'a Client, bound: &'a Bound) -> Sent<'a> {
    Box::pin(client.execute_raw(&bound.prepared, &bound.params))
}

/// The driver sends a request when its future is first polled: polling each once, in order, sends them in order.
async fn all(work: Vec<Sent<'_>>) -> Vec<Answer> {
    let mut work: Vec<MaybeDone<Sent<'_>>> = work.into_iter().map(maybe_done).collect();
    poll_fn(|context| {
        for sent in &mut work {
            let _ = Pin::new(sent).poll(context);
        }
        Poll::Ready(())
    })
    .await;
    let mut answers = Vec::with_capacity(work.len());
    for mut sent in work {
        Pin::new(&mut sent).await;
        answers.extend(Pin::new(&mut sent).take_output());
    }
    answers
}

/// Runs each statement under a savepoint, inside a transaction: one that fails is undone and the rest goes on. All are
/// sent at once, and after each failure the rest again, at most `failures_max` times, and not after the SQLSTATE `last`: the answers may
/// be fewer then.
pub(super) async fn guarded(
    client: &Client,
    bound: &[Bound],
    failures_max: usize,
    last: Option<&str>,
) -> Result<Vec<Result<u64, Failed>>, Error> {
    let mut answers = Vec::with_capacity(bound.len());
    let mut failures = 0;
    while answers.len() < bound.len() && failures < failures_max {
        let mut work = Vec::with_capacity(3 * (bound.len() - answers.len()));
        for bound in &bound[answers.len()..] {
            work.extend([simple(client, "SAVEPOINT rosterd"), execute(client, bound), simple(client, "RELEASE rosterd")]);
        }
        let mut replies = all(work).await.into_iter();
        while let (Some(savepoint), Some(answer), Some(_)) = (replies.next(), replies.next(), replies.next()) {
            savepoint?;
            match answer {
                Ok(count) => answers.push(Ok(count)),
                Err(error) => {
                    let Some(fault) = Fault::of(&error) else { return Err(error) };
                    client.batch_execute("ROLLBACK TO rosterd; RELEASE rosterd").await?;
                    failures += if Some(fault.code.as_str()) == last { failures_max } else { 1 };
                    answers.push(Err(Failed { fault }));
                    break;
                }
            }
        }
    }
    Ok(answers)
}
