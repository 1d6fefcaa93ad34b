//! Listening, with bounds that no request has to be whole for: how many connections there are, how much one may send and how
//! long it may make wait before anything is answered.
//!
//! The libraries above bound heads, bodies and the time of a handler. What never becomes a request (half a head, a chunk size
//! without end, a silent connection) is bounded here.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; further ones wait to be accepted. Well below the 1024 files that processes commonly may open.
const CONNECTIONS: usize = 800;

/// Bytes that a connection may send before anything is answered: several times the largest request in its clumsiest form.
const UNANSWERED: usize = 2 << 20;

/// How long a connection may go without anything answered. Longer than the 60 s for which proxies commonly keep an idle one,
/// so that they let go first.
const SILENCE: Duration = Duration::from_secs(75);

/// The peer of a connection, for `ConnectInfo`.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A listener whose connections are bounded.
#[derive(Debug)]
pub struct BoundedListener {
    tcp: tokio::net::TcpListener,
    free: Arc<Semaphore>,
    silence: Duration,
}

impl BoundedListener {
    /// Listens at `address`.
    ///
    /// # Errors
    /// As the system's: it is taken, or not this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = tokio::net::TcpListener::bind(address).await?;
        Ok(Self { tcp, free: Arc::new(Semaphore::new(CONNECTIONS)), silence: SILENCE })
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes the semaphore.
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.tcp).await;
        let wait = Box::pin(sleep(self.silence));
        (Connection { stream, unanswered: 0, silence: self.silence, wait, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that breaks off where it sends too much, or makes wait too long, before anything is answered.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unanswered: usize,
    silence: Duration,
    wait: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn poll_patience(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.wait.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn answered(&mut self, written: &io::Result<usize>) {
        if written.as_ref().is_ok_and(|bytes| *bytes > 0) {
            self.unanswered = 0;
            self.wait.as_mut().reset(Instant::now() + self.silence);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_patience(context)?;
        if this.unanswered > UNANSWERED {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        this.unanswered += into.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_patience(context)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes));
        this.answered(&written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_patience(context)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, bytes));
        this.answered(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
