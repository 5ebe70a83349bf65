//! Servers that answer what RabbitMQ does not.

use settings::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const PATIENCE: Duration = Duration::from_millis(500);

fn settings(url: &str) -> AmqpSettings {
    AmqpSettings {
        url: Secret::new("amqp://me:broker%2Fpass@127.0.0.1/v".to_owned()),
        tls_ca_file: None,
        management_url: Some(Secret::new(url.to_owned())),
        connect_timeout: PATIENCE,
        heartbeat: Duration::from_secs(10),
        reconnect_backoff_max: Duration::from_secs(1),
        confirm_timeout: Duration::from_secs(30),
        queue_bytes_max: 1 << 30,
        delivery_limit: 20,
    }
}

fn client(url: &str) -> Result<Client, ConnectError> {
    let settings = settings(url);
    Client::new(url, &crate::amqp::user(&settings).unwrap(), &settings)
}

/// Answers each connection with the same bytes, then goes on without an end where `for_ever` is something. What was
/// asked comes out first.
async fn answering(
    answer: Vec<u8>,
    for_ever: &'static [u8],
) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard_in, heard) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            heard_in.try_send(head).unwrap();
            if stream.write_all(&answer).await.is_err() {
                continue;
            }
            while !for_ever.is_empty() && stream.write_all(for_ever).await.is_ok() {}
        }
    });
    (format!("127.0.0.1:{port}"), heard)
}

fn json(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn the_password_is_the_brokers_unless_the_address_has_its_own() {
    let (host, mut heard) = answering(json("200 OK", "{}"), b"").await;
    for (url, user) in [
        (format!("http://{host}/prefix/"), "me:broker/pass"),
        (format!("http://you:own%40@{host}/prefix"), "you:own@"),
    ] {
        client(&url).unwrap().get("/api/nodes").await.unwrap();
        let head = heard.recv().await.unwrap();
        assert!(head.starts_with("GET /prefix/api/nodes HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        let credentials = format!("authorization: Basic {}\r\n", STANDARD.encode(user));
        assert!(head.contains(&credentials), "{head}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let reason = format!("Not monitor user\u{7}{}", "x".repeat(1000));
    let body = serde_json::json!({ "error": "not_authorised", "reason": reason }).to_string();
    let (host, _heard) = answering(json("401 Unauthorized", &body), b"").await;
    let told = client(&format!("http://{host}")).unwrap().get("/api/nodes").await;
    let told = told.unwrap_err().to_string();
    assert!(
        told.starts_with(&format!(
            "the management API at {host} answered 401: Not monitor userxxx"
        )),
        "{told}"
    );
    assert!(
        told.len() < 400 && told.ends_with("for the queues alone)"),
        "{told}"
    );
    // A redirect would take the password elsewhere.
    let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (host, _heard) = answering(moved.to_vec(), b"").await;
    let told = client(&format!("http://{host}"))
        .unwrap()
        .get("/")
        .await
        .unwrap_err();
    assert!(
        matches!(told, ManagementError::Refused { status: 302, .. }),
        "{told}"
    );
}

#[tokio::test]
async fn garbage_is_told_as_such() {
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let nested = json("200 OK", &"[".repeat(100_000));
    for (answer, for_ever) in [
        (b"AMQP\x00\x00\x09\x01".to_vec(), &b""[..]),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Header: without an end\r\n"),
        (endless, b"8\r\n[[[[[[[[\r\n"),
        (nested, b""),
        (json("200 OK", "<html>a proxy's page</html>"), b""),
        (json("200 OK", "\u{feff}"), b""),
    ] {
        let (host, _heard) = answering(answer, for_ever).await;
        let mut client = client(&format!("http://{host}")).unwrap();
        Arc::get_mut(&mut client.0).unwrap().timeout = Duration::from_secs(60);
        let told = client.get("/api/nodes").await.unwrap_err();
        assert!(matches!(told, ManagementError::Garbage { .. }), "{told:?}");
    }
}

#[tokio::test]
async fn silence_ends_in_time_and_the_next_host_is_tried() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_host = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    let told = client(&format!("http://{silent_host}")).unwrap().get("/").await;
    assert!(
        matches!(told, Err(ManagementError::TimedOut { after: PATIENCE, .. })),
        "{told:?}"
    );

    let refusing = format!("127.0.0.1:{}", testkit::free_port());
    let told = client(&format!("http://{refusing}")).unwrap().get("/").await;
    assert!(matches!(told, Err(ManagementError::Away { .. })), "{told:?}");
    let (host, _heard) = answering(json("200 OK", "[]"), b"").await;
    let told = client(&format!("http://{refusing},{host}"))
        .unwrap()
        .get("/")
        .await;
    assert_eq!(told, Ok(serde_json::json!([])));
}

#[test]
fn addresses_that_are_none_are_refused_without_being_shown() {
    for url in [
        "http://",
        "http://me:hunter2@",
        "http://me:hunter2@h,",
        "http://me:hunter2@h:99999",
        "http://me:hunter2@[::1",
        "http://me:hunter2@h/?a=b",
        "h",
    ] {
        let told = client(url).unwrap_err().to_string();
        assert!(
            told.starts_with("broker.management_url cannot be used") && !told.contains("hunter2"),
            "{told}"
        );
    }
    let client = client("http://me:hunter2@[::1]:15672,h").unwrap();
    assert_eq!(client.address(), "the management API at ::1:15672 or h:80");
    assert!(!format!("{client:?}").contains("hunter2"));
}
