//! Sockets that a service manager bound for the process and handed over as systemd does (`LISTEN_FDS`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use testkit::{eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

/// The two sockets come as standard input and output, become the first descriptors after those three, and the process
/// keeps the number of the shell.
const SCRIPT: &str = "exec 3<&0 4<&1 </dev/null >/dev/null
LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already where the test waited for it.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn start(dir: &Path, settings: &str, sockets: (TcpListener, UdpSocket)) -> Running {
    let file = dir.join("logferry.toml");
    fs::write(
        &file,
        format!("data_dir = \"{}/data\"\n{settings}", dir.display()),
    )
    .unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, env!("CARGO_BIN_EXE_syslog-server"), "--config"])
        .arg(&file)
        .stdin(OwnedFd::from(sockets.0))
        .stdout(OwnedFd::from(sockets.1))
        .stderr(Stdio::piped());
    Running(command.spawn().unwrap())
}

fn sockets() -> (TcpListener, UdpSocket, SocketAddr, SocketAddr) {
    let stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addrs = (stream.local_addr().unwrap(), datagram.local_addr().unwrap());
    (stream, datagram, addrs.0, addrs.1)
}

fn settings(broker: &str, tcp: SocketAddr, udp: SocketAddr, http: u16) -> String {
    format!(
        "broker.url = \"{broker}\"\nsyslog_server.http_addr = \"127.0.0.1:{http}\"\n\
         [[syslog_server.listener]]\nname = \"tcp\"\nprotocol = \"tcp\"\naddress = \"{tcp}\"\n\
         [[syslog_server.listener]]\nname = \"udp\"\nprotocol = \"udp\"\naddress = \"{udp}\"\n"
    )
}

#[tokio::test]
async fn sockets_are_taken_by_the_listeners_of_their_addresses() {
    let (vhost, dir) = (testkit::rabbitmq(), tempfile::tempdir().unwrap());
    let (stream, datagram, tcp, udp) = sockets();
    // What comes before the process is there waits in the sockets.
    TcpStream::connect(tcp)
        .unwrap()
        .write_all(b"<13>by tcp\n")
        .unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"<13>by udp", udp).unwrap();
    let http = free_port();
    let text = settings(vhost.url(), tcp, udp, http);
    let _running = start(dir.path(), &text, (stream, datagram));
    let addr = ([127, 0, 0, 1], http).into();
    eventually(PATIENCE, || async {
        let metrics = service::probe(addr, "/metrics").await.ok()?.body;
        metrics
            .contains("logferry_events_sent_total{stage=\"syslog-server\"} 2\n")
            .then_some(())
    })
    .await;
}

#[test]
fn a_socket_that_no_listener_wants_is_a_failed_start() {
    let dir = tempfile::tempdir().unwrap();
    let (stream, datagram, tcp, udp) = sockets();
    // The listener for datagrams binds another port for itself.
    let other = SocketAddr::new(udp.ip(), 0);
    let text = settings("amqp://127.0.0.1:1", tcp, other, 0);
    let mut running = start(dir.path(), &text, (stream, datagram));
    let stderr = running.0.stderr.take().unwrap();
    let told = std::io::read_to_string(stderr).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(1), "{told}");
    assert!(
        told.contains(&format!("a UDP socket on {udp} was handed over")),
        "{told}"
    );
}
