//! The database server's clock, estimated. Leases and due times are server time, so that hosts whose clocks differ agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bson::{DateTime, doc};
use mongodb::Database;

/// Estimates the primary's clock from this process's monotonic clock and a measured offset.
///
/// The error is at most half a round trip plus drift since the last calibration; leases carry a margin of seconds.
#[derive(Debug, Clone)]
pub struct ServerClock {
    origin: Instant,
    /// Server milliseconds at `origin`.
    base_ms: Arc<AtomicI64>,
}

impl ServerClock {
    /// Asks the server for its time.
    ///
    /// # Errors
    /// The driver's error when the server cannot be reached.
    pub async fn calibrated(db: &Database) -> mongodb::error::Result<Self> {
        let clock = Self { origin: Instant::now(), base_ms: Arc::new(AtomicI64::new(0)) };
        clock.calibrate(db).await?;
        Ok(clock)
    }

    /// Measures the offset again; call it now and then, and after a failover.
    ///
    /// # Errors
    /// The driver's error when the server cannot be reached.
    pub async fn calibrate(&self, db: &Database) -> mongodb::error::Result<()> {
        let before = self.elapsed_ms();
        let hello = db.run_command(doc! { "hello": 1 }).await?;
        let middle = i64::midpoint(before, self.elapsed_ms());
        if let Ok(local) = hello.get_datetime("localTime") {
            self.base_ms.store(local.timestamp_millis() - middle, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Now, by the server's clock.
    #[must_use]
    pub fn now(&self) -> DateTime {
        DateTime::from_millis(self.base_ms.load(Ordering::Relaxed) + self.elapsed_ms())
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
