//! Every fault at a true connection: what reaches the node, and what comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nreceipt";
const BODY: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn request() -> Vec<u8> {
    [format!("PUT /a HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", BODY.len()).as_bytes(), BODY].concat()
}

/// A node that answers each whole request and tells what came on each connection when that has ended.
fn node() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                let (mut came, mut answered, mut buffer) = (Vec::new(), 0, [0; 4_096]);
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    came.extend_from_slice(&buffer[..count]);
                    while let Ok(Some(head)) = framing::head(&came[answered..], false) {
                        let framing::Body::Length(length) = head.body else { break };
                        if came.len() < answered + head.length + length as usize {
                            break;
                        }
                        answered += head.length + length as usize;
                        let _ = stream.write_all(ANSWER);
                    }
                }
                let _ = tell.send(came);
            });
        }
    });
    (address, told)
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct World {
    proxy: Proxy,
    link: SocketAddr,
    told: Receiver<Vec<u8>>,
}

impl World {
    /// A link that strikes every request with `fault` for so long.
    fn with(fault: Option<LinkFault>, for_ms: i64) -> World {
        let ((node, told), link) = (node(), free());
        let place = LinkPlace { name: "a-b", receiver: "b", listen: link, node };
        let proxy = Proxy::start(vec![place]).unwrap();
        let window = |fault| LinkWindow { link: 0, fault, from_ms: 0, to_ms: for_ms, share: 1.0 };
        proxy.begin(LinkWindows::new(3, fault.into_iter().map(window).collect()));
        World { proxy, link, told }
    }

    fn connect(&self) -> TcpStream {
        connect(self.link)
    }

    fn ask(&self) -> (Vec<u8>, bool) {
        ask(self.link)
    }

    fn came(&self) -> Vec<u8> {
        self.told.recv_timeout(PATIENCE).expect("a connection of the node has ended")
    }

    fn hits(&self, fault: LinkFault) -> u64 {
        self.proxy.tally().hits[0][fault.place()]
    }
}

fn connect(link: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(link).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request; what came back, and whether the connection ended by a reset.
fn ask(link: SocketAddr) -> (Vec<u8>, bool) {
    let mut stream = connect(link);
    stream.write_all(&request()).unwrap();
    let (mut came, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (came, false),
            Ok(count) => came.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return (came, true),
            Err(error) => panic!("{error}"),
        }
        if came == ANSWER {
            return (came, false);
        }
    }
}

#[test]
fn without_a_fault_everything_passes_and_one_connection_serves_again() {
    let world = World::with(None, 0);
    let mut stream = world.connect();
    for _ in 0..3 {
        stream.write_all(&request()).unwrap();
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, ANSWER);
    }
    drop(stream);
    assert_eq!(world.came(), request().repeat(3));
    assert_eq!((world.proxy.tally().requests[0], world.proxy.tally().struck(0)), (3, 0));
    assert_eq!(world.proxy.tally().statuses.get(&200), Some(&3));
}

#[test]
fn late_and_slow_answers_come_whole() {
    for fault in [LinkFault::Delay, LinkFault::Bandwidth] {
        let world = World::with(Some(fault), 60_000);
        assert_eq!(world.ask(), (ANSWER.to_vec(), false), "{fault:?}");
        assert_eq!((world.came(), world.hits(fault)), (request(), 1), "{fault:?}");
    }
}

#[test]
fn a_reset_request_reaches_the_node_in_part_and_its_sender_is_reset() {
    let world = World::with(Some(LinkFault::Reset), 60_000);
    assert_eq!(world.ask(), (Vec::new(), true));
    let came = world.came();
    assert!(came.len() < request().len() && request().starts_with(&came));
}

#[test]
fn a_black_hole_takes_all_tells_nobody_and_ends_by_a_reset() {
    let world = World::with(Some(LinkFault::Blackhole), 200);
    let began = Instant::now();
    assert_eq!(world.ask(), (Vec::new(), true));
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    assert!(world.told.try_recv().is_err(), "the node had no connection");
    assert_eq!(world.ask(), (ANSWER.to_vec(), false), "it is over");
}

#[test]
fn what_is_held_back_is_reset_when_faults_are_switched_off() {
    for fault in [LinkFault::Blackhole, LinkFault::CutRequests, LinkFault::CutAnswers] {
        let world = World::with(Some(fault), 600_000);
        std::thread::scope(|scope| {
            let link = world.link;
            let asked = scope.spawn(move || ask(link));
            while world.hits(fault) == 0 {
                std::thread::yield_now();
            }
            world.proxy.calm();
            assert_eq!(asked.join().unwrap(), (Vec::new(), true), "{fault:?}");
        });
        match fault {
            LinkFault::CutRequests => assert_eq!(world.came(), b"", "the node had a connection on which nothing came"),
            LinkFault::CutAnswers => assert_eq!(world.came(), request()),
            _ => {}
        }
    }
}

#[test]
fn an_answer_is_dropped_after_the_node_had_the_request() {
    let world = World::with(Some(LinkFault::DropAnswer), 60_000);
    assert_eq!(world.ask(), (Vec::new(), true));
    assert_eq!(world.came(), request());
    assert_eq!(world.proxy.tally().statuses.get(&200), Some(&1));
}

#[test]
fn a_part_of_an_answer_is_no_answer() {
    let world = World::with(Some(LinkFault::TruncateAnswer), 60_000);
    let (came, was_reset) = world.ask();
    assert!(came.len() < ANSWER.len() && ANSWER.starts_with(&came) && !was_reset);
}

#[test]
fn a_half_closed_link_ends_without_an_answer_whichever_half_it_is() {
    let world = World::with(Some(LinkFault::HalfClose), 60_000);
    let (mut parts, mut wholes) = (0, 0);
    for _ in 0..40 {
        assert_eq!(world.ask().0, b"", "the node answers whole requests only");
        let came = world.came();
        if came == request() {
            wholes += 1
        } else {
            parts += 1
        }
        assert!(request().starts_with(&came));
    }
    assert!(parts > 5 && wholes > 5, "{parts} and {wholes}");
}

#[test]
fn a_truncated_body_looks_whole_to_the_node() {
    let world = World::with(Some(LinkFault::Truncate), 60_000);
    assert_eq!(world.ask().0, ANSWER);
    let came = world.came();
    let head = framing::head(&came, false).unwrap().unwrap();
    assert_eq!(head.body, framing::Body::Length((came.len() - head.length) as u64));
    assert!(came.len() - head.length < BODY.len() && BODY.starts_with(&came[head.length..]));
}

#[test]
fn a_corrupted_body_or_receipt_differs_in_one_bit() {
    let bits = |one: &[u8], other: &[u8]| -> u32 {
        assert_eq!(one.len(), other.len());
        one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
    };
    let world = World::with(Some(LinkFault::Corrupt), 60_000);
    assert_eq!(world.ask().0, ANSWER);
    let came = world.came();
    let head = request().len() - BODY.len();
    assert_eq!((bits(&came, &request()), &came[..head]), (1, &request()[..head]));
    let world = World::with(Some(LinkFault::CorruptAnswer), 60_000);
    let mut stream = world.connect();
    stream.write_all(&request()).unwrap();
    let mut answer = vec![0; ANSWER.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((bits(&answer, ANSWER), answer.starts_with(&ANSWER[..ANSWER.len() - 7])), (1, true));
}

#[test]
fn a_doubled_upload_reaches_the_node_twice_and_is_answered_once() {
    for fault in [LinkFault::Duplicate, LinkFault::LateDuplicate] {
        let world = World::with(Some(fault), 60_000);
        assert_eq!(world.ask(), (ANSWER.to_vec(), false));
        assert_eq!([world.came(), world.came()], [request(), request()], "{fault:?}");
    }
}

#[test]
fn a_link_that_refuses_resets_what_stands_and_listens_again_afterwards() {
    let world = World::with(None, 0);
    let mut standing = world.connect();
    standing.write_all(&request()).unwrap();
    standing.read_exact(&mut vec![0; ANSWER.len()]).unwrap();
    let window = LinkWindow { link: 0, fault: LinkFault::Refuse, from_ms: 0, to_ms: 600_000, share: 1.0 };
    world.proxy.begin(LinkWindows::new(3, vec![window]));
    assert_eq!(standing.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(TcpStream::connect(world.link).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(world.hits(LinkFault::Refuse), 1, "the connection that stood");
    world.proxy.calm();
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(world.link).is_err() {
        assert!(Instant::now() < until, "nobody listens");
        std::thread::yield_now();
    }
    assert_eq!(world.ask().0, ANSWER);
}

fn without_node(fault: LinkFault) -> World {
    let link = free();
    let place = LinkPlace { name: "a-b", receiver: "b", listen: link, node: free() };
    let proxy = Proxy::start(vec![place]).unwrap();
    proxy.begin(LinkWindows::new(3, vec![LinkWindow { link: 0, fault, from_ms: 0, to_ms: 60_000, share: 1.0 }]));
    World { proxy, link, told: channel().1 }
}

#[test]
fn a_node_that_is_away_resets_its_senders_and_no_fault_has_told() {
    // A black hole needs no node, and who refuses none either.
    for fault in LinkFault::ALL.into_iter().filter(|fault| *fault != LinkFault::Blackhole) {
        let world = without_node(fault);
        if fault != LinkFault::Refuse {
            assert_eq!(world.ask(), (Vec::new(), true), "{fault:?}");
        }
        assert_eq!(world.proxy.tally().struck(0), 0, "{fault:?}");
    }
}

/// A node that gives every request this answer, whatever it is, and closes.
fn answering(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read_exact(&mut vec![0; request().len()]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

#[test]
fn a_fault_of_answers_does_not_tell_where_there_is_none_or_no_receipt() {
    let full = b"HTTP/1.1 507 Full\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfull".to_vec();
    let answers = [LinkFault::TruncateAnswer, LinkFault::DropAnswer, LinkFault::CutAnswers, LinkFault::Corrupt];
    let cases = answers.map(|fault| (fault, Vec::new())).into_iter().chain([(LinkFault::CorruptAnswer, full)]);
    for (fault, answer) in cases {
        let link = free();
        let place = LinkPlace { name: "a-b", receiver: "b", listen: link, node: answering(answer.clone()) };
        let proxy = Proxy::start(vec![place]).unwrap();
        proxy.begin(LinkWindows::new(3, vec![LinkWindow { link: 0, fault, from_ms: 0, to_ms: 60_000, share: 1.0 }]));
        assert_eq!((ask(link).0, proxy.tally().struck(0)), (answer, 0), "{fault:?}");
    }
}

#[test]
fn a_late_duplicate_is_forgotten_when_the_weather_changes() {
    // One that would come soon.
    let wait_ms = |seed: u64| LinkWindows::new(seed, Vec::new()).draws(0, 0).below(5_000);
    let seed = (0..).find(|seed| wait_ms(*seed) < 50).unwrap();
    for is_calmed in [true, false] {
        let world = World::with(None, 0);
        let window = LinkWindow { link: 0, fault: LinkFault::LateDuplicate, from_ms: 0, to_ms: 60_000, share: 1.0 };
        world.proxy.begin(LinkWindows::new(seed, vec![window]));
        assert_eq!(world.ask(), (ANSWER.to_vec(), false));
        assert_eq!(world.came(), request());
        if is_calmed {
            world.proxy.calm();
        }
        if is_calmed {
            assert!(world.told.recv_timeout(Duration::from_millis(2_000)).is_err(), "it came nevertheless");
            assert_eq!(world.hits(LinkFault::LateDuplicate), 0);
        } else {
            assert_eq!(world.came(), request());
            // The node sees the end of the connection before the link has counted.
            let until = Instant::now() + PATIENCE;
            while world.hits(LinkFault::LateDuplicate) == 0 {
                assert!(Instant::now() < until, "it was not counted");
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn a_new_package_is_not_taken_by_a_node_that_was_full_all_the_while() {
    use muster::id::{Digest, Guid};
    use muster::model::package::{Receipt, ReceiptState};
    let (digest, node) = (Digest::of(BODY), Guid::from_random([1; 16]));
    for (state, is_false) in [(ReceiptState::Held, true), (ReceiptState::Settled, false)] {
        let receipt = serde_json::to_vec(&Receipt { digest, size: BODY.len() as u64, node, state }).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", receipt.len());
        let link = free();
        let node = answering([head.as_bytes(), &receipt].concat());
        let proxy = Proxy::start(vec![LinkPlace { name: "a-b", receiver: "b", listen: link, node }]).unwrap();
        let told = || {
            ask(link);
            let tally = proxy.tally();
            (tally.answers_without_room, !tally.receipts_without_room.is_empty())
        };
        assert_eq!(told(), (0, false));
        proxy.mark_full("b");
        assert_eq!(told(), (1, is_false));
        proxy.unmark_full("b");
        assert_eq!(told(), (1, is_false), "{:?}", proxy.tally().receipts_without_room);
        assert_eq!(proxy.tally().receipts_without_room.len(), usize::from(is_false));
    }
}

#[test]
fn a_kill_before_the_sync_waits_for_an_upload_that_goes_on_as_it_was_sent() {
    use rustix::process::Pid;
    for (fault, is_killed) in [(LinkFault::Corrupt, false), (LinkFault::Truncate, false), (LinkFault::Bandwidth, true)]
    {
        let world = World::with(Some(fault), 60_000);
        let mut process = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&process);
        let traps = world.proxy.traps();
        let caught = std::thread::scope(|scope| {
            let caught = scope.spawn(|| traps.catch("b", Moment::RequestPassed, pid, Duration::from_millis(500)));
            while !caught.is_finished() {
                assert_eq!(world.ask().0, ANSWER, "{fault:?}");
            }
            caught.join().unwrap()
        });
        assert_eq!(caught, is_killed, "{fault:?}");
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
