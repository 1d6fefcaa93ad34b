//! What tests, demo and benchmark share: a real MongoDB, a stand-in for the task service that writes as the real one
//! does and knows which events must follow, a receiver that verifies and misbehaves on demand, and the real programs as
//! child processes.
//!
//! ```text
//! TaskService ──writes──▶ Mongo ◀──reads── Process (taskwire-indexer) ──POSTs──▶ Receiver
//!      │                                                                            │
//!      └── Expected ───────────────── compare() ────────────────── Observed ────────┘
//! ```

pub mod admin_api;
pub mod catalogue;
pub mod collector;
pub mod eventually;
pub mod expected;
pub mod model;
pub mod mongo;
pub mod process;
pub mod receiver;
pub mod service;
pub mod stack;
pub mod strict;

pub use admin_api::AdminApi;
pub use collector::Collector;
pub use eventually::{SOON, eventually};
pub use expected::{Expected, Observed, compare};
pub use mongo::{Db, Mongo, MongoOptions};
pub use process::{Process, Program};
pub use receiver::{Answer, Receiver};
pub use service::{Profile, TaskService};
pub use stack::Stack;

/// Installs the process-wide TLS provider. Call it before the first HTTP client is made; further calls do nothing.
pub fn init() {
    // An error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A TCP port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
