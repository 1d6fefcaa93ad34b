//! Stopping: the first SIGTERM or SIGINT asks, the second insists.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens for SIGTERM and SIGINT. The token is cancelled by the first, so that work can come to its end; a second one
/// ends the process at once with the shell's status for a signal (128 and its number).
///
/// Call it once, inside a Tokio runtime.
///
/// # Errors
/// The system's error when a handler cannot be installed.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = first.name, "stopping; the same again stops at once");
        asked.cancel();
        let second = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = second.name, "stopped without waiting for what is in flight");
        std::process::exit(128 + second.kind.as_raw_value());
    });
    Ok(token)
}

struct Received {
    name: &'static str,
    kind: SignalKind,
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> Received {
    tokio::select! {
        _ = terminate.recv() => Received { name: "SIGTERM", kind: SignalKind::terminate() },
        _ = interrupt.recv() => Received { name: "SIGINT", kind: SignalKind::interrupt() },
    }
}
