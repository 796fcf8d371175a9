//! A relay on loopback for the length of a run, sound or faulty.
#![allow(dead_code, clippy::unwrap_used)] // tests; each file uses what it needs

use std::ffi::OsString;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bartizan_bench::{Failure, Fault, FaultKind, Relay, RelayOptions, Report, measure};

/// A fault in every n-th delivery.
#[derive(Clone, Copy)]
pub struct Broken {
    pub name: &'static str,
    pub every: u64,
}

impl Broken {
    fn fault(self) -> Fault {
        let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == self.name).unwrap();
        Fault::new(kind, self.every)
    }
}

/// The report of this run against a relay.
pub fn measured(broken: Option<Broken>, words: &str) -> Report {
    measured_over(None, broken, words)
}

/// The same, over TLS with the relay's certificate chain and key.
pub fn measured_over(tls: Option<(PathBuf, PathBuf)>, broken: Option<Broken>, words: &str) -> Report {
    attempt(tls, broken, words).unwrap()
}

/// The same, where no report may come of it.
pub fn attempt(tls: Option<(PathBuf, PathBuf)>, broken: Option<Broken>, words: &str) -> Result<Report, Failure> {
    let options = RelayOptions { host: "127.0.0.1".into(), port: 0, fault: broken.map(Broken::fault), tls };
    let mut relay = Relay::bind(&options).unwrap();
    let port = relay.address().port();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || relay.run(&|| stopped.load(Ordering::Relaxed)).unwrap());
    let report = measure(command_line(words, port));
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    report
}

fn command_line(words: &str, port: u16) -> Vec<OsString> {
    let own = std::process::id();
    let all = format!("{words} --port {port} --pid {own} --quiet --seconds 30 --warmup 0.05");
    // What a test says itself comes last, and holds.
    let mut all: Vec<OsString> = all.split_whitespace().map(OsString::from).collect();
    all.extend(words.split_whitespace().skip(1).map(OsString::from));
    all
}

/// The same against a sound relay that lets so many connections in, one after the other, and then no more.
pub fn measured_behind_a_gate(connections: usize, words: &str) -> Result<Report, Failure> {
    let options = RelayOptions { host: "127.0.0.1".into(), port: 0, fault: None, tls: None };
    let mut relay = Relay::bind(&options).unwrap();
    let (gate, behind) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), relay.address());
    let port = gate.local_addr().unwrap().port();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let running = thread::spawn(move || relay.run(&|| stopped.load(Ordering::Relaxed)).unwrap());
    let passing = thread::spawn(move || {
        for client in gate.incoming().take(connections) {
            let (client, server) = (client.unwrap(), TcpStream::connect(behind).unwrap());
            for (from, to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || pass(from, to));
            }
        }
    });
    let report = measure(command_line(words, port));
    passing.join().unwrap();
    stop.store(true, Ordering::Relaxed);
    running.join().unwrap();
    report
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // Either end may be gone: so is the connection then.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
