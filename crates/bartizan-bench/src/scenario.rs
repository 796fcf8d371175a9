//! The scenarios by name, and what the command line may change about each.

use serde::Serialize;

use crate::failure::Failure;

/// A named load.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// As the command line and the reports call it.
    pub name: &'static str,
    /// One line for `list`.
    pub about: &'static str,
    /// What is done.
    pub load: Load,
}

/// What is done to the broker.
#[derive(Clone, Debug)]
pub enum Load {
    /// Messages from publishers to subscribers.
    Traffic(Traffic),
    /// Connections come and go.
    Churn(Churn),
    /// Connections come and stay.
    Idle(Idle),
    /// Retained Messages go to whoever subscribes.
    Retained(Retained),
    /// There are many Subscriptions, and every message is for one of them.
    Subscriptions(Subscriptions),
}

/// Connections that come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// How many at once.
    pub connections: usize,
    /// By TLS: always a full handshake, or always a resumed one. `None`: as the command line says.
    pub resumed: Option<bool>,
}

/// Connections that come and stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// Each has one Subscription.
    pub subscribed: bool,
    /// How many may be on their way in at once. `None`: as few as in any load.
    pub at_once: Option<usize>,
}

/// Retained Messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retained {
    /// How many.
    pub messages: usize,
    /// Octets of a payload.
    pub size: usize,
}

/// Many Subscriptions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subscriptions {
    /// How many.
    pub subscriptions: usize,
    /// Of how many clients.
    pub subscribers: usize,
    /// Messages on their way at once.
    pub window: usize,
    /// Octets of a payload.
    pub size: usize,
}

/// Who publishes to whom, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Connections that publish.
    pub publishers: usize,
    /// Connections that subscribe.
    pub subscribers: usize,
    /// Who hears whom.
    pub topology: Topology,
    /// QoS of messages and Subscriptions.
    pub qos: u8,
    /// Octets of a payload.
    pub size: usize,
    /// Messages that a publisher may be ahead of its slowest subscriber; in the open loop, of acknowledgements.
    pub window: usize,
    /// Deliveries per second of the whole run, sent on time whether or not earlier ones arrived; else closed loop.
    pub rate: Option<f64>,
    /// Subscribers have Sessions that outlive their connections.
    pub durable: bool,
}

/// Who hears whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// The n-th subscriber hears the n-th publisher; exact filters.
    Pairs,
    /// All publish to one topic, all subscribe to it; exact filters.
    Shared,
    /// All subscribe to all topics by one wildcard filter.
    Wildcard,
}

/// What the command line says instead of a scenario's own values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--publishers`
    pub publishers: Option<usize>,
    /// `--subscribers`
    pub subscribers: Option<usize>,
    /// `--qos`
    pub qos: Option<u8>,
    /// `--size`
    pub size: Option<usize>,
    /// `--window`
    pub window: Option<usize>,
    /// `--rate`
    pub rate: Option<f64>,
    /// `--connections`
    pub connections: Option<usize>,
    /// `--at-once`
    pub at_once: Option<usize>,
    /// `--subscriptions`
    pub subscriptions: Option<usize>,
    /// `--retained`
    pub retained: Option<usize>,
}

const fn pairs(count: usize, qos: u8, size: usize, window: usize) -> Traffic {
    let (topology, rate) = (Topology::Pairs, None);
    Traffic { publishers: count, subscribers: count, topology, qos, size, window, rate, durable: false }
}

const fn fan(publishers: usize, subscribers: usize, window: usize) -> Traffic {
    Traffic { publishers, subscribers, topology: Topology::Shared, ..pairs(1, 0, 16, window) }
}

const fn paced(subscribers: usize) -> Traffic {
    Traffic { rate: Some(20_000.0), size: 64, ..fan(1, subscribers, 10_000) }
}

/// All scenarios, in the order of the report.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [messages(), others()].concat()
}

fn messages() -> Vec<Scenario> {
    let traffic = |name, about, traffic| Scenario { name, about, load: Load::Traffic(traffic) };
    vec![
        traffic("p1_q0_16", "10 to 10 pairs, QoS 0, 16 octets", pairs(10, 0, 16, 1000)),
        traffic("p1_q0_1k", "10 to 10 pairs, QoS 0, 1 KiB", pairs(10, 0, 1024, 250)),
        traffic("p1_q1_w20", "10 to 10 pairs, QoS 1, window 20", pairs(10, 1, 16, 20)),
        traffic("p1_q1_w100", "10 to 10 pairs, QoS 1, window 100", pairs(10, 1, 16, 100)),
        traffic("p1_q2_w20", "10 to 10 pairs, QoS 2, window 20", pairs(10, 2, 16, 20)),
        traffic("p1_q2_w100", "10 to 10 pairs, QoS 2, window 100", pairs(10, 2, 16, 100)),
        traffic("sparse_q0", "500 to 500 pairs, QoS 0, one message of each in flight", pairs(500, 0, 16, 1)),
        traffic("sparse_q1", "500 to 500 pairs, QoS 1, one message of each in flight", pairs(500, 1, 16, 1)),
        traffic("fanout_100", "1 to 100, QoS 0, 100 in flight", fan(1, 100, 100)),
        traffic("fanout_1000", "1 to 1000, QoS 0, 20 in flight", fan(1, 1000, 20)),
        traffic("fanout_1000_1", "1 to 1000, QoS 0, 1 in flight", fan(1, 1000, 1)),
        traffic("fanin_100", "100 to 1, QoS 0, 100 in flight of each", fan(100, 1, 100)),
        traffic(
            "mesh_10x10_q1",
            "10 to 10, each hears all by a wildcard, QoS 1, 100 in flight of each",
            Traffic { topology: Topology::Wildcard, subscribers: 10, ..pairs(10, 1, 16, 100) },
        ),
        traffic("latency_1to1", "1 to 1 at a fixed rate of 20,000 deliveries/s, latency", paced(1)),
        traffic("latency_1to10", "1 to 10 at a fixed rate of 20,000 deliveries/s, latency", paced(10)),
        traffic(
            "durable",
            "10 to 10 pairs, QoS 1, Sessions that last; how long an acknowledgement takes",
            Traffic { durable: true, size: 64, ..pairs(10, 1, 64, 20) },
        ),
    ]
}

fn others() -> Vec<Scenario> {
    let scenario = |name, about, load| Scenario { name, about, load };
    let churn = |resumed| Load::Churn(Churn { connections: 50, resumed });
    let idle = |subscribed| Load::Idle(Idle { connections: 10_000, subscribed, at_once: None });
    vec![
        scenario("connects", "TCP, CONNECT, DISCONNECT, 50 at once", churn(None)),
        scenario("tls_handshakes_full", "the same with TLS, always a full handshake", churn(Some(false))),
        scenario("tls_handshakes_resumed", "the same with TLS, always a resumed one", churn(Some(true))),
        scenario("idle", "memory of 10,000 connections", idle(false)),
        scenario("idle_sub", "memory of 10,000 connections with one Subscription each", idle(true)),
        scenario(
            "retained",
            "100,000 Retained Messages: memory each, and to whoever subscribes to all",
            Load::Retained(Retained { messages: 100_000, size: 64 }),
        ),
        scenario(
            "subs_1m",
            "1,000,000 Subscriptions, exact, + and #: memory each, and messages of which each matches one",
            Load::Subscriptions(Subscriptions { subscriptions: 1_000_000, subscribers: 100, window: 1000, size: 16 }),
        ),
    ]
}

/// The scenario of this name.
pub fn named(name: &str) -> Result<Scenario, Failure> {
    all().into_iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        Failure::Usage(format!("there is no scenario {name}: `bartizan bench list` tells those that there are"))
    })
}

impl Churn {
    /// With what the command line says.
    pub fn with(self, over: &Overrides) -> Result<Churn, Failure> {
        let connections = at_least_one("--connections", over.connections, self.connections)?;
        Ok(Churn { connections, ..self })
    }
}

impl Idle {
    /// With what the command line says.
    pub fn with(self, over: &Overrides) -> Result<Idle, Failure> {
        let connections = at_least_one("--connections", over.connections, self.connections)?;
        let at_once = over.at_once.map(|count| at_least_one("--at-once", Some(count), count)).transpose()?;
        Ok(Idle { connections, at_once, ..self })
    }
}

impl Retained {
    /// With what the command line says.
    pub fn with(self, over: &Overrides) -> Result<Retained, Failure> {
        let messages = at_least_one("--retained", over.retained, self.messages)?;
        Ok(Retained { messages, size: payload(over.size, self.size)? })
    }
}

impl Subscriptions {
    /// With what the command line says.
    pub fn with(self, over: &Overrides) -> Result<Subscriptions, Failure> {
        Ok(Subscriptions {
            subscriptions: at_least_one("--subscriptions", over.subscriptions, self.subscriptions)?,
            subscribers: at_least_one("--subscribers", over.subscribers, self.subscribers)?,
            window: at_least_one("--window", over.window, self.window)?,
            size: payload(over.size, self.size)?,
        })
    }
}

fn at_least_one(name: &str, over: Option<usize>, own: usize) -> Result<usize, Failure> {
    match over.unwrap_or(own) {
        0 => Err(Failure::Usage(format!("{name} is at least 1"))),
        count => Ok(count),
    }
}

fn payload(over: Option<usize>, own: usize) -> Result<usize, Failure> {
    match over.unwrap_or(own) {
        size if size < crate::stamp::STAMP_BYTES => {
            Err(Failure::Usage("--size is at least 16: what verification needs".into()))
        }
        size if size > 16 << 20 => Err(Failure::Usage("--size is at most 16 MiB".into())),
        size => Ok(size),
    }
}

impl Traffic {
    /// With what the command line says.
    pub fn with(mut self, over: &Overrides) -> Result<Traffic, Failure> {
        self.publishers = over.publishers.unwrap_or(self.publishers);
        self.subscribers = over.subscribers.unwrap_or(self.subscribers);
        if self.topology == Topology::Pairs {
            // Who names one side of pairs means both.
            match (over.publishers, over.subscribers) {
                (Some(count), None) => self.subscribers = count,
                (None, Some(count)) => self.publishers = count,
                _ => {}
            }
        }
        self.qos = over.qos.unwrap_or(self.qos);
        self.size = payload(over.size, self.size)?;
        self.window = over.window.unwrap_or(self.window);
        self.rate = over.rate.or(self.rate);
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::Usage(text.into()));
        match () {
            () if self.publishers == 0 || self.subscribers == 0 => wrong("there must be publishers and subscribers"),
            () if self.topology == Topology::Pairs && self.publishers != self.subscribers => {
                wrong("pairs need as many publishers as subscribers")
            }
            () if self.qos > 2 => wrong("--qos is 0, 1 or 2"),
            () if self.window == 0 || self.window > 60_000 => wrong("--window is 1 to 60,000"),
            () if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e9)) => wrong("--rate is above 0"),
            () => Ok(()),
        }
    }

    /// Receivers of each message.
    #[must_use]
    pub fn receivers(&self) -> usize {
        if self.topology == Topology::Pairs { 1 } else { self.subscribers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_scenario_passes_its_own_check() {
        let mut names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
        for scenario in all() {
            let none = Overrides::default();
            let sound = match scenario.load {
                Load::Traffic(load) => load.with(&none).is_ok(),
                Load::Churn(load) => load.with(&none).is_ok(),
                Load::Idle(load) => load.with(&none).is_ok(),
                Load::Retained(load) => load.with(&none).is_ok(),
                Load::Subscriptions(load) => load.with(&none).is_ok(),
            };
            assert!(sound, "{}", scenario.name);
        }
    }

    #[test]
    fn one_side_of_pairs_means_both_and_two_must_agree() {
        let pairs = pairs(10, 0, 16, 1);
        let one = Overrides { publishers: Some(3), ..Overrides::default() };
        assert_eq!(pairs.clone().with(&one).unwrap().subscribers, 3);
        assert!(pairs.with(&Overrides { subscribers: Some(4), ..one }).is_err());
    }
}
