//! The generator is believed only because it finds every fault of a broker that has one, and none in a sound one.

mod relayed;

use relayed::{Broken, measured};

const LOADS: [&str; 4] =
    ["p1_q0_16 --publishers 2 --window 50", "p1_q1_w20 --publishers 2", "p1_q2_w20", "mesh_10x10_q1"];

fn every_load(fault: Option<&'static str>, check: impl Fn(&bartizan_bench::Report, &str)) {
    for load in LOADS {
        for mqtt in ["3.1.1", "5"] {
            let words =
                format!("{load} --mqtt {mqtt} --messages 2000 --stall {}", if fault.is_some() { 1 } else { 10 });
            check(&measured(fault.map(|name| Broken { name, every: 97 }), &words), &words);
        }
    }
}

#[test]
fn a_sound_relay_has_no_fault() {
    every_load(None, |report, words| {
        assert!(report.ok, "{words}: {report:?}");
        assert_eq!(report.messages, 2000, "{words}");
        let receivers = if words.starts_with("mesh") { 10 } else { 1 };
        assert_eq!(report.total_delivered, report.total_messages * receivers, "{words}");
    });
}

#[test]
fn a_lost_message_is_found() {
    every_load(Some("lose"), |report, words| {
        assert!(!report.ok && report.lost > 0, "{words}: {report:?}");
        assert_eq!((report.duplicated, report.reordered, report.corrupt, report.wrong_qos), (0, 0, 0, 0), "{words}");
    });
}

#[test]
fn a_message_delivered_twice_is_found() {
    every_load(Some("duplicate"), |report, words| {
        assert!(!report.ok && report.duplicated > 0, "{words}: {report:?}");
        assert_eq!((report.lost, report.reordered, report.corrupt, report.wrong_qos), (0, 0, 0, 0), "{words}");
    });
}

#[test]
fn a_message_that_overtakes_another_is_found() {
    every_load(Some("reorder"), |report, words| {
        assert!(!report.ok && report.reordered > 0, "{words}: {report:?}");
        assert_eq!((report.duplicated, report.corrupt, report.wrong_qos), (0, 0, 0), "{words}");
    });
}

#[test]
fn a_changed_octet_is_found() {
    every_load(Some("corrupt"), |report, words| {
        assert!(!report.ok && report.corrupt > 0, "{words}: {report:?}");
        assert_eq!((report.duplicated, report.reordered, report.wrong_qos), (0, 0, 0), "{words}");
    });
}

#[test]
fn another_qos_is_found() {
    every_load(Some("wrong_qos"), |report, words| {
        assert!(!report.ok && report.wrong_qos > 0, "{words}: {report:?}");
        assert_eq!((report.lost, report.duplicated, report.reordered, report.corrupt), (0, 0, 0, 0), "{words}");
    });
}

#[test]
fn the_number_of_faults_is_right() {
    let every = 100;
    let broken = |name| Some(Broken { name, every });
    let words = "p1_q0_16 --publishers 1 --window 50 --messages 10000 --warmup 0";
    assert_eq!(measured(broken("lose"), words).lost, 100);
    assert_eq!(measured(broken("duplicate"), words).duplicated, 100);
    assert_eq!(measured(broken("wrong_qos"), words).wrong_qos, 100);
    let corrupt = measured(broken("corrupt"), &format!("{words} --size 17"));
    assert_eq!((corrupt.corrupt, corrupt.lost), (100, 0));
}
