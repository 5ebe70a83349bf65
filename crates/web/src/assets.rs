//! Files of the pages that are the same for everybody, from this binary.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest as _, Sha256};

use crate::{problem::Problem, state::State};

struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $kind:expr) => {
        Asset {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!("../assets/", $path)),
        }
    };
}

const ASSETS: &[Asset] = &[
    asset!("app.css", CSS),
    asset!("icon.svg", "image/svg+xml"),
    asset!("core.js", JS),
    asset!("search.js", JS),
    asset!("rows.js", JS),
    asset!("minimap.js", JS),
    asset!("chart.js", JS),
    asset!("suggest.js", JS),
    asset!("tail.js", JS),
    asset!("pipeline.js", JS),
    asset!("dead.js", JS),
    asset!("sources.js", JS),
    asset!("session.js", JS),
    // Of its npm package, as it is.
    asset!("uplot/uPlot.iife.min.js", JS),
    asset!("uplot/uPlot.min.css", CSS),
    asset!("uplot/LICENSE", "text/plain; charset=utf-8"),
];

/// What a browser keeps a file by; in the order of [`ASSETS`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| ASSETS.iter().map(|asset| tag(asset.bytes)).collect());

fn tag(bytes: &[u8]) -> String {
    let mut tag = "\"".to_owned();
    for byte in Sha256::digest(bytes).iter().take(12) {
        write!(tag, "{byte:02x}").expect("a string takes all text");
    }
    tag.push('"');
    tag
}

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/assets/{*path}", get(file))
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = ASSETS
        .iter()
        .zip(TAGS.iter())
        .find(|(asset, _)| asset.path == path);
    let (asset, tag) = found.ok_or_else(|| Problem::not_found("There is no such file."))?;
    // Asked for again each time, and answered without the bytes: modules name each other without a version.
    let common = [(header::CACHE_CONTROL, "no-cache"), (header::ETAG, tag.as_str())];
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.split(',').any(|known| known.trim() == tag));
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(is_ours: impl Fn(&Asset) -> bool) -> usize {
        ASSETS
            .iter()
            .filter(|asset| is_ours(asset))
            .map(|asset| asset.bytes.len())
            .sum()
    }

    #[test]
    fn what_browsers_load_stays_small() {
        let js = bytes(|asset| asset.kind == JS && !asset.path.starts_with("uplot/"));
        assert!(js <= 92 * 1024, "JavaScript of ours has {js} bytes");
        let dead = bytes(|asset| asset.path == "dead.js");
        assert!(dead <= 8 * 1024, "dead.js has {dead} bytes");
        let css = bytes(|asset| asset.path == "app.css");
        assert!(css <= 24 * 1024, "app.css has {css} bytes");
    }
}
