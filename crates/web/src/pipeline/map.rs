//! The picture as SVG, laid out from left to right by a fixed rule.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    picture::{Kind, Level, Node, Picture},
    stages::DEAD_QUEUE,
    words::{Texts, summary, texts},
};

const COLUMNS: usize = 6;
const BOX_WIDTH: usize = 148;
const BOX_HEIGHT: usize = 62;
const STEP_X: usize = 176;
const STEP_Y: usize = 82;
const MARGIN: usize = 8;
const CURVE_WIDTH: f64 = 60.0;
const CURVE_HEIGHT: f64 = 16.0;

/// The whole picture.
pub(super) fn svg(picture: &Picture) -> String {
    let places = places(picture);
    let rows = places.values().map(|(_, row)| row + 1).max().unwrap_or(1);
    let (width, height) = (
        MARGIN * 2 + STEP_X * (COLUMNS - 1) + BOX_WIDTH,
        MARGIN * 2 + STEP_Y * (rows - 1) + BOX_HEIGHT,
    );
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{}\">",
        escape(&summary(picture))
    );
    for edge in &picture.edges {
        let (Some(from), Some(to)) = (places.get(&*edge.from), places.get(&*edge.to)) else {
            continue;
        };
        let (x1, y1) = (left(from.0) + BOX_WIDTH, top(from.1) + BOX_HEIGHT / 2);
        let (x2, y2) = (left(to.0), top(to.1) + BOX_HEIGHT / 2);
        let middle = x1.midpoint(x2);
        write!(
            svg,
            "<path class=\"edge\" d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {} {y2}\"/><path class=\"tip\" d=\"M{x2} {y2}l-7 -4v8z\"/>",
            x2 - 6
        )
        .expect("a string takes all text");
    }
    let texts = texts(picture);
    // In the order of the flow, so that the keyboard follows it.
    let mut boxes: Vec<_> = picture
        .nodes
        .iter()
        .filter_map(|node| Some((*places.get(&*node.id)?, node)))
        .collect();
    boxes.sort_by_key(|(place, _)| *place);
    for ((column, row), node) in boxes {
        draw(&mut svg, node, &texts, left(column), top(row));
    }
    svg.push_str("</svg>");
    svg
}

/// Column and row of each box. Dead letters are beside the flow.
fn places(picture: &Picture) -> BTreeMap<&str, (usize, usize)> {
    let mut used = [0; COLUMNS];
    let mut places = BTreeMap::new();
    for node in &picture.nodes {
        if node.kind == Kind::Queue && node.name == DEAD_QUEUE {
            continue;
        }
        let Some(row) = used.get_mut(node.column) else {
            continue;
        };
        places.insert(&*node.id, (node.column, *row));
        *row += 1;
    }
    places
}

const fn left(column: usize) -> usize {
    MARGIN + column * STEP_X
}

const fn top(row: usize) -> usize {
    MARGIN + row * STEP_Y
}

fn draw(svg: &mut String, node: &Node, texts: &Texts, x: usize, y: usize) {
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes all text");
    let kind = match node.kind {
        Kind::Stage => "stage",
        Kind::Queue => "queue",
        Kind::Store => "store",
    };
    let hollow = if node.is_hollow { " hollow" } else { "" };
    let level = node.level().class();
    put(format_args!(
        "<a href=\"{}\"><g class=\"node {kind}{hollow} {level}\" transform=\"translate({x} {y})\"><rect width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"4\"/><text x=\"8\" y=\"17\" class=\"name\">{}</text>",
        escape(&href(node)),
        escape(&node.name)
    ));
    for (field, y) in [("line", 34), ("short", 51)] {
        let key = format!("{}/{field}", node.id);
        if let Some(text) = texts.get(&key) {
            put(format_args!(
                "<text x=\"8\" y=\"{y}\" class=\"{}\" data-f=\"{}\">{}</text>",
                text.c,
                escape(&key),
                escape(&text.t)
            ));
        }
    }
    if node.level() != Level::Ok || node.kind != Kind::Store {
        let key = format!("{}/sign", node.id);
        put(format_args!(
            "<text x=\"{}\" y=\"17\" text-anchor=\"end\" class=\"{level}\" data-f=\"{}\">{}</text>",
            BOX_WIDTH - 8,
            escape(&key),
            node.level().sign()
        ));
    }
    if let Some(points) = curve(&node.curve) {
        put(format_args!(
            "<polyline class=\"curve\" transform=\"translate({} 22)\" points=\"{points}\"/>",
            BOX_WIDTH - 68
        ));
    }
    put(format_args!("</g></a>"));
}

/// The page with this box open.
pub(super) fn href(node: &Node) -> String {
    let open = form_urlencoded::Serializer::new(String::new())
        .append_pair("open", &node.id)
        .finish();
    format!("/pipeline?{open}#panel")
}

/// Points of the last five minutes, as far as they are known.
fn curve(rates: &[f64]) -> Option<String> {
    let most = rates.iter().copied().fold(0.0, f64::max);
    if rates.len() < 3 || most <= 0.0 {
        return None;
    }
    let mut points = String::new();
    #[expect(clippy::cast_precision_loss, reason = "sixty points")]
    let step = CURVE_WIDTH / (rates.len() - 1) as f64;
    let mut x = 0.0;
    for rate in rates {
        let y = CURVE_HEIGHT * (1.0 - rate / most);
        write!(points, "{x:.1},{y:.1} ").expect("a string takes all text");
        x += step;
    }
    Some(points)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_needs_points() {
        assert_eq!(curve(&[1.0, 2.0]), None);
        assert_eq!(curve(&[0.0, 0.0, 0.0]), None);
        assert_eq!(
            curve(&[0.0, 1.0, 2.0]).as_deref(),
            Some("0.0,16.0 30.0,8.0 60.0,0.0 ")
        );
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
