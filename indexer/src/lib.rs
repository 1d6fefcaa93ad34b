//! The way of one task change, a file for each stage:
//!
//! [`watch`] reads the change stream and hands raw batches over → [`change`] reads one raw change → [`mod@unit`] keeps one
//! transaction's changes together → [`fold`] makes the next snapshot and the transition → [`mod@derive`] names the events
//! ([`swap`] judges a transaction's net effect) → [`fan_out`] picks the webhooks as of that point of the stream →
//! [`actor`] waits for the history row that names who did it → [`record`] commits events, deliveries, snapshots and the
//! position in one fenced transaction. [`lease`] decides which process does this; [`bootstrap`] gives it its past.
//!
//! [`dispatch`] delivers: it holds rows that [`claim`] leased or the recorder handed over, POSTs them through
//! [`taskwire::client`], judges the answer by [`taskwire::outcome`] and times the next attempt by [`taskwire::backoff`].
//!
//! [`replay`] queues deliveries again, or later, as admins ask for many of them at once.
//!
//! [`retention`] removes what is kept no longer. [`mod@audit`] proves that log, deliveries and snapshots agree.
//!
//! [`commands`] are what operators call.
//!
//! `fold`, `derive`, `swap`, `fan_out` and `actor` do no input or output.

pub mod actor;
pub mod audit;
pub mod bootstrap;
pub mod change;
pub mod checkpoint;
pub mod claim;
pub mod commands;
pub mod derive;
pub mod dispatch;
pub mod fan_out;
pub mod field_set;
pub mod fold;
pub mod gap;
pub mod judge;
pub mod lag;
pub mod large;
pub mod leader;
pub mod lease;
pub mod memory;
pub mod progress;
pub mod quarantine;
pub mod record;
pub mod recover;
pub mod replay;
pub mod retention;
pub mod scan;
pub mod snapshot;
pub mod swap;
pub mod tail;
pub mod trouble;
pub mod unit;
pub mod watch;
