//! What is counted and listed: figures, neighbours, fields and sources.

use std::time::Duration;

use crate::{
    Bar, Clock, Count, FieldKind, ProfileRequest, Quality, Scope, SearchError, SearchRequest, Selection,
    SourceRow, SourcesRequest,
};
use event::{BatchId, Severity, Timestamp};

use super::{
    fixture::{DAY, Fixture, NOON, event, selection},
    searching::full,
};

pub(super) async fn figures_agree_with_the_rows(fixture: &Fixture) {
    let mut events = Vec::new();
    for number in 0..600 {
        let mut event = event(
            NOON - number * 60_000_000,
            if number % 3 == 0 { "third" } else { "other" },
        );
        event.severity = Severity::new(u8::try_from(number % 8).unwrap());
        events.push(event);
    }
    fixture.put(&events).await;
    let time = Duration::from_secs(20);
    for (query, exact, events, quality) in [
        ("", false, 600, Quality::Rollup),
        ("", true, 600, Quality::Exact),
        ("severity>=err", false, 300, Quality::Rollup),
        ("-severity>=err", true, 300, Quality::Exact),
        ("third", false, 200, Quality::Exact),
        ("third severity:err", true, 25, Quality::Exact),
        ("nowhere", false, 0, Quality::Exact),
        ("host:nowhere", false, 0, Quality::Exact),
    ] {
        let what = selection(query);
        let count = fixture.store.count(&what, exact, time).await.unwrap();
        assert_eq!(count, Count { events, quality }, "{query}");
        let histogram = fixture.store.histogram(&what, 60, exact, time).await.unwrap();
        assert_eq!(histogram.quality, quality, "{query}");
        assert_eq!(histogram.bucket, Duration::from_secs(600));
        assert_eq!((histogram.bars.len(), histogram.sample), (61, 1.0));
        let sum: u64 = histogram
            .bars
            .iter()
            .map(|bar| bar.crit + bar.err + bar.warning + bar.other)
            .sum();
        assert_eq!(sum, events, "{query}");
        let errors: u64 = histogram.bars.iter().map(|bar| bar.err).sum();
        if !query.starts_with('-') {
            let expected = match events {
                300 => 75,
                25 => 25,
                all => all / 8,
            };
            assert_eq!(errors, expected, "{query}");
        }
    }
    // By the senders' clocks, and of a part of the range.
    let what = Selection {
        clock: Clock::Sender,
        from: Some(Timestamp::from_micros(NOON - 9 * 60_000_000)),
        to: Some(Timestamp::from_micros(NOON + 1)),
        ..selection("")
    };
    let count = fixture.store.count(&what, false, time).await.unwrap();
    assert_eq!(count.events, 10);
    let histogram = fixture.store.histogram(&what, 10, true, time).await.unwrap();
    assert_eq!(
        histogram
            .bars
            .iter()
            .filter(|bar| **bar != Bar::default())
            .count(),
        10
    );
}

pub(super) async fn neighbours_come_from_the_same_source(fixture: &Fixture) {
    let names: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    let mut events = Vec::new();
    for (number, name) in (0..).zip(&names) {
        // Many of one instant, and others between them.
        let mut event = event(NOON + number / 10, name);
        event.hostname = (number % 3 > 0).then(|| ["a", "b"][usize::try_from(number % 2).unwrap()].into());
        event.app_name = Some("x".into());
        events.push(event);
    }
    fixture.put(&events).await;
    let all = fixture.messages("").await;
    let of = |host: &str| -> Vec<String> {
        let of = |number: i64| {
            if number % 3 == 0 {
                ""
            } else {
                ["a", "b"][usize::try_from(number % 2).unwrap()]
            }
        };
        let mut of: Vec<_> = all
            .iter()
            .filter(|name| of(name.parse().unwrap()) == host)
            .cloned()
            .collect();
        of.reverse();
        of
    };
    let rows = fixture.search(&SearchRequest::default()).await.rows;
    for (middle, host) in [("14", "a"), ("13", "b"), ("15", "")] {
        let row = rows
            .iter()
            .find(|row| row.event.message.as_deref() == Some(middle))
            .unwrap();
        assert_eq!(
            fixture.store.event(row.event.id).await.unwrap().as_ref(),
            Some(row)
        );
        for scope in [Scope::Host, Scope::HostApp] {
            let around = fixture
                .store
                .context(row.event.id, scope, 3, 4)
                .await
                .unwrap()
                .unwrap();
            assert!(around.complete && around.event == *row);
            let shown: Vec<_> = around
                .before
                .iter()
                .chain([&around.event])
                .chain(&around.after)
                .map(|row| row.event.message.clone().unwrap().into_owned())
                .collect();
            let of = of(host);
            let at = of.iter().position(|name| name == middle).unwrap();
            assert_eq!(shown, of[at - 3..of.len().min(at + 5)], "{middle}");
        }
        let around = fixture
            .store
            .context(row.event.id, Scope::Peer, 100, 100)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(around.before.len() + around.after.len(), 29);
    }
    let unknown = event::EventId::derive(BatchId::mint(), 0, Timestamp::from_micros(NOON));
    assert_eq!(fixture.store.event(unknown).await.unwrap(), None);
    assert_eq!(
        fixture.store.context(unknown, Scope::Host, 1, 1).await.unwrap(),
        None
    );
}

pub(super) async fn fields_and_values_are_counted(fixture: &Fixture) {
    let time = Duration::from_secs(20);
    fixture.put(&[full(), full(), event(NOON - 1, "bare")]).await;
    let fields = fixture.store.fields(&selection(""), time).await.unwrap();
    assert!(fields.complete && fields.sample == 3);
    let seen = |name: &str| {
        let seen = fields.fields.iter().find(|seen| seen.field.name() == name);
        seen.map(|seen| (seen.present, seen.distinct, seen.kind))
    };
    assert_eq!(seen("listener"), Some((3, 1, FieldKind::Text)));
    assert_eq!(seen("fields.user.id"), Some((2, 1, FieldKind::Number)));
    assert_eq!(seen("fields.b"), Some((2, 3, FieldKind::Text)));
    assert_eq!(seen("sd.origin.ip"), Some((2, 2, FieldKind::Text)));
    assert_eq!(seen("tags"), Some((2, 2, FieldKind::Text)));
    assert_eq!(seen("fields.a"), None, "null is nothing");
    let tags = query::Field::Tags;
    let values = fixture
        .store
        .values(&selection(""), &tags, 1, time)
        .await
        .unwrap();
    assert_eq!((values.sample, values.missing, values.distinct), (3, 1, 2));
    assert_eq!(values.values, [("auth".to_owned(), 2)]);
    let both = [tags, query::Field::Severity];
    let counted = fixture
        .store
        .values_of_each(&selection(""), &both, 1, time)
        .await
        .unwrap();
    assert_eq!((counted.len(), &counted[0]), (2, &values));
    assert_eq!(
        fixture
            .store
            .values_of_each(&selection(""), &[], 1, time)
            .await
            .unwrap(),
        []
    );
    let names = fixture.store.field_names().await.unwrap();
    assert_eq!(
        names,
        query::FieldNames::new(["b", "ratio", "user.id", "user.name"])
    );
}

pub(super) async fn sources_are_listed(fixture: &Fixture) {
    let from = |host: &'static str, app: &'static str, at| {
        let mut event = event(at, "x");
        event.hostname = Some(host.into());
        event.app_name = Some(app.into());
        event
    };
    fixture
        .put(&[
            from("web01", "nginx", NOON),
            from("web01", "cron", NOON - 3_600_000_000),
            from("web01", "cron", NOON - 2 * DAY),
            from("Web02", "cron", NOON),
            from("db", "cron", NOON - 2 * DAY),
        ])
        .await;
    let mut request = SourcesRequest {
        containing: String::new(),
        after: None,
        limit: 2,
        now: Timestamp::from_micros(NOON),
    };
    let names = |rows: &[SourceRow]| rows.iter().map(|row| row.hostname.clone()).collect::<Vec<_>>();
    let first = fixture.store.sources(&request).await.unwrap();
    assert_eq!(names(&first), ["Web02", "db"]);
    assert_eq!(first[1].hours, [0; 24]);
    request.after = Some("db".to_owned());
    let second = fixture.store.sources(&request).await.unwrap();
    assert_eq!(names(&second), ["web01"]);
    let web01 = &second[0];
    assert_eq!((web01.apps, &web01.peers[..]), (2, &["192.0.2.1".to_owned()][..]));
    assert_eq!(web01.first_seen.as_micros(), NOON - 2 * DAY);
    assert_eq!(web01.last_seen.as_micros(), NOON);
    assert_eq!(
        (web01.hours[22], web01.hours[23], web01.hours.iter().sum::<u64>()),
        (1, 1, 2)
    );
    request.after = None;
    request.containing = "WEB".to_owned();
    assert_eq!(
        names(&fixture.store.sources(&request).await.unwrap()),
        ["Web02", "web01"]
    );
    request.limit = 0;
    assert!(matches!(
        fixture.store.sources(&request).await,
        Err(SearchError::Limit(0))
    ));
    for (containing, limit, apps) in [
        ("", 9, &["cron", "nginx"][..]),
        ("NG", 9, &["nginx"]),
        ("", 1, &["cron"]),
        ("x_", 9, &[]),
    ] {
        assert_eq!(
            fixture.store.apps(containing, limit).await.unwrap(),
            apps,
            "{containing}"
        );
    }
    assert!(matches!(
        fixture.store.apps("", 0).await,
        Err(SearchError::Limit(0))
    ));
}

pub(super) async fn hosts_are_counted_hour_by_hour(fixture: &Fixture) {
    const HOUR: i64 = 3_600_000_000;
    let from = |host: &'static str, app: &'static str, severity: u8, hours_ago: i64| {
        let mut event = event(NOON - hours_ago * HOUR, "x");
        event.hostname = Some(host.into());
        event.app_name = Some(app.into());
        event.severity = Severity::new(severity);
        event
    };
    fixture
        .put(&[
            from("web01", "nginx", 6, 0),
            from("web01", "nginx", 6, 0),
            from("web01", "cron", 3, 1),
            from("web01", "zsh", 4, 1),
            from("web01", "old", 2, 170),
            from("db", "cron", 6, 1),
        ])
        .await;
    let now = NOON.div_euclid(HOUR);
    let names = ["web01".to_owned(), "nobody".to_owned()];
    let hourly = fixture
        .store
        .hourly(&names, &[now - 171..now - 168, now - 30..now + 1])
        .await
        .unwrap();
    for (hostname, ago, events) in [
        ("web01", 0, 2),
        ("web01", 1, 2),
        ("web01", 2, 0),
        ("web01", 170, 1),
        ("nobody", 1, 0),
    ] {
        let of = hourly.of(hostname).unwrap();
        assert_eq!(of.events(now - ago), events, "{hostname} {ago}");
    }
    assert!(hourly.of("db").is_none(), "it was not asked for");
    // SQLite has a file of the day, so it knows that nothing came in it before.
    let first = hourly.known_from().unwrap();
    assert!((now - 170 - 23..=now - 170).contains(&first), "{first}");
    assert!(matches!(
        fixture.store.hourly(&names, &[0..24, 48..2000]).await,
        Err(SearchError::Limit(_))
    ));
    let mut request = ProfileRequest {
        hostname: "web01".to_owned(),
        hours: 171,
        recent: 24,
        apps: 2,
        now: Timestamp::from_micros(NOON),
    };
    let profile = fixture.store.profile(&request).await.unwrap();
    assert_eq!((profile.from, profile.hours.len()), (now - 170, 171));
    assert_eq!(profile.known_from, Some(first));
    assert_eq!(
        (profile.hours[0], profile.hours[169], profile.hours[170]),
        (1, 2, 2)
    );
    assert_eq!(profile.hours.iter().sum::<u64>(), 5);
    assert_eq!(profile.severities, [0, 0, 0, 1, 1, 0, 2, 0, 0]);
    assert_eq!(profile.apps, [("nginx".to_owned(), 2), ("cron".to_owned(), 1)]);
    request.hostname = "nobody".to_owned();
    let profile = fixture.store.profile(&request).await.unwrap();
    assert!(profile.apps.is_empty() && profile.hours == [0; 171]);
    request.hours = 0;
    assert!(matches!(
        fixture.store.profile(&request).await,
        Err(SearchError::Limit(0))
    ));
}

pub(super) async fn too_many_searches_are_told(fixture: &Fixture) {
    let long = "x".repeat(500);
    let events: Vec<_> = (0..4000).map(|number| event(NOON - number, &long)).collect();
    fixture.put(&events).await;
    let request = SearchRequest {
        limit: 4000,
        ..SearchRequest::default()
    };
    // Nobody takes what they find, so they do not end.
    let running: Vec<_> = (0..8).map(|_| fixture.store.search(request.clone())).collect();
    testkit::eventually(Duration::from_secs(60), || async {
        matches!(
            fixture.store.page(request.clone()).await,
            Err(SearchError::Busy(8))
        )
    })
    .await;
    drop(running);
    testkit::eventually(Duration::from_secs(60), || async {
        fixture.store.page(request.clone()).await.is_ok()
    })
    .await;
}
