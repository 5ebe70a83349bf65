//! The web pages.

use crate::{model::WebSettings, section::Section};

pub(super) fn web(section: &Section<'_>) -> WebSettings {
    WebSettings {
        address: section.address("address"),
        public_url: public_url(section),
        connections_max: section.number("connections_max"),
        search_budget: section.duration("search_budget"),
        tails_max: section.number("tails_max"),
        session_age_max: section.duration("session_age_max"),
    }
}

/// Scheme and authority only: paths of the pages begin at the root.
fn public_url(section: &Section<'_>) -> Option<String> {
    let url = section.opt_text("public_url")?;
    let trimmed = url.strip_suffix('/').unwrap_or(&url);
    let authority = trimmed
        .strip_prefix("https://")
        .or_else(|| trimmed.strip_prefix("http://"));
    let is_authority = |text: &str| {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        !text.is_empty() && text.chars().all(is_fine)
    };
    if authority.is_some_and(is_authority) {
        return Some(trimmed.to_owned());
    }
    section.problem(
        "public_url",
        "must be a scheme and a name, without a path: such as \"https://logs.example.net\"",
    );
    None
}
