//! The compiled policy image, its evaluator, and the proof that a message was admitted.
//!
//! | file         | what                                                                        |
//! |--------------|-----------------------------------------------------------------------------|
//! | `image`      | `Image::load`: bytes -> a value whose every later use is total              |
//! | `format`     | the JSON form of an image, as the Python compiler writes it, and its bounds |
//! | `pattern`    | a rule's Topic Filter with variables: matching, covering, overlapping       |
//! | `network`    | ranges of addresses                                                         |
//! | `condition`  | when a rule counts: circumstances of a connection, properties of a message  |
//! | `schedule`   | when time windows open and close                                            |
//! | `tree`       | the rules of some roles by the levels of their patterns                     |
//! | `contract`   | declared topics: which one holds, and whether a message is as it says       |
//! | `bind`       | `Identity` + `Image` -> `Grants`: the identity's own values, whole levels   |
//! | `decide`     | `Grants` + request -> `Decision`: forbid beats permit, absence is denial    |
//! | `tenant`     | whose clients see one root of the topics, and names with and without it     |
//! | `scope`      | Client Identifiers of tenants' clients, kept apart                          |
//! | `token_grants` | what a token's bearer may: narrows the roles' permits, widens nothing           |
//! | `limits`     | the limits that roles carry; of several roles the largest wins              |
//! | `authorized` | `Authorized<T>`: only a decision makes one (I2)                             |
//!
//! The language is defined by `tests/oracle.py`; Hypothesis compares it with this module.

mod authorized;
mod bind;
mod condition;
mod contract;
mod decide;
mod format;
mod image;
mod limits;
pub(crate) mod network;
mod pattern;
mod schedule;
pub mod scope;
mod tenant;
mod token_grants;
mod tree;

pub use authorized::{Admissions, Authorized, Denied};
pub use bind::{Grants, Identity, RoleSet};
pub use condition::{Asked, Circumstances, OpenWindows, Strength};
pub use contract::{
    Breach, Broken, Declared, Duty, Enforce, Held, Misfit, PayloadCheck, PayloadCompiler, PayloadFormat, PayloadSpec,
    StagedDuty, TopicId,
};
pub use decide::{Decision, Why};
pub use format::ImageError;
pub use image::{Image, RuleId};
pub use limits::RoleLimits;
pub use pattern::CONTROL_TOPIC;
pub use schedule::Schedule;
pub use tenant::{TENANT_ATTRIBUTE, Tenant, TenantLimits};
pub use token_grants::{TokenAction, TokenGrants};
