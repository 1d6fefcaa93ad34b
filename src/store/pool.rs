//! Metrics of the driver's connection pools, from its own events.

use metrics::{Counter, Gauge, Histogram};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;

/// Over all servers of the set: nearly everything goes to the primary.
struct Meters {
    connections: Gauge,
    in_use: Gauge,
    wait: Histogram,
    failures: Counter,
    cleared: Counter,
}

impl Meters {
    fn new() -> Self {
        use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
        gauge!("taskwire_mongodb_connections", "Connections to MongoDB in the driver's pools");
        gauge!("taskwire_mongodb_connections_in_use", "Those that an operation, a session or a stream holds");
        histogram!("taskwire_mongodb_checkout_seconds", "How long operations waited for a connection");
        counter!("taskwire_mongodb_checkout_failures_total", "Operations that got no connection");
        counter!("taskwire_mongodb_pools_cleared_total", "Times that a server's connections were all given up");
        let meters = Self {
            connections: metrics::gauge!("taskwire_mongodb_connections"),
            in_use: metrics::gauge!("taskwire_mongodb_connections_in_use"),
            wait: metrics::histogram!("taskwire_mongodb_checkout_seconds"),
            failures: metrics::counter!("taskwire_mongodb_checkout_failures_total"),
            cleared: metrics::counter!("taskwire_mongodb_pools_cleared_total"),
        };
        meters.connections.set(0.0);
        meters.in_use.set(0.0);
        meters
    }

    fn count(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => self.connections.increment(1.0),
            CmapEvent::ConnectionClosed(_) => self.connections.decrement(1.0),
            CmapEvent::ConnectionCheckedOut(out) => {
                self.in_use.increment(1.0);
                self.wait.record(out.duration);
            }
            CmapEvent::ConnectionCheckedIn(_) => self.in_use.decrement(1.0),
            CmapEvent::ConnectionCheckoutFailed(failed) => {
                self.wait.record(failed.duration);
                self.failures.increment(1);
            }
            CmapEvent::PoolCleared(_) => self.cleared.increment(1),
            _ => {}
        }
    }
}

/// What a client tells its pools' events to. Made after the recorder is installed; without one, nothing is counted.
pub(super) fn metered() -> EventHandler<CmapEvent> {
    let meters = Meters::new();
    EventHandler::callback(move |event| meters.count(&event))
}
