//! Senders that take their time, with times short enough to wait for.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::node::{Node, Put, answer, limits, node, send, until_closed};
use crate::intake::{IntakeLimits, IntakeTimes};

/// The time that a test lets pass; the others are too long to be met.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn hurried(set: impl FnOnce(&mut IntakeTimes)) -> Node {
    let mut times = IntakeTimes { head: LONG, silence: LONG, body: LONG, idle: LONG };
    set(&mut times);
    node(IntakeLimits { times, ..limits() })
}

#[actix::test]
async fn a_head_that_does_not_come_is_answered_408_and_the_connection_closed() {
    let node = hurried(|times| times.head = SHORT);
    for begun in ["", "PUT /ManageSoftRL/Inv", "PUT /ManageSoftRL/Inventories/x.ndi.gz HTTP/1.1\r\nhost: node\r\n"] {
        let mut stream = node.connect().await;
        send(&mut stream, begun.as_bytes()).await;
        let text = until_closed(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{begun:?}: {text:?}");
    }
    node.stop().await;
}

#[actix::test]
async fn a_body_that_falls_silent_is_answered_408_and_the_connection_closed() {
    let node = hurried(|times| times.silence = SHORT);
    let put = Put::default();
    for sent in [0, 1, 9] {
        let mut stream = node.connect().await;
        send(&mut stream, put.head().as_bytes()).await;
        send(&mut stream, &put.body[..sent]).await;
        let text = until_closed(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{sent}: {text:?}");
    }
    assert_eq!(node.held(), 0);
    assert_eq!(node.put(|_| ()).await.status, 200, "others are served");
    node.stop().await;
}

#[actix::test]
async fn a_body_that_trickles_is_answered_408_when_its_whole_time_is_over() {
    let node = hurried(|times| times.body = SHORT);
    let put = Put::default();
    let (mut reading, mut writing) = node.connect().await.into_split();
    let trickle = async {
        use tokio::io::AsyncWriteExt;
        let _ = writing.write_all(put.head().as_bytes()).await;
        for byte in &put.body {
            // The pause is the attack, not a wait for something.
            tokio::time::sleep(SHORT / 8).await;
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    let told = async {
        use tokio::io::AsyncReadExt;
        let mut text = vec![0; 12];
        reading.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    };
    let text = tokio::select! {
        text = told => text,
        () = trickle => panic!("all of it was taken"),
    };
    assert_eq!(text, "HTTP/1.1 408");
    assert_eq!(node.held(), 0);
    node.stop().await;
}

#[actix::test]
async fn a_kept_connection_serves_again_and_is_closed_when_it_is_idle() {
    let node = hurried(|times| times.idle = SHORT);
    let mut stream = node.connect().await;
    for _ in 0..3 {
        send(&mut stream, &Put::default().bytes()).await;
        assert_eq!(answer(&mut stream).await.status, 200);
    }
    assert_eq!(until_closed(&mut stream).await, "");
    node.stop().await;
}

#[actix::test]
async fn a_later_head_that_does_not_end_is_not_waited_for_either() {
    let node = hurried(|times| (times.head, times.idle) = (SHORT, SHORT));
    let mut stream = node.connect().await;
    send(&mut stream, &Put::default().bytes()).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    send(&mut stream, b"PUT /ManageSoftRL/Inv").await;
    assert_eq!(until_closed(&mut stream).await, "");
    // Nor is one that trickles.
    let mut stream = node.connect().await;
    send(&mut stream, &Put::default().bytes()).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    let (mut reading, mut writing) = stream.into_split();
    let trickle = async {
        use tokio::io::AsyncWriteExt;
        while writing.write_all(b"x").await.is_ok() {
            // The pause is the attack, not a wait for something.
            tokio::time::sleep(SHORT / 8).await;
        }
    };
    let closed = async {
        use tokio::io::AsyncReadExt;
        let _ = reading.read(&mut [0; 1]).await;
    };
    let both = async {
        tokio::select! { () = trickle => (), () = closed => () }
    };
    tokio::time::timeout(LONG, both).await.expect("closed in the middle of its head");
    node.stop().await;
}

#[actix::test]
async fn a_body_whose_link_breaks_is_not_refused_for_good() {
    let node = node(limits());
    let put = Put::default();
    for end in [0, 1, 9, put.body.len() - 1] {
        let mut stream = node.connect().await;
        send(&mut stream, put.head().as_bytes()).await;
        send(&mut stream, &put.body[..end]).await;
        // The way up is closed, the way down stands.
        stream.shutdown().await.unwrap();
        let text = until_closed(&mut stream).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408 "), "{end} bytes: {text}");
    }
    assert_eq!(node.held(), 0);
    node.stop().await;
}

#[actix::test]
async fn a_sender_that_goes_away_leaves_nothing_and_gives_its_room_back() {
    let node = node(IntakeLimits { bodies: 1, ..limits() });
    let put = Put::default();
    for _ in 0..5 {
        let mut stream = node.connect().await;
        send(&mut stream, put.head().as_bytes()).await;
        send(&mut stream, &put.body[..9]).await;
    }
    // Each of them is noticed at its own time.
    while node.put(|put| put.body = super::body(1)).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(node.held(), 1);
    node.stop().await;
}
