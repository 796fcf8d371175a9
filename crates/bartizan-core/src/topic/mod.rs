//! Topic Names and Topic Filters: parsing, matching, and the tables that are asked per message.
//!
//! | file          | what                                                                        |
//! |---------------|-----------------------------------------------------------------------------|
//! | `name`        | `TopicName`: a parsed Topic Name; `TopicError`                              |
//! | `filter`      | `TopicFilter`: a parsed Topic Filter and whether it matches a name          |
//! | `relation`    | `covers` and `overlaps`: how two filters stand to each other                |
//! | `shared`      | `$share/{ShareName}/{filter}` (4.8.2)                                       |
//! | `hash`        | `topic_hash`: one 64-bit hash per message, for caches and the interest table|
//!
//! A value of these types is its own proof: whoever holds a `TopicFilter` need not check it again.

pub mod filter;
pub mod hash;
pub mod name;
mod relation;
pub mod shared;

pub use filter::{Level, Levels, TopicFilter, TopicFilterBuf};
pub use hash::topic_hash;
pub use name::{TOPIC_BYTES_MAX, TopicError, TopicName};
pub use shared::{ShareName, parse_subscription};
