//! The hub, npm's `oidc-provider` and a bare JSON echo, measured in one run on one machine.
//!
//! The server is pinned to one core and the load generator, which is this process, to another. The
//! servers take turns within each round, so that a machine that gets slower gets slower for all.
//! `docs/benchmarks.md` says what the numbers mean. Nothing here uses a crate of the workspace.
//!
//! `cargo xtask bench` builds and starts it: `vestibule-bench [--quick] [--rounds N] [--only ITEM]`.

mod contender;
mod echo;
mod host;
mod http;
mod hub;
mod load;
mod process;
mod provider;
mod report;

use std::{process::ExitCode, time::Duration};

use load::Measured;
use report::Sample;

/// What went wrong, for a person.
pub(crate) type Outcome<T> = Result<T, String>;

/// How long and how often.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds that count; one more comes before them to warm up.
    pub(crate) rounds: u32,
    /// Length of a measurement.
    pub(crate) length: Duration,
    /// Codes of one measurement: they are spent, so their number bounds it.
    pub(crate) codes: usize,
    /// The whole run.
    pub(crate) limit: Duration,
    /// Everything, or this alone.
    pub(crate) only: Option<Item>,
}

const FULL: Plan = Plan {
    rounds: 3,
    length: Duration::from_secs(3),
    codes: 6_000,
    limit: Duration::from_secs(580),
    only: None,
};

const QUICK: Plan = Plan {
    rounds: 1,
    length: Duration::from_secs(1),
    codes: 1_500,
    limit: Duration::from_secs(110),
    only: None,
};

/// The items of work, in the order of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Item {
    /// `POST /register`.
    Register,
    /// Metadata.
    Discovery,
    /// `GET /authorize` of a signed-in person, by a client whose document is cached.
    Authorize,
    /// `POST /token`, `authorization_code`.
    Code,
    /// `POST /token`, `refresh_token`.
    Refresh,
    /// `POST /introspect`.
    Introspect,
}

impl Item {
    const ALL: [Self; 6] = [
        Self::Register,
        Self::Discovery,
        Self::Authorize,
        Self::Code,
        Self::Refresh,
        Self::Introspect,
    ];

    /// Name on the command line.
    fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Discovery => "discovery",
            Self::Authorize => "authorize",
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Introspect => "introspect",
        }
    }

    /// Name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Discovery => "discovery",
            Self::Authorize => "authorize (warm CIMD)",
            Self::Code => "token (code)",
            Self::Refresh => "token (refresh)",
            Self::Introspect => "introspect",
        }
    }
}

/// The load generator and what it makes of its arguments.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["echo", port] => on_runtime(echo::serve(port)),
        ["--pinned", rest @ ..] => plan(rest).and_then(|plan| on_runtime(bounded(plan))),
        rest => plan(rest).and_then(|_| process::again_on_core_1(rest)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vestibule-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: vestibule-bench [--quick] [--rounds N] [--only ITEM]\n\
    ITEM: register, discovery, authorize, code, refresh or introspect";

fn plan(words: &[&str]) -> Outcome<Plan> {
    let mut plan = FULL;
    let mut rest = words;
    loop {
        rest = match rest {
            [] => return Ok(plan),
            ["--quick", rest @ ..] => {
                plan = Plan {
                    only: plan.only,
                    ..QUICK
                };
                rest
            }
            ["--rounds", number, rest @ ..] => {
                plan.rounds = match number.parse() {
                    Ok(rounds @ 1..=10) => rounds,
                    _ => return Err("--rounds takes a number from 1 to 10".to_owned()),
                };
                rest
            }
            ["--only", word, rest @ ..] => {
                let item = Item::ALL.into_iter().find(|item| item.word() == *word);
                plan.only = Some(item.ok_or(USAGE)?);
                rest
            }
            _ => return Err(USAGE.to_owned()),
        };
    }
}

fn on_runtime(work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|failure| format!("no runtime: {failure}"))?
        .block_on(tokio::task::LocalSet::new().run_until(work))
}

async fn bounded(plan: Plan) -> Outcome<()> {
    tokio::time::timeout(plan.limit, run(plan))
        .await
        .map_err(|_| format!("stopped: not done after {} seconds", plan.limit.as_secs()))?
}

async fn run(plan: Plan) -> Outcome<()> {
    let load_before = process::load_average();
    let mut stage = hub::Hub::start().await?;
    let idle = stage.contender.process.resident_kib()?;
    let mut other = provider::Provider::start(&stage).await?;
    let echo = echo::start().await?;
    let mut samples: Vec<Sample> = Vec::new();
    for round in 0..=plan.rounds {
        let warm_up = round == 0;
        let length = if warm_up {
            plan.length / 3
        } else {
            plan.length
        };
        let codes = if warm_up { plan.codes / 3 } else { plan.codes };
        eprintln!(
            "{}",
            if warm_up {
                "warming up".into()
            } else {
                format!("round {round} of {}", plan.rounds)
            }
        );
        let mut taken = vec![measure("echo", "echo", &echo, None, echo.load(length)).await?];
        let chosen = |item: &Item| plan.only.is_none_or(|only| only == *item);
        for item in Item::ALL.into_iter().filter(chosen) {
            // Whoever goes first takes turns.
            for turn in 0..2 {
                let sample = if (turn + round) % 2 == 0 {
                    let load = stage.load(item, length, codes).await?;
                    let (sample, left) = measure_rest(
                        item.name(),
                        "vestibule",
                        &stage.contender.process,
                        Some(stage.folder()),
                        load,
                    )
                    .await?;
                    stage.contender.give_back(left);
                    sample
                } else {
                    let load = other.load(item, length, codes).await?;
                    let (sample, left) = measure_rest(
                        item.name(),
                        "oidc-provider",
                        &other.contender.process,
                        None,
                        load,
                    )
                    .await?;
                    other.contender.give_back(left);
                    sample
                };
                eprintln!(
                    "  {:<22} {:<14} {:>9.0}/s",
                    item.name(),
                    sample.server,
                    sample.per_second
                );
                taken.push(sample);
            }
        }
        if !warm_up {
            samples.append(&mut taken);
        }
    }
    let machine = report::Machine {
        cpu: process::cpu(),
        load_before,
        load_after: process::load_average(),
    };
    print!("{}", report::print(&samples, &machine, idle, plan));
    Ok(())
}

async fn measure(
    item: &'static str,
    server: &'static str,
    echo: &echo::Echo,
    folder: Option<&std::path::Path>,
    load: load::Load,
) -> Outcome<Sample> {
    Ok(measure_rest(item, server, &echo.process, folder, load)
        .await?
        .0)
}

/// Measure, and give back the refresh tokens that are alive afterwards.
async fn measure_rest(
    item: &'static str,
    server: &'static str,
    process: &process::Process,
    folder: Option<&std::path::Path>,
    load: load::Load,
) -> Outcome<(Sample, Vec<String>)> {
    let before = process.usage(folder)?;
    let Measured {
        requests,
        seconds,
        mut micros,
        tokens,
    } = load
        .run()
        .await
        .map_err(|failure| format!("{server}, {item}: {failure}"))?;
    let after = process.usage(folder)?;
    micros.sort_unstable();
    let count = f64::from(requests.max(1));
    let sample = Sample {
        item,
        server,
        per_second: count / seconds,
        p50_ms: report::quantile(&micros, 50),
        p99_ms: report::quantile(&micros, 99),
        cpu_per_1000: after.cpu_seconds_since(&before) * 1_000.0 / count,
        resident_mib: after.resident_mib(),
        written_per_1000: after.written_kib_since(&before) * 1_000.0 / count,
        folder_per_1000: after.folder_kib_since(&before) * 1_000.0 / count,
    };
    Ok((sample, tokens))
}
