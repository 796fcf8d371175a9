//! What a decision costs: `cargo bench -p bartizan-core --bench decisions`. Nanoseconds, as the best of several rounds,
//! for policies of 1 to 10,000 rules, in one role or one in each of as many roles; docs/reference/policy-cost.md
//! has a run.
//!
//! *Again* is the packet that follows one with the same topic; *new topic* is decided from the rules; *bind* is what
//! a CONNECT or a new policy costs per connection, and *role set* what it costs once for all with the same roles.

#![allow(clippy::unwrap_used, reason = "what is not as expected is not measured")]
#![allow(clippy::print_stdout, reason = "the table is the output")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bartizan_core::policy::{Admissions, Asked, Circumstances, Grants, Identity, Image, OpenWindows, Strength};
use bartizan_core::topic::{TopicFilter, TopicName};
use bartizan_core::wire::{Properties, Publish, QoS};

const ROUNDS: usize = 7;

/// A rule on its own topics; every other one asks for a listener and a network too.
fn rule(number: usize, is_conditional: bool) -> String {
    let when = r#","when":{"listener":["mqtts"],"address":["10.0.0.0/8"]}"#;
    format!(
        r#"{{"name":"r{number}","effect":"permit","actions":["publish","subscribe"],"pattern":[{{"lit":"plant"}},
            {{"lit":"line-{number}"}},{{"var":"client_id"}},"one"],"qos_max":2,"retain":true{}}}"#,
        if is_conditional { when } else { "" }
    )
}

fn image(rules: usize, roles: usize, is_conditional: bool) -> Arc<Image> {
    let each = rules / roles;
    let role = |at: usize| {
        let own: Vec<String> = (at * each..(at + 1) * each).map(|n| rule(n, is_conditional && n % 2 == 0)).collect();
        format!(r#"{{"name":"role-{at:05}","limits":{{}},"rules":[{}]}}"#, own.join(","))
    };
    let roles: Vec<String> = (0..roles).map(role).collect();
    Arc::new(Image::load(format!(r#"{{"format":3,"roles":[{}]}}"#, roles.join(",")).as_bytes()).unwrap())
}

/// Nanoseconds of one call.
fn best(times: u32, mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..times).for_each(|_| work());
        begun.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(f64::MAX, f64::min)
}

struct Subject {
    grants: Arc<Grants>,
    topics: Vec<String>,
}

fn packet(topic: &str) -> Publish<'_> {
    let properties = Properties::default();
    Publish { dup: false, qos: QoS::AtMostOnce, retain: false, topic, packet_id: None, properties, payload: b"21.5" }
}

impl Subject {
    fn again(&self) -> f64 {
        let mut admissions = Admissions::default();
        admissions.begin(Arc::clone(&self.grants));
        let topic = TopicName::parse(self.topics.first().unwrap()).unwrap();
        best(200_000, || {
            black_box(admissions.authorize(black_box(packet("")), black_box(topic)).is_ok());
        })
    }

    fn new_topic(&self) -> f64 {
        let names: Vec<TopicName<'_>> = self.topics.iter().map(|topic| TopicName::parse(topic).unwrap()).collect();
        let asked = Asked::plain(QoS::AtMostOnce, false, 4);
        best(200, || {
            for name in &names {
                assert!(black_box(self.grants.publish(black_box(name), &asked)).allow);
            }
        }) / names.len() as f64
    }

    fn subscribe(&self) -> f64 {
        let filter = TopicFilter::parse(self.topics.last().unwrap()).unwrap();
        best(50, || assert!(black_box(self.grants.subscribe(black_box(&filter))).allow))
    }
}

fn measure(rules: usize, roles: usize, is_conditional: bool) {
    let image = image(rules, roles, is_conditional);
    let names: Vec<Arc<str>> = (0..roles).map(|at| Arc::from(format!("role-{at:05}"))).collect();
    let strength = Strength { certificate: true, mfa: false };
    let address = Some("10.1.2.3".parse().unwrap());
    let circumstances = Some(Circumstances { listener: "mqtts", address, method: "certificate", strength });
    let who = Identity { id: "press", client_id: "press-01", roles: &names, circumstances, ..Identity::default() };
    let open = OpenWindows::default();
    let set = Arc::new(image.role_set(&names));
    let topics = (0..200).map(|n| format!("plant/line-{}/press-01/t", n * rules / 200)).collect();
    let subject = Subject { grants: Arc::new(set.bind(&who, &open)), topics };
    let bind = best(1_000, || {
        black_box(set.bind(black_box(&who), &open));
    });
    let role_set = best(1, || {
        black_box(image.role_set(black_box(&names)));
    });
    println!(
        "| {rules} in {roles} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        if is_conditional { "half" } else { "none" },
        subject.again(),
        subject.new_topic(),
        subject.subscribe(),
        bind,
        role_set / 1_000.0,
    );
}

fn main() {
    println!(
        "| rules in roles | conditional | PUBLISH again, ns | new topic, ns | SUBSCRIBE, ns | bind, ns | role set, µs |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (rules, roles) in [(1, 1), (100, 1), (100, 100), (10_000, 1), (10_000, 100), (10_000, 10_000)] {
        measure(rules, roles, false);
        measure(rules, roles, true);
    }
}
