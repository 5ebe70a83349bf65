//! The picture as SVG, laid out from left to right by a fixed rule.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    links::Links,
    picture::{Kind, Level, Node, Picture},
    stages::DEAD_QUEUE,
    words::{Texts, summary, texts},
};

const COLUMNS: usize = 6;
const BOX_WIDTH: usize = 156;
const BOX_HEIGHT: usize = 86;
const STEP_X: usize = 184;
const STEP_Y: usize = 102;
const MARGIN: usize = 8;
/// From step to step of a trend, which is as wide as a box with thirty of them.
const CURVE_STEP: usize = 5;
const CURVE_HEIGHT: f64 = 14.0;

/// The whole picture.
pub(super) fn svg(picture: &Picture, links: &Links) -> String {
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
        draw(&mut svg, node, &texts, links, (left(column), top(row)));
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

fn draw(svg: &mut String, node: &Node, texts: &Texts, links: &Links, (x, y): (usize, usize)) {
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes all text");
    let level = node.level().class();
    let key = format!("{}/box", node.id);
    let class = texts.get(&key).map_or("", |text| &text.t);
    put(format_args!(
        "<a href=\"{}\"><g class=\"{class}\" data-f=\"{}\" transform=\"translate({x} {y})\"><rect width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"4\"/><text x=\"8\" y=\"17\" class=\"name\">{}</text>",
        escape(&links.open(&node.id)),
        escape(&key),
        escape(&node.name)
    ));
    for (field, y) in [("line", 33), ("extra", 48), ("short", 63)] {
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
    let key = format!("{}/curve", node.id);
    let path = texts.get(&key).map_or("", |text| &text.t);
    put(format_args!(
        "<path class=\"curve\" transform=\"translate(6 66)\" data-f=\"{}\" d=\"{path}\"/>",
        escape(&key)
    ));
    put(format_args!("</g></a>"));
}

/// A trend as a path, with a gap where it is not known.
pub(super) fn curve(curve: &[Option<f64>]) -> String {
    let most = curve.iter().flatten().copied().fold(0.0, f64::max);
    let mut path = String::new();
    let mut is_on = false;
    for (place, value) in curve.iter().enumerate() {
        if let Some(value) = value {
            let share = if most > 0.0 { value / most } else { 0.0 };
            let (pen, y) = (if is_on { 'L' } else { 'M' }, CURVE_HEIGHT * (1.0 - share));
            write!(path, "{pen}{} {y:.0}", place * CURVE_STEP).expect("a string takes all text");
        }
        is_on = value.is_some();
    }
    path
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_gaps_where_nothing_is_known() {
        assert_eq!(curve(&[None, None]), "");
        assert_eq!(curve(&[Some(0.0), Some(0.0)]), "M0 14L5 14");
        assert_eq!(
            curve(&[Some(0.0), Some(1.0), None, Some(2.0), Some(1.0)]),
            "M0 14L5 7M15 0L20 7"
        );
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
