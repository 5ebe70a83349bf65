//! Cookies of a request.

use axum::http::{HeaderMap, header};

/// The value of the cookie `name`.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_names_only() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "xlf=1; lf=2".parse().unwrap());
        headers.append(header::COOKIE, "lf_prefs=theme=dark".parse().unwrap());
        assert_eq!(get(&headers, "lf"), Some("2"));
        assert_eq!(get(&headers, "lf_prefs"), Some("theme=dark"));
        assert_eq!(get(&headers, "prefs"), None);
    }
}
