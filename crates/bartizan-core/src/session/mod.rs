//! The state of one Network Connection and of one Session, without the rules that join them
//! (those are `server`).
//!
//! | file            | what                                                                  |
//! |-----------------|-----------------------------------------------------------------------|
//! | `principal`     | who a connection acts for, once it is proved                          |
//! | `connection`    | a Network Connection: awaiting CONNECT, authenticating, open, closing |
//! | `owing`         | acknowledgements owed to a client, in their order                     |
//! | `auth_exchange` | the AUTH packets of MQTT 5 as a state machine (4.12)                  |
//! | `session`       | a Session: Subscriptions, queue, in-flight window, expiry, Will       |
//! | `subscriptions` | the Subscriptions of a Session: one, mostly                          |
//! | `rare`          | a part of a Session in which most have nothing                        |
//! | `inflight`      | the outgoing QoS 1 and 2 window, a ring by Packet Identifier          |
//! | `alias`         | Topic Aliases, both ways                                              |
//! | `will`          | the Will Message and when it is due                                   |

pub mod alias;
pub mod aside;
pub mod auth_exchange;
pub mod connection;
pub mod inflight;
pub mod owing;
pub mod principal;
pub mod rare;
#[allow(clippy::module_inception)]
pub mod session;
pub mod subscriptions;
pub mod will;

pub use auth_exchange::AuthExchange;
pub use connection::{Address, Connection, ConnectionKey, Open, Peer, PeerIdentity, Phase};
pub use inflight::{Inflight, Phase as InflightPhase, Slot};
pub use principal::Principal;
pub use session::{Queued, Session, SessionKey, Subscription};
pub use will::{PendingWill, Will};
