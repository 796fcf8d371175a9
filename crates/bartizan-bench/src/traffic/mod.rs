//! Messages from publishers to subscribers, in a closed or an open loop, every one verified.
//!
//! | file        | what                                                                             |
//! |-------------|----------------------------------------------------------------------------------|
//! | `frames`    | PUBLISH packets as they are sent, and as they must arrive                         |
//! | `publisher` | one publisher: how far it may go, and its acknowledgements                        |
//! | `exchange`  | all of them and the subscribers: one round of the loop                            |
//! | `receive`   | what subscribers and publishers read                                              |
//! | `run`       | warm-up, measured interval, drain, report                                         |
//!
//! The closed loop has an end-to-end window: a publisher is never more than `window` messages ahead of the slowest
//! of its subscribers, so no broker gains by queueing or by dropping. The open loop sends each message when it is
//! due, late or not, and measures from that moment: a stalled broker is charged for every message it kept waiting.

mod exchange;
mod frames;
mod publisher;
mod receive;
mod run;

pub use run::run;
