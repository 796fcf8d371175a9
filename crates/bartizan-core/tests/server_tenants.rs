//! Tenants: two of them, and somebody who sees both, on one server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::policy::Image;
use bartizan_core::server::Limits;
use bartizan_core::server::apply::Change;
use bartizan_core::session::Principal;
use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{Client, Will, rest};
use server_world::{OPEN, World, identity, wide};

const REFUSED: u8 = 0x87;
const QUOTA: u8 = 0x97;

/// `OPEN`, with these tenants.
fn policy(tenants: &str) -> String {
    OPEN.replacen("\"roles\":[", &format!("\"tenants\":[{tenants}],\"roles\":["), 1)
}

const TWO: &str = r#"{"name":"acme","root":"plants/acme"},{"name":"bolt","root":"bolt"}"#;

/// Identities `a`, `a2` of acme, `b` of bolt, `g` of none.
fn identities() -> Vec<(Arc<str>, Arc<Principal>)> {
    let of = |name: &str, tenant: Option<&str>| {
        let (name, plain) = identity(name, &["all"]);
        let attributes = tenant.into_iter().map(|tenant| ("tenant".into(), tenant.into())).collect();
        (name, Arc::new(Principal { attributes, ..(*plain).clone() }))
    };
    vec![of("a", Some("acme")), of("a2", Some("acme")), of("b", Some("bolt")), of("g", None)]
}

fn apply(world: &mut World, tenants: &str, identities: Vec<(Arc<str>, Arc<Principal>)>) {
    let image = Arc::new(Image::load(policy(tenants).as_bytes()).unwrap());
    let epoch = world.change.epoch + 1;
    world.apply(Change {
        image,
        identities: Arc::new(identities.into_iter().collect()),
        epoch,
        ..world.change.clone()
    });
}

fn world_of(shards: usize, limits: Limits, tenants: &str) -> World {
    let mut world = World::new(shards, limits, &[]);
    apply(&mut world, tenants, identities());
    world
}

fn world(shards: usize) -> World {
    world_of(shards, wide(), TWO)
}

fn connect(world: &mut World, client: &mut Client) {
    client.connect(world, 0);
    world.settle();
    client.read(world);
}

fn joined(world: &mut World, name: &str, identity: &str, version: Version) -> Client {
    let mut client = Client::new(name, identity, version);
    connect(world, &mut client);
    assert!(client.is_connected, "{name}: {:?}", client.last_reason);
    client
}

fn subscribed(world: &mut World, name: &str, identity: &str, version: Version, filters: &[&str]) -> Client {
    let mut client = joined(world, name, identity, version);
    for filter in filters {
        client.subscribe(world, filter, QoS::AtLeastOnce);
    }
    rest(world, &mut [&mut client]);
    client
}

fn codes(client: &Client) -> Vec<u8> {
    client.subacks.iter().flat_map(|(_, codes)| codes.clone()).collect()
}

fn topics(client: &Client) -> Vec<&str> {
    let mut topics: Vec<&str> = client.got.iter().map(|got| got.topic.as_str()).collect();
    topics.sort_unstable();
    topics
}

#[test]
fn each_tenants_clients_see_their_own_root_as_all_there_is() {
    for shards in [1, 3] {
        for version in [Version::V311, Version::V5] {
            let mut world = world(shards);
            let mut a = subscribed(&mut world, "r", "a", version, &["#"]);
            let mut b = subscribed(&mut world, "r", "b", version, &["#", "t/+"]);
            let mut g = subscribed(&mut world, "r", "g", version, &["#"]);
            let mut writers: Vec<Client> =
                ["a2", "b", "g"].iter().map(|who| joined(&mut world, "w", who, version)).collect();
            for writer in &mut writers {
                for (qos, topic) in [(QoS::AtMostOnce, "t/0"), (QoS::AtLeastOnce, "t/1"), (QoS::ExactlyOnce, "/t/2")] {
                    writer.publish(&mut world, topic, "p", qos, false);
                    // Again, so that aliases are used where there are any.
                    writer.publish(&mut world, topic, "p", qos, false);
                }
            }
            let [one, two, three] = &mut writers[..] else { panic!() };
            rest(&mut world, &mut [&mut a, &mut b, &mut g, one, two, three]);
            let own = ["/t/2", "/t/2", "t/0", "t/0", "t/1", "t/1"];
            assert_eq!(topics(&a), own, "{shards} {version:?}");
            assert_eq!(topics(&b), own);
            let mut all: Vec<String> = ["bolt/", "", "plants/acme/"]
                .iter()
                .flat_map(|root| own.iter().map(move |topic| format!("{root}{topic}")))
                .collect();
            all.sort_unstable();
            assert_eq!(topics(&g), all);
        }
    }
}

#[test]
fn no_name_leads_out_of_a_root() {
    let mut world = world(2);
    let outside =
        ["bolt/x", "/bolt/x", "../bolt/x", "plants/bolt/x", "../../bolt/x", "+/x", "$share/g/bolt/x", "$share/g/#"];
    let mut a = subscribed(&mut world, "r", "a", Version::V5, &outside);
    let mut sys = subscribed(&mut world, "s", "a", Version::V5, &["$SYS/#", "$share/g/$SYS/#", "$x"]);
    assert_eq!(codes(&a), [1; 8]);
    assert_eq!(codes(&sys), [REFUSED; 3]);
    let mut b = joined(&mut world, "w", "b", Version::V5);
    let mut g = subscribed(&mut world, "g", "g", Version::V5, &["#"]);
    for topic in ["x", "bolt/x", "y/x"] {
        b.publish(&mut world, topic, "b", QoS::AtLeastOnce, false);
    }
    // What is the root itself, or looks like the server's inside it, is nothing to its clients.
    for topic in ["plants/acme", "plants/acme/", "plants/acme/$SYS/x", "bolt/x", "x"] {
        g.publish(&mut world, topic, "g", QoS::AtLeastOnce, false);
    }
    for topic in ["bolt/x", "../bolt/x", "/bolt/x"] {
        a.publish(&mut world, topic, "a", QoS::AtLeastOnce, false);
    }
    a.publish(&mut world, "$SYS/x", "a", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut a, &mut b, &mut g, &mut sys]);
    assert!(a.got.iter().all(|got| got.payload == "a"), "{:?}", a.got);
    let of_a: Vec<&str> = g.got.iter().filter(|got| got.payload == "a").map(|got| got.topic.as_str()).collect();
    assert_eq!(of_a, ["plants/acme/bolt/x", "plants/acme/../bolt/x", "plants/acme//bolt/x"]);
}

#[test]
fn a_wildcard_does_not_bring_the_root_itself_nor_dollar_topics_below_it() {
    let mut world = world(1);
    let mut a = subscribed(&mut world, "r", "a", Version::V5, &["#", "$share/g/#"]);
    let mut g = joined(&mut world, "g", "g", Version::V5);
    for topic in ["plants/acme", "plants/acme/", "plants/acme/$SYS/x", "plants/acme/ok"] {
        g.publish(&mut world, topic, "g", QoS::AtMostOnce, true);
        g.publish(&mut world, topic, "g", QoS::AtLeastOnce, false);
    }
    rest(&mut world, &mut [&mut a, &mut g]);
    assert!(topics(&a).iter().all(|topic| *topic == "ok") && !a.got.is_empty(), "{:?}", a.got);
    let mut late = subscribed(&mut world, "late", "a2", Version::V5, &["#"]);
    rest(&mut world, &mut [&mut late]);
    assert_eq!(topics(&late), ["ok"]);
}

#[test]
fn retained_messages_wills_and_groups_stay_inside() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let mut a = joined(&mut world, "w", "a", Version::V5);
        let mut b = joined(&mut world, "w", "b", Version::V5);
        a.publish(&mut world, "state", "of a", QoS::AtLeastOnce, true);
        b.publish(&mut world, "state", "of b", QoS::AtLeastOnce, true);
        rest(&mut world, &mut [&mut a, &mut b]);
        let mut dying = Client::new("dying", "a", Version::V5);
        dying.will = Some(Will { topic: "gone".into(), payload: "will of a".into(), delay_s: 0 });
        connect(&mut world, &mut dying);
        let filters = ["state", "gone", "$share/g/job"];
        let mut readers: Vec<Client> =
            ["a2", "b"].iter().map(|who| subscribed(&mut world, "r", who, Version::V5, &filters)).collect();
        dying.drop_connection(&mut world);
        a.publish(&mut world, "job", "job of a", QoS::AtLeastOnce, false);
        b.publish(&mut world, "job", "job of b", QoS::AtLeastOnce, false);
        let [one, two] = &mut readers[..] else { panic!() };
        rest(&mut world, &mut [&mut a, &mut b, one, two]);
        let payloads = |client: &Client| {
            let mut found: Vec<String> =
                client.got.iter().map(|got| format!("{} {}", got.topic, got.payload)).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(payloads(&readers[0]), ["gone will of a", "job job of a", "state of a"]);
        assert_eq!(payloads(&readers[1]), ["job job of b", "state of b"]);
    }
}

#[test]
fn clients_of_two_tenants_with_one_name_are_two() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let mut a = subscribed(&mut world, "press-01", "a", Version::V5, &["t"]);
        let mut b = subscribed(&mut world, "press-01", "b", Version::V5, &["t"]);
        let mut g = subscribed(&mut world, "press-01", "g", Version::V5, &["t"]);
        for client in [&mut a, &mut b, &mut g] {
            client.read(&mut world);
            assert!(client.is_connected && client.disconnected_by.is_none(), "{:?}", client.disconnected_by);
            client.drop_connection(&mut world);
        }
        // Whoever is another identity of the same tenant does not get it (I11).
        let mut thief = Client::new("press-01", "a2", Version::V5);
        connect(&mut world, &mut thief);
        assert_eq!(thief.last_reason, Some(ReasonCode::NotAuthorized));
        world.crash();
        let mut writer = joined(&mut world, "w", "a2", Version::V5);
        writer.publish(&mut world, "t", "1", QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut writer]);
        for client in [&mut a, &mut b, &mut g] {
            connect(&mut world, client);
            assert!(client.session_present);
        }
        rest(&mut world, &mut [&mut a, &mut b, &mut g]);
        assert_eq!((a.got.len(), b.got.len(), g.got.len()), (1, 0, 0));
        assert_eq!(topics(&a), ["t"]);
        a.unsubscribe(&mut world, "t");
        rest(&mut world, &mut [&mut a]);
        writer.publish(&mut world, "t", "2", QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut a, &mut writer]);
        assert_eq!(a.got.len(), 1);
    }
}

#[test]
fn an_identity_of_an_undeclared_tenant_is_nobodys_client() {
    let mut world = world_of(1, wide(), r#"{"name":"bolt","root":"bolt"}"#);
    let mut a = Client::new("x", "a", Version::V5);
    connect(&mut world, &mut a);
    assert_eq!(a.last_reason, Some(ReasonCode::NotAuthorized));
    // Without any tenant the attribute means nothing.
    apply(&mut world, "", identities());
    let mut a = subscribed(&mut world, "x", "a", Version::V5, &["t"]);
    let mut g = joined(&mut world, "g", "g", Version::V5);
    g.publish(&mut world, "t", "1", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut a, &mut g]);
    assert_eq!(topics(&a), ["t"]);
}

#[test]
fn who_moves_to_another_tenant_leaves_everything_behind() {
    let mut world = world(2);
    let mut a = subscribed(&mut world, "x", "a", Version::V5, &["t"]);
    let mut away = subscribed(&mut world, "away", "a", Version::V5, &["t"]);
    away.drop_connection(&mut world);
    let moved = identities().into_iter().map(|(name, principal)| {
        let attributes =
            if &*name == "a" { vec![("tenant".into(), "bolt".into())] } else { principal.attributes.clone() };
        (name, Arc::new(Principal { attributes, ..(*principal).clone() }))
    });
    apply(&mut world, TWO, moved.collect());
    world.settle();
    a.read(&mut world);
    assert_eq!(a.disconnected_by, Some(ReasonCode::NotAuthorized));
    let mut writer = joined(&mut world, "w", "a2", Version::V5);
    writer.publish(&mut world, "t", "1", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut writer]);
    for client in [&mut a, &mut away] {
        client.socket = None;
        connect(&mut world, client);
        assert!(client.is_connected && !client.session_present);
    }
    rest(&mut world, &mut [&mut a, &mut away]);
    assert!(a.got.is_empty() && away.got.is_empty());
    assert_eq!(world.total("sessions"), 3);
}

#[test]
fn a_root_that_moves_takes_its_clients_along_and_not_what_they_had() {
    let mut world = world(1);
    let mut a = subscribed(&mut world, "x", "a", Version::V5, &["t"]);
    apply(&mut world, r#"{"name":"acme","root":"moved"}"#, identities());
    let mut g = subscribed(&mut world, "g", "g", Version::V5, &["#"]);
    a.subscribe(&mut world, "u", QoS::AtLeastOnce);
    a.publish(&mut world, "v", "a", QoS::AtLeastOnce, false);
    for topic in ["plants/acme/t", "moved/t", "moved/u"] {
        g.publish(&mut world, topic, "g", QoS::AtLeastOnce, false);
    }
    rest(&mut world, &mut [&mut a, &mut g]);
    assert_eq!(topics(&a), ["u"]);
    assert!(topics(&g).contains(&"moved/v"));
}

#[test]
fn limits_of_a_tenant_hold_for_all_its_clients_on_all_shards() {
    let limits = r#"{"name":"acme","root":"acme","limits":{"connections_max":3,"subscriptions_max":2,
        "retained_messages_max":2}},{"name":"bolt","root":"bolt"}"#;
    let mut world = world_of(3, wide(), limits);
    let mut clients: Vec<Client> =
        (0..3).map(|at| joined(&mut world, &format!("c{at}"), if at == 0 { "a2" } else { "a" }, Version::V5)).collect();
    let mut late = Client::new("late", "a", Version::V5);
    connect(&mut world, &mut late);
    assert_eq!(late.last_reason, Some(ReasonCode::QuotaExceeded));
    // Taking over one's own Session needs no further place; other tenants have their own.
    let mut again = Client::new("c0", "a2", Version::V5);
    connect(&mut world, &mut again);
    assert!(again.is_connected);
    joined(&mut world, "late", "b", Version::V5);
    clients[0] = again;
    for (at, client) in clients.iter_mut().enumerate() {
        client.read(&mut world);
        client.subscribe(&mut world, "t", QoS::AtLeastOnce);
        client.publish(&mut world, &format!("r{at}"), "x", QoS::AtLeastOnce, true);
        rest(&mut world, &mut [client]);
    }
    assert_eq!(codes(&clients[0]), [1]);
    assert_eq!((codes(&clients[1]), codes(&clients[2])), (vec![1], vec![QUOTA]));
    let mut reader = subscribed(&mut world, "reader", "g", Version::V5, &["acme/+"]);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(topics(&reader), ["acme/r0", "acme/r1"]);
    // What ends makes room: a connection, a Subscription, a Retained Message.
    clients[1].unsubscribe(&mut world, "t");
    clients[0].publish(&mut world, "r0", "", QoS::AtLeastOnce, true);
    clients[2].subscribe(&mut world, "t", QoS::AtLeastOnce);
    let [one, two, three] = &mut clients[..] else { panic!() };
    rest(&mut world, &mut [one, two, three]);
    clients[2].publish(&mut world, "r2", "x", QoS::AtLeastOnce, true);
    rest(&mut world, &mut [&mut clients[2]]);
    assert_eq!(codes(&clients[2]), [QUOTA, 1]);
    let mut reader = subscribed(&mut world, "again", "g", Version::V5, &["acme/+"]);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(topics(&reader), ["acme/r1", "acme/r2"]);
    clients[1].disconnect(&mut world);
    world.settle();
    late.socket = None;
    connect(&mut world, &mut late);
    assert!(late.is_connected);
}

#[test]
fn a_tenants_rate_is_shared_by_its_clients_and_puts_nobody_out() {
    let tenants = r#"{"name":"acme","root":"acme","limits":{"publish_rate_per_s":10}},{"name":"bolt","root":"bolt"}"#;
    let mut world = world_of(2, wide(), tenants);
    let mut writers: Vec<Client> =
        ["a", "a2", "b"].iter().map(|who| joined(&mut world, &format!("w-{who}"), who, Version::V5)).collect();
    for second in 0..120 {
        for writer in &mut writers {
            for _ in 0..20 {
                writer.publish(&mut world, "t", "p", QoS::AtMostOnce, false);
            }
            writer.read(&mut world);
            assert!(writer.disconnected_by.is_none(), "{second} {:?}", writer.disconnected_by);
        }
        world.advance(1_000);
        world.settle();
    }
    let taken = world.total("publish_received");
    // Ten a second and ten at once of the one tenant, everything of the other.
    assert!((2_400 + 1_100..=2_400 + 1_300).contains(&taken), "{taken}");
    assert!(world.total("limits_met/tenant_publish_rate_per_s") > 0);
}
