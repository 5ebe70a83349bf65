//! Dead letters on their way back: slowly, once, and through the rules of today.

use std::time::{Duration, Instant};

use broker::{Death, Exchange, Message, QueueName, RoutingKey};
use event::{BatchId, Compression, Event, EventBatchBuilder, EventId, PayloadKind, Timestamp, Value};
use serde_json::json;
use store::{Note, Subject};
use testkit::eventually;
use uuid::Uuid;

use crate::{
    api::{check, description, schema},
    browser::{Answer, DEADLINE, Pages},
    dead::{bury, ready, sent},
};

/// A letter of one parsed event.
pub(crate) async fn bury_event(
    pages: &Pages,
    stage: &str,
    queue: &str,
    reason: &str,
    raw: Option<&'static [u8]>,
) -> Uuid {
    let (source, at) = (BatchId::mint(), Timestamp::from_micros(1_795_255_200_000_000));
    let id = source.derive(reason);
    let mut batch = EventBatchBuilder::new(id, source, "tcp", "odd");
    let mut event = Event::received(EventId::derive(source, 0, at), 0, at, "192.0.2.1:514", "tcp");
    event.raw = raw.map(Into::into);
    event.message = Some("a parsed message".into());
    event
        .fields
        .push(("user".into(), Value::String("Ana \"A\" Müller".into())));
    batch.push(&event);
    let message = Message {
        id: id.as_uuid(),
        exchange: Exchange::Dead,
        routing_key: RoutingKey::new(&format!("{stage}.{reason}")).expect("is a key"),
        content_type: PayloadKind::Events.content_type(),
        body: batch.finish(Compression::Lz4).into(),
        death: Some(Death {
            stage: stage.to_owned(),
            queue: queue.to_owned(),
            batch: Some(id.as_uuid()),
            position: Some(0),
            reason: reason.to_owned(),
            text: "it does not fit".to_owned(),
            at_micros: 1_795_255_200_000_000,
            attempts: 1,
            exchange: Exchange::Parsed,
            routing_key: "odd".to_owned(),
        }),
    };
    let confirm = pages.broker.publisher(1).publish(&message).await;
    confirm.expect("is published").await.expect("is confirmed");
    id.as_uuid()
}

/// Orders by a program.
struct Program<'a> {
    pages: &'a Pages,
    csrf: String,
}

impl<'a> Program<'a> {
    async fn of(pages: &'a Pages) -> Self {
        let csrf = pages.get("/dead-letters").await.csrf().to_owned();
        Self { pages, csrf }
    }

    async fn order(&self, what: &str, order: &serde_json::Value) -> Answer {
        let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*self.csrf)];
        let path = format!("/api/v1/dead-letters/{what}");
        self.pages.ask("POST", &path, &headers, &order.to_string()).await
    }
}

#[tokio::test]
async fn the_filter_finds_what_is_in_lines_and_in_what_was_parsed() {
    let pages = Pages::start().await;
    let parsed = bury_event(&pages, "parser", "parser", "unroutable", Some(b"<13>only raw")).await;
    bury(&pages, "parser", "byte 1 is bad", b"some other line").await;
    for (q, n) in [
        ("only%20RAW", 1),
        ("ana%20%22a%22%20m%C3%BCller", 1),
        ("does%20not%20fit", 1),
        ("other%20line", 1),
        ("nowhere", 0),
    ] {
        let letters = pages.get(&format!("/api/v1/dead-letters?q={q}")).await.json();
        assert_eq!(
            (&letters["n"], &letters["complete"]),
            (&n.into(), &true.into()),
            "{q}"
        );
        let groups = pages
            .get(&format!("/api/v1/dead-letters/groups?q={q}"))
            .await
            .json();
        assert_eq!(groups["groups"].as_array().map(Vec::len), Some(n), "{q}");
        assert_eq!((&groups["total"], &groups["seen"]), (&2.into(), &2.into()), "{q}");
    }
    let page = pages.get("/dead-letters?stage=parser&q=m%C3%BCller").await;
    assert!(page.body.contains(&parsed.to_string()), "{}", page.body);
    let page = pages.get("/dead-letters?q=nowhere").await;
    assert!(
        page.body.contains("No dead letter has “nowhere”"),
        "{}",
        page.body
    );
    // Acts mean what the filter finds.
    let program = Program::of(&pages).await;
    let trial = program
        .order("requeue", &json!({"group": {"q": "Müller"}, "dry_run": true}))
        .await;
    assert_eq!(trial.json()["targets"][0]["queue"], "route odd", "{}", trial.body);
    let export = pages.get("/api/v1/dead-letters/export?q=m%C3%BCller").await;
    assert_eq!(export.body.lines().count(), 1);
    pages.stop().await;
}

#[tokio::test]
async fn letters_are_put_back_slowly() {
    let pages = Pages::start().await;
    for number in 0..5 {
        bury(&pages, "parser", &format!("byte {number} is bad"), b"x").await;
    }
    let program = Program::of(&pages).await;
    for rate in [json!(0), json!(10_001), json!(-1), json!(1.5), json!("1")] {
        let refused = program
            .order("requeue", &json!({"stage": "parser", "per_second": rate}))
            .await;
        assert_eq!(refused.status, 422, "{rate}: {}", refused.body);
        assert!(refused.body.contains("per_second"), "{}", refused.body);
    }
    for (name, bad) in [("per_second", "0"), ("per_second", "many"), ("mode", "both")] {
        let form = format!("csrf={}&stage=parser&step=go&{name}={bad}", program.csrf);
        let refused = pages.post("/dead-letters/requeue", &[], &form).await;
        assert!(
            refused.status == 400 && refused.body.contains(name),
            "{}",
            refused.body
        );
    }
    assert_eq!(ready(&pages, QueueName::dead()).await, 5);
    // Three go together at this rate, and have their time.
    let started = Instant::now();
    let told = program
        .order(
            "requeue",
            &json!({"stage": "parser", "per_second": 10, "progress": true}),
        )
        .await;
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
    let lines: Vec<serde_json::Value> = told
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert!(lines.iter().any(|line| line["done"] == 3), "{lines:?}");
    let last = lines.last().expect("is told");
    assert_eq!((&last["done"], &last["complete"]), (&5.into(), &true.into()));
    assert_eq!(ready(&pages, QueueName::parser()).await, 5);
    pages.stop().await;
}

#[tokio::test]
async fn an_order_with_a_key_is_done_once() {
    let pages = Pages::start().await;
    let one = bury(&pages, "parser", "byte 1 is bad", b"one").await;
    bury(&pages, "parser", "byte 2 is bad", b"two").await;
    let program = Program::of(&pages).await;
    let order = json!({"group": {"stage": "parser"}, "ids": [one], "key": "first"});
    // Also when both are under way.
    let (first, second) = tokio::join!(program.order("requeue", &order), program.order("requeue", &order));
    assert_eq!(
        (first.status, first.json()["done"].as_u64()),
        (200, Some(1)),
        "{}",
        first.body
    );
    assert_eq!(second.body, first.body);
    assert_eq!(program.order("requeue", &order).await.body, first.body);
    assert_eq!(ready(&pages, QueueName::parser()).await, 1);
    let mut progress = order.clone();
    progress["progress"] = true.into();
    let told = program.order("requeue", &progress).await;
    let line: serde_json::Value =
        serde_json::from_str(told.body.lines().last().expect("is told")).expect("is JSON");
    assert_eq!(
        (&line["outcome"], &line["complete"]),
        (&first.json(), &true.into())
    );
    let acts = pages.get("/api/v1/dead-letters/audit").await.json();
    assert_eq!(acts["acts"].as_array().map(Vec::len), Some(1));
    // Another order is not the same, nor is another act.
    let other = json!({"group": {"stage": "parser"}, "key": "first"});
    for (what, order) in [("requeue", &other), ("discard", &order)] {
        let refused = program.order(what, order).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (409, &"key_used".into()),
            "{what}"
        );
    }
    let refused = program
        .order("requeue", &json!({"stage": "parser", "key": "a b"}))
        .await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &"key".into()));
    // What failed is tried again.
    let order = json!({"group": {"stage": "parser"}, "key": "second", "why": ""});
    assert_eq!(program.order("discard", &order).await.status, 400);
    let order = json!({"group": {"stage": "parser"}, "key": "second", "why": "a test"});
    assert_eq!(program.order("discard", &order).await.json()["done"], 1);
    // A form that is sent twice.
    let id = bury(&pages, "parser", "byte 3 is bad", b"three").await;
    let form = format!("csrf={}&id={id}&step=go&key=form", program.csrf);
    for _ in 0..2 {
        let done = pages.post("/dead-letters/requeue", &[], &form).await;
        assert!(done.body.contains("<h1>1 put back</h1>"), "{}", done.body);
    }
    pages.stop().await;
}

#[tokio::test]
async fn letters_go_through_the_rules_of_today() {
    let pages = Pages::start().await;
    let id = bury_event(&pages, "parser", "parser", "unroutable", Some(b"<13>a raw line")).await;
    let bare = bury_event(&pages, "parser", "parser", "unroutable", None).await;
    let elsewhere = bury_event(&pages, "shipper-fs", "shipper-fs", "path_refused", Some(b"<13>x")).await;
    let program = Program::of(&pages).await;
    let mut order = json!({"ids": [id, bare, elsewhere], "mode": "reparse", "dry_run": true});
    let trial = program.order("requeue", &order).await.json();
    let description = description();
    let described = schema(
        &description,
        "/api/v1/dead-letters/requeue",
        "post",
        "200",
        "application/json",
    );
    check(&described, &trial);
    assert_eq!(trial["would_pass"], 1, "{trial}");
    assert_eq!(
        trial["targets"],
        json!([{"queue": "parser", "n": 1, "waiting": 0}])
    );
    let why = |id: Uuid, failures: &serde_json::Value| {
        let failures = failures.as_array().expect("is a list");
        let failure = failures.iter().find(|failure| failure["id"] == id.to_string());
        failure.expect("is named")["why"]
            .as_str()
            .expect("is a text")
            .to_owned()
    };
    assert!(
        why(bare, &trial["would_fail"]).contains("1 of its 1 events have no raw bytes"),
        "{trial}"
    );
    assert!(
        why(elsewhere, &trial["would_fail"]).contains("would stand there twice"),
        "{trial}"
    );
    assert_eq!(ready(&pages, QueueName::dead()).await, 3, "nothing was done");
    let form = format!(
        "csrf={}&ids={id}&ids={bare}&stage=parser&mode=reparse",
        program.csrf
    );
    let page = pages.post("/dead-letters/requeue", &[], &form).await;
    assert!(
        page.body
            .contains("Send 2 dead letters through the current rules?")
            && page.body.contains("no raw bytes"),
        "{}",
        page.body
    );

    order["dry_run"] = false.into();
    let done = program.order("requeue", &order).await.json();
    check(&described, &done);
    assert_eq!((&done["done"], &done["failed"]), (&1.into(), &2.into()), "{done}");
    assert_eq!(sent(&pages).await, b"<13>a raw line");
    assert_eq!(ready(&pages, QueueName::dead()).await, 2, "the others stay");
    let acts = pages.get("/api/v1/dead-letters/audit").await.json();
    assert_eq!(
        (&acts["acts"][0]["what"], &acts["acts"][0]["done"]),
        (&"reparse".into(), &1.into())
    );
    let marks = pages.store.notes().count(Subject::Sent).await.expect("is told");
    assert_eq!(marks, 0, "it is known how it ended");
    pages.stop().await;
}

#[tokio::test]
async fn what_may_be_with_the_parser_goes_no_other_way() {
    let pages = Pages::start().await;
    let id = bury_event(&pages, "parser", "parser", "unroutable", Some(b"<13>a raw line")).await;
    let other = bury(&pages, "parser", "byte 1 is bad", b"x").await;
    // As an act leaves it that was killed, or that got no verdict.
    let note = Note {
        subject: Subject::Sent,
        key: id.to_string(),
        author: "ana".to_owned(),
        at: Timestamp::now(),
        body: "{}".to_owned(),
    };
    pages.store.notes().put(&note).await.expect("is kept");
    let program = Program::of(&pages).await;
    let trial = program
        .order("requeue", &json!({"ids": [id], "dry_run": true}))
        .await
        .json();
    let why = trial["would_fail"][0]["why"].as_str().expect("is told");
    assert!(
        why.starts_with("ana sent it through the current rules"),
        "{trial}"
    );
    let refused = program.order("requeue", &json!({"ids": [id]})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &"sent".into()));
    let form = format!("csrf={}&id={id}&line=x&step=go", program.csrf);
    let refused = pages.post("/dead-letters/edit", &[], &form).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let page = pages.get(&format!("/dead-letters/{id}")).await;
    assert!(page.body.contains(why), "{}", page.body);
    assert_eq!(ready(&pages, QueueName::dead()).await, 2);
    // With others, it alone stays.
    let done = program
        .order("requeue", &json!({"ids": [id, other]}))
        .await
        .json();
    assert_eq!(
        (&done["done"], &done["failed"], &done["problems"][0]["id"]),
        (&1.into(), &1.into(), &id.to_string().into())
    );
    let done = program
        .order("requeue", &json!({"ids": [id], "mode": "reparse"}))
        .await;
    assert_eq!(done.json()["done"], 1, "{}", done.body);
    let marks = pages.store.notes().count(Subject::Sent).await.expect("is told");
    assert_eq!(marks, 0);
    pages.stop().await;
}

#[tokio::test]
async fn a_page_without_letters_tells_of_the_last() {
    let pages = Pages::start().await;
    let page = pages.get("/dead-letters").await;
    assert!(
        page.body.contains("What a stage cannot process comes here"),
        "{}",
        page.body
    );
    let id = bury_event(&pages, "shipper-pgsql", "shipper-pgsql", "refused", None).await;
    let letter = pages.get(&format!("/api/v1/dead-letters/{id}")).await.json();
    check(
        &schema(
            &description(),
            "/api/v1/dead-letters/{id}",
            "get",
            "200",
            "application/json",
        ),
        &letter,
    );
    assert_eq!(letter["headers"]["properties"]["message_id"], id.to_string());
    let page = pages.get(&format!("/dead-letters/{id}")).await;
    assert!(
        page.body.contains("<summary>Headers</summary>") && page.body.contains("&quot;message_id&quot;"),
        "{}",
        page.body
    );
    let program = Program::of(&pages).await;
    let order = json!({"ids": [id], "why": "a test"});
    // What was just seen is not looked at again.
    eventually(DEADLINE, || async {
        program.order("hold", &order).await.status == 200
    })
    .await;
    assert_eq!(program.order("release", &order).await.status, 200);
    assert_eq!(program.order("discard", &order).await.json()["done"], 1);
    let page = pages.get("/dead-letters").await;
    assert!(
        page.body.contains("No dead letters. Last one: <b>shipper-pgsql refused</b>, discarded 1 by somebody on this machine, "),
        "{}",
        page.body
    );
    pages.stop().await;
}
