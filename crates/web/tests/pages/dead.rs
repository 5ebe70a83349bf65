//! Dead letters: seen, put back, discarded, exported.

use broker::{Death, Exchange, Message, QueueName, RoutingKey};
use event::{BatchId, Compression, FrameDefects, RawBatch, RawBatchBuilder, Timestamp};
use uuid::Uuid;

use crate::{
    api::{check, description, schema},
    browser::Pages,
};

pub(crate) async fn bury(pages: &Pages, queue: &str, text: &str, body: &'static [u8]) -> Uuid {
    let id = Uuid::now_v7();
    let message = Message {
        id,
        exchange: Exchange::Dead,
        routing_key: RoutingKey::new("parser.undecodable").expect("is a key"),
        content_type: "application/octet-stream",
        body: body.into(),
        death: Some(Death {
            stage: "parser".to_owned(),
            queue: queue.to_owned(),
            batch: None,
            position: None,
            reason: "undecodable".to_owned(),
            text: text.to_owned(),
            at_micros: 1_795_255_200_000_000,
            attempts: 1,
            exchange: Exchange::Received,
            routing_key: "syslog.tcp".to_owned(),
        }),
    };
    let confirm = pages.broker.publisher(1).publish(&message).await;
    confirm.expect("is published").await.expect("is confirmed");
    id
}

pub(crate) async fn ready(pages: &Pages, queue: QueueName) -> u64 {
    pages.broker.fill(&queue).await.expect("is told").ready
}

#[tokio::test]
async fn letters_are_grouped_and_what_is_in_them_is_no_markup() {
    let pages = Pages::start().await;
    let id = bury(
        &pages,
        "parser",
        "byte 12 is <b>",
        b"<script>alert(1)</script>\x00\xff",
    )
    .await;
    bury(&pages, "parser", "byte 7 is <b>", b"other").await;
    let groups = pages.get("/api/v1/dead-letters/groups").await.json();
    assert_eq!(
        (&groups["total"], &groups["groups"][0]["n"]),
        (&2.into(), &2.into())
    );
    let fingerprint = groups["groups"][0]["fingerprint"].as_str().expect("has one");
    let page = pages
        .get(&format!("/dead-letters?stage=parser&fingerprint={fingerprint}"))
        .await;
    assert!(
        page.status == 200 && page.body.contains(&id.to_string()),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("<script>") && !page.body.contains("<b>\""),
        "{}",
        page.body
    );
    // An address that fits several groups opens one, and its buttons act on no other.
    let other = bury(&pages, "parser", "something else", b"third").await;
    let page = pages.get("/dead-letters?stage=parser").await;
    assert_ne!(
        page.body.contains(&id.to_string()),
        page.body.contains(&other.to_string())
    );
    assert!(
        !page.body.contains("name=\"fingerprint\" value=\"\""),
        "{}",
        page.body
    );
    let page = pages.get(&format!("/dead-letters/{id}")).await;
    assert!(
        page.body.contains("‹U+0000›") && page.body.contains("‹FF›"),
        "{}",
        page.body
    );
    assert!(page.body.contains("00000000  3c 73 63 72") && !page.body.contains("<script>alert"));
    assert_eq!(pages.get("/dead-letters/nothing").await.status, 404);
    assert_eq!(
        pages.get(&format!("/dead-letters/{}", Uuid::nil())).await.status,
        404
    );
    let description = description();
    let described = |path: &str| schema(&description, path, "get", "200", "application/json");
    check(&described("/api/v1/dead-letters/groups"), &groups);
    let letters = pages.get("/api/v1/dead-letters?stage=parser").await.json();
    check(&described("/api/v1/dead-letters"), &letters);
    let letter = pages.get(&format!("/api/v1/dead-letters/{id}")).await.json();
    check(&described("/api/v1/dead-letters/{id}"), &letter);
    assert!(letter["body_base64"].is_string());
    let export = pages.get("/api/v1/dead-letters/export").await;
    assert_eq!(export.body.lines().count(), 3);
    assert!(export.body.contains("body_base64"));
    // Looking took nothing.
    assert_eq!(ready(&pages, QueueName::dead()).await, 3);
    pages.stop().await;
}

#[tokio::test]
async fn a_letter_is_put_back_after_a_trial() {
    let pages = Pages::start().await;
    let id = bury(&pages, "parser", "one", b"one").await;
    bury(&pages, "parser", "another", b"two").await;
    let csrf = pages.get("/dead-letters").await.csrf().to_owned();
    let trial = pages
        .post("/dead-letters/requeue", &[], &format!("csrf={csrf}&id={id}"))
        .await;
    assert!(
        trial.status == 200 && trial.body.contains("Nothing was done yet"),
        "{}",
        trial.body
    );
    assert_eq!(ready(&pages, QueueName::parser()).await, 0);
    let done = pages
        .post(
            "/dead-letters/requeue",
            &[],
            &format!("csrf={csrf}&id={id}&step=go"),
        )
        .await;
    assert!(done.body.contains("1 put back"), "{}", done.body);
    assert_eq!(ready(&pages, QueueName::parser()).await, 1);
    assert_eq!(ready(&pages, QueueName::dead()).await, 1);
    let again = pages
        .post(
            "/dead-letters/requeue",
            &[],
            &format!("csrf={csrf}&id={id}&step=go"),
        )
        .await;
    assert_eq!(again.status, 404);
    pages.stop().await;
}

#[tokio::test]
async fn nothing_is_done_with_all_by_mistake() {
    let pages = Pages::start().await;
    bury(&pages, "parser", "one", b"one").await;
    let csrf = pages.get("/dead-letters").await.csrf().to_owned();
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    let wish = r#"{"group":{"stage":"parser"},"dry_run":true}"#;
    let trial = pages
        .ask("POST", "/api/v1/dead-letters/requeue", &headers, wish)
        .await;
    let description = description();
    let described = schema(
        &description,
        "/api/v1/dead-letters/requeue",
        "post",
        "200",
        "application/json",
    );
    check(&described, &trial.json());
    assert_eq!(trial.json()["would_pass"], 1);
    for (body, status) in [
        ("{}", 400),
        (r#"{"ids":["00000000-0000-0000-0000-000000000000"]}"#, 404),
        (r#"{"group":{"stage":"nobody"}}"#, 404),
        (r#"{"group":{}}"#, 400),
        ("[", 400),
    ] {
        let answer = pages
            .ask("POST", "/api/v1/dead-letters/requeue", &headers, body)
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let without = pages
        .ask(
            "POST",
            "/api/v1/dead-letters/requeue",
            &headers[..1],
            r#"{"group":{"stage":"parser"}}"#,
        )
        .await;
    assert_eq!(without.status, 403);
    assert_eq!(ready(&pages, QueueName::dead()).await, 1);
    pages.stop().await;
}

#[tokio::test]
async fn acts_tell_how_far_they_are_and_mean_what_is_ticked() {
    let pages = Pages::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bury(&pages, "parser", &format!("byte {number} is bad"), b"x").await);
    }
    // Ticked are two of the group.
    let csrf = pages.get("/dead-letters").await.csrf().to_owned();
    let form = format!("csrf={csrf}&stage=parser&ids={}&ids={}", ids[0], ids[1]);
    let trial = pages.post("/dead-letters/requeue", &[], &form).await;
    assert!(
        trial.body.contains("Put 2 dead letters back?") && trial.body.contains(&ids[1].to_string()),
        "{}",
        trial.body
    );
    let done = pages
        .post("/dead-letters/requeue", &[], &format!("{form}&step=go"))
        .await;
    assert!(done.body.contains("2 put back"), "{}", done.body);
    assert_eq!(ready(&pages, QueueName::dead()).await, 3);
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    let wish = r#"{"stage":"parser","why":"a test","progress":true}"#;
    let told = pages
        .ask("POST", "/api/v1/dead-letters/discard", &headers, wish)
        .await;
    let described = schema(
        &description(),
        "/api/v1/dead-letters/discard",
        "post",
        "200",
        "application/x-ndjson",
    );
    let lines: Vec<serde_json::Value> = told
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    lines.iter().for_each(|line| check(&described, line));
    let last = lines.last().expect("is told");
    assert_eq!(
        (
            &last["done"],
            &last["total"],
            &last["complete"],
            &last["outcome"]["done"]
        ),
        (&3.into(), &3.into(), &true.into(), &3.into()),
        "{last}"
    );
    let refused = pages
        .ask(
            "POST",
            "/api/v1/dead-letters/discard",
            &headers,
            r#"{"stage":"parser","progress":true}"#,
        )
        .await;
    assert_eq!(refused.status, 404, "there are none left");
    pages.stop().await;
}

#[tokio::test]
async fn a_discarded_letter_is_recorded_with_who_and_why() {
    let pages = Pages::start().await;
    let id = bury(&pages, "parser", "one", b"one").await;
    let csrf = pages.get("/dead-letters").await.csrf().to_owned();
    let form = format!("csrf={csrf}&id={id}&step=go");
    let answer = pages.post("/dead-letters/discard", &[], &form).await;
    assert_eq!(answer.status, 400, "without a reason");
    let answer = pages
        .post("/dead-letters/discard", &[], &format!("{form}&why=test+data"))
        .await;
    assert!(answer.body.contains("1 discarded"), "{}", answer.body);
    assert_eq!(ready(&pages, QueueName::dead()).await, 0);
    let record = std::fs::read_to_string(pages.data_dir().join("dead-drops.jsonl")).expect("is written");
    assert!(
        record.contains(&id.to_string()) && record.contains("\"why\":\"test data\""),
        "{record}"
    );
    pages.stop().await;
}

/// A letter of one line, as the parser gives up on it.
pub(crate) async fn bury_line(pages: &Pages, line: &[u8]) -> Uuid {
    let mut batch = RawBatchBuilder::new(BatchId::mint(), "tcp");
    let at = Timestamp::from_micros(1_795_255_200_000_000);
    batch.push(at, "192.0.2.1:514", None, FrameDefects::default(), line);
    let body: &'static [u8] = batch.finish(Compression::None).leak();
    bury(pages, "parser", "the rule took too long", body).await
}

/// The line that waits for the parser.
pub(crate) async fn sent(pages: &Pages) -> Vec<u8> {
    let mut parser = pages
        .broker
        .consume(&QueueName::parser(), 1, "test")
        .await
        .expect("consumes");
    let delivery = parser.next().await.expect("is there");
    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(&delivery.body, &mut scratch, 1 << 20).expect("is whole");
    let line = batch
        .next_frame()
        .expect("is whole")
        .expect("is one")
        .bytes
        .to_vec();
    delivery.settle(broker::Disposition::Ack).await;
    line
}

#[tokio::test]
async fn a_line_is_mended_and_sent_again() {
    let pages = Pages::start().await;
    let id = bury_line(&pages, b"<13>Nov 21 web01 app: <b>wrong").await;
    let page = pages.get(&format!("/dead-letters/{id}")).await;
    assert!(
        page.body.contains("action=\"/dead-letters/edit\""),
        "{}",
        page.body
    );
    assert!(!page.body.contains("<b>wrong"), "{}", page.body);
    let form = format!(
        "csrf={}&id={id}&why=typo&line=%3C13%3ENov+21+web01+app%3A+right%0D%0A",
        page.csrf()
    );
    let trial = pages.post("/dead-letters/edit", &[], &form).await;
    assert!(
        trial.status == 200
            && trial.body.contains("Nothing was done yet")
            && trial.body.contains("<mark>&lt;b&gt;wrong</mark>"),
        "{}",
        trial.body
    );
    assert_eq!(ready(&pages, QueueName::parser()).await, 0);
    let done = pages
        .post("/dead-letters/edit", &[], &format!("{form}&step=go"))
        .await;
    assert!(done.body.contains("The mended line is sent"), "{}", done.body);
    assert_eq!(ready(&pages, QueueName::parser()).await, 1);
    assert_eq!(ready(&pages, QueueName::dead()).await, 0);
    let mut parser = pages
        .broker
        .consume(&QueueName::parser(), 1, "test")
        .await
        .expect("consumes");
    let delivery = parser.next().await.expect("is there");
    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(&delivery.body, &mut scratch, 1 << 20).expect("is whole");
    let frame = batch.next_frame().expect("is whole").expect("is one");
    assert_eq!(
        (frame.bytes, frame.peer_addr, frame.received_at.as_micros()),
        (
            &b"<13>Nov 21 web01 app: right"[..],
            "192.0.2.1:514",
            1_795_255_200_000_000
        )
    );
    delivery.settle(broker::Disposition::Ack).await;
    let acts = pages.get("/api/v1/dead-letters/audit").await.json();
    let described = schema(
        &description(),
        "/api/v1/dead-letters/audit",
        "get",
        "200",
        "application/json",
    );
    check(&described, &acts);
    assert_eq!(
        (&acts["acts"][0]["what"], &acts["acts"][0]["before"]),
        (&"edit".into(), &"<13>Nov 21 web01 app: <b>wrong".into())
    );
    // What is no line, or is held, is not offered and not taken.
    let other = bury(&pages, "parser", "no batch", b"nothing").await;
    let page = pages.get(&format!("/dead-letters/{other}")).await;
    assert!(
        !page.body.contains("/dead-letters/edit") && page.body.contains("it is no batch"),
        "{}",
        page.body
    );
    let refused = pages
        .post(
            "/dead-letters/edit",
            &[],
            &format!("csrf={}&id={other}&line=x&step=go", page.csrf()),
        )
        .await;
    assert_eq!(refused.status, 400);
    pages.stop().await;
}

#[tokio::test]
async fn held_letters_stay_and_who_did_what_is_listed() {
    let pages = Pages::start().await;
    let one = bury(&pages, "parser", "byte 1 is bad", b"one").await;
    bury(&pages, "parser", "byte 2 is bad", b"two").await;
    let csrf = pages.get("/dead-letters").await.csrf().to_owned();
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    let call = async |what: &str, body: &str| {
        let path = format!("/api/v1/dead-letters/{what}");
        pages.ask("POST", &path, &headers, body).await
    };
    let description = description();
    let described = |what: &str| {
        let path = format!("/api/v1/dead-letters/{what}");
        schema(&description, &path, "post", "200", "application/json")
    };
    let one_only = format!(r#"{{"ids":["{one}"],"why":"<b>for Ana"}}"#);
    assert_eq!(
        call("hold", &format!(r#"{{"ids":["{one}"]}}"#)).await.status,
        400,
        "without why"
    );
    let held = call("hold", &one_only).await;
    check(&described("hold"), &held.json());
    assert_eq!(held.json()["done"], 1);
    let page = pages.get(&format!("/dead-letters/{one}")).await;
    assert!(
        page.body.contains("&lt;b&gt;for Ana") && !page.body.contains("<b>for Ana"),
        "{}",
        page.body
    );
    // The act on the group passes over it, and the one on itself says why it does not.
    let put_back = call("requeue", r#"{"group":{"stage":"parser"}}"#).await;
    check(&described("requeue"), &put_back.json());
    assert_eq!(put_back.json()["done"], 1);
    let refused = call("requeue", &format!(r#"{{"ids":["{one}"]}}"#)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &"held".into()));
    let form = format!("csrf={csrf}&id={one}&step=go&why=done");
    assert_eq!(pages.post("/dead-letters/discard", &[], &form).await.status, 409);
    assert_eq!(ready(&pages, QueueName::dead()).await, 1);
    let page = pages.get("/dead-letters?stage=parser").await;
    assert!(
        page.body.contains("held by somebody on this machine"),
        "{}",
        page.body
    );
    let released = pages
        .post("/dead-letters/release", &[], &format!("csrf={csrf}&id={one}"))
        .await;
    let back = format!("/dead-letters/{one}");
    assert_eq!(
        (released.status, released.header("location")),
        (303, Some(&*back))
    );
    assert!(pages.get(&back).await.body.contains("What was done with it"));
    let discarded = pages.post("/dead-letters/discard", &[], &form).await;
    assert!(discarded.body.contains("1 discarded"), "{}", discarded.body);

    let acts = pages.get("/api/v1/dead-letters/audit").await.json();
    check(
        &schema(
            &description,
            "/api/v1/dead-letters/audit",
            "get",
            "200",
            "application/json",
        ),
        &acts,
    );
    let told: Vec<_> = acts["acts"]
        .as_array()
        .expect("is a list")
        .iter()
        .map(|act| &act["what"])
        .collect();
    assert_eq!(told, ["discard", "release", "requeue", "hold"]);
    assert_eq!(acts["acts"][0]["ids"][0], one.to_string());
    assert_eq!(
        (&acts["acts"][2]["stage"], &acts["acts"][2]["done"]),
        (&"parser".into(), &1.into())
    );
    let page = pages.get("/dead-letters/audit").await;
    assert!(
        page.status == 200 && page.body.contains("put back 1") && page.body.contains("&lt;b&gt;for Ana"),
        "{}",
        page.body
    );
    assert_eq!(pages.get("/dead-letters/audit?cursor=x").await.status, 400);
    pages.stop().await;
}
