//! The command line, parsed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_core::wire::Version;
use lexopt::prelude::*;

use crate::failure::Failure;
use crate::fault::{Fault, FaultKind};
use crate::scenario::Overrides;
use crate::scram::Mechanism;
use crate::target::{Login, SOURCES_IN_TURN, TargetOptions, TlsOptions};

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// `run SCENARIO`
    Run(Box<RunOptions>),
    /// `list`
    List,
    /// `relay` and `faulty`
    Relay(RelayOptions),
    /// `--help`
    Help,
}

/// Of `run`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub scenario: String,
    pub target: TargetOptions,
    pub overrides: Overrides,
    pub pids: Vec<u32>,
    pub warmup: Duration,
    pub duration: Duration,
    pub messages: Option<u64>,
    pub stall: Duration,
    pub label: String,
    pub quiet: bool,
}

/// Of `relay` and `faulty`.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    pub host: String,
    pub port: u16,
    pub fault: Option<Fault>,
    /// Certificate chain and key, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// What `--help` says.
pub const HELP: &str = "\
bartizan-bench: drives an MQTT broker, verifies every message, counts the broker's CPU

  bartizan-bench run SCENARIO [--host 127.0.0.1] [--port 1883] [--mqtt 3.1.1|5] [--pid PID]...
      [--seconds 10] [--warmup 2] [--messages N] [--stall 10] [--label TEXT] [--quiet]
      [--tls --ca FILE] [--cert FILE --key FILE] [--danger-tls-unverified] [--post-quantum]
      [--user U --password-file F [--auth-method SCRAM-SHA-256|SCRAM-SHA-512]] [--client-id bench] [--topic bench]
      [--qos 0|1|2] [--size N] [--publishers N] [--subscribers N] [--window N] [--rate N]
      [--connections N] [--at-once N] [--sources 100] [--subscriptions N] [--retained N]
  bartizan-bench list
  bartizan-bench relay [--host 127.0.0.1] [--port 1883] [--cert FILE --key FILE]
  bartizan-bench faulty --fault lose|duplicate|reorder|corrupt|wrong_qos [--every 1000] [as relay]

  bartizan-bench run p1_q1_w20 --port 1883 --pid \"$(pidof mosquitto)\" --seconds 5
";

/// Parses the words after the program's name.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    parsed(lexopt::Parser::from_args(words)).map_err(|error| match error {
        Wrong::Words(error) => Failure::Usage(error.to_string()),
        Wrong::Use(failure) => failure,
    })
}

/// Either half of what can be wrong with words.
enum Wrong {
    Words(lexopt::Error),
    Use(Failure),
}

impl From<lexopt::Error> for Wrong {
    fn from(error: lexopt::Error) -> Wrong {
        Wrong::Words(error)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Wrong {
        Wrong::Use(failure)
    }
}

fn parsed(mut words: lexopt::Parser) -> Result<Command, Wrong> {
    match words.next()? {
        Some(Value(verb)) => match verb.string()?.as_str() {
            "run" => run(&mut words),
            "list" => Ok(Command::List),
            "relay" => relay(&mut words, false),
            "faulty" => relay(&mut words, true),
            "help" => Ok(Command::Help),
            other => Err(Failure::Usage(format!("there is no verb {other}: run, list, relay, faulty")).into()),
        },
        None | Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(other) => Err(other.unexpected().into()),
    }
}

/// What `run` collects before it fits together.
#[derive(Default)]
struct Draft {
    tls: Option<TlsOptions>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

impl Draft {
    fn tls(&mut self) -> &mut TlsOptions {
        self.tls.get_or_insert_default()
    }
}

fn run(words: &mut lexopt::Parser) -> Result<Command, Wrong> {
    let mut draft = Draft::default();
    let mut port = None;
    let mut options = RunOptions {
        scenario: String::new(),
        target: TargetOptions {
            host: "127.0.0.1".into(),
            port: 0,
            version: Version::V311,
            tls: None,
            login: None,
            mechanism: None,
            client_id: "bench".into(),
            topic: "bench".into(),
            sources: SOURCES_IN_TURN,
        },
        overrides: Overrides::default(),
        pids: Vec::new(),
        warmup: Duration::from_secs(2),
        duration: Duration::from_secs(10),
        messages: None,
        stall: Duration::from_secs(10),
        label: String::new(),
        quiet: false,
    };
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Command::Help),
            Value(name) if options.scenario.is_empty() => options.scenario = name.string()?,
            Long("port") => port = Some(words.value()?.parse()?),
            Long(name) => {
                let name = name.to_owned();
                let known = target(&name, words, &mut options.target, &mut draft)?
                    || overrides(&name, words, &mut options.overrides)?
                    || conditions(&name, words, &mut options)?;
                if !known {
                    return Err(Failure::Usage(format!("there is no option --{name}")).into());
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.scenario.is_empty() {
        return Err(Failure::Usage("which scenario? `list` tells them".into()).into());
    }
    options.target.port = port.unwrap_or(if draft.tls.is_some() { 8883 } else { 1883 });
    options.target.login = login(draft.user, draft.password_file.as_deref())?;
    options.target.tls = draft.tls;
    Ok(Command::Run(Box::new(options)))
}

fn target(
    name: &str,
    words: &mut lexopt::Parser,
    target: &mut TargetOptions,
    draft: &mut Draft,
) -> Result<bool, Wrong> {
    match name {
        "host" => target.host = words.value()?.string()?,
        "mqtt" => target.version = version(&words.value()?.string()?)?,
        "client-id" => target.client_id = words.value()?.string()?,
        "topic" => target.topic = words.value()?.string()?,
        "auth-method" => target.mechanism = Some(mechanism(&words.value()?.string()?)?),
        "sources" => target.sources = sources(&words.value()?.string()?)?,
        "user" => draft.user = Some(words.value()?.string()?),
        "password-file" => draft.password_file = Some(words.value()?.into()),
        "tls" => drop(draft.tls()),
        "ca" => draft.tls().ca = Some(words.value()?.into()),
        "cert" => draft.tls().certificate = Some(words.value()?.into()),
        "key" => draft.tls().key = Some(words.value()?.into()),
        "danger-tls-unverified" => draft.tls().danger_unverified = true,
        "post-quantum" => draft.tls().post_quantum = true,
        _ => return Ok(false),
    }
    Ok(true)
}

fn overrides(name: &str, words: &mut lexopt::Parser, over: &mut Overrides) -> Result<bool, Wrong> {
    match name {
        "qos" => over.qos = Some(words.value()?.parse()?),
        "size" => over.size = Some(words.value()?.parse()?),
        "publishers" => over.publishers = Some(words.value()?.parse()?),
        "subscribers" => over.subscribers = Some(words.value()?.parse()?),
        "window" => over.window = Some(words.value()?.parse()?),
        "rate" => over.rate = Some(words.value()?.parse()?),
        "subscriptions" => over.subscriptions = Some(words.value()?.parse()?),
        "retained" => over.retained = Some(words.value()?.parse()?),
        "connections" => over.connections = Some(words.value()?.parse()?),
        "at-once" => over.at_once = Some(words.value()?.parse()?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn conditions(name: &str, words: &mut lexopt::Parser, options: &mut RunOptions) -> Result<bool, Wrong> {
    match name {
        "pid" => options.pids.push(words.value()?.parse()?),
        "seconds" => options.duration = seconds(&words.value()?.string()?)?,
        "warmup" => options.warmup = seconds(&words.value()?.string()?)?,
        "stall" => options.stall = seconds(&words.value()?.string()?)?,
        "messages" => options.messages = Some(words.value()?.parse()?),
        "label" => options.label = words.value()?.string()?,
        "quiet" => options.quiet = true,
        _ => return Ok(false),
    }
    Ok(true)
}

fn relay(words: &mut lexopt::Parser, faulty: bool) -> Result<Command, Wrong> {
    let mut options = RelayOptions { host: "127.0.0.1".into(), port: 1883, fault: None, tls: None };
    let (mut kind, mut every, mut certificate, mut key) = (None, 1000, None, None);
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("host") => options.host = words.value()?.string()?,
            Long("port") => options.port = words.value()?.parse()?,
            Long("cert") => certificate = Some(words.value()?.into()),
            Long("key") => key = Some(words.value()?.into()),
            Long("fault") if faulty => kind = Some(fault(&words.value()?.string()?)?),
            Long("every") if faulty => every = words.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    options.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(Failure::Usage("--cert and --key go together".into()).into()),
    };
    if faulty {
        let kind = kind.ok_or_else(|| Failure::Usage("which --fault?".into()))?;
        options.fault = Some(Fault::new(kind, every));
    }
    Ok(Command::Relay(options))
}

fn fault(text: &str) -> Result<FaultKind, Failure> {
    let known = || FaultKind::ALL.map(FaultKind::name).join(", ");
    let found = FaultKind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| Failure::Usage(format!("there is no fault {text}: {}", known())))
}

fn version(text: &str) -> Result<Version, Failure> {
    match text {
        "3.1.1" => Ok(Version::V311),
        "5" => Ok(Version::V5),
        _ => Err(Failure::Usage(format!("--mqtt is 3.1.1 or 5, not {text}"))),
    }
}

fn mechanism(text: &str) -> Result<Mechanism, Failure> {
    let known = || Mechanism::ALL.map(Mechanism::name).join(" or ");
    let found = Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == text);
    found.ok_or_else(|| Failure::Usage(format!("--auth-method is {}, not {text}", known())))
}

/// They are 127.0.2.1 and those that follow.
fn sources(text: &str) -> Result<u8, Failure> {
    let found = text.parse().ok().filter(|count| (1..=250).contains(count));
    found.ok_or_else(|| Failure::Usage(format!("--sources is 1 to 250, not {text}")))
}

fn seconds(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::Usage(format!("{text} are no seconds"));
    text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(wrong)
}

/// The Password is the first line of the file.
fn login(user: Option<String>, file: Option<&Path>) -> Result<Option<Login>, Failure> {
    match (user, file) {
        (None, None) => Ok(None),
        (Some(user), None) => Ok(Some(Login { user, password: Vec::new() })),
        (None, Some(_)) => Err(Failure::Usage("--password-file goes with --user".into())),
        (Some(user), Some(file)) => {
            let text = std::fs::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            let line = text.split(|octet| *octet == b'\n').next().unwrap_or_default();
            let password = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            Ok(Some(Login { user, password }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<Command, Failure> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_run_is_read() {
        let Ok(Command::Run(options)) = of("run p1_q0_16 --mqtt 5 --pid 7 --pid 8 --window=3 --seconds 0.5") else {
            panic!("not a run")
        };
        assert_eq!((options.scenario.as_str(), options.target.port), ("p1_q0_16", 1883));
        assert_eq!((options.target.version, options.pids), (Version::V5, vec![7, 8]));
        assert_eq!((options.overrides.window, options.duration), (Some(3), Duration::from_millis(500)));
    }

    #[test]
    fn tls_has_its_own_port() {
        let Ok(Command::Run(options)) = of("run sparse_q0 --tls --ca a.pem") else { panic!("not a run") };
        assert_eq!(options.target.port, 8883);
    }

    #[test]
    fn mistakes_are_told_as_such() {
        for words in [
            "walk",
            "run",
            "run a b",
            "run a --nonsense 1",
            "run a --mqtt 4",
            "run a --seconds -1",
            "run a --qos x",
            "faulty",
            "faulty --fault hunger",
            "relay --fault lose",
            "run a --password-file x",
            "run a --auth-method PLAIN",
            "run a --sources 0",
            "run a --sources 251",
        ] {
            assert_eq!(of(words).unwrap_err().exit_code(), 2, "{words}");
        }
    }
}
