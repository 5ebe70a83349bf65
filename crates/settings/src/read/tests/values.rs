//! Single values that cannot be meant.

use super::*;

#[test]
fn values_that_are_not_allowed() {
    for (text, expected) in [
        (
            "[service]\nshutdown_grace = \"5\"",
            "logferry.toml:2: service.shutdown_grace = \"5\": has no unit: write \"5s\" for seconds, \"5ms\" for milliseconds",
        ),
        (
            "[service]\nshutdown_grace = 5",
            "logferry.toml:2: service.shutdown_grace = 5: must be text in quotes, with a unit",
        ),
        (
            "[service]\nshutdown_grace = \"2h\"",
            "logferry.toml:2: service.shutdown_grace = \"2h\": must be from 100ms to 1h",
        ),
        (
            "[service]\nlog_format = \"xml\"",
            "logferry.toml:2: service.log_format = \"xml\": must be \"text\" or \"json\"",
        ),
        (
            "[service]\nlog_level = \"loud\"",
            "logferry.toml:2: service.log_level = \"loud\": \"loud\" is not a filter",
        ),
        (
            "[service]\nlog_level = \"info,broker=loud\"",
            "logferry.toml:2: service.log_level = \"info,broker=loud\": \"broker=loud\" is not a filter",
        ),
        (
            "[service]\nhttp_addr = \"9600\"",
            "logferry.toml:2: service.http_addr = \"9600\": must be an IP address and a port, such as \"127.0.0.1:5514\" or \"[::1]:5514\", or \"off\"",
        ),
        (
            "[service]\nhttp_addr = true",
            "logferry.toml:2: service.http_addr = true: must be text in quotes",
        ),
        (
            "[syslog_server]\nbatch_bytes_max = \"128kb\"",
            "logferry.toml:2: syslog_server.batch_bytes_max = \"128kb\": has an unknown unit \"kb\": did you mean \"KiB\"?",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn values_of_the_wrong_type() {
    for (text, expected) in [
        (
            "[parser]\nprefetch = \"64\"",
            "logferry.toml:2: parser.prefetch = \"64\": must be a number without quotes: 64",
        ),
        (
            "[parser]\nprefetch = 1.5",
            "logferry.toml:2: parser.prefetch = 1.5: must be a whole number from 1 to 65535",
        ),
        (
            "[[store.route]]\nname = \"Debug\"\nkeep_days = 7",
            "logferry.toml:2: store.route.Debug.name = \"Debug\": must be up to 64 of `a` to `z`, digits",
        ),
        (
            "[parser]\nthreads = \"all\"",
            "logferry.toml:2: parser.threads = \"all\": must be a whole number from 1 to 1024, or \"auto\"",
        ),
        (
            "[parser]\nprefetch = 99999999999",
            "logferry.toml:2: parser.prefetch = 99999999999: must be from 1 to 65535",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = \"default\"",
            "logferry.toml:2: shipper_pgsql.binding_keys = \"default\": must be a list of texts",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = [1]",
            "logferry.toml:2: shipper_pgsql.binding_keys = [1]: must be a list of texts",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = [\"a b\"]",
            "logferry.toml:2: shipper_pgsql.binding_keys = [\"a b\"]: \"a b\" is not a topic pattern",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = []",
            "logferry.toml:2: shipper_pgsql.binding_keys = []: must name at least one route",
        ),
        (
            "[shipper_pgsql]\nqueue = \"my queue\"",
            "logferry.toml:2: shipper_pgsql.queue = \"my queue\": must be up to 64 letters",
        ),
        (
            "data_dir = [\"a\"]",
            "logferry.toml:1: data_dir = [\"a\"]: must be one text, not a list",
        ),
        (
            "[broker.url]\nhost = \"a\"",
            "logferry.toml:1: broker.url: must be a value, not a section",
        ),
        (
            "broker = \"embedded\"",
            "logferry.toml:1: broker: must be a section",
        ),
        (
            "[syslog_server.listener]\nname = \"tcp\"",
            "logferry.toml:1: syslog_server.listener: may be repeated, so it is written [[syslog_server.listener]]",
        ),
        (
            "[broker]\ntls_ca_file = \"missing.pem\"",
            "logferry.toml:2: broker.tls_ca_file = \"missing.pem\": cannot read missing.pem: No such file",
        ),
        (
            "[broker]\ntls_ca_file = \"src\"",
            "logferry.toml:2: broker.tls_ca_file = \"src\": src is a folder, not a file",
        ),
        ("[broker\nurl = 1", "logferry.toml:1: is not TOML: "),
        (
            "[parser]\nprefetch = 1\nprefetch = 2",
            "logferry.toml:3: is not TOML: duplicate key",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn names_that_are_not_known() {
    for (text, expected) in [
        (
            "[broker]\nulr = \"amqp://u:hunter2@h\"",
            "logferry.toml:2: broker.ulr: is not a setting: did you mean `url`?",
        ),
        (
            "[brokers]\nurl = \"embedded\"",
            "logferry.toml:1: brokers: is not a setting: did you mean `broker`?",
        ),
        (
            "[service]\nprefetch = 1",
            "logferry.toml:2: service.prefetch: is not a setting here: it belongs in [parser] or",
        ),
        (
            "broker.tls.ca = \"x\"",
            "logferry.toml:1: broker.tls: is not a setting: here are url",
        ),
    ] {
        check(text, expected);
    }
}
