//! A client that keeps to the protocol, and holds the server to it: what it is sent is checked
//! as it is read, and kept to be judged at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::property::PropertyWriter;
use bartizan_core::wire::{
    self, Connect, Packet, PacketId, Properties, Property, QoS, ReasonCode, Role, SubscriptionOptions, Version,
};

use super::World;

/// A message a client was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub topic: String,
    pub payload: String,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// Its Message Expiry Interval.
    pub expiry_s: Option<u32>,
    /// Its User Properties.
    pub said: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Sending {
    id: u16,
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
    is_released: bool,
}

/// A Will to connect with.
#[derive(Clone, Debug)]
pub struct Will {
    pub topic: String,
    pub payload: String,
    pub delay_s: u32,
}

/// A client, and what it must remember between connections.
pub struct Client {
    pub name: String,
    pub identity: String,
    pub version: Version,
    pub expiry_s: u32,
    pub clean_start: bool,
    pub receive_maximum: u16,
    pub will: Option<Will>,
    /// User Properties of everything it publishes, and of its Will.
    pub says: Vec<(&'static str, &'static str)>,
    pub socket: Option<usize>,
    /// True once CONNACK 0x00 is read.
    pub is_connected: bool,
    /// Session Present of the last CONNACK, and its Reason Code.
    pub session_present: bool,
    pub last_reason: Option<ReasonCode>,
    pub disconnected_by: Option<ReasonCode>,
    /// Everything received, QoS 2 once.
    pub got: Vec<Got>,
    /// What the server has acknowledged: topic and payload.
    pub acknowledged: Vec<(String, String, QoS)>,
    /// Packet Identifiers of SUBACK and UNSUBACK, with their codes.
    pub subacks: Vec<(u16, Vec<u8>)>,
    pub pings: usize,
    sending: VecDeque<Sending>,
    held: BTreeSet<u16>,
    due: VecDeque<Vec<u8>>,
    /// PUBLISH of QoS 1 and 2 on this connection whose end the server has not been told.
    open: BTreeMap<u16, QoS>,
    aliases: HashMap<u16, String>,
    next_id: u16,
}

impl Client {
    pub fn new(name: &str, identity: &str, version: Version) -> Client {
        Client {
            name: name.into(),
            identity: identity.into(),
            version,
            expiry_s: 3600,
            clean_start: false,
            receive_maximum: 5,
            will: None,
            says: Vec::new(),
            socket: None,
            is_connected: false,
            session_present: false,
            last_reason: None,
            disconnected_by: None,
            got: Vec::new(),
            acknowledged: Vec::new(),
            subacks: Vec::new(),
            pings: 0,
            sending: VecDeque::new(),
            held: BTreeSet::new(),
            due: VecDeque::new(),
            open: BTreeMap::new(),
            aliases: HashMap::new(),
            next_id: 0,
        }
    }

    /// Connects to a shard and sends CONNECT.
    pub fn connect(&mut self, world: &mut World, at: usize) {
        let socket = world.dial(at);
        self.say_connect(world, socket);
    }

    /// Sends CONNECT over a connection.
    pub fn say_connect(&mut self, world: &mut World, socket: usize) {
        self.socket = Some(socket);
        self.is_connected = false;
        self.open.clear();
        self.due.clear();
        self.aliases.clear();
        let mut raw = Vec::new();
        let mut will_raw = Vec::new();
        if self.version.is_v5() {
            PropertyWriter::new(&mut raw)
                .put(Property::SessionExpiryInterval(self.expiry_s))
                .put(Property::ReceiveMaximum(self.receive_maximum))
                .put(Property::TopicAliasMaximum(2));
            let delay_s = self.will.as_ref().map_or(0, |will| will.delay_s);
            PropertyWriter::new(&mut will_raw).put(Property::WillDelayInterval(delay_s));
            will_raw.extend(self.said());
        }
        let will = self.will.as_ref().map(|will| wire::Will {
            topic: &will.topic,
            payload: will.payload.as_bytes(),
            qos: QoS::ExactlyOnce,
            retain: false,
            properties: Properties { raw: &will_raw },
        });
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_s: 0,
            properties: Properties { raw: &raw },
            client_id: &self.name,
            will,
            user_name: Some(&self.identity),
            password: Some(b"p"),
        };
        let mut octets = Vec::new();
        encode::connect(&mut octets, &connect);
        world.send(socket, &octets);
    }

    /// The connection breaks.
    pub fn drop_connection(&mut self, world: &mut World) {
        if let Some(socket) = self.socket.take() {
            world.hang_up(socket);
        }
        self.is_connected = false;
    }

    /// Reads what came last, then says goodbye.
    pub fn disconnect(&mut self, world: &mut World) {
        if let Some(socket) = self.socket {
            let mut octets = Vec::new();
            encode::client_disconnect(&mut octets, self.version, ReasonCode::Success, Properties::default());
            world.send(socket, &octets);
            self.read(world);
        }
        self.drop_connection(world);
    }

    fn send(&self, world: &mut World, octets: &[u8]) {
        if let Some(socket) = self.socket {
            world.send(socket, octets);
        }
    }

    fn take_id(&mut self) -> PacketId {
        loop {
            self.next_id = self.next_id.wrapping_add(1).max(1);
            if self.sending.iter().all(|sending| sending.id != self.next_id) {
                return PacketId::new(self.next_id).unwrap();
            }
        }
    }

    /// Messages under way to the server.
    pub fn under_way(&self) -> usize {
        self.sending.len()
    }

    /// QoS 2 messages received that the server has not released.
    pub fn unreleased(&self) -> usize {
        self.held.len()
    }

    /// Answers owed to the server.
    pub fn answers_due(&self) -> usize {
        self.due.len()
    }

    pub fn subscribe(&mut self, world: &mut World, filter: &str, qos: QoS) -> u16 {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        self.subscribe_with(world, filter, options)
    }

    pub fn subscribe_with(&mut self, world: &mut World, filter: &str, options: SubscriptionOptions) -> u16 {
        let id = self.take_id();
        let mut octets = Vec::new();
        encode::subscribe(&mut octets, self.version, id, Properties::default(), &[(filter, options)]);
        self.send(world, &octets);
        id.get()
    }

    pub fn unsubscribe(&mut self, world: &mut World, filter: &str) {
        let id = self.take_id();
        let mut octets = Vec::new();
        encode::unsubscribe(&mut octets, self.version, id, Properties::default(), &[filter]);
        self.send(world, &octets);
    }

    pub fn publish(&mut self, world: &mut World, topic: &str, payload: &str, qos: QoS, retain: bool) {
        let id = if qos == QoS::AtMostOnce { 0 } else { self.take_id().get() };
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        let sending = Sending { id, topic, payload, qos, retain, is_released: false };
        self.send_publish(world, &sending, false);
        if id != 0 {
            self.sending.push_back(sending);
        }
    }

    fn said(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        for pair in &self.says {
            Property::UserProperty(*pair).write(&mut raw);
        }
        raw
    }

    fn send_publish(&self, world: &mut World, sending: &Sending, dup: bool) {
        let head = PublishHead {
            dup,
            qos: sending.qos,
            retain: sending.retain,
            packet_id: PacketId::new(sending.id),
            topic: &sending.topic,
            forwarded: &self.said(),
            ..PublishHead::default()
        };
        let mut octets = Vec::new();
        encode::publish(&mut octets, self.version, &head, sending.payload.as_bytes());
        self.send(world, &octets);
    }

    pub fn ping(&self, world: &mut World) {
        self.send(world, &[0xC0, 0x00]);
    }

    /// Sends so many of the answers that are due.
    pub fn answer(&mut self, world: &mut World, most: usize) {
        for _ in 0..most {
            let Some(octets) = self.due.pop_front() else { return };
            let id = u16::from_be_bytes([octets[2], octets[3]]);
            // PUBACK and PUBCOMP give the place back, as soon as the server may know.
            if matches!(octets[0] >> 4, 4 | 7) {
                self.open.remove(&id);
            }
            self.send(world, &octets);
        }
    }

    /// Reads everything that has come, and notes what is to be answered.
    pub fn read(&mut self, world: &mut World) {
        let Some(socket) = self.socket else { return };
        let inbox = std::mem::take(&mut world.sockets[socket].inbox);
        let mut at = 0;
        while let Some(frame) = wire::frame(&inbox[at..], u32::MAX).unwrap() {
            at += frame.len;
            let packet = wire::decode(frame, Role::Client, Some(self.version)).unwrap();
            self.take(world, packet);
        }
        assert_eq!(at, inbox.len(), "the server sends whole packets");
        if !world.sockets[socket].is_open {
            self.socket = None;
            self.is_connected = false;
        }
    }

    fn take(&mut self, world: &mut World, packet: Packet<'_>) {
        let is_first = !self.is_connected;
        match packet {
            Packet::Connack(connack) => {
                assert!(is_first, "one CONNACK");
                self.last_reason = Some(connack.reason);
                if !connack.reason.is_error() {
                    self.connected(world, connack.session_present);
                }
            }
            Packet::Disconnect(disconnect) => self.disconnected_by = Some(disconnect.reason),
            _ => {
                assert!(!is_first, "nothing comes before CONNACK: {packet:?}");
                self.take_open(world, packet);
            }
        }
    }

    fn connected(&mut self, world: &mut World, session_present: bool) {
        self.is_connected = true;
        self.session_present = session_present;
        if !session_present {
            self.held.clear();
            self.sending.retain(|sending| !sending.is_released);
        }
        for sending in self.sending.clone() {
            if sending.is_released {
                let mut octets = Vec::new();
                let id = PacketId::new(sending.id).unwrap();
                encode::pubrel(&mut octets, self.version, id, ReasonCode::Success, None);
                self.send(world, &octets);
            } else {
                self.send_publish(world, &sending, session_present);
            }
        }
    }

    fn take_open(&mut self, world: &mut World, packet: Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.take_publish(&publish),
            Packet::Puback(ack) => self.acknowledged(ack.packet_id.get(), QoS::AtLeastOnce, ack.reason),
            Packet::Pubrec(ack) => {
                self.acknowledged(ack.packet_id.get(), QoS::ExactlyOnce, ack.reason);
                if !ack.reason.is_error() {
                    let mut octets = Vec::new();
                    encode::pubrel(&mut octets, self.version, ack.packet_id, ReasonCode::Success, None);
                    self.send(world, &octets);
                }
            }
            Packet::Pubrel(ack) => {
                // It may be one that comes again: the PUBCOMP of before was lost.
                self.held.remove(&ack.packet_id.get());
                let mut octets = Vec::new();
                encode::pubcomp(&mut octets, self.version, ack.packet_id, ReasonCode::Success, None);
                self.due.push_back(octets);
            }
            Packet::Pubcomp(ack) => self.sending.retain(|sending| sending.id != ack.packet_id.get()),
            Packet::Suback(ack) | Packet::Unsuback(ack) => self.subacks.push((ack.packet_id.get(), ack.codes.to_vec())),
            Packet::Pingresp => self.pings += 1,
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn acknowledged(&mut self, id: u16, qos: QoS, reason: ReasonCode) {
        let at = self.sending.iter().position(|sending| sending.id == id && sending.qos == qos);
        let Some(sending) = at.and_then(|at| self.sending.get_mut(at)) else { return };
        if reason.is_error() || qos == QoS::AtLeastOnce {
            let sending = self.sending.remove(at.unwrap()).unwrap();
            if !reason.is_error() {
                self.acknowledged.push((sending.topic, sending.payload, qos));
            }
        } else if !std::mem::replace(&mut sending.is_released, true) {
            self.acknowledged.push((sending.topic.clone(), sending.payload.clone(), qos));
        }
    }

    fn take_publish(&mut self, publish: &wire::Publish<'_>) {
        let wire::PublishProperties { topic_alias: alias, message_expiry_s: expiry_s, .. } =
            wire::PublishProperties::read(publish.properties);
        if let (Some(alias), false) = (alias, publish.topic.is_empty()) {
            self.aliases.insert(alias, publish.topic.to_owned());
        }
        let topic = match alias.filter(|_| publish.topic.is_empty()) {
            Some(alias) => self.aliases[&alias].clone(),
            None => publish.topic.to_owned(),
        };
        let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
        let said = publish.properties.iter().filter_map(|property| match property {
            Property::UserProperty((name, value)) => Some((name.to_owned(), value.to_owned())),
            _ => None,
        });
        let said = said.collect();
        let wire::Publish { qos, retain, dup, .. } = *publish;
        let got = Got { topic, payload, qos, retain, dup, expiry_s, said };
        let Some(id) = publish.packet_id else {
            self.got.push(got);
            return;
        };
        assert!(
            self.open.insert(id.get(), publish.qos).is_none(),
            "{}: Packet Identifier {id} is in use [MQTT-2.2.1-4]",
            self.name
        );
        let most = if self.version.is_v5() { usize::from(self.receive_maximum) } else { usize::MAX };
        assert!(self.open.len() <= most, "{}: Receive Maximum [MQTT-3.3.4-9]", self.name);
        let mut octets = Vec::new();
        if publish.qos == QoS::AtLeastOnce {
            self.got.push(got);
            encode::puback(&mut octets, self.version, id, ReasonCode::Success, None);
        } else {
            // What is held was received before: a new one would have a new identifier.
            if self.held.insert(id.get()) {
                self.got.push(got);
            }
            encode::pubrec(&mut octets, self.version, id, ReasonCode::Success, None);
        }
        self.due.push_back(octets);
    }
}

/// Everything happens that can: the server's part, and the clients' answers.
pub fn rest(world: &mut World, clients: &mut [&mut Client]) {
    for _ in 0..200 {
        world.settle();
        for client in clients.iter_mut() {
            client.read(world);
            client.answer(world, usize::MAX);
        }
    }
}
