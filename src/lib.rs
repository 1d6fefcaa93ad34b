//! Taskwire: task lifecycle events, derived exactly once from MongoDB's change streams and delivered as signed webhooks.
//!
//! This library holds what the two programs share: the settings ([`config`]), the documents ([`model`]) and their
//! collections ([`store`]), how the task service's documents are read ([`mapping`]), and the security parts
//! ([`secrets`], [`signing`], [`target_guard`]), and how one request is made ([`target`], [`client`], [`outcome`],
//! [`backoff`]), and what operators see of a process ([`telemetry`], [`healthcheck`]). `taskwire-api` adds the HTTP surface; the stages from change
//! to delivery live in the package `taskwire-indexer`.

pub mod backoff;
pub mod catalogue;
pub mod client;
pub mod config;
pub mod healthcheck;
pub mod http;
pub mod listen;
pub mod mapping;
pub mod model;
pub mod outcome;
pub mod rekey;
pub mod secrets;
pub mod shutdown;
pub mod signing;
pub mod store;
pub mod target;
pub mod target_guard;
pub mod telemetry;

/// This build's version, as `--version`, `User-Agent` and metrics show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
