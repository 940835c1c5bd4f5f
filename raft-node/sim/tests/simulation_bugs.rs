//! Proves that the simulation can fail: it finds each planted bug, and soon.

use raft_sim::{Bug, Show};

/// A simulation that needs more seeds than this is not good enough.
const SEEDS_MAX: u64 = 500;

fn is_found(bug: Bug) {
    let found = (1..=SEEDS_MAX).find_map(|seed| {
        let failure = raft_sim::run(seed, Some(bug), Show::Nothing).failure?;
        Some((seed, failure))
    });
    let Some((seed, failure)) = found else { panic!("{bug:?} is not found in {SEEDS_MAX} lives") };
    println!("{bug:?} is found by seed {seed}: {failure}");
}

macro_rules! found {
    ($($test:ident: $bug:ident,)*) => {
        $(
            #[test]
            fn $test() {
                is_found(Bug::$bug);
            }
        )*

        #[test]
        fn every_planted_bug_has_its_test() {
            assert_eq!([$(Bug::$bug),*], Bug::ALL);
        }
    };
}

found! {
    an_append_reported_before_its_sync: ReportBeforeSync,
    a_follower_that_acknowledges_before_its_sync: AcknowledgeBeforeSync,
    a_vote_that_is_not_persisted: VoteNotPersisted,
    an_old_tail_that_is_kept: OldTailKept,
    a_read_without_a_barrier: ReadWithoutBarrier,
    a_read_before_its_index_is_applied: ReadBeforeApplied,
    a_refusal_by_a_state_that_may_be_old: SoldOutWithoutBarrier,
    an_unknown_outcome_called_not_applied: UnknownCalledNotApplied,
    deadlines_by_the_local_clock: ExpireByLocalClock,
    the_last_command_of_a_batch_dropped: LastOfBatchDropped,
    a_key_for_each_try_of_a_payment: KeyPerTry,
    a_key_for_each_call_about_a_refund: RefundKeyPerTry,
    refunds_that_do_not_count: RefundsNotCounted,
    units_that_come_back_twice: RestockTwice,
    an_operator_who_settles_while_a_call_is_under_way: SettleIgnoresLease,
    a_key_that_was_not_seen_counts_as_declined: UnseenIsDeclined,
    a_payment_that_pends_counts_as_paid: PendingIsPaid,
    a_checkpoint_published_before_it_is_staged: PublishBeforeStage,
    an_applied_index_written_apart: AppliedIndexApart,
    a_log_relied_on_without_a_sync: OpenedWithoutSync,
    units_of_a_failed_order_not_given_back: ReleaseLost,
    keys_forgotten_at_a_restart: KeysForgotten,
    requests_carried_out_twice: SessionsForgotten,
    a_digest_of_what_is_in_memory: DigestOfMemory,
    a_checkpoint_published_before_it_is_synced: PublishBeforeSync,
    an_atomic_batch_placed_in_part: BatchInPart,
    a_deadline_that_counts_too_late: DeadlineLate,
    events_removed_while_they_are_kept: EventsRemovedEarly,
    a_pause_of_payments_that_is_ignored: PauseIgnored,
    a_report_that_waits_for_an_order_of_the_future: ParkedById,
    reports_that_wait_on_in_a_restored_copy: ParkedSurvivesRestore,
    an_owner_that_is_not_asked_for: OwnerIgnored,
    a_key_of_a_command_that_is_forgotten: KeyedForgotten,
    a_revoked_token_that_still_counts: RevocationLost,
    refusals_that_the_audit_leaves_out: RefusalsNotRecorded,
    a_log_cut_past_what_the_snapshots_hold: CompactedPastSnapshot,
    a_snapshot_without_its_last_part: SnapshotWithoutLastPart,
    a_part_of_a_snapshot_that_is_written_twice: PartWrittenTwice,
    parts_of_a_snapshot_written_out_of_order: PartsOutOfOrder,
    a_snapshot_removed_while_it_is_sent: SentSnapshotRemoved,
    a_learner_that_is_promoted_too_soon: PromotedTooSoon,
    a_joint_phase_that_is_skipped: JointPhaseSkipped,
    a_wiped_node_that_is_believed: WipedNodeBelieved,
    a_leader_that_leads_although_its_disk_hangs: StalledLeads,
    an_entry_lost_between_handed_out_and_read_back: ReadBackLoses,
    a_clock_that_takes_an_hour_of_sleep_at_once: ClockStepAtOnce,
    a_directory_put_back_that_is_believed: PutBackBelieved,
    a_moved_node_that_is_not_heard: MovedNotHeard,
    a_sale_that_opens_too_late: SaleOpensLate,
    prices_of_holds_forgotten_at_a_restart: FrozenPriceLost,
    keys_from_before_level_1_compared_as_newer_ones: ShortMeaningsForgotten,
    references_forgotten_at_a_restart: ReferenceForgotten,
    a_sale_that_is_over_by_the_leaders_clock_alone: ClosedByLeaderClock,
    units_that_leave_their_window_early: WindowEarly,
}
