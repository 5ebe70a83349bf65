//! A trend in the height of a line: a bar for each count, as an SVG that stands in the page.

use std::fmt::Write as _;

const BAR_WIDTH: usize = 4;
const BAR_HEIGHT: u64 = 16;

/// The bars of `counts`; the largest has the full height. Empty where there are none.
pub(crate) fn spark(counts: &[u64]) -> String {
    if counts.iter().all(|count| *count == 0) {
        return String::new();
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut svg = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {} {BAR_HEIGHT}\" aria-hidden=\"true\">",
        counts.len() * BAR_WIDTH
    );
    for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count * BAR_HEIGHT).div_ceil(most);
        write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"3\" height=\"{height}\"/>",
            place * BAR_WIDTH,
            BAR_HEIGHT - height
        )
        .expect("a string takes all text");
    }
    svg.push_str("</svg>");
    svg
}
