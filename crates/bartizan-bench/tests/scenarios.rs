//! Every scenario that a relay can serve runs, plain and over TLS, and tells what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

mod relayed;

use std::path::{Path, PathBuf};

use bartizan_bench::Report;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use relayed::{measured, measured_behind_a_gate, measured_over};

/// Files of a CA, and of a certificate for 127.0.0.1 with its key.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(dir.path().join("relay.pem"), leaf.pem()).unwrap();
        std::fs::write(dir.path().join("relay.key"), key.serialize_pem()).unwrap();
        Certificates { dir }
    }

    fn of_relay(&self) -> (PathBuf, PathBuf) {
        (self.path("relay.pem"), self.path("relay.key"))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    fn measured(&self, words: &str) -> Report {
        let ca = self.path("ca.pem");
        measured_over(Some(self.of_relay()), None, &format!("{words} --tls --ca {}", ca.display()))
    }
}

const MESSAGES: [&str; 8] = [
    "p1_q0_16",
    "p1_q0_1k",
    "p1_q1_w100",
    "p1_q2_w100",
    "sparse_q1 --publishers 20",
    "fanout_100 --subscribers 30",
    "fanin_100 --publishers 30",
    "mesh_10x10_q1",
];

#[test]
fn messages_go_over_tls_as_they_go_without() {
    let certificates = Certificates::new();
    for mqtt in ["3.1.1", "5"] {
        for load in MESSAGES {
            let report = certificates.measured(&format!("{load} --mqtt {mqtt} --messages 3000"));
            assert!(report.ok && report.delivered >= 3000, "{load}: {report:?}");
            assert!(report.tls.as_deref().is_some_and(|tls| tls.starts_with("TLSv1_3")), "{load}: {report:?}");
        }
    }
}

#[test]
fn packets_larger_than_any_buffer_come_through() {
    let certificates = Certificates::new();
    for words in
        ["p1_q1_w20 --publishers 1 --size 1000000 --messages 30", "p1_q0_16 --size 300000 --window 3 --messages 60"]
    {
        assert!(measured(None, words).ok, "{words}");
        assert!(certificates.measured(words).ok, "{words}");
    }
}

#[test]
fn a_broker_that_is_not_trusted_is_not_measured() {
    let (one, other) = (Certificates::new(), Certificates::new());
    let words = format!("p1_q0_16 --messages 10 --tls --ca {}", other.path("ca.pem").display());
    let failure = relayed::attempt(Some(one.of_relay()), None, &words).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(failure.to_string().contains("certificate"), "{failure}");
    let report = relayed::measured_over(Some(one.of_relay()), None, "p1_q0_16 --messages 10 --danger-tls-unverified");
    assert!(report.ok);
}

#[test]
fn connections_come_and_go() {
    let report = measured(None, "connects --messages 300 --connections 5");
    assert!(report.ok && report.delivered >= 300, "{report:?}");
    assert!(report.latency_us.is_some_and(|latency| latency.p50 > 0.0), "{report:?}");
}

#[test]
fn handshakes_are_all_full_or_all_resumed() {
    let certificates = Certificates::new();
    let full = certificates.measured("tls_handshakes_full --messages 100 --connections 5");
    assert!(full.ok && full.resumed == Some(0), "{full:?}");
    let resumed = certificates.measured("tls_handshakes_resumed --messages 200 --connections 50 --warmup 1");
    assert!(resumed.ok && resumed.resumed == Some(resumed.delivered), "{resumed:?}");
}

#[test]
fn idle_connections_are_weighed() {
    for words in ["idle --connections 300", "idle_sub --connections 300 --mqtt 5"] {
        let report = measured(None, words);
        assert!(report.ok && report.delivered == 300, "{report:?}");
        assert_eq!(report.memory.map(|memory| memory.count), Some(300));
    }
}

#[test]
fn messages_of_the_open_loop_are_on_time_and_timed() {
    let report = measured(None, "latency_1to10 --rate 5000 --messages 250");
    assert!(report.ok, "{report:?}");
    let latency = report.latency_us.unwrap();
    assert!(latency.count >= 2400 && latency.p50 <= latency.p99 && latency.p99 <= latency.max, "{latency:?}");
    assert!((3000.0..7000.0).contains(&report.per_s), "{report:?}");
}

#[test]
fn many_subscriptions_match_once_each() {
    let report = measured(None, "subs_1m --subscriptions 2000 --subscribers 7 --messages 4000");
    assert!(report.ok && report.delivered >= 4000, "{report:?}");
    assert_eq!(report.setup.map(|setup| setup.count), Some(2000));
}

#[test]
fn acknowledgements_of_lasting_sessions_are_timed() {
    let report = measured(None, "durable --publishers 3 --window 5 --messages 600");
    assert!(report.ok && report.ack_latency_us.is_some_and(|latency| latency.count >= 600), "{report:?}");
}

#[test]
fn what_is_measured_is_told_though_sessions_cannot_be_ended_afterwards() {
    // Three that end Sessions of an earlier run, and three pairs.
    let words = "durable --publishers 3 --subscribers 3 --messages 60";
    let report = measured_behind_a_gate(9, words).unwrap();
    assert!(report.ok && report.delivered >= 60, "{report:?}");
    assert!(measured_behind_a_gate(2, words).is_err(), "without the first there is nothing to measure");
}

#[test]
fn retained_messages_that_a_relay_does_not_keep_are_lost() {
    let report = measured(None, "retained --retained 50 --stall 0.5 --seconds 0.1");
    assert!(!report.ok && report.lost == 150, "{report:?}");
}
