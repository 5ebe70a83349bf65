//! What was probably meant by a name that is not known.

use crate::keys;

/// What to say about an unknown `name` below the section at `parent`.
pub(crate) fn unknown(parent: &str, name: &str) -> String {
    let siblings = keys::names(parent);
    if let Some(near) = nearest(name, siblings.iter().copied()) {
        return format!("is not a setting: did you mean `{near}`?");
    }
    let elsewhere: Vec<_> = keys::SECTIONS
        .iter()
        .filter(|section| section.keys.iter().any(|key| key.name == name))
        .map(|section| format!("[{}]", section.path.replace("[]", "")))
        .collect();
    if elsewhere.is_empty() {
        format!("is not a setting: here are {}", siblings.join(", "))
    } else {
        format!("is not a setting here: it belongs in {}", elsewhere.join(" or "))
    }
}

/// What to say about an unknown environment variable.
pub(crate) fn unknown_variable(name: &str) -> String {
    let known: Vec<String> = keys::SECTIONS
        .iter()
        .filter(|section| !section.path.contains("[]"))
        .flat_map(|section| {
            section
                .keys
                .iter()
                .map(|key| variable(&keys::join(section.path, key.name)))
        })
        .collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("is not a setting: did you mean {near}?"),
        None => "is not a setting: a variable is LOGFERRY_ and the key, with two underscores for each dot, such as LOGFERRY_BROKER__URL".to_owned(),
    }
}

/// The environment variable of a key.
pub(crate) fn variable(path: &str) -> String {
    format!("LOGFERRY_{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The candidate that is a few slips of the finger away, if any is.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are no misspelling of anything, and comparing them takes quadratic time.
    const NAME_BYTES_MAX: usize = 200;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let slips_max = 1 + name.len() / 5;
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_was_meant() {
        for (parent, name, says) in [
            ("broker", "ulr", "did you mean `url`?"),
            ("broker", "heart_beat", "did you mean `heartbeat`?"),
            ("", "parsers", "did you mean `parser`?"),
            ("", "listener", "here are data_dir, service"),
            (
                "",
                "prefetch",
                "it belongs in [parser] or [shipper_pgsql] or [shipper_fs] or [collector]",
            ),
            ("rescue", "speed", "here are order, patience"),
        ] {
            let told = unknown(parent, name);
            assert!(told.contains(says), "{parent}.{name}: {told}");
        }
        assert!(unknown_variable("LOGFERRY_BROKER_URL").contains("did you mean LOGFERRY_BROKER__URL?"));
        assert!(unknown_variable("LOGFERRY_HOUSE").contains("two underscores"));
    }
}
