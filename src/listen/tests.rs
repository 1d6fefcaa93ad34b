use axum::Router;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server whose connections may be silent for so long.
async fn server(silence: Duration, connections: usize) -> SocketAddr {
    let mut listener = BoundedListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    listener.silence = silence;
    listener.free = Arc::new(Semaphore::new(connections));
    let address = Listener::local_addr(&listener).unwrap();
    let routes = Router::new().route("/", post(|body: String| async move { body }));
    tokio::spawn(axum::serve(listener, routes).into_future());
    address
}

/// What comes on a connection until it is closed.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.expect("no end");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_answered_is_closed_however_it_begins() {
    let address = server(Duration::from_millis(300), 10).await;
    for beginning in ["", "POST / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert!(!rest(stream).await.contains(" 200 "), "{beginning}");
    }
    let mut dripping = TcpStream::connect(address).await.unwrap();
    let drip = async {
        while dripping.write_all(b"P").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), drip).await.expect("it is never closed");
}

#[tokio::test]
async fn a_chunk_size_without_end_is_cut_and_a_long_body_is_not() {
    let address = server(SILENCE, 10).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let zeros = vec![b'0'; 1 << 16];
    let mut sent = 0;
    let flood = async {
        while stream.write_all(&zeros).await.is_ok() {
            sent += zeros.len();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), flood).await.expect("it is never cut");
    assert!(sent < 32 << 20, "{sent} bytes were taken");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = "x".repeat(1 << 20);
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.len() > body.len());
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_until_others_are_closed() {
    let address = server(Duration::from_millis(300), 2).await;
    let held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert!(rest(third).await.ends_with("hi"));
    for stream in held {
        assert_eq!(rest(stream).await, "", "they were closed before");
    }
}
