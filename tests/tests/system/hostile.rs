//! Listeners survive what nobody should send, and go on serving others meanwhile.

use std::net::SocketAddr;

use testkit::{RelpLoad, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::support::{System, each_once, lines, send_tcp};

const LINES: usize = 1_000;
const CONNECTIONS: usize = 500;
const ENDLESS_BYTES: usize = 10 << 20;
/// Far above what the limits allow, far below what unbounded buffering would take.
const MEMORY_MAX_KIB: u64 = 400 * 1024;

/// What a peer may send before it leaves in the middle of it.
const STREAMS: &[&[u8]] = &[
    b"\x00\x01\x02\xff\xfe\xfd\r\n\r\n\x00\n\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"99999999999999999999 <13>1 - - - - - - lies\n",
    b"4000 <13>1 - - - - - - half a frame",
    b"0 <13>x\n",
    b"<13>1 2026-03-01T10:00:00Z half",
    b"1 open 5 relp\n2 syslog 99999999999 x\n",
    b"1 open 85 relp_version=0\nrelp_software=x",
    b"1 syslog 3 abc\n",
    b"999999999999999999 open 0\n",
    b"\xff open 0\n",
];

async fn send_and_leave(addr: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may close while this is still being sent.
    stream.write_all(bytes).await.ok();
}

async fn endless(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let chunk = vec![b'x'; 1 << 16];
    for _ in 0..ENDLESS_BYTES / chunk.len() {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn a_hostile_peer_harms_nobody_else() {
    let system = System::start().await;
    let (relp, tcp, udp) = (
        system.pipeline.relp(),
        system.pipeline.tcp(),
        system.pipeline.udp(),
    );

    // Held open all the time: idle connections, and some that sent a part of a frame.
    let mut held = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(if n % 2 == 0 { tcp } else { relp })
            .await
            .unwrap();
        if n % 5 == 0 {
            stream.write_all(b"1").await.unwrap();
        }
        held.push(stream);
    }
    let datagram = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in STREAMS {
        send_and_leave(tcp, bytes).await;
        send_and_leave(relp, bytes).await;
        datagram.send_to(bytes, udp).await.unwrap();
    }
    datagram.send_to(&[], udp).await.unwrap();
    let honest = lines("tcp", LINES);
    let (load, ..) = tokio::join!(
        RelpLoad::start(relp, lines("relp", LINES)).finish(),
        endless(tcp),
        endless(relp),
        send_tcp(tcp, &honest),
    );
    assert!(
        load.iter().all(|sends| *sends == 1),
        "no session but the hostile ones was closed"
    );

    // Who is slow is served, too: a frame byte by byte, on a connection that said nothing so far.
    let mut slow = held.swap_remove(2);
    slow.set_nodelay(true).unwrap();
    for byte in b"<13>1 - - - - - - byte by byte slow-000000\n" {
        slow.write_all(&[*byte]).await.unwrap();
    }
    system.rows.await_key("slow-000000").await;

    let mut expected = each_once("relp", LINES);
    expected.extend(each_once("tcp", LINES));
    system.rows.await_key("tcp-000999").await;
    system.rows.await_key("relp-000999").await;
    let found = system.rows.counts().await;
    for (key, n) in &expected {
        assert_eq!(found.get(key), Some(n), "{key}");
    }

    let pid = system.pipeline.pid(Service::SyslogServer).unwrap();
    let peak = peak_memory_kib(pid);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    drop(held);
    system.drain().await;
}

fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_broken_relp_session_is_closed_and_told_why() {
    let system = System::start().await;
    let mut stream = TcpStream::connect(system.pipeline.relp()).await.unwrap();
    stream.write_all(b"this is no frame\n").await.unwrap();
    let mut answer = Vec::new();
    // It ends: the server closes it.
    stream.read_to_end(&mut answer).await.ok();
    let sends = RelpLoad::start(system.pipeline.relp(), lines("after", 10))
        .finish()
        .await;
    assert_eq!(sends, [1; 10]);
    system.rows.await_total(10).await;
    system.drain().await;
}
