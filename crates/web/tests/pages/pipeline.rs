//! The pipeline, made from what services tell.

use service::{Custody, Pulse, StageCounters};
use testkit::eventually;

use crate::{
    api::{check, description, schema},
    browser::{DEADLINE, Pages},
};

const PARSER: Pulse = Pulse {
    service: "parser",
    version: "1.2.3",
    measures: &[],
};

#[tokio::test]
async fn what_was_never_heard_is_unknown_and_not_zero() {
    let pages = Pages::start().await;
    let picture = pages.get("/api/v1/pipeline").await.json();
    let nodes = picture["nodes"].as_array().expect("has nodes");
    let parser = nodes
        .iter()
        .find(|node| node["id"] == "parser")
        .expect("is drawn");
    assert!(parser["in_s"].is_null(), "{parser:#}");
    assert_eq!(parser["problems"][0]["level"], "unknown");
    let queue = nodes.iter().find(|node| node["id"] == "queue:parser");
    assert_eq!(queue.expect("is drawn")["depth"], 0, "the broker is asked");
    let page = pages.get("/pipeline").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<svg") && page.body.contains("nothing was heard of it yet"));
    let inputs = pages.get("/api/v1/durability").await.json();
    assert_eq!(inputs["inputs"][0]["configured"], "embedded");
    pages.stop().await;
}

#[tokio::test]
async fn heartbeats_are_shown_and_their_text_is_no_markup() {
    let pages = Pages::start().await;
    let counters = StageCounters::new(&pages.ctx.metrics, "parser");
    counters.received(7);
    pages
        .ctx
        .health
        .component("parser")
        .not_ready("<script>alert(1)</script>");
    let speaker = pages.broker.clone();
    let _pulse = PARSER.start(&pages.ctx, move |key, beat| speaker.announce(key, beat));
    eventually(DEADLINE, || async {
        let picture = pages.get("/api/v1/pipeline").await.json();
        let nodes = picture["nodes"].as_array().expect("has nodes").clone();
        nodes
            .iter()
            .any(|node| node["id"] == "parser" && node["instances"][0]["up"] == true)
    })
    .await;
    let description = description();
    for path in ["/api/v1/pipeline", "/api/v1/durability", "/api/v1/clients"] {
        let answer = pages.get(path).await.json();
        check(
            &schema(&description, path, "get", "200", "application/json"),
            &answer,
        );
    }
    let page = pages.get("/pipeline").await;
    assert!(page.body.contains("1.2.3"), "{}", page.body);
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
    assert!(page.body.contains("is not ready: "), "{}", page.body);
    let panel = pages.get("/pipeline?open=parser").await;
    assert!(
        panel.body.contains("id=\"panel\"") && panel.body.contains("<dt>received</dt>"),
        "{}",
        panel.body
    );
    assert!(!panel.body.contains("<script>alert"), "{}", panel.body);
    assert!(
        !pages
            .get("/pipeline?open=nothing")
            .await
            .body
            .contains("id=\"panel\"")
    );
    // Every page says so in its head.
    let head = pages.get("/settings/tokens").await;
    assert!(head.body.contains("class=\"health\""), "{}", head.body);
    assert!(head.body.contains("✕ parser: parser is not ready") && !head.body.contains("<script>alert"));
    pages.stop().await;
}

#[tokio::test]
async fn clients_are_listed_page_by_page() {
    let pages = Pages::start().await;
    let client = |number: u64| service::Client {
        peer_addr: format!("192.0.2.{number}:1000"),
        listener: "tcp".to_owned(),
        protocol: "tcp".to_owned(),
        tls_name: Some("<b>web01".to_owned()),
        since: jiff::Timestamp::UNIX_EPOCH,
        frames: number,
        bytes: 1,
        last_at: None,
    };
    pages.ctx.clients().provide("syslog-server", move |max| {
        ((1..=3).map(client).take(max).collect(), 3)
    });
    let speaker = pages.broker.clone();
    let intake = Pulse {
        service: "syslog-server",
        ..PARSER
    };
    let _pulse = intake.start(&pages.ctx, move |key, beat| speaker.announce(key, beat));
    eventually(DEADLINE, || async {
        pages.get("/api/v1/clients").await.json()["total"] == 3
    })
    .await;
    let first = pages.get("/api/v1/clients?limit=2").await.json();
    assert_eq!(first["clients"].as_array().map(Vec::len), Some(2));
    let next = first["next"].as_str().expect("there is more");
    let next = next.replace(' ', "%20");
    assert_eq!(first["complete"], true);
    let second = pages
        .get(&format!("/api/v1/clients?limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(second["clients"][0]["peer_addr"], "192.0.2.3:1000");
    assert!(second["next"].is_null());
    assert_eq!(pages.get("/api/v1/clients?limit=0").await.status, 400);
    let page = pages.get("/pipeline/clients").await;
    assert!(page.body.contains("192.0.2.1:1000") && !page.body.contains("<b>web01"));
    pages.stop().await;
}

#[tokio::test]
async fn changes_come_as_a_stream() {
    let pages = Pages::start().await;
    let mut stream = pages.open("/api/v1/pipeline/stream?window=1h").await;
    let mut all = String::new();
    // Trends, ages and the sentence above all change in place too.
    for name in [
        "\"queue:parser/depth\":{\"t\":\"0 ready",
        "\"queue:parser/curve\":",
        "\"parser/oldest\":",
        "\"summary\":",
    ] {
        while !all.contains(name) {
            let patch = stream.until("event: patch").await;
            assert!(patch.len() <= 4096, "{} bytes", patch.len());
            all.push_str(&patch);
        }
    }
    drop(stream);
    assert_eq!(pages.get("/api/v1/pipeline/stream?window=2h").await.status, 400);
    pages.stop().await;
}

#[tokio::test]
async fn the_age_of_the_oldest_is_shown_and_unknown_is_a_word() {
    let pages = Pages::start().await;
    let counters = StageCounters::new(&pages.ctx.metrics, "parser");
    counters.taken(1);
    let begun = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(3);
    let _held = counters.hold(begun.as_microsecond());
    // This one holds something, and not since when.
    StageCounters::new(&pages.ctx.metrics, "shipper-pgsql").taken(1);
    let _pulses = ["parser", "shipper-pgsql"].map(|service| {
        let speaker = pages.broker.clone();
        let pulse = Pulse { service, ..PARSER };
        pulse.start(&pages.ctx, move |key, beat| speaker.announce(key, beat))
    });
    let nodes = eventually(DEADLINE, || async {
        let picture = pages.get("/api/v1/pipeline").await.json();
        let nodes = picture["nodes"].as_array().expect("has nodes").clone();
        let heard = nodes
            .iter()
            .filter(|node| node["instances"][0]["up"] == true)
            .count();
        (heard == 2).then_some(nodes)
    })
    .await;
    let of = |id: &str| {
        let node = nodes.iter().find(|node| node["id"] == id).expect("is drawn");
        node["oldest_ms"].clone()
    };
    assert!(
        of("parser").as_u64().is_some_and(|age| age >= 180_000),
        "{nodes:#?}"
    );
    assert!(of("shipper-pgsql").is_null(), "{nodes:#?}");
    assert_eq!(of("queue:parser"), 0, "nothing waits");
    let page = pages.get("/pipeline?view=table").await.body;
    for cell in [
        "data-f=\"parser/oldest\">3 min</td>",
        "data-f=\"shipper-pgsql/oldest\">unknown</td>",
        "data-f=\"queue:parser/oldest\">none</td>",
    ] {
        assert!(page.contains(cell), "{cell}: {page}");
    }
    let map = pages.get("/pipeline").await.body;
    assert!(map.contains("oldest 3 min</text>"), "{map}");
    pages.stop().await;
}

#[tokio::test]
async fn views_windows_and_the_open_box_are_addresses() {
    let pages = Pages::start().await;
    let map = pages.get("/pipeline").await.body;
    assert!(map.contains("class=\"map\"") && map.contains("href=\"/pipeline?view=table\""));
    let page = pages
        .get("/pipeline?view=table&window=15m&open=queue%3Aparser")
        .await
        .body;
    assert!(!page.contains("class=\"map\"") && page.contains("data-f=\"queue:parser/depth\""));
    let data = "data-stream=\"/api/v1/pipeline/stream?window=15m\"";
    for part in [
        data,
        "<b aria-current=\"page\">15 min</b>",
        // What is unknown of the hour is said.
        "Events a second, ",
        "in unknown",
        "Batches that wait",
        "<h2 id=\"panel-name\">queue parser <a href=\"/pipeline?view=table&#38;window=15m\">close</a>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for wrong in ["view=list", "window=3m"] {
        assert_eq!(
            pages.get(&format!("/pipeline?{wrong}")).await.status,
            400,
            "{wrong}"
        );
    }
    assert_eq!(pages.get("/api/v1/pipeline?window=1h").await.status, 200);
    pages.stop().await;
}

#[tokio::test]
async fn what_acks_meant_is_told_for_a_day() {
    let pages = Pages::start().await;
    pages
        .ctx
        .durability
        .set(Custody::Embedded, None, "<b>the broker takes batches");
    let intake = Pulse {
        service: "syslog-server",
        ..PARSER
    };
    let speaker = pages.broker.clone();
    let _pulse = intake.start(&pages.ctx, move |key, beat| speaker.announce(key, beat));
    let inputs = eventually(DEADLINE, || async {
        let inputs = pages.get("/api/v1/durability").await.json();
        (inputs["inputs"][0]["in_force"] == "embedded").then_some(inputs)
    })
    .await;
    check(
        &schema(
            &description(),
            "/api/v1/durability",
            "get",
            "200",
            "application/json",
        ),
        &inputs,
    );
    let history = &inputs["inputs"][0]["processes"][0]["history"];
    assert_eq!(history[0]["in_force"], "embedded", "{history:#}");
    assert_eq!(history[0]["is_as_configured"], true);
    let page = pages.get("/pipeline").await.body;
    assert!(
        page.contains("class=\"strip\"") && page.contains("aria-label=\"Last 24 h: "),
        "{page}"
    );
    assert!(!page.contains("<b>the broker"), "{page}");
    pages.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rabbitmq_tells_is_shown_and_the_rest_is_unknown() {
    let vhost = tokio::task::spawn_blocking(testkit::rabbitmq)
        .await
        .expect("starts");
    let api = vhost.api_url();
    let pages = Pages::over_rabbitmq(&[("url", vhost.url()), ("management_url", &api)]).await;
    let picture = eventually(DEADLINE, || async {
        let picture = pages.get("/api/v1/pipeline").await.json();
        (!picture["rabbit"]["as_of"].is_null()).then_some(picture)
    })
    .await;
    let description = description();
    check(
        &schema(&description, "/api/v1/pipeline", "get", "200", "application/json"),
        &picture,
    );
    let rabbit = &picture["rabbit"];
    assert_eq!(rabbit["nodes"][0]["running"], true, "{rabbit:#}");
    assert_eq!(rabbit["unknown"].as_array().map(Vec::len), Some(0), "{rabbit:#}");
    // This RabbitMQ keeps no statistics.
    assert!(rabbit["nodes"][0]["disk_free_bytes"].is_null());
    let nodes = picture["nodes"].as_array().expect("has nodes");
    let queue = nodes.iter().find(|node| node["id"] == "queue:parser");
    let queue = &queue.expect("is drawn")["rabbit"];
    assert_eq!(queue["members"].as_array().map(Vec::len), Some(1), "{queue:#}");
    assert!(queue["publish_s"].is_null() && queue["unacked"].is_null());
    let page = pages.get("/pipeline?open=queue%3Aparser").await.body;
    assert!(page.contains("1 of 1 online, ") && page.contains("unknown (limit unknown), alarm unknown"));
    assert!(
        page.contains("<dt>batches published</dt><dd class=\"num\">unknown</dd>"),
        "{page}"
    );
    pages.stop().await;

    // One that says nothing, and one whose address nobody wrote down.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = format!("http://{}", silent.local_addr().expect("is bound"));
    let keys = [
        ("url", vhost.url()),
        ("management_url", &address),
        ("connect_timeout", "2s"),
    ];
    let pages = Pages::over_rabbitmq(&keys).await;
    let page = pages.get("/pipeline").await;
    assert!(
        page.status == 200 && page.body.contains("has not answered yet"),
        "{}",
        page.body
    );
    eventually(DEADLINE, || async {
        let page = pages.get("/pipeline").await.body;
        page.contains("did not answer within 2s")
    })
    .await;
    pages.stop().await;
    let pages = Pages::over_rabbitmq(&[("url", vhost.url())]).await;
    let page = pages.get("/pipeline").await.body;
    assert!(page.contains("broker.management_url is &#34;off&#34;"), "{page}");
    pages.stop().await;
}
