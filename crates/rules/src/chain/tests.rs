use super::*;

fn compile(source: &str) -> Result<RuleChain, CompileErrors> {
    RuleChain::compile(&[ProgramSource {
        name: "web",
        origin: "rules/web.vrl",
        source,
    }])
}

/// The program is refused, with all of these in the message.
#[track_caller]
fn refused(source: &str, parts: &[&str]) {
    let text = compile(source).expect_err(source).to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn errors_have_file_line_and_caret() {
    let errors = compile(".fields.a = 1\n.fields.b = upcas(.message)\n").unwrap_err();
    assert_eq!(
        errors.to_string(),
        r#"program "web" does not compile:
error[E105]: call to undefined function
  ┌─ rules/web.vrl:2:13
  │
2 │ .fields.b = upcas(.message)
  │             ^^^^^
  │             │
  │             undefined function
  │             did you mean "upcase"?
  │
  = learn more about error code 105 at https://errors.vrl.dev/105
  = see language documentation at https://vrl.dev
  = try your code in the VRL REPL, learn more at https://vrl.dev/examples"#
    );
}

#[test]
fn errors_of_all_programs_come_together() {
    let source = |name, source| ProgramSource {
        name,
        origin: name,
        source,
    };
    let errors = RuleChain::compile(&[
        source("one", "nosuch()"),
        source("two", ".message = \"fine\""),
        source("three", "x = "),
    ])
    .unwrap_err();
    let programs: Vec<_> = errors.programs().iter().map(ProgramError::program).collect();
    assert_eq!(programs, ["one", "three"]);
    let text = errors.to_string();
    assert!(
        text.contains("┌─ one:1:1") && text.contains("┌─ three:1:"),
        "{text}"
    );
}

#[test]
fn a_runtime_error_must_be_handled() {
    refused(
        ".fields.n = to_int(.message)",
        &["error[E103]", "rules/web.vrl:1:"],
    );
    refused("tag(.hostname)", &["error[E110]"]);
    refused("route(.hostname)", &["error["]);
}

#[test]
fn names_that_an_event_does_not_have_are_refused() {
    refused(
        ".colour = 1",
        &[
            "no field `.colour`",
            "rules/web.vrl:1:1",
            "`.fields.colour`",
            "^^^^^^^",
        ],
    );
    refused(
        "\nx = .serverity # .serverity\n",
        &["no field `.serverity`", "rules/web.vrl:2:5"],
    );
    refused("if exists(.user.name) { tag(\"x\") }", &["no field `.user`"]);
    refused("del(.colour)", &["no field `.colour`"]);
    refused("x = .[0]", &["no field `[0]`"]);
    refused("%a = 1", &["no metadata"]);
    refused("x = %", &["no metadata"]);
}

#[test]
fn what_intake_knows_is_read_only() {
    for field in [
        "id",
        "received_at",
        "peer_addr",
        "tls_peer",
        "listener",
        "defects",
    ] {
        refused(
            &format!("x = 1\n.{field} = \"x\""),
            &["cannot be changed", "rules/web.vrl:2:1"],
        );
    }
}

#[test]
fn a_wrong_type_that_is_certain_is_refused() {
    refused(
        ".hostname = 5",
        &[
            "`.hostname` is set to a value of the wrong type",
            "rules/web.vrl:1:1",
        ],
    );
    refused(".timestamp = \"now\"", &["wrong type"]);
    refused(".fields = [1]", &["wrong type"]);
    refused(".severity = true", &["wrong type"]);
    compile("if .severity == \"err\" { .hostname = .fields.x }").unwrap();
}

#[test]
fn names_are_checked_where_they_are_constants() {
    refused("route(\"No Good\")", &["rules/web.vrl:1:"]);
    refused("drop(\"\")", &["rules/web.vrl:1:"]);
    refused("drop!(.app_name)", &["reason"]);
    refused("tag(\"a\\nb\")", &["rules/web.vrl:1:"]);
    refused("tag(1)", &["rules/web.vrl:1:"]);
    refused("tag([1])", &["rules/web.vrl:1:"]);
}

#[test]
fn functions_that_do_not_fit_are_not_there() {
    for call in [
        "log(.message)",
        "get_env_var!(\"HOME\")",
        "get_hostname!()",
        "dns_lookup!(\"a\")",
        "reverse_dns!(\"192.0.2.1\")",
        "http_request!(\"http://192.0.2.1\")",
        "unnest!(.fields.a)",
        "decode_zstd!(.message)",
        "decode_gzip!(.message)",
        "parse_grok!(.message, \"%{DATA}\")",
        "parse_ruby_hash!(.message)",
    ] {
        refused(call, &["call to undefined function"]);
    }
}

#[test]
fn programs_that_would_overflow_the_stack_are_refused() {
    refused(
        &"(".repeat(100_000),
        &["inside each other", "rules/web.vrl:1:161"],
    );
    refused(
        &format!(".fields.a = {}true", "!".repeat(100_000)),
        &["inside each other"],
    );
    refused(
        &format!(".fields.a = 1{}", " + 1".repeat(50_000)),
        &["inside each other"],
    );
    refused(&"a".repeat(300_000), &["at most 262144 bytes"]);
    // As deep as allowed compiles and runs on an ordinary thread's stack.
    let depth = shape::DEPTH_MAX - 2;
    for source in [
        format!("x = {}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("x = {}true", "!".repeat(depth)),
        format!("x = 1{}", " + 1".repeat(depth)),
        format!("x = {}1{}", "[".repeat(depth), "]".repeat(depth)),
        format!("x = {}1{}", "{ ".repeat(depth), " }".repeat(depth)),
        format!(
            "if .tags == [1] {{ x = 1 }}{}",
            " else if .tags == [2] { x = 2 }".repeat(depth / 2 - 2)
        ),
    ] {
        let chain = compile(&source).unwrap_or_else(|errors| panic!("{errors}"));
        let id = event::EventId::derive(event::BatchId::mint(), 0, event::Timestamp::now());
        let mut event = event::Event::received(id, 0, event::Timestamp::now(), "a", "b");
        chain.runner().apply(&mut event);
    }
}

#[test]
fn constants_are_known_before_the_first_event() {
    let chain = compile(
        "if .severity == \"debug\" { drop(\"debug\") } else { route(\"audit\") }\nname = \"late\"\nroute(name)\nroute!(.app_name)",
    )
    .unwrap();
    let routes: Vec<_> = chain.routes().iter().map(String::as_str).collect();
    let reasons: Vec<_> = chain.drop_reasons().iter().map(String::as_str).collect();
    assert_eq!((routes, reasons), (vec!["audit", "late"], vec!["debug"]));
    assert_eq!(chain.programs().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn warnings_are_shown() {
    let chain = compile("x = 1\n.message").unwrap();
    assert!(
        chain.warnings().concat().contains("rules/web.vrl:1:1"),
        "{:?}",
        chain.warnings()
    );
}

/// The page for users, and each of the programs in it.
const PAGE: &str = include_str!("../../../../docs/rules.md");

#[test]
fn the_examples_of_the_page_compile() {
    let programs: Vec<_> = PAGE
        .split("```vrl\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(programs.len() >= 8, "{programs:?}");
    for program in programs {
        if let Err(errors) = compile(program) {
            panic!("{errors}");
        }
    }
}

#[test]
fn the_page_names_every_field_and_limit() {
    let rows: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `.")?.split_once('`'))
        .collect();
    let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, Field::ALL.map(Field::name));
    for (field, (_, row)) in Field::ALL.into_iter().zip(&rows) {
        assert_eq!(row.ends_with("| no |"), field.is_read_only(), "{}", field.name());
    }
    assert!(PAGE.contains(&format!("{} brackets", shape::DEPTH_MAX)));
    assert!(PAGE.contains(&format!("{} KiB of text", shape::SOURCE_BYTES_MAX / 1024)));
}
