//! The contract: what every adapter of the port does, whatever it is made of.
//!
//! Each behaviour is one function over a `Subject`; the macro at the end makes a test of it for
//! each adapter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan_core::message::{Message, Publisher, Time};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions, Version};

use super::{
    Fetch, Fetched, FetchedMessage, Loaded, Mutation, SessionRecord, Space, Store, StoreConfig, Ticket, Wake, memory,
    open,
};

const LANES: usize = 2;
const COMMIT_TIMEOUT: Duration = Duration::from_secs(20);

/// An adapter under test.
trait Subject {
    fn open(&self, wake: Wake) -> Arc<dyn Store>;
    /// The same contents, as the next process would find them.
    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

struct Memory;

impl Subject for Memory {
    fn open(&self, wake: Wake) -> Arc<dyn Store> {
        memory::open(LANES, wake)
    }

    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        store
    }
}

struct Embedded(tempfile::TempDir);

impl Embedded {
    fn new() -> Embedded {
        Embedded(tempfile::tempdir().unwrap())
    }
}

impl Subject for Embedded {
    fn open(&self, wake: Wake) -> Arc<dyn Store> {
        let config = StoreConfig { segment_bytes: 1 << 20, ..StoreConfig::at(self.0.path(), LANES) };
        open(config, wake).unwrap()
    }

    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        self.open(quiet())
    }
}

fn quiet() -> Wake {
    Arc::new(|_| {})
}

fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
    let publisher = Publisher { identity: "press-01".into(), client_id: "press-01-a".into() };
    Arc::new(Message::new(
        &TopicName::parse(topic).unwrap(),
        b"\x01\x01",
        payload,
        QoS::AtLeastOnce,
        true,
        Some(Time(1_800_000_000_123)),
        Arc::new(publisher),
    ))
}

fn session(client_id: &str) -> Mutation {
    Mutation::SessionPut(SessionRecord {
        client_id: client_id.into(),
        identity: "press-01".into(),
        version: Version::V5,
        session_expiry_s: u32::MAX,
        disconnected_at: Some(Time(1_700_000_000_000)),
        state: vec![0, 1, 255],
    })
}

fn subscription(client_id: &str, filter: &str) -> Mutation {
    let options =
        SubscriptionOptions { qos: QoS::ExactlyOnce, no_local: true, retain_as_published: true, retain_handling: 2 };
    let (client_id, filter) = (client_id.into(), filter.into());
    Mutation::SubscriptionPut { client_id, filter, options, subscription_id: Some(268_435_455) }
}

fn enqueue(client_id: &str, seq: u64, message: &Arc<Message>) -> Mutation {
    Mutation::Enqueue {
        client_id: client_id.into(),
        seq,
        message: message.clone(),
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: [7, 1].into(),
        packet_id: None,
    }
}

fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn commit(store: &Arc<dyn Store>, lane: usize, batch: Vec<Mutation>) -> Ticket {
    let ticket = store.submit(lane, batch);
    let start = Instant::now();
    while !store.committed(lane).covers(ticket) {
        assert!(!store.committed(lane).failed, "{:?}", store.failure());
        assert!(start.elapsed() < COMMIT_TIMEOUT, "no commit");
        std::thread::sleep(Duration::from_micros(200));
    }
    ticket
}

fn contents(store: &Arc<dyn Store>) -> Vec<Loaded> {
    let mut found = Vec::new();
    store.load(&mut |loaded| found.push(loaded)).unwrap();
    found
}

/// What is found after these batches were committed, in a store opened anew.
fn after(subject: &dyn Subject, batches: Vec<Vec<Mutation>>) -> Vec<Loaded> {
    let store = subject.open(quiet());
    for batch in batches {
        commit(&store, 0, batch);
    }
    contents(&subject.reopen(store))
}

fn a_new_store_is_empty(subject: &dyn Subject) {
    let store = subject.open(quiet());
    assert_eq!(contents(&store), []);
    assert_eq!((store.space(), store.info().lanes), (Space::Ok, LANES));
    assert!(store.failure().is_none());
}

fn what_was_put_is_found_again_in_order(subject: &dyn Subject) {
    let (queued, kept, will) = (message("a/b", b"one"), message("r", b""), message("w", b"bye"));
    let id = packet_id(65_535);
    let found = after(
        subject,
        vec![vec![
            Mutation::WillPut { client_id: "c".into(), due: Some(Time(9)), will: will.clone(), delay_s: 30 },
            Mutation::RetainedPut { message: kept.clone() },
            Mutation::ReceivedPut { client_id: "c".into(), packet_id: id },
            enqueue("c", 300, &queued),
            enqueue("c", 2, &queued),
            subscription("c", "$share/g/a/#"),
            session("c"),
        ]],
    );
    let place = |seq| Loaded::Queued {
        client_id: "c".into(),
        seq,
        message: queued.clone(),
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: [7, 1].into(),
        packet_id: None,
        released: false,
    };
    let Mutation::SessionPut(record) = session("c") else { panic!() };
    let Mutation::SubscriptionPut { client_id, filter, options, subscription_id } = subscription("c", "$share/g/a/#")
    else {
        panic!()
    };
    let expected = vec![
        Loaded::Session(record),
        Loaded::Subscription { client_id, filter, options, subscription_id },
        place(2),
        place(300),
        Loaded::Received { client_id: "c".into(), packet_id: id },
        Loaded::Retained { message: kept },
        Loaded::Will { client_id: "c".into(), due: Some(Time(9)), will, delay_s: 30 },
    ];
    assert_eq!(found, expected);
}

fn what_was_deleted_is_gone(subject: &dyn Subject) {
    let queued = message("a", b"x");
    let (client_id, topic): (Arc<str>, Arc<str>) = ("c".into(), "a".into());
    let put = vec![
        subscription("c", "a/#"),
        enqueue("c", 1, &queued),
        Mutation::ReceivedPut { client_id: client_id.clone(), packet_id: packet_id(1) },
        Mutation::RetainedPut { message: queued.clone() },
        Mutation::WillPut { client_id: client_id.clone(), due: None, will: queued, delay_s: 0 },
    ];
    let delete = vec![
        Mutation::SubscriptionDelete { client_id: client_id.clone(), filter: "a/#".into() },
        Mutation::Dequeue { client_id: client_id.clone(), seq: 1 },
        Mutation::ReceivedDelete { client_id: client_id.clone(), packet_id: packet_id(1) },
        Mutation::RetainedDelete { topic },
        Mutation::WillDelete { client_id: client_id.clone() },
    ];
    // Deleted in the life of the one that put it, and in the next one's; and when not there.
    assert_eq!(after(subject, vec![put.clone(), delete.clone()]), []);
    assert_eq!(after(subject, vec![put]).len(), 5);
    assert_eq!(after(subject, vec![delete.clone(), delete]), []);
}

fn the_end_of_a_session_takes_what_hangs_on_it_but_the_will(subject: &dyn Subject) {
    let queued = message("a", b"x");
    let everything = |client: &str| {
        vec![
            session(client),
            subscription(client, "a/#"),
            enqueue(client, 1, &queued),
            Mutation::ReceivedPut { client_id: client.into(), packet_id: packet_id(1) },
            Mutation::WillPut { client_id: client.into(), due: None, will: queued.clone(), delay_s: 0 },
        ]
    };
    // "cc" and "c/d" begin like "c" and stay whole.
    let store = subject.open(quiet());
    for client in ["c", "cc", "c/d"] {
        commit(&store, 0, everything(client));
    }
    let store = subject.reopen(store);
    commit(&store, 0, vec![Mutation::SessionDelete { client_id: "c".into() }]);
    let left = contents(&subject.reopen(store));
    assert_eq!(left.len(), 11);
    let of_c = left.iter().filter(|found| match found {
        Loaded::Session(record) => &*record.client_id == "c",
        Loaded::Subscription { client_id, .. }
        | Loaded::Queued { client_id, .. }
        | Loaded::Waiting { client_id, .. }
        | Loaded::Received { client_id, .. }
        | Loaded::Will { client_id, .. } => &**client_id == "c",
        Loaded::Retained { .. } => true,
    });
    assert!(
        of_c.eq(left.iter().filter(|found| { matches!(found, Loaded::Will { client_id, .. } if &**client_id == "c") }))
    );
}

fn a_session_made_after_the_end_of_one_has_nothing_of_it(subject: &dyn Subject) {
    let queued = message("a", b"x");
    let store = subject.open(quiet());
    commit(&store, 0, vec![session("c"), enqueue("c", 1, &queued), enqueue("c", 2, &queued)]);
    let store = subject.reopen(store);
    let end = Mutation::SessionDelete { client_id: "c".into() };
    commit(&store, 0, vec![end, session("c"), enqueue("c", 1, &message("new", b""))]);
    let found = contents(&subject.reopen(store));
    assert_eq!(found.len(), 2);
    assert!(matches!(&found[1], Loaded::Queued { message, .. } if message.topic().as_str() == "new"));
}

fn a_new_session_record_leaves_its_queue_alone(subject: &dyn Subject) {
    let found = after(subject, vec![vec![session("c"), enqueue("c", 1, &message("a", b"x"))], vec![session("c")]]);
    assert_eq!(found.len(), 2);
}

fn a_message_in_flight_keeps_its_identifier_and_its_phase(subject: &dyn Subject) {
    let client_id: Arc<str> = "c".into();
    let store = subject.open(quiet());
    commit(&store, 0, (1..=3).map(|seq| enqueue("c", seq, &message("a", b"x"))).collect());
    let assign = |seq, number| Mutation::Assign { client_id: client_id.clone(), seq, packet_id: packet_id(number) };
    commit(&store, 0, vec![assign(1, 10), assign(2, 20)]);
    let store = subject.reopen(store);
    commit(&store, 0, vec![Mutation::Released { client_id: client_id.clone(), seq: 2 }]);
    let phases: Vec<_> = contents(&subject.reopen(store))
        .into_iter()
        .map(|found| match found {
            Loaded::Queued { seq, packet_id, released, .. } => (seq, packet_id.map_or(0, PacketId::get), released),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(phases, [(1, 10, false), (2, 20, true), (3, 0, false)]);
}

fn one_message_for_many_is_one_message_when_loaded(subject: &dyn Subject) {
    let shared = message("a", &[7; 10_000]);
    let clients: Vec<String> = (0..50).map(|n| format!("client-{n:02}")).collect();
    let batch = clients.iter().map(|client| enqueue(client, 1, &shared)).collect();
    let found = after(subject, vec![batch]);
    let messages: Vec<_> = found
        .iter()
        .filter_map(|found| match found {
            Loaded::Queued { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), clients.len());
    assert!(messages.iter().all(|other| Arc::ptr_eq(other, messages[0])));
}

fn a_place_in_a_queue_can_be_taken_again(subject: &dyn Subject) {
    let dequeue = Mutation::Dequeue { client_id: "c".into(), seq: 1 };
    let store = subject.open(quiet());
    commit(&store, 0, vec![enqueue("c", 1, &message("old", b""))]);
    let store = subject.reopen(store);
    commit(&store, 0, vec![dequeue.clone(), enqueue("c", 1, &message("new", b""))]);
    commit(&store, 0, vec![dequeue]);
    assert_eq!(contents(&subject.reopen(store)), []);
}

fn names_are_octets_to_it(subject: &dyn Subject) {
    let names = ["", "a", "a/b", "+", "#", "\u{feff}", "ä", "\u{10ffff}", &"long".repeat(10_000)];
    let found = after(subject, vec![names.iter().map(|name| session(name)).collect()]);
    let mut expected = names.to_vec();
    expected.sort_unstable();
    let found: Vec<_> = found
        .iter()
        .map(|found| match found {
            Loaded::Session(record) => &*record.client_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, expected);
}

fn tickets_count_from_one_in_each_lane(subject: &dyn Subject) {
    let store = subject.open(quiet());
    assert_eq!(store.committed(0).ticket, Ticket(0));
    assert_eq!(commit(&store, 0, vec![session("a")]), Ticket(1));
    assert_eq!(commit(&store, 0, Vec::new()), Ticket(2));
    assert_eq!(store.committed(1).ticket, Ticket(0));
    assert_eq!(commit(&store, 1, vec![session("b")]), Ticket(1));
}

fn batches_are_applied_in_the_order_submitted_over_all_lanes(subject: &dyn Subject) {
    let store = subject.open(quiet());
    for n in 0..200_usize {
        let topic = message("a", n.to_string().as_bytes());
        store.submit(n % LANES, vec![Mutation::RetainedPut { message: topic }]);
    }
    for lane in 0..LANES {
        commit(&store, lane, Vec::new());
    }
    let found = contents(&subject.reopen(store));
    assert!(matches!(&found[..], [Loaded::Retained { message }] if message.payload() == b"199"));
}

fn a_commit_wakes_its_lane_after_the_watermark_moved(subject: &dyn Subject) {
    let woken: [AtomicUsize; LANES] = Default::default();
    let woken = Arc::new(woken);
    let seen = woken.clone();
    let store = subject.open(Arc::new(move |lane| {
        seen[lane].fetch_add(1, Ordering::SeqCst);
    }));
    let before = woken[1].load(Ordering::SeqCst);
    let ticket = store.submit(1, vec![session("a")]);
    let start = Instant::now();
    while woken[1].load(Ordering::SeqCst) == before {
        assert!(start.elapsed() < COMMIT_TIMEOUT, "not woken");
        std::thread::yield_now();
    }
    // Another wake may come first; one for this commit must come.
    while !store.committed(1).covers(ticket) {
        assert!(start.elapsed() < COMMIT_TIMEOUT, "woken, but not committed");
        std::thread::yield_now();
    }
}

fn no_watermark_steps_back(subject: &dyn Subject) {
    let store = subject.open(quiet());
    let last = Mutex::new(Ticket(0));
    for n in 0..500 {
        store.submit(0, vec![session(&n.to_string())]);
        let now = store.committed(0).ticket;
        let mut last = last.lock().unwrap();
        assert!(now >= *last);
        *last = now;
    }
}

fn a_lane_that_does_not_exist_commits_nothing(subject: &dyn Subject) {
    let store = subject.open(quiet());
    let ticket = store.submit(LANES, vec![session("a")]);
    assert!(!store.committed(LANES).covers(ticket));
    assert_eq!(contents(&subject.reopen(store)), []);
}

fn a_closed_store_commits_what_it_had_and_nothing_after(subject: &dyn Subject) {
    let store = subject.open(quiet());
    let before = store.submit(0, vec![session("a")]);
    store.close();
    assert!(store.committed(0).covers(before));
    let late = store.submit(0, vec![session("b")]);
    assert!(!store.committed(0).covers(late));
    assert_eq!(contents(&subject.reopen(store)).len(), 1);
}

/// The answer to one question.
fn page(store: &Arc<dyn Store>, lane: usize, client_id: &str, seqs: &[u64]) -> Fetched {
    store.fetch(lane, Fetch { session: 77, client_id: client_id.into(), seqs: seqs.to_vec() });
    let start = Instant::now();
    while !store.has_fetched(lane) {
        assert!(store.failure().is_none(), "{:?}", store.failure());
        assert!(start.elapsed() < COMMIT_TIMEOUT, "no answer");
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut pages = store.take_fetched(lane);
    assert!(pages.len() == 1 && !store.has_fetched(lane) && store.take_fetched(lane).is_empty());
    pages.remove(0)
}

fn payloads(page: &Fetched) -> Vec<(u64, &[u8])> {
    page.messages.iter().map(|found| (found.seq, found.message.payload())).collect()
}

fn queued_messages_are_read_back_as_they_are_after_what_was_submitted(subject: &dyn Subject) {
    let store = subject.open(quiet());
    let [one, two, three] = [b"1", b"2", b"3"].map(|payload| message("a", payload));
    commit(&store, 0, vec![session("c"), enqueue("c", 1, &one), enqueue("c", 2, &two), enqueue("d", 1, &three)]);
    // One batch that nobody has waited for yet.
    store.submit(1, vec![Mutation::Dequeue { client_id: "c".into(), seq: 1 }, enqueue("c", 3, &three)]);
    let found = page(&store, 1, "c", &[1, 2, 3]);
    assert_eq!((found.session, payloads(&found), &found.missing[..]), (77, vec![(2, &b"2"[..]), (3, b"3")], &[1][..]));
    let expected =
        FetchedMessage { seq: 2, message: two, qos: QoS::ExactlyOnce, retain: false, subscription_ids: [7, 1].into() };
    assert_eq!(found.messages[0], expected);
    // The same from where the next process finds it, and one more on top.
    let store = subject.reopen(store);
    let mut places = Vec::new();
    store.load_places(&mut |loaded| places.push(loaded)).unwrap();
    assert_eq!(places.len(), 4, "{places:?}");
    store.submit(0, vec![enqueue("c", 4, &one)]);
    let found = page(&store, 0, "c", &[2, 3, 4, 5]);
    assert_eq!(
        (payloads(&found), &found.missing[..]),
        (vec![(2, &b"2"[..]), (3, &b"3"[..]), (4, &b"1"[..])], &[5][..])
    );
}

fn nothing_of_an_ended_session_is_read_back(subject: &dyn Subject) {
    let store = subject.open(quiet());
    commit(&store, 0, vec![session("c"), enqueue("c", 1, &message("a", b"old"))]);
    let store = subject.reopen(store);
    store.submit(0, vec![Mutation::SessionDelete { client_id: "c".into() }, session("c")]);
    assert_eq!(page(&store, 0, "c", &[1]).missing, [1]);
    store.submit(0, vec![enqueue("c", 1, &message("a", b"new"))]);
    assert_eq!(payloads(&page(&store, 0, "c", &[1])), [(1, &b"new"[..])]);
}

macro_rules! contract {
    ($($behaviour:ident),* $(,)?) => {
        mod in_memory {
            $(#[test] fn $behaviour() { super::$behaviour(&super::Memory); })*
        }
        mod in_embedded {
            $(#[test] fn $behaviour() { super::$behaviour(&super::Embedded::new()); })*
        }
    };
}

contract!(
    a_new_store_is_empty,
    what_was_put_is_found_again_in_order,
    what_was_deleted_is_gone,
    the_end_of_a_session_takes_what_hangs_on_it_but_the_will,
    a_session_made_after_the_end_of_one_has_nothing_of_it,
    a_new_session_record_leaves_its_queue_alone,
    a_message_in_flight_keeps_its_identifier_and_its_phase,
    one_message_for_many_is_one_message_when_loaded,
    a_place_in_a_queue_can_be_taken_again,
    names_are_octets_to_it,
    tickets_count_from_one_in_each_lane,
    batches_are_applied_in_the_order_submitted_over_all_lanes,
    a_commit_wakes_its_lane_after_the_watermark_moved,
    no_watermark_steps_back,
    a_lane_that_does_not_exist_commits_nothing,
    a_closed_store_commits_what_it_had_and_nothing_after,
    queued_messages_are_read_back_as_they_are_after_what_was_submitted,
    nothing_of_an_ended_session_is_read_back,
);
