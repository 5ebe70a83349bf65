//! Whatever is given, it is read or refused.

use proptest::prelude::*;

use super::*;
use crate::keys;

/// Text that looks like settings more often than chance would have it.
fn settings_text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(
        keys::SECTIONS
            .iter()
            .flat_map(|section| {
                let header = if section.path.ends_with("[]") {
                    "[[P]]"
                } else {
                    "[P]"
                };
                let header = header.replace('P', &section.path.replace("[]", ""));
                section
                    .keys
                    .iter()
                    .map(|key| format!("{} = ", key.name))
                    .chain([format!("\n{header}\n")])
            })
            .collect::<Vec<_>>(),
    );
    let values = prop_oneof![
        "[ -~]{0,12}",
        any::<i64>().prop_map(|number| number.to_string()),
        "\"[0-9]{0,25}[a-zA-Z]{0,4}\"",
        Just("[[[{a = 1}]]]".to_owned()),
        Just("\"amqp://[::1\"".to_owned()),
    ];
    let line = (names, values).prop_map(|(name, value)| format!("{name}{value}\n"));
    prop::collection::vec(prop_oneof![4 => line, 1 => "\\PC{0,20}\n"], 0..20).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn no_file_text_panics_the_reader(text in prop_oneof![settings_text(), "\\PC{0,200}"]) {
        let problems = Settings::from_sources(&file(&text));
        prop_assert!(problems.map_or_else(|problems| problems.iter().count(), |_| 1) > 0);
    }

    #[test]
    fn no_variable_or_flag_panics_the_reader(name in "[A-Z_]{0,30}", key in "[a-z_.]{0,40}", value in "\\PC{0,40}") {
        let known: Vec<_> = crate::reference::variables();
        let index = name.len() % known.len();
        let sources = Sources {
            file: None,
            env: env(&[(&format!("LOGFERRY_{name}"), &value), (&known[index].0, &value)]),
            overrides: flags(&[(&key, &value), (&known[index].1, &value), ("syslog_server.listener", &value)]),
        };
        let problems = Settings::from_sources(&sources);
        prop_assert!(problems.map_or_else(|problems| problems.iter().count(), |_| 1) > 0);
    }
}
