use std::time::Instant;

use super::*;

const SOON: Duration = Duration::from_secs(60);

/// An echo server behind a proxy, and a client that goes through it.
struct Scene {
    proxy: Proxy,
    _echo: JoinHandle<()>,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let echo = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // The client may break off at any time.
                    tokio::io::copy(&mut read, &mut write).await.ok();
                    write.shutdown().await.ok();
                });
            }
        });
        Self {
            proxy: Proxy::start(addr).await.unwrap(),
            _echo: echo,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.addr()).await.unwrap()
    }
}

async fn echo(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut answer)).await.unwrap()?;
    assert_eq!(answer, text.as_bytes());
    Ok(())
}

#[tokio::test]
async fn a_clear_line_carries_both_ways_and_both_ends() {
    let scene = Scene::new().await;
    let mut stream = scene.connect().await;
    let text = "x".repeat(100_000);
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let (sent, got) = tokio::join!(
        async {
            write.write_all(text.as_bytes()).await?;
            write.shutdown().await
        },
        timeout(SOON, read.read_to_end(&mut answer))
    );
    sent.unwrap();
    got.unwrap().unwrap();
    assert!(answer == text.as_bytes());
}

#[tokio::test]
async fn a_cut_ends_the_stream_and_a_new_one_works() {
    let scene = Scene::new().await;
    let mut stream = scene.connect().await;
    echo(&mut stream, "before").await.unwrap();
    scene.proxy.cut();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    echo(&mut scene.connect().await, "after").await.unwrap();
}

#[tokio::test]
async fn a_reset_tears_what_is_carried() {
    let scene = Scene::new().await;
    let mut stream = scene.connect().await;
    echo(&mut stream, "before").await.unwrap();
    scene.proxy.reset();
    let mut answer = Vec::new();
    // The connection may be gone before all is written.
    stream.write_all(b"torn in the middle").await.ok();
    let read = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(answer.len() < b"torn in the middle".len());
    echo(&mut scene.connect().await, "after").await.unwrap();
}

#[tokio::test]
async fn half_open_is_silent_until_it_is_over() {
    let scene = Scene::new().await;
    let mut stream = scene.connect().await;
    echo(&mut stream, "before").await.unwrap();
    scene.proxy.set(Condition::HalfOpen);
    stream.write_all(b"into the dark").await.unwrap();
    let silence = timeout(Duration::from_millis(100), stream.read(&mut [0; 8])).await;
    assert!(silence.is_err(), "{silence:?}");
    scene.proxy.set(Condition::Clear);
    let read = timeout(SOON, stream.read(&mut [0; 8])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    echo(&mut scene.connect().await, "after").await.unwrap();
}

#[tokio::test]
async fn slow_and_late_lines_carry_everything() {
    let scene = Scene::new().await;
    let mut stream = scene.connect().await;
    let delay = Duration::from_millis(50);
    for condition in [Condition::Delay(delay), Condition::Slow(2000)] {
        scene.proxy.set(condition);
        let begun = Instant::now();
        echo(&mut stream, &"x".repeat(150)).await.unwrap();
        // There and back; the load of the machine only adds to it.
        assert!(begun.elapsed() >= delay * 2, "{condition:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_reset() {
    let scene = Scene::new().await;
    scene.proxy.set(Condition::Refuse);
    let mut stream = scene.connect().await;
    let read = timeout(SOON, stream.read(&mut [0; 8])).await.unwrap();
    assert!(read.is_err());
    scene.proxy.set(Condition::Clear);
    echo(&mut scene.connect().await, "after").await.unwrap();
}
