//! Who may look, and as whom.

use crate::browser::{Answer, DEADLINE, Pages};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// The path of the link that a page shows.
pub(crate) fn link(answer: &Answer) -> &str {
    let (_, after) = answer.body.split_once("id=\"secret\">").expect("shows a secret");
    let link = after.split('<').next().expect("ends");
    &link[link.find("/set-up/").expect("is a link")..]
}

/// Makes an account; the cookie of its session.
pub(crate) async fn join(pages: &Pages, link: &str, name: &str) -> String {
    let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
    let made = pages.post(link, &[], &form).await;
    assert_eq!(made.status, 303, "{made:?}");
    made.cookie().to_owned()
}

/// The first account.
pub(crate) async fn first(pages: &Pages) -> String {
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let invited = pages
        .post("/settings/users", &[], &format!("csrf={csrf}&role=admin"))
        .await;
    join(pages, link(&invited), "ana").await
}

pub(crate) async fn signed_in(pages: &Pages, cookie: &str, path: &str) -> Answer {
    pages.ask("GET", path, &[("Cookie", cookie)], "").await
}

pub(crate) async fn post(pages: &Pages, cookie: &str, path: &str, form: &str) -> Answer {
    let csrf = signed_in(pages, cookie, "/settings/sessions")
        .await
        .csrf()
        .to_owned();
    pages
        .post(path, &[("Cookie", cookie)], &format!("csrf={csrf}&{form}"))
        .await
}

/// Another account, by an invitation of `admin`; the cookie of its session.
pub(crate) async fn invited(pages: &Pages, admin: &str, role: &str, name: &str) -> String {
    let invited = post(pages, admin, "/settings/users", &format!("role={role}")).await;
    join(pages, link(&invited), name).await
}

pub(crate) async fn token(pages: &Pages, cookie: &str, form: &str) -> String {
    let made = post(pages, cookie, "/settings/tokens", form).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (_, after) = made.body.split_once("id=\"secret\">").expect("shows it");
    format!("Bearer {}", after.split('<').next().expect("ends"))
}

#[tokio::test]
async fn with_the_first_account_everybody_signs_in() {
    let pages = Pages::start().await;
    assert_eq!(pages.get("/settings/tokens").await.status, 200);
    let ana = first(&pages).await;
    let turned_away = pages.get("/settings/tokens?x=1").await;
    assert_eq!(
        (turned_away.status, turned_away.header("location")),
        (303, Some("/sign-in?next=%2Fsettings%2Ftokens%3Fx%3D1"))
    );
    let refused = pages.get("/api/v1/tokens").await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(signed_in(&pages, &ana, "/settings/users").await.status, 200);

    let form = format!(
        "name=ana&password={}&next=/settings/users",
        PASSWORD.replace(' ', "+")
    );
    let entered = pages.post("/sign-in", &[], &form).await;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/settings/users"))
    );
    let cookie = entered.header("set-cookie").expect("sets a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let second = entered.cookie().to_owned();
    assert_eq!(
        signed_in(&pages, &second, "/api/v1/sessions")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    let left = post(&pages, &second, "/sign-out", "").await;
    assert_eq!((left.status, left.cookie()), (303, "lf_session="));
    assert_eq!(
        signed_in(&pages, &second, "/settings/users").await.status,
        303,
        "it is over"
    );
    assert_eq!(
        signed_in(&pages, &ana, "/settings/users").await.status,
        200,
        "the other is not"
    );
    pages.stop().await;
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_alike_and_cost_time() {
    let pages = Pages::start().await;
    first(&pages).await;
    let try_it = async |name: &str| {
        pages
            .post("/sign-in", &[], &format!("name={name}&password=guess"))
            .await
    };
    let (known, unknown) = (try_it("ana").await, try_it("eve").await);
    assert_eq!((known.status, unknown.status), (401, 401));
    // But for the name, and for the time of day.
    let look = |answer: &Answer, name: &str| {
        let (before, after) = answer.body.split_once(" data-now=").expect("tells the time");
        let (_, after) = after.split_once('>').expect("ends");
        format!("{before}{after}").replace(name, "NAME")
    };
    assert_eq!(look(&known, "ana"), look(&unknown, "eve"));
    try_it("ana").await;
    let waiting = try_it("ana").await;
    assert_eq!(waiting.status, 429, "{waiting:?}");
    assert!(waiting.body.contains("Try again in"), "{}", waiting.body);
    pages.stop().await;
}

#[tokio::test]
async fn a_link_makes_one_account_and_a_role_is_kept_to() {
    let pages = Pages::start().await;
    let ana = first(&pages).await;
    let invited = post(&pages, &ana, "/settings/users", "role=reader").await;
    let link = link(&invited);
    for (form, says) in [
        ("name=&password=correct+horse+battery", "A name has"),
        ("name=%3Cb%3E&password=correct+horse+battery", "A name has"),
        ("name=ben&password=short", "at least 10"),
        ("name=ana&password=correct+horse+battery", "Somebody else"),
    ] {
        let refused = pages.post(link, &[], form).await;
        assert!(
            refused.status == 422 && refused.body.contains(says),
            "{form}: {refused:?}"
        );
    }
    let ben = join(&pages, link, "ben").await;
    assert_eq!(pages.get(link).await.status, 404, "it is used up");
    assert_eq!(signed_in(&pages, &ben, "/settings/users").await.status, 403);
    assert_eq!(
        post(&pages, &ben, "/settings/users", "role=admin").await.status,
        403
    );
    assert_eq!(
        post(&pages, &ben, "/settings/tokens", "name=x&scope=admin")
            .await
            .status,
        422
    );
    assert_eq!(
        post(&pages, &ana, "/settings/users/ana/remove", "").await.status,
        409,
        "the last one"
    );
    assert_eq!(
        post(&pages, &ana, "/settings/users/ben/remove", "").await.status,
        303
    );
    assert_eq!(
        signed_in(&pages, &ben, "/settings/tokens").await.status,
        303,
        "removed"
    );
    for link in [
        "/set-up/",
        "/set-up/x",
        "/set-up/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(pages.get(link).await.status, 404, "{link}");
    }
    pages.stop().await;
}

#[tokio::test]
async fn tokens_do_what_they_are_for() {
    let pages = Pages::start().await;
    let ana = first(&pages).await;
    let admin = token(&pages, &ana, "name=all&scope=admin&scope=search:read&days=1").await;
    assert!(admin.starts_with("Bearer lf_"));
    let with = async |token: &str, path: &str| {
        pages
            .ask("GET", path, &[("Authorization", token)], "")
            .await
            .status
    };
    assert_eq!(with(&admin, "/settings/users").await, 200);
    assert_eq!(
        with(&admin, "/settings/tokens").await,
        403,
        "a program makes no tokens"
    );
    assert_eq!(with("Bearer lf_x", "/settings/users").await, 303);
    assert_eq!(with("Bearer lf_x", "/api/v1/tokens").await, 401);
    assert_eq!(with("Basic YTpi", "/api/v1/tokens").await, 401);
    let bound = token(&pages, &ana, "name=ci&scope=admin&query=app:ci").await;
    assert_eq!(
        with(&bound, "/settings/users").await,
        403,
        "users do not go by the query"
    );

    let tokens = signed_in(&pages, &ana, "/api/v1/tokens").await.json();
    let id = tokens
        .as_array()
        .and_then(|all| all.iter().find(|token| token["name"] == "all"));
    let id = id
        .and_then(|token| token["id"].as_str())
        .expect("has an id")
        .to_owned();
    assert!(!tokens.to_string().contains("secret"), "it is shown once");
    assert_eq!(
        post(&pages, &ana, &format!("/settings/tokens/{id}/revoke"), "")
            .await
            .status,
        303
    );
    assert_eq!(with(&admin, "/api/v1/tokens").await, 401);
    for form in [
        "name=&scope=admin",
        "name=x",
        "name=x&scope=all",
        "name=x&scope=admin&days=0",
        "name=x&scope=admin&query=(",
    ] {
        let refused = post(&pages, &ana, "/settings/tokens", form).await;
        assert!(
            refused.status == 422 && refused.body.contains("role=\"alert\""),
            "{form}: {}",
            refused.status
        );
    }
    pages.stop().await;
}

#[tokio::test]
async fn beyond_this_machine_nothing_is_open_before_the_first_account() {
    let pages = Pages::with(|settings| settings.public_url = Some("https://logs.example".to_owned())).await;
    for path in [
        "/settings/tokens",
        "/settings/users",
        "/sign-in",
        "/api/v1/tokens",
    ] {
        let answer = pages.get(path).await;
        assert!(answer.status == 403 || path == "/sign-in", "{path}: {answer:?}");
        assert!(!answer.body.contains("/set-up/"), "{path}");
    }
    assert_eq!(pages.post("/settings/users", &[], "role=admin").await.status, 403);
    pages.stop().await;
}

#[tokio::test]
async fn what_is_ended_is_over_at_once_even_while_the_store_is_away() {
    let database = testkit::postgres();
    let pages = Pages::on_postgres(database.url()).await;
    let ana = first(&pages).await;
    let other = pages
        .post(
            "/sign-in",
            &[],
            &format!("name=ana&password={}", PASSWORD.replace(' ', "+")),
        )
        .await
        .cookie()
        .to_owned();
    let ben = invited(&pages, &ana, "reader", "ben").await;
    let looks = async |cookie: &str| signed_in(&pages, cookie, "/pipeline").await.status;
    let csrf = signed_in(&pages, &other, "/pipeline").await.csrf().to_owned();
    for cookie in [&ana, &other, &ben] {
        assert_eq!(looks(cookie).await, 200);
    }
    assert_eq!(
        post(&pages, &ana, "/settings/users/ben/remove", "").await.status,
        303
    );
    for cookie in [&ana, &other] {
        assert_eq!(looks(cookie).await, 200);
    }
    // No operation of the store works any more.
    pages.store.close().await;
    assert_eq!(looks(&ana).await, 200, "who was let in goes on looking");
    assert_ne!(looks(&ben).await, 200, "who was removed before does not");
    assert_eq!(looks(&other).await, 200);
    let left = pages
        .post("/sign-out", &[("Cookie", &*other)], &format!("csrf={csrf}"))
        .await;
    assert_eq!((left.status, left.cookie()), (303, "lf_session="), "{left:?}");
    assert_ne!(looks(&other).await, 200, "who signed out does not");
    assert_eq!(looks(&ana).await, 200);
    pages.stop().await;
}

#[tokio::test]
async fn two_servers_over_one_store_are_as_one() {
    let one = Pages::start().await;
    let ana = first(&one).await;
    let other = one.beside().await;
    assert_eq!(signed_in(&other, &ana, "/settings/users").await.status, 200);
    // A form of the one is taken by the other, and what it made is there in the one.
    let csrf = signed_in(&one, &ana, "/settings/users").await.csrf().to_owned();
    let to_other = async |path: &str, form: &str| {
        let form = format!("csrf={csrf}&{form}");
        other.post(path, &[("Cookie", &*ana)], &form).await
    };
    assert_eq!(to_other("/saved", "name=common&q=a&shared=1").await.status, 303);
    let invitation = to_other("/settings/users", "role=reader").await;
    let ben = join(&one, link(&invitation), "ben").await;
    let saved = signed_in(&one, &ben, "/api/v1/saved").await.json();
    assert_eq!(saved[0]["name"], "common");
    // Nothing of another session's form is taken.
    let forged = format!("csrf={csrf}&name=x&q=a");
    assert_eq!(
        other.post("/saved", &[("Cookie", &*ben)], &forged).await.status,
        403
    );
    // Signed out at the other it is over at the one as soon as that asks the store again.
    assert_eq!(to_other("/sign-out", "").await.status, 303);
    testkit::eventually(DEADLINE, || async {
        signed_in(&one, &ana, "/settings/users").await.status == 303
    })
    .await;
    other.ctx.stop.cancel();
    one.stop().await;
}
