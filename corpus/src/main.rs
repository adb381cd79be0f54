//! `cargo xtask corpus`: what each preset makes of the corpus, as tables; fails where a promise of
//! `balanced` does not hold.

use std::process::ExitCode;

use vestibule_corpus::{arrival, judge::Hub, report::Report};
use vestibule_protocol::trust::Preset;

fn main() -> ExitCode {
    let corpus = match arrival::corpus() {
        Ok(corpus) => corpus,
        Err(failure) => {
            eprintln!("corpus: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let hub = Hub::default();
    let mut broken = Vec::new();
    for preset in [Preset::Balanced, Preset::Strict, Preset::Open] {
        let report = Report::of(&hub, preset, &corpus);
        println!("{}", report.markdown());
        if preset == Preset::Balanced {
            broken = report.broken_promises();
        }
    }
    for promise in &broken {
        eprintln!("corpus: balanced breaks a promise: {promise}");
    }
    if broken.is_empty() {
        println!("The promises of balanced hold.");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
