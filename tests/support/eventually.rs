//! Waiting for a condition instead of sleeping for luck.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a condition is waited for that should hold soon. Nothing waits so long where all is well; a busy machine may take
/// many times as long as a quiet one, and that is no failure.
pub const SOON: Duration = Duration::from_secs(90);

/// How often a condition is asked for.
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks `condition` every 20 ms until it gives a value, at most for `deadline`.
///
/// The condition answers `Err(text)` while it does not hold; the last text stands in the error, so it should say what is
/// there instead.
///
/// # Errors
/// When the deadline passes: what was waited for, for how long, and the condition's last answer.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut condition: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let start = Instant::now();
    loop {
        match condition().await {
            Ok(value) => return Ok(value),
            Err(last) if start.elapsed() >= deadline => {
                bail!("waited {:.1} s for this: {what}; the last look said: {last}", start.elapsed().as_secs_f64())
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_with_the_value_as_soon_as_the_condition_holds() {
        let mut looks = 0;
        let value = eventually("three looks", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("{looks}")) }
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_deadline_that_passes_names_what_was_waited_for_and_the_last_look() {
        let error = eventually("the moon", Duration::from_millis(1), async || Err::<(), _>("clouds".to_owned()))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("the moon") && error.contains("clouds"), "{error}");
    }
}
