//! Users, sessions, tokens, invitations.

use event::Timestamp;
use uuid::Uuid;

use super::fixture::{Fixture, NOON};
use crate::{Accepted, Accounts, Invitation, SecretHash, Session, Token};

const NOW: Timestamp = Timestamp::from_micros(NOON);
const LATER: Timestamp = Timestamp::from_micros(NOON + 1_000_000);

async fn add(accounts: &Accounts, name: &str) {
    let hash = SecretHash([name.len().to_le_bytes()[0]; 32]);
    let invitation = Invitation {
        hash,
        role: "admin".to_owned(),
        expires: LATER,
    };
    accounts.invite(&invitation, NOW).await.unwrap();
    let accepted = accounts.accept(hash, name, "$argon2id$", NOW).await.unwrap();
    assert!(matches!(accepted, Accepted::Made(user) if user.name == name && user.role == "admin"));
}

fn session(secret: u8, user: &str) -> Session {
    Session {
        hash: SecretHash([secret; 32]),
        user: user.to_owned(),
        since: NOW,
        last_seen: NOW,
        expires: LATER,
        address: "192.0.2.1".to_owned(),
    }
}

pub(super) async fn an_invitation_makes_one_user(fixture: &Fixture) {
    let accounts = fixture.store.accounts();
    assert!(accounts.users().await.unwrap().is_empty());
    add(&accounts, "ana").await;
    let invitation = Invitation {
        hash: SecretHash([7; 32]),
        role: "reader".to_owned(),
        expires: LATER,
    };
    accounts.invite(&invitation, NOW).await.unwrap();
    let accept = async |name, now| accounts.accept(invitation.hash, name, "x", now).await.unwrap();
    assert_eq!(accept("ana", NOW).await, Accepted::NameTaken);
    assert_eq!(accept("ben", LATER).await, Accepted::NotInvited, "too old");
    assert_eq!(
        accounts
            .invitation(invitation.hash, NOW)
            .await
            .unwrap()
            .as_deref(),
        Some("reader")
    );
    assert!(matches!(accept("ben", NOW).await, Accepted::Made(user) if user.role == "reader"));
    assert_eq!(accept("eve", NOW).await, Accepted::NotInvited, "used up");
    assert_eq!(accounts.invitation(invitation.hash, NOW).await.unwrap(), None);
    let names: Vec<_> = accounts
        .users()
        .await
        .unwrap()
        .into_iter()
        .map(|user| user.name)
        .collect();
    assert_eq!(names, ["ana", "ben"]);
}

pub(super) async fn sessions_open_and_end(fixture: &Fixture) {
    let accounts = fixture.store.accounts();
    add(&accounts, "ana").await;
    let (one, two) = (session(1, "ana"), session(2, "ana"));
    accounts.open_session(&one).await.unwrap();
    accounts.open_session(&two).await.unwrap();
    let (found, user) = accounts.session(one.hash, NOW).await.unwrap().unwrap();
    assert_eq!((&found, &*user.name), (&one, "ana"));
    assert_eq!(accounts.session(one.hash, LATER).await.unwrap(), None, "too old");
    let soon = Timestamp::from_micros(NOON + 5);
    accounts.session_seen(two.hash, soon).await.unwrap();
    let sessions = accounts.sessions("ana", NOW).await.unwrap();
    assert_eq!(
        sessions
            .iter()
            .map(|session| session.last_seen)
            .collect::<Vec<_>>(),
        [soon, NOW]
    );
    assert_eq!(accounts.end_other_sessions("ana", one.hash).await.unwrap(), 1);
    assert_eq!(accounts.session(two.hash, NOW).await.unwrap(), None);
    assert!(accounts.end_session(one.hash).await.unwrap());
    assert!(!accounts.end_session(one.hash).await.unwrap());

    accounts.open_session(&one).await.unwrap();
    assert!(accounts.change_password("ana", "$new").await.unwrap());
    assert!(!accounts.change_password("eve", "$new").await.unwrap());
    assert_eq!(accounts.user("ana").await.unwrap().unwrap().password_hash, "$new");
    assert_eq!(accounts.session(one.hash, NOW).await.unwrap(), None);
}

pub(super) async fn tokens_go_with_their_user(fixture: &Fixture) {
    let accounts = fixture.store.accounts();
    add(&accounts, "ana").await;
    let token = Token {
        id: Uuid::from_u128(1),
        hash: SecretHash([9; 32]),
        name: "ci".to_owned(),
        scopes: vec!["search:read".to_owned(), "tail:read".to_owned()],
        query: Some("app:ci".to_owned()),
        made_by: "ana".to_owned(),
        made_at: NOW,
        expires: LATER,
        last_used: None,
    };
    accounts.add_token(&token).await.unwrap();
    assert_eq!(
        accounts.token(token.hash, NOW).await.unwrap().as_ref(),
        Some(&token)
    );
    assert_eq!(accounts.token(token.hash, LATER).await.unwrap(), None, "too old");
    accounts.token_used(token.id, NOW).await.unwrap();
    assert_eq!(accounts.tokens().await.unwrap()[0].last_used, Some(NOW));
    assert!(accounts.remove_token(token.id).await.unwrap());
    assert!(!accounts.remove_token(token.id).await.unwrap());

    accounts.add_token(&token).await.unwrap();
    accounts.open_session(&session(1, "ana")).await.unwrap();
    assert!(accounts.remove_user("ana").await.unwrap());
    assert!(!accounts.remove_user("ana").await.unwrap());
    assert_eq!(accounts.token(token.hash, NOW).await.unwrap(), None);
    assert_eq!(accounts.session(SecretHash([1; 32]), NOW).await.unwrap(), None);
}
