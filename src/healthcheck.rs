//! `healthcheck`: asks the process that serves beside this one, for container engines whose images hold no other program
//! that could.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(3);
/// So much of an answer is read.
const ANSWER_MAX: u64 = 4096;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `/healthz`: does it serve at all?
    Serves,
    /// `/readyz`: can it do its work?
    Ready,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Serves => "/healthz",
            Self::Ready => "/readyz",
        }
    }
}

/// Why the process is not as it should be. One line.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody listens, or the connection broke.
    #[error("nothing serves at {target}: {error}")]
    NoAnswer {
        /// Where it was asked.
        target: SocketAddr,
        /// What came instead.
        error: std::io::Error,
    },
    /// It hangs.
    #[error("{target} takes longer than {LIMIT:?} to answer")]
    Late {
        /// Where it was asked.
        target: SocketAddr,
    },
    /// It answers, but not with 200.
    #[error("{target} answers {path} with {answer}")]
    Not {
        /// Where it was asked.
        target: SocketAddr,
        /// What was asked for.
        path: &'static str,
        /// The status, and the reason if it gives one.
        answer: String,
    },
}

/// Asks the process that listens on `listen`; gives its answer, if that is 200.
///
/// # Errors
/// See [`Unhealthy`].
pub async fn ask(listen: SocketAddr, question: Question) -> Result<String, Unhealthy> {
    let (target, path) = (reachable(listen), question.path());
    let answer = match tokio::time::timeout(LIMIT, get(target, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Unhealthy::NoAnswer { target, error }),
        Err(_) => return Err(Unhealthy::Late { target }),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let said = body.lines().next().unwrap_or_default().trim().to_owned();
    match status.split_once(' ') {
        Some((_, code)) if code.starts_with("200") => Ok(said),
        Some((_, code)) => Err(Unhealthy::Not { target, path, answer: format!("{code} ({said})") }),
        None => Err(Unhealthy::Not { target, path, answer: "something that is not HTTP".to_owned() }),
    }
}

/// The address under which a process that listens on every address is reached from beside it.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    }
}

async fn get(target: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(target).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::net::TcpListener;

    use super::*;
    use crate::telemetry::{Readiness, StatusBoard, status_routes};

    #[tokio::test]
    async fn a_process_that_is_not_ready_serves_and_says_why_it_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let board = StatusBoard::not_ready("MongoDB does not answer");
        let routes = status_routes(board.clone(), PrometheusBuilder::new().build_recorder().handle());
        tokio::spawn(axum::serve(listener, routes).into_future());

        assert_eq!(ask(at, Question::Serves).await.unwrap(), "ok");
        let refused = ask(at, Question::Ready).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("{at} answers /readyz with 503 Service Unavailable (not ready: MongoDB does not answer)")
        );
        board.set(Readiness::Ready);
        assert_eq!(ask(at, Question::Ready).await.unwrap(), "ready");
    }

    #[tokio::test]
    async fn nobody_a_stranger_and_one_who_hangs_are_told_apart() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(ask(nobody, Question::Serves).await, Err(Unhealthy::NoAnswer { .. })));

        let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = stranger.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = stranger.accept().await.unwrap();
            let _ = connection.read(&mut [0; 1024]).await;
            connection.write_all(b"+PONG\r\n").await.unwrap();
        });
        assert!(matches!(ask(at, Question::Serves).await, Err(Unhealthy::Not { .. })));

        // The system accepts for it; it never reads.
        let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = hanging.local_addr().unwrap();
        assert!(matches!(ask(at, Question::Serves).await, Err(Unhealthy::Late { .. })));
    }

    #[test]
    fn one_that_listens_everywhere_is_asked_on_the_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("10.1.2.3:8080"), "10.1.2.3:8080");
    }
}
