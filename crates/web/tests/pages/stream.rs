//! An answer without an end, read as it comes.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::browser::{DEADLINE, Pages};

/// An open stream of events.
pub(crate) struct Stream {
    stream: TcpStream,
    head: String,
    /// As they came from the socket.
    bytes: Vec<u8>,
    /// Without the frames of the transfer.
    text: String,
}

impl Pages {
    pub(crate) async fn open(&self, path: &str) -> Stream {
        self.open_with(path, &[]).await
    }

    pub(crate) async fn open_with(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.addr);
        let mut stream = TcpStream::connect(self.addr).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut open = Stream {
            stream,
            head: String::new(),
            bytes: Vec::new(),
            text: String::new(),
        };
        while !open.has_head() {
            open.more().await;
        }
        open
    }
}

impl Stream {
    pub(crate) fn is_ok(&self) -> bool {
        self.head.contains(" 200 ")
    }

    /// Everything up to the end of the event that has `wanted`.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        loop {
            let found = self.text.find(wanted).and_then(|at| {
                let from = if wanted == "\n\n" { at } else { at + wanted.len() };
                self.text[from..].find("\n\n").map(|end| from + end + 2)
            });
            if let Some(end) = found {
                return self.text.drain(..end).collect();
            }
            self.more().await;
        }
    }

    /// Everything up to the end of `wanted`.
    pub(crate) async fn until_text(&mut self, wanted: &str) -> String {
        let mut searched = 0;
        loop {
            if let Some(at) = self.text[searched..].find(wanted) {
                return self.text.drain(..searched + at + wanted.len()).collect();
            }
            let seen = self.text.len().saturating_sub(wanted.len());
            searched = self.text.floor_char_boundary(seen);
            self.more().await;
        }
    }

    fn has_head(&mut self) -> bool {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
        self.head = String::from_utf8_lossy(&head).into_owned();
        self.unchunk();
        true
    }

    async fn more(&mut self) {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing more came after {:?}", self.text));
        assert!(read.expect("reads") > 0, "it ended after {:?}", self.text);
        if !self.head.is_empty() {
            self.unchunk();
        }
    }

    fn unchunk(&mut self) {
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.bytes[..end]).expect("is a number");
            let size = usize::from_str_radix(size, 16).expect("is a number");
            let (from, to) = (end + 2, end + 2 + size);
            if self.bytes.len() < to + 2 {
                return;
            }
            self.text
                .push_str(std::str::from_utf8(&self.bytes[from..to]).expect("pieces are whole"));
            self.bytes.drain(..to + 2);
        }
    }
}
