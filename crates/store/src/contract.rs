//! What every store must do, run on SQLite and on PostgreSQL; and what only PostgreSQL has to do.

mod accounts;
mod appending;
mod figures;
mod fixture;
mod notes;
mod postgres;
mod queries;
mod retention;
mod searching;
mod tls;
mod upkeep;

/// Every case on every store.
macro_rules! on_every_store {
    ($($module:ident: $($case:ident),+;)+) => {
        mod on_sqlite {
            $($(
                #[tokio::test]
                async fn $case() {
                    let fixture = super::fixture::Fixture::sqlite().await;
                    super::$module::$case(&fixture).await;
                    fixture.close().await;
                }
            )+)+
        }
        mod on_postgres {
            $($(
                #[tokio::test]
                async fn $case() {
                    let fixture = super::fixture::Fixture::postgres().await;
                    super::$module::$case(&fixture).await;
                    fixture.close().await;
                }
            )+)+
        }
    };
}

on_every_store! {
    accounts:
        an_invitation_makes_one_user,
        sessions_open_and_end,
        tokens_go_with_their_user;
    notes:
        notes_are_kept_by_subject_and_key,
        the_newest_notes_come_first_and_the_oldest_go;
    appending:
        a_repeated_batch_is_not_written_twice,
        a_group_with_new_and_repeated_batches_adds_the_new_ones,
        two_writers_with_the_same_batch_write_it_once,
        a_damaged_batch_leaves_the_group_as_it_was,
        an_empty_group_is_written,
        refused_rows_do_not_hold_up_the_others,
        days_far_apart_go_in_one_group,
        writers_of_a_new_day_do_not_trip_over_each_other,
        the_catalogue_of_sources_is_bounded;
    searching:
        an_event_comes_back_as_it_went_in,
        what_cannot_be_stored_is_marked,
        times_at_the_edge_of_the_calendar_are_stored,
        pages_follow_each_other_in_both_orders,
        many_events_of_one_instant_are_paged_in_order,
        texts_are_found_in_any_case,
        special_characters_in_texts_mean_themselves,
        an_event_is_found_by_its_id,
        the_senders_clock_orders_too,
        a_search_whose_time_is_up_says_how_far_it_came,
        a_search_tells_its_progress,
        bad_requests_are_told_before_they_run;
    figures:
        figures_agree_with_the_rows,
        neighbours_come_from_the_same_source,
        fields_and_values_are_counted,
        sources_are_listed,
        hosts_are_counted_hour_by_hour,
        too_many_searches_are_told;
    queries:
        a_query_means_the_same_everywhere;
    upkeep:
        sealed_partitions_answer_as_before,
        hours_of_a_day_that_is_written_are_indexed,
        interrupted_sealing_goes_on_where_it_was,
        rows_are_written_while_a_partition_is_sealed,
        two_at_once_do_it_once;
    retention:
        old_partitions_are_dropped,
        the_oldest_partitions_are_dropped_while_all_are_too_large,
        rows_of_a_route_go_before_the_others;
}
