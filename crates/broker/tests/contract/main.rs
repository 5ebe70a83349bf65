//! What every broker must do, tried on the embedded one and on a real RabbitMQ.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod management;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod tls;

use fixture::Fixture;

/// Runs each function of the suite on both kinds of broker.
macro_rules! contract {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::Fixture::embedded()).await;
                }
            )*
        }

        mod rabbitmq {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::Fixture::rabbitmq(crate::is_private(stringify!($module), stringify!($name))).await).await;
                }
            )*
        }
    };
}

/// Whether a test breaks its server.
#[cfg(test)]
fn is_private(module: &str, test: &str) -> bool {
    module == "faults" || test == "listening_comes_back_after_a_lost_connection"
}

contract![
    suite::a_publish_is_confirmed_and_delivered,
    suite::unroutable_messages_are_told_from_routed_ones,
    suite::a_requeued_delivery_comes_back_first_and_is_counted,
    suite::a_dead_letter_tells_where_it_comes_from,
    suite::poison_is_dead_lettered_at_the_delivery_limit,
    suite::a_full_queue_refuses_and_takes_again,
    suite::prefetch_bounds_what_is_unsettled,
    suite::a_dropped_delivery_is_given_back,
    suite::consumers_compete,
    suite::messages_arrive_in_the_order_of_publishing,
    suite::acks_in_any_order_leave_nothing_behind,
    suite::what_is_unsettled_at_the_close_is_delivered_again,
    suite::a_stopped_consumer_gives_back_what_it_did_not_hand_over,
    suite::large_bodies_pass,
    suite::unconfirmed_publishes_are_bounded,
    suite::a_missing_queue_is_told,
    suite::declaring_twice_changes_nothing,
    suite::different_queues_are_refused_and_all_are_named,
    suite::a_closed_broker_says_so,
    suite::each_bound_queue_gets_its_own_copy,
    looking::looking_takes_nothing_and_keeps_the_order,
    looking::what_is_removed_is_gone_and_the_rest_stays_in_order,
    looking::a_dead_letter_goes_back_to_its_queue_alone_and_can_die_again,
    looking::what_has_no_way_back_is_told,
    looking::a_queue_tells_how_full_it_is,
    looking::looking_that_is_given_up_harms_nobody,
    listening::status_is_heard_by_all_who_listen_and_kept_for_nobody,
    listening::parsed_batches_are_heard_once_and_stay_in_their_queues,
    listening::listening_makes_nothing_routable,
    listening::a_slow_listener_misses_the_oldest_and_holds_up_nobody,
    listening::listening_comes_back_after_a_lost_connection,
    faults::what_was_unsettled_is_delivered_again_after_a_lost_connection,
    faults::blocked_publishers_wait_and_go_on,
    faults::nothing_is_lost_when_the_broker_restarts_in_mid_flow,
    faults::a_body_that_is_too_large_is_refused_and_the_others_pass,
];

/// Faults that only a server has.
mod server {
    use crate::{faults, fixture::Fixture};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_publish_without_a_verdict_is_made_again_with_the_same_id() {
        let fixture = Fixture::rabbitmq(true).await;
        faults::a_publish_without_a_verdict_is_made_again_with_the_same_id(fixture).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn looking_for_what_is_missing_does_not_use_up_the_connection() {
        let fixture = Fixture::rabbitmq(false).await;
        faults::looking_for_what_is_missing_does_not_use_up_the_connection(fixture).await;
    }
}
