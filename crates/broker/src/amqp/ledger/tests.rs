//! The ledger against a model of the broker and of lapin's bookkeeping, in every order that chance comes up with.

use std::{cell::RefCell, collections::HashMap, rc::Rc, task::Waker};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::*;

/// lapin's side: a line of returned messages, and a reply for each publish.
#[derive(Default)]
struct Lapin {
    line: VecDeque<Identity>,
    replies: Vec<Rc<RefCell<Option<Reply>>>>,
}

struct ReplyCell(Rc<RefCell<Option<Reply>>>);

impl Future for ReplyCell {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
        self.0.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Lapin {
    fn publish(&mut self) -> ReplyCell {
        let cell = Rc::new(RefCell::new(None));
        self.replies.push(Rc::clone(&cell));
        ReplyCell(cell)
    }

    fn on_return(&mut self, publish: usize) {
        self.line.push_back(identity(publish));
    }

    fn on_ack(&mut self, publish: usize) {
        let returned = self.line.pop_front();
        *self.replies[publish].borrow_mut() = Some(Reply::Ack { returned });
    }

    fn on_nack(&mut self, publish: usize) {
        let returned = self.line.pop_front();
        *self.replies[publish].borrow_mut() = Some(Reply::Nack { returned });
    }

    fn on_close(&mut self) {
        for reply in &self.replies {
            let mut reply = reply.borrow_mut();
            if reply.is_none() {
                *reply = Some(Reply::Lost("closed".into()));
            }
        }
    }
}

fn identity(publish: usize) -> Identity {
    let id = Some(Uuid::from_u128(publish as u128));
    Identity {
        id,
        exchange: "logferry.parsed",
        routing_key: "default".into(),
    }
}

struct Run {
    lapin: Lapin,
    ledger: Ledger<ReplyCell, usize>,
    endings: HashMap<usize, Ending>,
}

impl Run {
    fn new() -> Self {
        Self {
            lapin: Lapin::default(),
            ledger: Ledger::new(),
            endings: HashMap::new(),
        }
    }

    fn publish(&mut self) -> usize {
        let publish = self.lapin.replies.len();
        let reply = self.lapin.publish();
        self.ledger.add(identity(publish), reply, publish);
        publish
    }

    fn poll(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let endings = &mut self.endings;
        self.ledger.poll(
            &mut cx,
            |_, _| {},
            |_, publish, ending| {
                assert!(
                    endings.insert(publish, ending).is_none(),
                    "publish {publish} ended twice"
                );
            },
        );
    }
}

#[test]
fn a_return_in_the_hand_of_another_publish_is_found() {
    let mut run = Run::new();
    let (routed, unroutable) = (run.publish(), run.publish());
    run.lapin.on_return(unroutable);
    run.lapin.on_ack(routed);
    run.lapin.on_ack(unroutable);
    run.poll();
    assert_eq!(
        run.endings,
        HashMap::from([(routed, Ending::Confirmed), (unroutable, Ending::Returned)])
    );
    assert!(run.ledger.is_empty());
}

#[test]
fn returns_that_are_swapped_are_found() {
    let mut run = Run::new();
    let (first, second) = (run.publish(), run.publish());
    run.lapin.on_return(first);
    run.lapin.on_return(second);
    run.lapin.on_ack(second);
    run.poll();
    assert_eq!(
        run.endings,
        HashMap::new(),
        "the second holds the return of the first: nothing is known"
    );
    run.lapin.on_ack(first);
    run.poll();
    assert_eq!(
        run.endings,
        HashMap::from([(first, Ending::Returned), (second, Ending::Returned)])
    );
}

#[test]
fn a_later_publish_decides_an_undecided_one() {
    let mut run = Run::new();
    let (unroutable, routed, pending) = (run.publish(), run.publish(), run.publish());
    run.lapin.on_return(unroutable);
    run.lapin.on_ack(routed);
    run.poll();
    assert_eq!(run.endings, HashMap::new());
    run.lapin.on_ack(unroutable);
    let later = run.publish();
    run.lapin.on_ack(later);
    run.poll();
    assert_eq!(run.endings.remove(&unroutable), Some(Ending::Returned));
    assert_eq!(run.endings.remove(&routed), Some(Ending::Confirmed));
    assert_eq!(run.endings.remove(&later), Some(Ending::Confirmed));
    assert!(!run.endings.contains_key(&pending));
}

#[test]
fn what_was_not_decided_is_lost_with_the_channel() {
    let mut run = Run::new();
    let (first, second) = (run.publish(), run.publish());
    run.lapin.on_return(first);
    run.lapin.on_return(second);
    run.lapin.on_ack(second);
    run.lapin.on_close();
    run.poll();
    let mut cx = Context::from_waker(Waker::noop());
    let Run {
        ledger, mut endings, ..
    } = run;
    ledger.finish(&mut cx, "closed", |_, publish, ending| {
        endings.insert(publish, ending);
    });
    // The return of the second may still be in the line, and the first has no ack.
    assert_eq!(endings[&first], Ending::Lost("closed".into()));
    assert_eq!(endings[&second], Ending::Lost("closed".into()));
}

/// What the broker does with each publish, in an order it may choose: the return before the ack, everything else
/// as it likes.
#[test]
fn every_publish_ends_as_the_broker_meant_it() {
    for seed in 0..2000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut run = Run::new();
        let mut truth = HashMap::new();
        let mut steps = Vec::new();
        for _ in 0..random.random_range(1..12) {
            // A few at a time are under way.
            for _ in 0..random.random_range(1..6) {
                let publish = run.publish();
                let ending = match random.random_range(0..5) {
                    0 | 1 => Ending::Returned,
                    2 => Ending::Nacked,
                    _ => Ending::Confirmed,
                };
                truth.insert(publish, ending);
                steps.push(publish);
            }
            let mut acks: Vec<usize> = Vec::new();
            steps.shuffle(&mut random);
            let leave = random.random_range(0..=steps.len());
            for publish in steps.split_off(leave) {
                // The return comes before the ack, perhaps long before.
                if truth[&publish] == Ending::Returned {
                    run.lapin.on_return(publish);
                }
                acks.push(publish);
            }
            acks.shuffle(&mut random);
            for publish in acks {
                if truth[&publish] == Ending::Nacked {
                    run.lapin.on_nack(publish);
                } else {
                    run.lapin.on_ack(publish);
                }
                if random.random_bool(0.4) {
                    run.poll();
                }
            }
            run.poll();
        }
        for publish in steps {
            match truth[&publish] {
                Ending::Returned => {
                    run.lapin.on_return(publish);
                    run.lapin.on_ack(publish);
                }
                Ending::Nacked => run.lapin.on_nack(publish),
                _ => run.lapin.on_ack(publish),
            }
        }
        run.poll();
        assert_eq!(run.endings, truth, "seed {seed}");
        assert!(run.ledger.is_empty(), "seed {seed}");
    }
}
