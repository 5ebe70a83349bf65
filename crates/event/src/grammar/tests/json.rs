//! JSON, bare and behind the cookie of CEE.

use super::*;

#[test]
fn json_objects() {
    check(
        r#"{"timestamp":"2026-11-21T10:00:00.5+01:00","facility":"local0","severity":"err","hostname":"h","app_name":"a","procid":"p","msgid":"m","message":"text","tags":["x","y"],"structured_data":{"s@1":{"k":"v","l":["1","2"]}},"fields":{"n":1},"other":true}"#,
        r##"local0.err 2026-11-21T10:00:00.5+01:00 host=h app=a procid=p msgid=m [s@1 k="v" l="1" l="2"] msg="text" #x #y n:1 other:true"##,
    );
    check(r#"<13>{"message":"text"}"#, r#"user.notice msg="text""#);
    check(r#"  { "message" : "text" }  "#, r#"msg="text""#);
    check("\u{feff}{}\n", "");
    // Of what senders must not set, nothing is set.
    check(
        r#"{"id":"x","received_at":"y","peer_addr":"z","listener":"l","raw":"r","defects":["nul"]}"#,
        r#"id:"x" received_at:"y" peer_addr:"z" listener:"l" raw:"r" defects:["nul"]"#,
    );
}

#[test]
fn json_aliases() {
    for (line, expected) in [
        // bunyan, pino, zap, Elastic Common Schema, GELF, journald, Docker, rsyslog
        (
            r#"{"name":"n","hostname":"h","pid":123,"level":30,"msg":"text","time":"2026-11-21T10:00:00.000Z","v":0}"#,
            r#"2026-11-21T10:00:00.000Z host=h procid=123 msg="text" name:"n" v:0"#,
        ),
        (
            r#"{"level":50,"time":1795255200123,"pid":1,"hostname":"h","msg":"text"}"#,
            r#"2026-11-21T10:00:00.123Z host=h procid=1 msg="text""#,
        ),
        (
            r#"{"level":"warn","ts":1795255200.25,"caller":"a.go:1","msg":"text"}"#,
            r#"2026-11-21T10:00:00.250000Z msg="text" caller:"a.go:1""#,
        ),
        (
            r#"{"@timestamp":"2026-11-21T10:00:00Z","log.level":"INFO","host":{"name":"h"},"service.name":"s","message":"text"}"#,
            r#"2026-11-21T10:00:00Z app=s msg="text" host:{name:"h"}"#,
        ),
        (
            r#"{"version":"1.1","host":"h","short_message":"text","timestamp":1795255200,"level":3,"_x":1}"#,
            r#"2026-11-21T10:00:00Z host=h msg="text" version:"1.1" _x:1"#,
        ),
        (
            r#"{"MESSAGE":"text","PRIORITY":"6","SYSLOG_FACILITY":"3","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"a","_PID":"1","__REALTIME_TIMESTAMP":"1795255200000001"}"#,
            r#"daemon.info 2026-11-21T10:00:00.000001Z host=h app=a procid=1 msg="text""#,
        ),
        (
            r#"{"log":"text\n","stream":"stdout","time":"2026-11-21T10:00:00.123456789Z"}"#,
            r#"2026-11-21T10:00:00.123456Z msg="text" stream:"stdout""#,
        ),
        (
            r#"{"msg":"text","pri":34,"programname":"a"}"#,
            r#"auth.crit app=a msg="text""#,
        ),
    ] {
        check(line, expected);
    }
    let grammar = Grammar::new(GrammarOptions::default());
    for (level, code) in [
        ("\"warn\"", 4),
        ("\"Information\"", 6),
        ("\"3\"", 3),
        ("7", 7),
        ("10", 7),
        ("30", 6),
        ("60", 2),
    ] {
        let line = format!(r#"{{"level":{level}}}"#);
        assert_eq!(
            parse(&grammar, line.as_bytes())
                .severity
                .map(|severity| severity.code()),
            Some(code)
        );
    }
    // Our own names go first, then the order of coming; what is left over stays visible.
    check(r#"{"msg":"a","message":"b"}"#, r#"msg="b" msg:"a""#);
    check(r#"{"msg":"a","log":"b"}"#, r#"msg="a" log:"b""#);
    // Values of another kind stay visible, absent ones are absent.
    check(
        r#"{"message":1,"hostname":["h"],"severity":"odd","facility":99,"timestamp":"soon","time":12.5,"tags":[1],"fields":[],"structured_data":{"a b":{}},"level":25}"#,
        r#"message:1 hostname:["h"] severity:"odd" facility:99 timestamp:"soon" time:12.5 tags:[1] fields:[] structured_data:{a b:{}} level:25"#,
    );
    check(
        r#"{"message":"","hostname":null,"app_name":"-","msg":"-"}"#,
        r#"msg="-""#,
    );
}

#[test]
fn json_values() {
    check(
        r#"{"a":0,"b":-1,"c":9223372036854775807,"d":18446744073709551615,"e":-9223372036854775808,"f":18446744073709551616,"g":1.5,"h":1e3,"i":1e999,"j":null,"k":[],"l":{},"m":[1,[2]]}"#,
        r#"a:0 b:-1 c:9223372036854775807 d:18446744073709551615u e:-9223372036854775808 f:"18446744073709551616" g:1.5 h:1000.0 i:"1e999" j:null k:[] l:{} m:[1,[2]]"#,
    );
    check(r#"{"a":1,"b":2,"a":3}"#, "b:2 a:3");
    check(r#"{"a":{"x":1,"x":2},"msg":"1","msg":"2"}"#, r#"msg="2" a:{x:2}"#);
    check(
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","\u0062":""}"#,
        "a:\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\t\u{e9}\u{1f600}\" b:\"\"",
    );
    check(r#"{"a":"\u0000"}"#, "a:\"\u{2400}\" !nul");
    check(r#"{"a":"\ud83dx"}"#, "a:\"\u{fffd}x\" !invalid_utf8");
    check(r#"{"a":"\ud83d\u0041"}"#, "a:\"\u{fffd}A\" !invalid_utf8");
    check(b"{\"a\":\"\xff\"}", "a:\"\u{fffd}\" !invalid_utf8");
    check("{\"a\":\"tab\there\"}", r#"a:"tab\there""#);
}

#[test]
fn json_of_many_members_keeps_the_last_of_equal_names() {
    let members = (0..100).map(|number| format!(r#""k{}":{number}"#, number % 50));
    let line = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let expected = (50..100).map(|number| format!("k{}:{number}", number - 50));
    check(line, &expected.collect::<Vec<_>>().join(" "));
}

#[test]
fn json_that_is_none() {
    for line in [
        "{",
        "{}x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":nul}",
        "{\"a\":\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":\"\\u00",
        "{\"a\":[1 2]}",
        "{\"a\":[1,]}",
        "{\"a\":\"\\",
        "{\"a\":NaN}",
        "{}{}",
    ] {
        check(line, &format!("msg={line:?} !bad_json"));
    }
}

#[test]
fn json_bounds() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let grammar = Grammar::new(GrammarOptions::default());
    assert!(
        parse(&grammar, nested(Value::DEPTH_MAX).as_bytes())
            .defects
            .is_empty()
    );
    for line in [
        nested(Value::DEPTH_MAX + 1),
        nested(100_000),
        format!(r#"{{"a":[0{}]}}"#, ",0".repeat(20_000)),
    ] {
        let event = parse(&grammar, line.as_bytes());
        assert_eq!(event.defects, Defects::TOO_COMPLEX);
        assert_eq!(event.message.as_deref(), Some(line.as_str()));
        assert!(event.fields.is_empty());
    }
}

#[test]
fn cee_cookie() {
    check(
        r#"<13>Nov 21 10:00:00 h a[1]: @cee: {"msg":"text","host":"other","n":1}"#,
        r#"user.notice 2026-11-21T10:00:00Z host=h app=a procid=1 msg="text" host:"other" n:1"#,
    );
    check(r#"@cee:{"msg":"text"}"#, r#"msg="text""#);
    check(
        r#"<13>1 - h a - - - @cee:{"msg":"text"}"#,
        r#"user.notice host=h app=a msg="text""#,
    );
    check(
        r#"<13>Nov 21 10:00:00 h a: @cee: no"#,
        r#"user.notice 2026-11-21T10:00:00Z host=h app=a msg="@cee: no" !bad_json"#,
    );
}
