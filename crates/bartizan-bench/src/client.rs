//! One MQTT client of the generator: its link, what it has not yet sent, and what it has not yet read to the end.

use std::io;

use bartizan_core::wire::encode::{self, AuthTail};
use bartizan_core::wire::{
    Auth, Connack, Connect, PacketId, Properties, Property, PropertyWriter, QoS, ReasonCode, SubscriptionOptions,
};

use crate::failure::Failure;
use crate::link::{Got, Link};
use crate::scram::Exchange;
use crate::target::Target;

/// Longer than any run, so that nobody has to ping; not 0, which some brokers refuse.
const KEEP_ALIVE_S: u16 = 3600;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// CONNECT is sent, CONNACK is awaited.
    Connecting,
    /// SUBSCRIBE is sent, SUBACK is awaited.
    Subscribing,
    /// It is part of the load.
    Ready,
}

/// How a client introduces itself.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// Client Identifier.
    pub client_id: String,
    /// The Session outlives the connection, and an earlier one is resumed.
    pub durable: bool,
    /// What it subscribes to, at this QoS.
    pub filters: Vec<(String, QoS)>,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its connection.
    pub link: Link,
    /// How far it is.
    pub stage: Stage,
    /// Packets to be sent; whoever appends to it flushes.
    pub out: Vec<u8>,
    sent: usize,
    partial: Vec<u8>,
    exchange: Option<Exchange>,
}

/// Octets of sent packets that are cut off while the rest waits.
const CUT_BYTES: usize = 256 * 1024;

impl Client {
    /// Over a link that is being opened.
    #[must_use]
    pub fn new(link: Link) -> Client {
        Client { link, stage: Stage::Connecting, out: Vec::new(), sent: 0, partial: Vec::new(), exchange: None }
    }

    /// Receives behind what was left over. Filled so far, and whether there may be more; `None`: nothing there.
    #[inline]
    pub fn receive(&mut self, buffer: &mut [u8], scratch: &mut [u8]) -> io::Result<Option<Got>> {
        let kept = self.partial.len();
        let (front, room) = buffer.split_at_mut_checked(kept).ok_or_else(too_large)?;
        if room.is_empty() {
            return Err(too_large());
        }
        let Some(got) = self.link.receive(room, scratch)? else {
            return Ok(None);
        };
        front.copy_from_slice(&self.partial);
        self.partial.clear();
        Ok(Some(Got { len: kept + got.len, more: got.more }))
    }

    /// Keeps the front of a packet until its end arrives.
    #[inline]
    pub fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Sends what can be sent; true if nothing is left.
    #[inline]
    pub fn flush(&mut self) -> io::Result<bool> {
        while let Some(left) = self.out.get(self.sent..).filter(|left| !left.is_empty()) {
            let len = self.link.send(left)?;
            self.sent += len;
            if len == 0 {
                if self.sent >= CUT_BYTES {
                    self.out.drain(..self.sent);
                    self.sent = 0;
                }
                return Ok(false);
            }
        }
        self.out.clear();
        self.sent = 0;
        self.link.push()
    }

    /// Appends the CONNECT of this client, and with it the begin of an exchange where one is to prove who it is.
    pub fn connect(&mut self, target: &Target, who: &Introduction) -> Result<(), Failure> {
        self.exchange = target.scram.clone().map(Exchange::begin).transpose()?;
        let mut raw = Vec::new();
        let mut properties = PropertyWriter::new(&mut raw);
        if who.durable && target.version.is_v5() {
            properties.put(Property::SessionExpiryInterval(3600));
        }
        if let Some(exchange) = &self.exchange {
            properties
                .put(Property::AuthenticationMethod(exchange.method()))
                .put(Property::AuthenticationData(exchange.first().as_bytes()));
        }
        encode::connect(
            &mut self.out,
            &Connect {
                version: target.version,
                clean_start: !who.durable,
                keep_alive_s: KEEP_ALIVE_S,
                properties: Properties { raw: &raw },
                client_id: &who.client_id,
                will: None,
                user_name: target.login.as_ref().map(|login| login.user.as_str()),
                password: target.login.as_ref().map(|login| login.password.as_slice()),
            },
        );
        Ok(())
    }

    /// Appends the answer to an AUTH of the broker, which goes on with the exchange that CONNECT began.
    pub fn proceed(&mut self, auth: &Auth<'_>) -> Result<(), Failure> {
        let Some(exchange) = self.exchange.as_mut().filter(|_| auth.reason == ReasonCode::ContinueAuthentication)
        else {
            return Err(Failure::Broker(format!("the broker sent {auth:?}")));
        };
        let last = exchange.last(authentication_data(auth.properties).unwrap_or_default())?;
        let tail = AuthTail { method: exchange.method(), payload: Some(last.as_bytes()), reason_string: None };
        encode::auth(&mut self.out, ReasonCode::ContinueAuthentication, &tail);
        Ok(())
    }

    /// Takes a CONNACK that lets this client in: where there was an exchange, it has to prove the broker too.
    pub fn admitted(&self, connack: &Connack<'_>) -> Result<(), Failure> {
        match &self.exchange {
            Some(exchange) if !exchange.is_proved_by(authentication_data(connack.properties)) => {
                Err(Failure::Broker(format!("the broker did not prove itself by {}", exchange.method())))
            }
            _ => Ok(()),
        }
    }

    /// Octets that wait to be sent.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a packet is larger than any that was asked for")
}

fn authentication_data(properties: Properties<'_>) -> Option<&[u8]> {
    properties.iter().find_map(|property| match property {
        Property::AuthenticationData(octets) => Some(octets),
        _ => None,
    })
}

/// Appends the SUBSCRIBE to these filters.
pub fn subscribe(out: &mut Vec<u8>, target: &Target, id: PacketId, filters: &[(String, QoS)]) {
    let filters: Vec<(&str, SubscriptionOptions)> = filters
        .iter()
        .map(|(filter, qos)| (filter.as_str(), SubscriptionOptions { qos: *qos, ..SubscriptionOptions::default() }))
        .collect();
    encode::subscribe(out, target.version, id, Properties::default(), &filters);
}
