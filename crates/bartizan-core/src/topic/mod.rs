//! Topic Names and Topic Filters: parsing, matching, and the tables that are asked per message.
//!
//! | file          | what                                                                        |
//! |---------------|-----------------------------------------------------------------------------|
//! | `name`        | `TopicName`: a parsed Topic Name; `TopicError`                              |
//! | `filter`      | `TopicFilter`: a parsed Topic Filter and whether it matches a name          |
//! | `relation`    | `covers` and `overlaps`: how two filters stand to each other                |
//! | `shared`      | `$share/{ShareName}/{filter}` (4.8.2)                                       |
//! | `hash`        | `topic_hash`: one 64-bit hash per message, for caches and the interest table|
//! | `index`       | `SubscriptionIndex`: who gets a message (`trie`, `path_table`, `subscribers`, `slab` inside) |
//! | `generation`  | `Stamp`: which routes a change of the index concerns                         |
//! | `cache`       | `RouteCache`: routes of recurring names, valid by stamp                     |
//! | `interest`    | `Interest`: might another shard have a Subscription?                        |
//! | `retained`    | `RetainedStore`: Retained Messages by name, walked by filter                |
//!
//! A value of these types is its own proof: whoever holds a `TopicFilter` need not check it again.

pub mod cache;
pub mod filter;
pub mod generation;
pub mod hash;
pub mod index;
pub mod interest;
pub mod name;
mod path_table;
mod relation;
pub mod retained;
pub mod shared;
mod slab;
mod subscribers;
mod trie;

pub use cache::{Lookup, RouteCache, RouteCacheLimits};
pub use filter::{Level, Levels, TopicFilter, TopicFilterBuf};
pub use generation::Stamp;
pub use hash::{IdState, topic_hash};
pub use index::{READ_AHEAD, SubscriptionIndex};
pub use interest::{Interest, InterestLimits};
pub use name::{TOPIC_BYTES_MAX, Texts, TopicError, TopicName};
pub use retained::{PageEnd, RetainedPage, RetainedStore};
pub use shared::{ShareName, parse_subscription};
