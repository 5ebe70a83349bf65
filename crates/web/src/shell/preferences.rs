//! How somebody likes the pages: in a cookie, so that the first byte of a page has it.

use axum::{
    Form,
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect},
};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::{cookie, problem::Problem, shell::local_path};

const COOKIE: &str = "lf_prefs";
const COOKIE_AGE_S: u32 = 366 * 86_400;

pub(crate) const THEMES: [&str; 3] = ["auto", "light", "dark"];
/// Percent of the size that the browser has for texts.
pub(crate) const TEXT_SIZES: [&str; 5] = ["90", "100", "110", "125", "150"];
pub(crate) const DENSITIES: [&str; 3] = ["normal", "compact", "touch"];

/// What is in the cookie, and what holds where there is none.
#[derive(Debug, Clone)]
pub(crate) struct Preferences {
    pub(crate) theme: &'static str,
    pub(crate) density: &'static str,
    pub(crate) text_size: &'static str,
    /// The zone of times on the pages.
    pub(crate) zone: TimeZone,
    pub(crate) zone_name: String,
    /// Whether single keys are shortcuts.
    pub(crate) has_keys: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            theme: "auto",
            density: "normal",
            text_size: "100",
            zone: TimeZone::UTC,
            zone_name: "UTC".to_owned(),
            has_keys: true,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    theme: Option<String>,
    density: Option<String>,
    text: Option<String>,
    zone: Option<String>,
    keys: Option<String>,
    back: Option<String>,
}

impl Preferences {
    /// Those of a request. What the cookie has that we do not know is passed over.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        let cookie = cookie::get(headers, COOKIE).unwrap_or_default();
        for (name, value) in form_urlencoded::parse(cookie.as_bytes()) {
            match &*name {
                "theme" => preferences.theme = one_of(&THEMES, &value).unwrap_or(preferences.theme),
                "density" => preferences.density = one_of(&DENSITIES, &value).unwrap_or(preferences.density),
                "text" => {
                    preferences.text_size = one_of(&TEXT_SIZES, &value).unwrap_or(preferences.text_size)
                }
                "zone" => {
                    if let Ok(zone) = TimeZone::get(&value) {
                        preferences.zone = zone;
                        preferences.zone_name = value.into_owned();
                    }
                }
                "keys" => preferences.has_keys = value != "off",
                _ => {}
            }
        }
        preferences
    }

    fn to_cookie(&self) -> String {
        let value = form_urlencoded::Serializer::new(String::new())
            .append_pair("theme", self.theme)
            .append_pair("density", self.density)
            .append_pair("text", self.text_size)
            .append_pair("zone", &self.zone_name)
            .append_pair("keys", if self.has_keys { "on" } else { "off" })
            .finish();
        format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_AGE_S}; SameSite=Lax; HttpOnly")
    }
}

fn one_of(known: &[&'static str], text: &str) -> Option<&'static str> {
    known.iter().find(|word| **word == text).copied()
}

/// `POST /preferences`.
pub(super) async fn set(Form(wanted): Form<Wanted>) -> Result<impl IntoResponse, Problem> {
    let mut preferences = Preferences::default();
    let theme = wanted.theme.as_deref().and_then(|text| one_of(&THEMES, text));
    let density = wanted
        .density
        .as_deref()
        .and_then(|text| one_of(&DENSITIES, text));
    preferences.theme = theme.unwrap_or(preferences.theme);
    preferences.density = density.unwrap_or(preferences.density);
    let text_size = wanted.text.as_deref().and_then(|text| one_of(&TEXT_SIZES, text));
    preferences.text_size = text_size.unwrap_or(preferences.text_size);
    preferences.has_keys = wanted.keys.as_deref() != Some("off");
    if let Some(name) = wanted
        .zone
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        preferences.zone = TimeZone::get(name).map_err(|_unknown| {
            Problem::bad_request(
                "bad_zone",
                format!("{name} is not a time zone: write its IANA name, such as UTC or Europe/Berlin."),
            )
        })?;
        name.clone_into(&mut preferences.zone_name);
    }
    let back = local_path(wanted.back.as_deref().unwrap_or("/")).to_owned();
    Ok((
        [(header::SET_COOKIE, preferences.to_cookie())],
        Redirect::to(&back),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_written_and_nonsense_is_not() {
        let preferences = Preferences {
            theme: "dark",
            density: "compact",
            text_size: "125",
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            zone_name: "Europe/Berlin".to_owned(),
            has_keys: false,
        };
        let cookie = preferences.to_cookie();
        let (pair, _) = cookie.split_once(';').unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, pair.parse().unwrap());
        let read = Preferences::of(&headers);
        assert_eq!(
            (
                read.theme,
                read.density,
                read.text_size,
                &*read.zone_name,
                read.has_keys
            ),
            ("dark", "compact", "125", "Europe/Berlin", false)
        );
        headers.insert(
            header::COOKIE,
            "lf_prefs=theme=\"><script>&zone=../../etc".parse().unwrap(),
        );
        let read = Preferences::of(&headers);
        assert_eq!((read.theme, &*read.zone_name), ("auto", "UTC"));
    }
}
