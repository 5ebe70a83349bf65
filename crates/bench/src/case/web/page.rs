//! Pages and files by HTTP, as little of it as is needed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Pages that name all modules.
const PAGES: [&str; 5] = ["/search", "/tail", "/pipeline", "/dead-letters", "/sources"];

/// Our modules.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) bytes: u64,
    pub(super) modules: BTreeSet<String>,
}

/// All modules that the pages load, and those that these load; not the library for charts.
pub(super) async fn scripts(web: SocketAddr) -> anyhow::Result<Scripts> {
    let mut modules = BTreeSet::new();
    for path in PAGES {
        let page = get(web, path).await?;
        modules.extend(between(&page, "src=\"/assets/", "\""));
    }
    modules.retain(|name| !name.contains('/'));
    let (mut bytes, mut unread) = (0, modules.clone());
    while let Some(name) = unread.pop_first() {
        let text = get(web, &format!("/assets/{name}")).await?;
        bytes += text.len() as u64;
        for import in between(&text, "from \"./", "\"") {
            if modules.insert(import.clone()) {
                unread.insert(import);
            }
        }
    }
    ensure!(
        modules.len() > 3,
        "the pages name their modules otherwise: {modules:?}"
    );
    Ok(Scripts { bytes, modules })
}

/// What stands between two texts, wherever they stand.
fn between(text: &str, before: &str, behind: &str) -> Vec<String> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(behind)?.0.to_owned()))
        .collect()
}

/// The body of an answer; of a page that comes in pieces with their lengths between them.
async fn get(web: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(web).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("an answer has a head")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_between_others() {
        let text = r#"<script src="/assets/core.js"></script><script src="/assets/uplot/u.js" defer>"#;
        assert_eq!(between(text, "src=\"/assets/", "\""), ["core.js", "uplot/u.js"]);
        assert!(between("from \"./a", "from \"./", "\"").is_empty());
    }
}
