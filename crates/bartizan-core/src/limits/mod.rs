//! Token buckets and quotas: what bounds a peer's rate and its hold on memory.
//!
//! | file     | what                                                                      |
//! |----------|---------------------------------------------------------------------------|
//! | `bucket` | `TokenBucket`: so many per second, so many at once; time is an argument   |
//! | `quota`  | `Quota`, `SharedQuota`: so many held at once; `Gauge`: how many are held  |

pub mod bucket;
pub mod quota;

pub use bucket::TokenBucket;
pub use quota::{Gauge, Quota, SharedQuota};
