//! The picture as SVG, laid out from left to right by a fixed rule, and the words for its numbers. The table and the
//! stream of changes use the same words.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::{
    picture::{InRabbit, Kind, Level, Node, Picture, Rabbit},
    stages::DEAD_QUEUE,
};
use crate::number::grouped;

const COLUMNS: usize = 6;
const BOX_WIDTH: usize = 148;
const BOX_HEIGHT: usize = 62;
const STEP_X: usize = 176;
const STEP_Y: usize = 82;
const MARGIN: usize = 8;
const CURVE_WIDTH: f64 = 60.0;
const CURVE_HEIGHT: f64 = 16.0;
/// Characters of a problem that a box shows; the table shows all.
const PROBLEM_CHARS: usize = 21;

/// A text of the page that may change, and its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Text {
    pub(super) t: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) c: &'static str,
}

/// By the name in `data-f`.
pub(super) type Texts = BTreeMap<String, Text>;

/// All texts of the page that may change.
pub(super) fn texts(picture: &Picture) -> Texts {
    let mut texts = Texts::new();
    for node in &picture.nodes {
        let mut put = |field: &str, t: String, c: &'static str| {
            texts.insert(format!("{}/{field}", node.id), Text { t, c });
        };
        put("in", rate(node.in_s), "");
        put("out", rate(node.out_s), "");
        put("depth", depth(node), "");
        put("line", line(node), "");
        let level = node.level();
        put("sign", level.sign().to_owned(), level.class());
        put("short", cut(&state(node)), level.class());
        put("state", state(node), level.class());
    }
    let rescue = match &picture.rescue {
        None if !picture.has_rescue => "no rescue queue".to_owned(),
        None => "rescue unknown".to_owned(),
        Some(rescue) if rescue.n == 0 => "nothing in rescue".to_owned(),
        Some(rescue) => format!(
            "{} batches in rescue, the oldest {:.0} s",
            rescue.n, rescue.oldest_s
        ),
    };
    let dead = match picture.dead_letters {
        None => "dead letters unknown".to_owned(),
        Some(0) => "no dead letters".to_owned(),
        Some(1) => "1 dead letter".to_owned(),
        Some(n) => format!("{n} dead letters"),
    };
    rabbit(picture, &mut texts);
    let mut put = |field: &str, t: String| texts.insert(field.to_owned(), Text { t, c: "" });
    put("rescue", rescue);
    put("dead", dead);
    put("as-of", picture.as_of.strftime("%H:%M:%S UTC").to_string());
    texts
}

/// What RabbitMQ's management API tells, of itself and of queues.
fn rabbit(picture: &Picture, texts: &mut Texts) {
    let Some(rabbit) = &picture.rabbit else {
        return;
    };
    let mut put = |field: String, t: String, c: &'static str| texts.insert(field, Text { t, c });
    for node in picture.nodes.iter().filter(|node| node.kind == Kind::Queue) {
        let told = node.rabbit.clone().unwrap_or_default();
        for (field, value) in [
            ("publish", rate(told.publish_s)),
            ("deliver", rate(told.deliver_s)),
            ("ack", rate(told.ack_s)),
            ("unacked", told.unacked.map_or_else(unknown, grouped)),
            ("bytes", size(node.bytes)),
            ("members", members(&told)),
        ] {
            put(format!("{}/{field}", node.id), value, "");
        }
    }
    let (text, class) = match rabbit.worst() {
        Some(problem) => (
            format!("{} {}", problem.level.sign(), problem.text),
            problem.level.class(),
        ),
        None => (String::new(), ""),
    };
    put("RabbitMQ/state".to_owned(), text, class);
    let connections = rabbit.connections.map_or_else(unknown, grouped);
    put("RabbitMQ/connections".to_owned(), connections, "");
    let at = rabbit.as_of.map(|at| at.strftime("%H:%M:%S UTC").to_string());
    put("RabbitMQ/as-of".to_owned(), at.unwrap_or_else(unknown), "");
    for node in &rabbit.nodes {
        let (state, class) = match node.running {
            None => ("? unknown", "muted"),
            Some(true) => ("✓ running", "ok"),
            Some(false) => ("▲ down", "caution"),
        };
        put(format!("RabbitMQ:{}/sign", node.name), state.to_owned(), class);
        for (field, used, limit, alarm) in [
            (
                "memory",
                node.memory_bytes,
                node.memory_limit_bytes,
                node.memory_alarm,
            ),
            (
                "disk",
                node.disk_free_bytes,
                node.disk_free_limit_bytes,
                node.disk_alarm,
            ),
        ] {
            let alarm = match alarm {
                Some(true) => ", ✕ alarm",
                Some(false) => "",
                None => ", alarm unknown",
            };
            let text = format!("{} (limit {}){alarm}", size(used), size(limit));
            put(format!("RabbitMQ:{}/{field}", node.name), text, "");
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// "3 of 3 online, rabbit@a leads".
pub(super) fn members(told: &InRabbit) -> String {
    if told.members.is_empty() {
        return unknown();
    }
    let leader = told.leader.as_deref().unwrap_or("nobody");
    format!(
        "{} of {} online, {leader} leads",
        told.online.len(),
        told.members.len()
    )
}

/// At most four digits and a unit.
pub(super) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return unknown();
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is shown with one digit after the point"
    )]
    let bytes_float = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.0} KiB", bytes_float / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes_float / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes_float / 1_073_741_824.0),
    }
}

/// At most three digits that say something.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "unknown".to_owned(),
        Some(rate) if rate <= 0.0 => "0/s".to_owned(),
        Some(rate) if rate < 10.0 => format!("{rate:.1}/s"),
        Some(rate) if rate < 10_000.0 => format!("{rate:.0}/s"),
        Some(rate) if rate < 1_000_000.0 => format!("{:.1} k/s", rate / 1000.0),
        Some(rate) => format!("{:.2} M/s", rate / 1_000_000.0),
    }
}

fn depth(node: &Node) -> String {
    match (node.kind, node.depth) {
        (Kind::Stage | Kind::Store, _) => "–".to_owned(),
        (Kind::Queue, None) => "unknown".to_owned(),
        (Kind::Queue, Some(depth)) => match node.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => format!("{depth} ready · {}", size(Some(bytes))),
            None => format!("{depth} ready"),
        },
    }
}

/// The second line of a box.
fn line(node: &Node) -> String {
    match node.kind {
        Kind::Queue => depth(node),
        Kind::Store => rate(node.in_s),
        Kind::Stage => {
            let up = node.instances.iter().filter(|instance| instance.up).count();
            let out = rate(node.out_s);
            if up > 1 {
                format!("{out} · {up} procs")
            } else {
                out
            }
        }
    }
}

pub(super) fn state(node: &Node) -> String {
    match node.worst() {
        Some(problem) => match &problem.since {
            Some(since) => format!("{} since {}", problem.text, since.strftime("%m-%d %H:%M:%S UTC")),
            None => problem.text.clone(),
        },
        None => match node.kind {
            Kind::Store => String::new(),
            Kind::Stage | Kind::Queue => "ok".to_owned(),
        },
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PROBLEM_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

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

/// The picture in one sentence.
pub(super) fn summary(picture: &Picture) -> String {
    let of_rabbit = picture.rabbit.as_ref().and_then(Rabbit::worst);
    let of_rabbit = of_rabbit.filter(|problem| problem.level > Level::Unknown);
    let worst: Vec<_> = picture
        .nodes
        .iter()
        .filter(|node| node.level() > Level::Unknown)
        .map(|node| format!("{}: {}", node.name, state(node)))
        .chain(of_rabbit.map(|problem| format!("RabbitMQ: {}", problem.text)))
        .collect();
    if worst.is_empty() {
        let unknown = picture
            .nodes
            .iter()
            .filter(|node| node.level() == Level::Unknown)
            .count();
        return match unknown {
            0 => "All stages and queues are well.".to_owned(),
            n => format!("Nothing is wrong as far as it is known; {n} parts are unknown."),
        };
    }
    format!("{}.", worst.join("; "))
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
    fn rates_have_few_digits_and_unknown_is_a_word() {
        for (value, expected) in [
            (None, "unknown"),
            (Some(0.0), "0/s"),
            (Some(0.24), "0.2/s"),
            (Some(812.4), "812/s"),
            (Some(12_345.0), "12.3 k/s"),
            (Some(1_234_567.0), "1.23 M/s"),
        ] {
            assert_eq!(rate(value), expected);
        }
    }

    #[test]
    fn sizes_are_short_and_unknown_is_a_word() {
        for (bytes, expected) in [
            (None, "unknown"),
            (Some(0), "0 B"),
            (Some(1023), "1023 B"),
            (Some(300 << 10), "300 KiB"),
            (Some(3 << 19), "1.5 MiB"),
            (Some(16 << 30), "16.0 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

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
