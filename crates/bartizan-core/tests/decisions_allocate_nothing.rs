//! A decision about a PUBLISH asks the allocator for nothing, whatever is decided and whichever rules are looked at
//! (docs/reference/policy-cost.md).

#![allow(clippy::unwrap_used, reason = "a test's own mistake")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bartizan_core::policy::{Admissions, Asked, Circumstances, Grants, Identity, Image, OpenWindows, Strength};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{Properties, Publish, QoS};

thread_local! {
    /// Calls of this thread: that of the test alone, not those of its harness.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; only a number is kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LINES: usize = 300;

/// Permits of their own topics, half of them with conditions, and forbids that are nearer.
fn grants() -> Arc<Grants> {
    let rules: Vec<String> = (0..LINES)
        .map(|line| {
            let when = r#","when":{"listener":["mqtts"],"address":["10.0.0.0/8"],"qos":[0,1],"payload_bytes_max":64}"#;
            let when = if line % 2 == 0 { when } else { "" };
            format!(
                r#"{{"name":"p{line}","effect":"permit","actions":["publish"],"pattern":[{{"lit":"plant"}},{{"lit":"line-{line}"}},
                    {{"var":"client_id"}},"many"],"qos_max":2,"retain":false{when}}},
                {{"name":"f{line}","effect":"forbid","actions":["publish"],"pattern":[{{"lit":"plant"}},{{"lit":"line-{line}"}},
                    "one",{{"lit":"raw"}}],"qos_max":2,"retain":true}}"#
            )
        })
        .collect();
    let image = format!(r#"{{"format":3,"roles":[{{"name":"press","limits":{{}},"rules":[{}]}}]}}"#, rules.join(","));
    let image = Arc::new(Image::load(image.as_bytes()).unwrap());
    let roles = [Arc::from("press")];
    let strength = Strength { certificate: true, mfa: false };
    let address = Some("10.1.2.3".parse().unwrap());
    let circumstances = Some(Circumstances { listener: "mqtts", address, method: "certificate", strength });
    let who = Identity { id: "press", client_id: "press-01", roles: &roles, circumstances, ..Identity::default() };
    Arc::new(Arc::new(image.role_set(&roles)).bind(&who, &OpenWindows::default()))
}

fn calls(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

#[test]
fn a_decision_asks_the_allocator_for_nothing() {
    assert!(calls(|| drop(std::hint::black_box(Box::new(7)))) > 0, "this counts");
    let grants = grants();
    let topics: Vec<String> = (0..LINES)
        .flat_map(|line| {
            ["press-01/t", "press-01/raw", "press-02/t", "press-01/a/very/deep/one"]
                .map(|rest| format!("plant/line-{line}/{rest}"))
        })
        .chain(["other".to_owned(), "$SYS/x".to_owned(), "x/".repeat(100)])
        .collect();
    let names: Vec<TopicName<'_>> = topics.iter().map(|topic| TopicName::parse(topic).unwrap()).collect();
    for (qos, retain, octets) in
        [(QoS::AtMostOnce, false, 4), (QoS::ExactlyOnce, true, 4), (QoS::AtLeastOnce, false, 99)]
    {
        let asked = Asked::plain(qos, retain, octets);
        let mut permitted = 0_usize;
        let made = calls(|| permitted = names.iter().filter(|name| grants.publish(name, &asked).allow).count());
        assert_eq!(made, 0, "{qos:?} {retain} {octets}");
        assert!(permitted < names.len());
        assert_eq!(permitted > 0, !retain, "both are decided");
    }
    let mut admissions = Admissions::default();
    admissions.begin(Arc::clone(&grants));
    for name in names.iter().take(2) {
        let packet = || Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "",
            packet_id: None,
            properties: Properties::default(),
            payload: b"21.5",
        };
        // The first one of a topic is remembered for those behind it.
        let first = admissions.authorize(packet(), *name).is_ok();
        let made = calls(|| (0..100).for_each(|_| assert_eq!(admissions.authorize(packet(), *name).is_ok(), first)));
        assert_eq!(made, 0, "{}", name.as_str());
    }
}
