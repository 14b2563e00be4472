//! Prints what a call through the plugin contract costs beside the same call without it, and fails when it is more than
//! 1.3 times as much: `abi-bench LIBRARY [ROUNDS [CASES]]`, where LIBRARY is this crate's own plugin and CASES a part of the
//! names of those to measure.
//!
//! A call takes a request of 200 bytes from a task on the caller's runtime (one worker, as a plugin has) to the host,
//! which makes an answer of 200 bytes, and is over when the task has it. Both kinds are measured in turn, ROUNDS (21) times.
//! The best round of each is compared: it is the nearest to a machine that does nothing else.

mod caller;
mod with;
mod without;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kuzzle_plugin_api::sdk::tokio::runtime::Builder;

/// How many times the plain call a call through the contract may cost.
const RATIO_MAX: f64 = 1.3;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Where the host makes its answer.
#[derive(Clone, Copy)]
enum Answering {
    /// Before the call returns, as for what is cached, refused or read from memory.
    Inside,
    /// On a thread of the host's runtime, as for what waits.
    OnAnotherThread,
}

struct Case {
    name: &'static str,
    answering: Answering,
    in_flight: usize,
    calls_each: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "answered inside the call",
        answering: Answering::Inside,
        in_flight: 1,
        calls_each: 300_000,
    },
    Case {
        name: "answered by another thread, 1 in flight",
        answering: Answering::OnAnotherThread,
        in_flight: 1,
        calls_each: 5_000,
    },
    Case {
        name: "answered by another thread, 100 in flight",
        answering: Answering::OnAnotherThread,
        in_flight: 100,
        calls_each: 1_000,
    },
    Case {
        name: "answered by another thread, 10,000 in flight",
        answering: Answering::OnAnotherThread,
        in_flight: 10_000,
        calls_each: 10,
    },
];

/// What the host does with a request, either way: the id and the bytes of its answer.
fn answer(request: &[u8]) -> (&'static str, Vec<u8>) {
    let answer = [request.first().copied().unwrap_or_default(); caller::ANSWER_BYTES];
    ("1109ec50-9473-4e75-91ac-673debb2b8ac", caller::written(&answer))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.get(1).map_or(Ok(21), |text| text.parse());
    let (Some(library), Ok(rounds)) = (arguments.first(), rounds) else {
        eprintln!("usage: abi-bench LIBRARY [ROUNDS [CASES]]");
        return ExitCode::from(2);
    };
    let only = arguments.get(2).map_or("", String::as_str);
    match measure(Path::new(library), rounds, only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot measure with `{library}`: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures and prints every case whose name has `only` in it; whether all are cheap enough.
fn measure(library: &Path, rounds: usize, only: &str) -> Result<bool> {
    let module = with::load(library)?;
    // Two workers, as a host on a small machine has.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let host = runtime.handle();
    println!(
        "nanoseconds per call, best and median of {rounds} rounds{:>17}{:>18}{:>8}{:>20}",
        "contract", "without it", "ratio", "carried as bytes"
    );
    let mut fine = true;
    for case in CASES.iter().filter(|case| case.name.contains(only)) {
        let (mut contract, mut plain, mut as_bytes) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds.max(1) {
            // Whichever comes second finds the machine as the first has left it: they take turns at that.
            if round % 2 == 0 {
                contract.push(with::run(case, module, host, false)?);
                plain.push(without::run(case, host)?);
            } else {
                plain.push(without::run(case, host)?);
                contract.push(with::run(case, module, host, false)?);
            }
        }
        // Not judged, and slower by far: a few rounds of fewer calls tell enough.
        let few = Case { calls_each: case.calls_each.div_ceil(20), ..*case };
        for _ in 0..3 {
            as_bytes.push(with::run(&few, module, host, true)?);
        }
        let (contract, plain, as_bytes) =
            (Figures::of(case, contract), Figures::of(case, plain), Figures::of(&few, as_bytes));
        let ratio = contract.best / plain.best;
        let verdict = if ratio <= RATIO_MAX { "" } else { "  too much" };
        fine &= ratio <= RATIO_MAX;
        println!(
            "{:<48}{:>18}{:>18}{ratio:>8.2}{:>20}{verdict}",
            case.name,
            contract.to_string(),
            plain.to_string(),
            as_bytes.to_string()
        );
    }
    println!("the ratio is of the best rounds, at most {RATIO_MAX}");
    Ok(fine)
}

/// Nanoseconds per call.
struct Figures {
    best: f64,
    median: f64,
}

impl Figures {
    fn of(case: &Case, mut rounds: Vec<Duration>) -> Self {
        rounds.sort_unstable();
        let calls = (case.in_flight * case.calls_each) as f64;
        let each = |round: Option<&Duration>| round.map_or(f64::NAN, |round| round.as_nanos() as f64 / calls);
        Self { best: each(rounds.first()), median: each(rounds.get(rounds.len() / 2)) }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.0} / {:.0}", self.best, self.median))
    }
}
