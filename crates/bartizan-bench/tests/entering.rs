//! How clients come in: from which addresses, how many at once, and proved by what.
#![allow(clippy::unwrap_used)] // tests

mod relayed;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bartizan_bench::{Report, measure};

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// A door of MQTT 3.1.1 that lets nobody in before so many stand there together, and then everybody.
struct Door {
    port: u16,
    seen: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl Door {
    fn opens_for(together: usize) -> Door {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<BTreeSet<IpAddr>>> = Arc::default();
        let told = Arc::clone(&seen);
        // It ends with the process: nobody may be left standing before it.
        thread::spawn(move || {
            let (mut outside, mut is_open) = (Vec::new(), false);
            for client in listener.incoming() {
                let client = client.unwrap();
                told.lock().unwrap().insert(client.peer_addr().unwrap().ip());
                outside.push(client);
                is_open |= outside.len() >= together;
                if is_open {
                    outside.drain(..).for_each(let_in);
                }
            }
        });
        Door { port, seen }
    }

    fn measured(&self, words: &str) -> Report {
        let all = format!("{words} --port {} --quiet --seconds 30 --warmup 0.05", self.port);
        measure(all.split_whitespace().map(OsString::from)).unwrap()
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.seen.lock().unwrap().clone()
    }
}

fn let_in(mut client: TcpStream) {
    thread::spawn(move || {
        assert!(client.read(&mut [0; 256]).unwrap() > 0, "no CONNECT");
        client.write_all(&CONNACK).unwrap();
        // Until it leaves.
        let _ = io::copy(&mut client, &mut io::sink());
    });
}

#[test]
fn those_that_come_and_go_leave_from_as_many_addresses_as_were_asked_for() {
    let door = Door::opens_for(1);
    let report = door.measured("connects --messages 60 --connections 4 --sources 3");
    assert!(report.ok, "{report:?}");
    assert_eq!(door.addresses(), [1, 2, 3].map(|last| IpAddr::from([127, 0, 2, last])).into());
    let door = Door::opens_for(1);
    assert!(door.measured("connects --messages 60 --connections 4").ok);
    assert!(door.addresses().len() > 20, "so that nobody is known from before: {:?}", door.addresses());
}

#[test]
fn a_crowd_comes_all_at_once_where_that_is_asked_for() {
    let report = Door::opens_for(100).measured("idle --connections 150 --at-once 250");
    assert!(report.ok && report.delivered == 150, "{report:?}");
    let few = Door::opens_for(100).measured("idle --connections 150 --stall 0.5");
    assert!(few.error.is_some_and(|error| error.starts_with("only 0 of 100")), "64 at once: nobody is let in");
}

#[test]
fn a_broker_that_lets_in_without_an_exchange_has_not_proved_itself() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "pencil\n").unwrap();
    let words = format!("--user user --password-file {} --auth-method SCRAM-SHA-256", password.display());
    for load in ["connects --messages 5", "idle --connections 5"] {
        let report = relayed::measured(None, &format!("{load} --mqtt 5 {words}"));
        let told = report.error.unwrap();
        assert_eq!(told, "the broker did not prove itself by SCRAM-SHA-256", "{load}");
    }
    for unfit in [format!("connects {words}"), "connects --mqtt 5 --auth-method SCRAM-SHA-256".to_owned()] {
        assert_eq!(relayed::attempt(None, None, &unfit).unwrap_err().exit_code(), 2, "{unfit}");
    }
}
