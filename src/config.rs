//! Settings: from the environment, or `taskwire.toml` in the working directory; the environment wins.
//!
//! Each variable `TASKWIRE_X` is the key `x` (lower case) in the file. Everything is read and checked at start: a wrong or
//! missing setting is one [`SettingError`] that names the variable and what it takes.

mod api;
mod client;
mod common;
mod indexer;
mod keys;
mod network;
mod source;
mod traces;

pub use api::{ApiSettings, JwtSettings};
pub use client::ClientSettings;
pub use common::{CommonSettings, LogFormat, MongoSettings, TargetPolicy};
pub use indexer::{AlertSettings, EventRetention, IndexerSettings, OnGap, Retention};
pub use network::{NetworkError, read_network};
pub use source::{SettingError, Source};
pub use traces::{Collector, TraceSettings};
