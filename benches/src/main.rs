//! The hub, npm's `oidc-provider` and a bare JSON echo, measured in one run on one machine.
//!
//! The server is pinned to one core and the load generator, which is this process, to another. The
//! servers take turns within each round, so that a machine that gets slower gets slower for all.
//! `docs/benchmarks.md` says what the numbers mean. Nothing here uses a crate of the workspace.
//!
//! `cargo xtask bench` builds and starts it; `plan` knows its arguments.

mod contender;
mod echo;
mod host;
mod http;
mod hub;
mod instructions;
mod load;
mod plan;
mod process;
mod provider;
mod report;
mod server;
mod targets;

use std::{path::Path, process::ExitCode};

use load::{Load, Measured, Until};
use plan::{Item, Plan, Purpose};
use provider::Keep;
use report::Sample;
use server::Server;

/// What went wrong, for a person.
pub(crate) type Outcome<T> = Result<T, String>;

/// The load generator and what it makes of its arguments.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["echo", port] => on_runtime(echo::serve(port)),
        ["--pinned", rest @ ..] => Plan::of(rest).and_then(|plan| on_runtime(bounded(plan))),
        rest => Plan::of(rest).and_then(|_| process::again_on_core_1(rest)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vestibule-bench: {failure}");
            ExitCode::FAILURE
        }
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
    let work = async {
        match plan.purpose {
            Purpose::Compare => run(plan).await,
            Purpose::Count | Purpose::Record => instructions::run(plan).await,
        }
    };
    tokio::time::timeout(plan.limit, work)
        .await
        .map_err(|_| format!("stopped: not done after {} seconds", plan.limit.as_secs()))?
}

async fn run(plan: Plan) -> Outcome<()> {
    let load_before = process::load_average();
    let starts = hub::cold_starts().await?;
    let mut stage = Stage::start().await?;
    let footprint = report::Footprint {
        idle_kib: stage.idle_kib,
        starts,
        binary_bytes: hub::binary_bytes()?,
    };
    let mut samples: Vec<Sample> = Vec::new();
    for round in 0..=plan.rounds {
        let warm_up = round == 0;
        let part = if warm_up { 3 } else { 1 };
        let (until, spent) = (Until::Time(plan.length / part), plan.spent / part as usize);
        if warm_up {
            eprintln!("warming up");
        } else {
            eprintln!("round {round} of {}", plan.rounds);
        }
        let mut taken = vec![stage.echo(until).await?];
        for (index, item) in plan.items().enumerate() {
            // Whoever goes first takes turns.
            let mut turns = Server::RIVALS;
            turns.rotate_left((round as usize + index) % Server::RIVALS.len());
            for server in turns {
                let Some(sample) = stage.measure(server, item, until, spent).await? else {
                    continue;
                };
                eprintln!(
                    "  {:<30} {:<23} {:>9.0}/s",
                    item.name(),
                    server.name(),
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
    print!("{}", report::print(&samples, &machine, &footprint, plan));
    Ok(())
}

/// All servers, running.
struct Stage {
    hub: hub::Hub,
    memory: provider::Provider,
    durable: provider::Provider,
    echo: echo::Echo,
    /// Resident memory of the hub before anything was asked of it.
    idle_kib: u32,
}

impl Stage {
    async fn start() -> Outcome<Self> {
        let hub = hub::Hub::start(hub::MANY, &[]).await?;
        Ok(Self {
            idle_kib: hub.contender.process.resident_kib()?,
            memory: provider::Provider::start(&hub, Keep::Memory).await?,
            durable: provider::Provider::start(&hub, Keep::File).await?,
            echo: echo::start().await?,
            hub,
        })
    }

    async fn echo(&self, until: Until) -> Outcome<Sample> {
        let load = self.echo.load(until);
        let process = &self.echo.process;
        let (sample, _) = measure(None, Server::Echo, process, None, load).await?;
        Ok(sample)
    }

    /// One measurement, unless the server cannot do this.
    async fn measure(
        &mut self,
        server: Server,
        item: Item,
        until: Until,
        spent: usize,
    ) -> Outcome<Option<Sample>> {
        let spent = server.spends(spent);
        let provider = match server {
            Server::Vestibule => {
                let load = self.hub.load(item, until, spent).await?;
                let folder = Some(self.hub.folder());
                let process = &self.hub.contender.process;
                let (sample, left) = measure(Some(item), server, process, folder, load).await?;
                self.hub.contender.give_back(item, left);
                return Ok(Some(sample));
            }
            Server::Memory => &mut self.memory,
            Server::Durable => &mut self.durable,
            Server::Echo => return Ok(None),
        };
        if !provider::Provider::does(item) {
            return Ok(None);
        }
        let load = provider.load(item, until, spent).await?;
        let folder = Some(provider.folder());
        let process = &provider.contender.process;
        let (sample, left) = measure(Some(item), server, process, folder, load).await?;
        provider.contender.give_back(item, left);
        Ok(Some(sample))
    }
}

/// Measure, and give back the refresh tokens that are alive afterwards.
async fn measure(
    item: Option<Item>,
    server: Server,
    process: &process::Process,
    folder: Option<&Path>,
    load: Load,
) -> Outcome<(Sample, Vec<String>)> {
    let before = process.usage(folder)?;
    let Measured {
        requests,
        seconds,
        mut micros,
        tokens,
    } = load.run().await.map_err(|failure| {
        let item = item.map_or("echo", Item::name);
        format!("{}, {item}: {failure}", server.name())
    })?;
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
