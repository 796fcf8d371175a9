//! The load generator: one efficient thread that drives any MQTT broker, verifies every message, and says how much
//! of the broker's CPU each one took.
//!
//! | module       | what                                                                            |
//! |--------------|---------------------------------------------------------------------------------|
//! | `arguments`  | the command line                                                                |
//! | `scenario`   | the scenarios by name                                                           |
//! | `conditions` | what holds for a run whatever its scenario                                      |
//! | `target`     | which broker, over what, as whom (`trust`, `tickets`: TLS; `scram`)             |
//! | `link`       | one connection's octets, plain or TLS                                           |
//! | `client`     | one MQTT client; `crowd`: all of them, and how they are let in                  |
//! | `stamp`      | what a message carries so that it can be verified                               |
//! | `flow`       | each once, in order, or what is wrong                                           |
//! | `outgoing`   | Packet Identifiers in flight; `id_set`: a set of them                           |
//! | `traffic`    | messages from publishers to subscribers: closed and open loop                   |
//! | `churn`      | connections that come and go; `idle`: that stay                                 |
//! | `retained`   | Retained Messages; `subscriptions`: many Subscriptions                          |
//! | `process`    | CPU time and memory of the broker                                               |
//! | `report`     | the JSON line of a run; `progress`: what a person sees meanwhile                |
//! | `relay`      | the limit: the least that any broker must do; `fault`: what it may do wrong     |
#![forbid(unsafe_code)]

mod arguments;
mod churn;
mod client;
mod conditions;
mod crowd;
mod failure;
mod fault;
mod flow;
mod id_set;
mod idle;
mod link;
mod outgoing;
mod process;
mod progress;
mod relay;
mod report;
mod retained;
mod scenario;
mod scram;
mod stamp;
mod subscriptions;
mod target;
mod tickets;
mod traffic;
mod trust;

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

pub use arguments::RelayOptions;
pub use failure::Failure;
pub use fault::{Fault, FaultKind};
pub use relay::Relay;
pub use report::Report;

use arguments::{Command, RunOptions};
use conditions::Conditions;
use process::Processes;
use progress::Progress;
use scenario::{Load, Overrides};
use target::Target;

/// Does what the words after the program's name say; the exit code.
pub fn main(program: &str, words: impl IntoIterator<Item = OsString>) -> i32 {
    match arguments::parse(words).and_then(perform) {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{program}: {failure}");
            failure.exit_code()
        }
    }
}

fn perform(command: Command) -> Result<i32, Failure> {
    match command {
        Command::Help => told(arguments::HELP),
        Command::List => told(&listing()),
        Command::Relay(options) => {
            let mut relay = Relay::bind(&options)?;
            let _ = writeln!(io::stderr(), "listening on {}", relay.address());
            relay.run(&|| false)?;
            Ok(0)
        }
        Command::Run(options) => {
            let report = run(*options)?;
            report.print().map_err(Failure::system("standard output"))?;
            Ok(i32::from(!report.ok))
        }
    }
}

fn told(text: &str) -> Result<i32, Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::system("standard output"))?;
    Ok(0)
}

fn listing() -> String {
    scenario::all().iter().map(|scenario| format!("{:<20} {}\n", scenario.name, scenario.about)).collect()
}

/// Runs the scenario that these words name, as after `run`, and gives its report instead of printing it.
pub fn measure(words: impl IntoIterator<Item = OsString>) -> Result<Report, Failure> {
    match arguments::parse([OsString::from("run")].into_iter().chain(words))? {
        Command::Run(options) => run(*options),
        _ => Err(Failure::Usage("that is no run".into())),
    }
}

fn run(options: RunOptions) -> Result<Report, Failure> {
    let scenario = scenario::named(&options.scenario)?;
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let conditions = Conditions {
        scenario: options.scenario,
        label: options.label,
        target: Target::resolve(&options.target)?,
        processes: Processes::new(options.pids),
        warmup: options.warmup,
        duration: options.duration,
        messages: options.messages,
        stall: options.stall,
        nonce: nanos ^ (u64::from(std::process::id()) << 32),
    };
    conditions.processes.cpu_s()?;
    let mut progress = Progress::new(options.quiet);
    let report = load(scenario.load, &options.overrides, &conditions, &mut progress);
    progress.end();
    report
}

fn load(load: Load, over: &Overrides, conditions: &Conditions, progress: &mut Progress) -> Result<Report, Failure> {
    match load {
        Load::Traffic(traffic) => {
            let plan = traffic.with(over)?;
            enough_descriptors(plan.publishers + plan.subscribers)?;
            traffic::run(&plan, conditions, progress)
        }
        Load::Churn(churn) => churn::run(&churn.with(over)?, conditions, progress),
        Load::Idle(idle) => {
            let plan = idle.with(over)?;
            enough_descriptors(plan.connections + idle::ALREADY_THERE)?;
            idle::run(&plan, conditions, progress)
        }
        Load::Retained(retained) => retained::run(&retained.with(over)?, conditions, progress),
        Load::Subscriptions(subscriptions) => {
            let plan = subscriptions.with(over)?;
            enough_descriptors(plan.subscribers + 1)?;
            subscriptions::run(&plan, conditions, progress)
        }
    }
}

fn enough_descriptors(connections: usize) -> Result<(), Failure> {
    let wanted = connections as u64 + 64;
    let limit = process::raise_descriptors(wanted);
    if limit >= wanted {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{connections} connections need a limit of {wanted} open files; it is {limit} (ulimit -n)"
    )))
}
