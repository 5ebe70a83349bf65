//! Addresses with passwords, wherever the parts of them stand: in `url`, in a file, or apart from each other.

use crate::{secret::Secret, section::Section};

/// The address of `url` or `url_file`, with the password of `password` or `password_file` in it; `None` for a word such
/// as `embedded`.
pub(super) fn url(section: &Section<'_>) -> Option<Secret> {
    let (key, url) = plain_or_in_file(section, "url", "url_file");
    let password_key = stronger(section, "password", "password_file");
    if !section.is_set(password_key) {
        return url;
    }
    let (of_url, of_password) = (strength(section, key), strength(section, password_key));
    let Some(url) = url else {
        if of_password >= of_url && section.is_good(key) {
            section.problem(password_key, "has no effect without an address in `url`");
        }
        return None;
    };
    let parts = Parts::of(url.expose());
    if parts.has_password() && of_url > of_password {
        return Some(url);
    }
    // Read last: a file that does not count need not be there.
    let password = section.secret(password_key)?;
    if parts.has_password() && of_url == of_password {
        section.problem(
            password_key,
            format!("stands beside a password in `{key}`: give one of the two"),
        );
    } else if parts.user.is_empty() && !parts.scheme.starts_with("redis") {
        section.problem(
            password_key,
            format!("needs a user in `{key}`, such as {}://logferry@…", parts.scheme),
        );
    }
    Some(Secret::new(parts.with_password(password.expose())))
}

/// The address of RabbitMQ's management API, beside the broker's own. The password of that never goes out in plain text
/// where the broker's connection is encrypted.
pub(super) fn management_url(section: &Section<'_>, broker: Option<&Secret>) -> Option<Secret> {
    let Some(broker) = broker else {
        let key = stronger(section, "management_url", "management_url_file");
        let of_url = strength(section, "url").max(strength(section, "url_file"));
        let is_meant = section.is_set(key) && strength(section, key) >= of_url;
        let is_off = key == "management_url" && section.url(key).is_none();
        if is_meant && !is_off && section.is_good("url") && section.is_good("url_file") {
            section.problem(key, "has an effect with RabbitMQ only: give its address in `url`");
        }
        return None;
    };
    let (key, url) = plain_or_in_file(section, "management_url", "management_url_file");
    let url = url?;
    let parts = Parts::of(url.expose());
    if !parts.user.is_empty() && !parts.has_password() {
        section.problem(
            key,
            "has a user without a password: write both, or none for those of `url`",
        );
    }
    let borrows_password = parts.user.is_empty() && Parts::of(broker.expose()).scheme == "amqps";
    if borrows_password && parts.scheme == "http" && !parts.is_loopback() {
        section.problem(
            key,
            "would send the password of `url` without TLS: begin it with https://, or give it a user and password of its own",
        );
    }
    Some(url)
}

/// Which key counts, and the address that it gives.
fn plain_or_in_file<'a>(
    section: &Section<'_>,
    plain: &'a str,
    in_file: &'a str,
) -> (&'a str, Option<Secret>) {
    let key = stronger(section, plain, in_file);
    let url = if key == in_file {
        section.url_in_file(plain, in_file)
    } else {
        section.url(plain)
    };
    (key, url)
}

/// Which of the two ways to give one thing counts: the one from the stronger source.
fn stronger<'a>(section: &Section<'_>, plain: &'a str, in_file: &'a str) -> &'a str {
    let (of_plain, of_file) = (strength(section, plain), strength(section, in_file));
    if of_plain == of_file && section.is_set(in_file) {
        section.problem(in_file, format!("stands beside `{plain}`: give one of the two"));
    }
    if of_file > of_plain { in_file } else { plain }
}

fn strength(section: &Section<'_>, key: &str) -> u8 {
    if section.is_set(key) {
        section.place(key).strength()
    } else {
        0
    }
}

/// An address, cut where a password goes.
struct Parts<'a> {
    scheme: &'a str,
    /// With a password after a colon, perhaps.
    user: &'a str,
    /// Hosts and all that follows.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, after) = url.split_once("://").unwrap_or(("", url));
        let (authority, _) = after.split_once(['/', '?', '#']).unwrap_or((after, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let tail = after.strip_prefix(authority).unwrap_or_default();
        let rest_bytes = hosts.len() + tail.len();
        let (_, rest) = after.split_at(after.len() - rest_bytes);
        Self { scheme, user, rest }
    }

    fn has_password(&self) -> bool {
        self.user.contains(':')
    }

    /// Whether all its hosts are this machine.
    fn is_loopback(&self) -> bool {
        let (hosts, _) = self.rest.split_once(['/', '?', '#']).unwrap_or((self.rest, ""));
        hosts.split(',').all(|host| {
            let host = match host.strip_prefix('[') {
                Some(host) => host.split(']').next().unwrap_or_default(),
                None => host.split(':').next().unwrap_or_default(),
            };
            let address = host.parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    fn with_password(&self, password: &str) -> String {
        let (user, _) = self.user.split_once(':').unwrap_or((self.user, ""));
        format!("{}://{user}:{}@{}", self.scheme, escaped(password), self.rest)
    }
}

/// Everything but what RFC 3986 reserves for nothing, as `%XX`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_go_where_they_belong() {
        for (url, password, expected) in [
            ("amqp://me@rabbit/logs", "a", "amqp://me:a@rabbit/logs"),
            (
                "amqp://me@r1:5672,r2,[::1]:3/%2f?heartbeat=5",
                "p@ss:w/rd %",
                "amqp://me:p%40ss%3Aw%2Frd%20%25@r1:5672,r2,[::1]:3/%2f?heartbeat=5",
            ),
            ("redis://host", "ä", "redis://:%C3%A4@host"),
            (
                "postgresql://me:old@h?a=b@c",
                "new",
                "postgresql://me:new@h?a=b@c",
            ),
        ] {
            assert_eq!(Parts::of(url).with_password(password), expected);
        }
    }
}
