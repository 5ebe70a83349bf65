//! What every rescue queue must do, tried on the local file and on a real Redis.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod file;
mod fixture;
mod redis;
mod suite;
mod tls;

use fixture::Fixture;

/// Runs each function of the suite on both kinds of queue.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::suite::$name(crate::Fixture::file()).await;
                }
            )*
        }

        mod on_redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::suite::$name(crate::Fixture::redis().await).await;
                }
            )*
        }
    };
}

contract![
    a_batch_comes_back_as_it_was_pushed,
    the_oldest_are_claimed_first,
    a_claimed_batch_is_nobody_elses,
    a_claim_ends_by_itself,
    a_released_batch_is_claimed_again_at_once,
    a_removed_batch_is_gone,
    a_full_queue_refuses_and_takes_again,
    a_batch_larger_than_the_bound_is_refused,
    what_waits_is_counted,
    many_pushes_at_the_same_time_are_all_kept,
    claimers_share_the_work,
    a_batch_pushed_twice_has_one_id,
    a_damaged_entry_is_told_and_the_others_pass,
    what_was_taken_is_there_after_a_crash,
    a_closed_queue_says_so,
];
