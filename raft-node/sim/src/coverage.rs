//! Counts what runs did and saw. A simulation that did nothing proves nothing, so every counter has
//! to be above zero over a suite.

macro_rules! coverage {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Coverage {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Coverage {
            /// All counters, with their names.
            pub fn each(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            /// Adds the counters of another run.
            pub fn add(&mut self, other: &Coverage) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

coverage! {
    /// Times that a node became leader.
    elections,
    /// Times that a leader stepped down without a crash.
    leaders_deposed,
    /// Entries that a node replaced in its log.
    log_suffixes_replaced,
    /// Entries committed.
    entries_committed,
    /// Entries that waited in the log for the applier, not in memory.
    entries_read_back,
    /// Entries with more than one command.
    entries_batched,
    /// Entries without commands, made so that the clock passes a deadline.
    clock_ticks,
    /// Processes killed; their page cache survives.
    kills,
    /// Power cuts, which lose unsynced data.
    power_cuts,
    /// Crashes right after a random step of a node.
    crashes_at_a_step,
    /// Crashes of a leader.
    leader_crashes,
    /// Crashes of all nodes at once.
    crashes_of_all,
    /// Orderly stops.
    orderly_stops,
    /// Restarts.
    restarts,
    /// Restarts that found a checkpoint.
    restarts_from_checkpoint,
    /// Appends lost in a power cut. None of them had been acknowledged.
    appends_lost,
    /// Appends of which a power cut left a part, truncated when the log was opened.
    appends_torn,
    /// Unsynced appends that survived a crash.
    appends_kept,
    /// Crashes between the write of an append and its sync.
    crashes_before_sync,
    /// Nodes that noticed a damaged log and did not come back.
    logs_damaged,
    /// Data directories copied.
    directories_copied,
    /// Data directories put back from a copy.
    directories_put_back,
    /// Nodes that noticed that theirs was put back, and stopped.
    put_backs_noticed,
    /// Nodes that came back at another address.
    nodes_moved,
    /// Of those, recorded in the membership.
    moves_recorded,
    /// Frames to an address where the node is not any more.
    frames_to_old_addresses,
    /// Checkpoints written.
    checkpoints,
    /// Checkpoints interrupted by a crash of the node.
    checkpoints_torn,
    /// Checkpoints damaged on disk, noticed, moved aside and rebuilt from the log.
    checkpoints_rebuilt,
    /// Snapshots taken.
    snapshots_taken,
    /// Snapshots not taken because of a full disk.
    snapshots_failed,
    /// Snapshots interrupted by the end of the node.
    snapshots_torn,
    /// Snapshots damaged on disk.
    snapshots_damaged,
    /// Of those, noticed when they were to be sent or read back.
    snapshots_found_damaged,
    /// States made from a snapshot after their checkpoint was damaged.
    states_from_snapshots,
    /// Truncations of a log at its front.
    logs_cut,
    /// Transfers that went on with what an earlier one had brought.
    transfers_resumed,
    /// Words of a sender that it is busy with a snapshot.
    senders_busy,
    /// Snapshots that a receiver could not use.
    transfers_unusable,
    /// Parts of snapshots sent.
    snapshot_parts_sent,
    /// Snapshot transfers given up by the receiver.
    transfers_given_up,
    /// Snapshot transfers interrupted by the end of the receiver.
    transfers_torn,
    /// Snapshots installed.
    snapshots_installed,
    /// Installations interrupted by a crash after the state had changed and before the log had.
    installs_torn,
    /// Of those, completed when the node started again.
    installs_ended_at_start,
    /// Nodes stopped by a full disk.
    disks_full,
    /// Disks that ran low.
    disks_low,
    /// Disks that were nearly full, so that the node took no entries.
    disks_exhausted,
    /// Requests refused because disks were low.
    refused_for_room,
    /// Disks that hung until they were mended.
    disks_hung,
    /// Requests refused because the disk of their node hung.
    refused_for_stall,
    /// Leaders whose disk hung and that led no more before it was mended.
    stalled_leaders_replaced,
    /// Nodes that ended because their disk hung for too long.
    nodes_ended_by_stall,
    /// Nodes stopped by a failed sync.
    syncs_failed,
    /// Times that a disk was slow for a while.
    disks_slow,
    /// Pauses.
    pauses,
    /// Pauses of a leader.
    leader_pauses,
    /// One node isolated in both directions.
    isolations,
    /// One node isolated in one direction.
    one_way_cuts,
    /// Partitions of the cluster into two halves.
    splits,
    /// Partitions with one node that reaches both halves.
    bridges,
    /// Partitions in which every node reaches only its neighbours.
    rings,
    /// A single link cut.
    single_links_cut,
    /// A link that comes and goes.
    flaps,
    /// Links of a random set, cut one by one and restored in another order.
    swizzles,
    /// Times that the network got worse for a while.
    storms,
    /// Frames lost at random.
    frames_lost,
    /// Frames lost on a cut link.
    frames_cut,
    /// Frames delivered twice.
    frames_duplicated,
    /// Frames that overtook others.
    frames_reordered,
    /// Frames damaged on the way, and refused by their checksum.
    frames_damaged,
    /// Links reported as broken to raft.
    links_broken,
    /// Clocks that jumped forwards.
    clock_jumps_forwards,
    /// Clocks that jumped backwards.
    clock_jumps_backwards,
    /// Clocks that ran too fast or too slow.
    clocks_drifting,
    /// Sleeps of all machines.
    sleeps_of_all,
    /// Times that the replicated clock was seen after it had taken the time of a sleep.
    clock_steps,
    /// Leaders told to transfer leadership.
    transfers,
    /// Commands forwarded to a leader.
    forwarded,
    /// Commands that reached the log twice and were applied once.
    commands_ignored,
    /// Requests answered with their outcome.
    answered,
    /// Requests answered with a refusal by the rules.
    rejected,
    /// Refusals for lack of stock.
    rejected_stock,
    /// Orders, batches and holds refused for lack of stock without an entry.
    refused_without_entry,
    /// Of those, holds.
    holds_refused_without_entry,
    /// Of those, batches.
    batches_refused_without_entry,
    /// Refusals of a key used for another request.
    rejected_key,
    /// Refusals because too many orders were open.
    rejected_open_orders,
    /// Requests that certainly never entered the log.
    not_applied,
    /// Of those, refused because too much waited.
    overloaded,
    /// Requests whose outcome stayed unknown to their node.
    unknown,
    /// Requests that a client gave up with an unknown outcome.
    left_in_doubt,
    /// Requests with an unknown outcome that were in the log.
    unknown_but_applied,
    /// Requests with an unknown outcome that never reached the log.
    unknown_and_lost,
    /// Requests sent again by their client under the same key.
    retries,
    /// Requests answered with the order that their key had made before.
    replays,
    /// Linearizable reads answered.
    reads,
    /// Linearizable reads refused as not fresh enough in time.
    reads_refused,
    /// Stale reads answered.
    stale_reads,
    /// Stale reads that were behind acknowledged writes.
    stale_reads_behind,
    /// Reads that waited for a position.
    reads_at_position,
    /// Lists and counts read.
    lists,
    /// Orders and holds read from the checkpoint.
    rows_read_from_store,
    /// Reads of a product's ledger.
    ledgers,
    /// Reads of a provider's report.
    reports_read,
    /// Batches, atomic or not, whose orders were all placed.
    batches_placed,
    /// Batches with some orders refused and others placed.
    batches_in_part,
    /// Batches refused as a whole because of one order.
    batches_refused,
    /// Events.
    events_told,
    /// Sold-out events.
    sold_out,
    /// Low-stock events.
    stock_low,
    /// Events that subscribers received.
    events_heard,
    /// Pages of events from a chunk of a checkpoint.
    events_read_from_store,
    /// Chunks removed while a subscriber's page was read from them.
    events_gone_while_read,
    /// Subscribers that continued at another node after their last event.
    subscribers_moved,
    /// Subscribers so far behind that events were gone.
    subscribers_too_late,
    /// Keys fenced before they made an order.
    keys_fenced,
    /// Refusals of a fenced key.
    rejected_key_fenced,
    /// Stock adjusted.
    stock_adjusted,
    /// Adjustments repeated under their key.
    adjustments_replayed,
    /// Adjustments refused because of the stock.
    rejected_adjustment,
    /// Refusals because of a limit per user.
    rejected_user_limit,
    /// Refusals because a sale had not opened.
    rejected_not_open,
    /// Of the refusals without an entry, those because a sale had not opened.
    not_open_without_entry,
    /// Of the refusals without an entry, those because a sale was closed.
    closed_without_entry,
    /// Refusals because a sale was closed.
    rejected_closed,
    /// Refusals because of a minimum per order.
    rejected_minimum,
    /// Refusals because of a limit of held units.
    rejected_held_limit,
    /// Refusals because of another total than expected.
    rejected_total,
    /// Refusals because of a limit per user and window.
    rejected_window,
    /// Refusals because another order has the reference.
    rejected_reference,
    /// Orders from holds that paid other prices than those of their moment.
    orders_at_frozen_prices,
    /// Reports of payments that settled their order.
    reports_applied,
    /// Duplicate reports.
    reports_repeated,
    /// Reports that came before their order and decide nothing.
    reports_refused,
    /// Reports that came before their order and waited, as level 0 lets them.
    reports_parked,
    /// Reports that waited for their order and found it, whatever the result.
    reports_matched,
    /// Reports whose order did not exist, or did not come in time.
    reports_unmatched,
    /// Late reports: for an order under way, or with another amount.
    reports_in_conflict,
    /// Holds made.
    holds_created,
    /// Holds that became an order.
    holds_consumed,
    /// Holds whose deadline passed.
    holds_expired,
    /// Holds released.
    holds_released,
    /// Holds that were extended.
    holds_extended,
    /// Holds requested again under their key.
    holds_replayed,
    /// Refusals because a hold had ended.
    rejected_hold_over,
    /// Refusals because too many holds were active.
    rejected_holds_max,
    /// Orders placed.
    orders_placed,
    /// Orders paid.
    orders_paid,
    /// Orders that failed.
    orders_failed,
    /// Orders cancelled, for any reason.
    orders_cancelled,
    /// Of those, cancelled because no payment came in time.
    webhook_timeouts,
    /// Products archived.
    products_archived,
    /// Calls to the provider.
    payment_calls,
    /// Charges.
    payment_charges,
    /// Definite refusals.
    payment_declines,
    /// Calls without an answer.
    payment_no_answers,
    /// Calls lost before the provider saw them.
    payment_requests_lost,
    /// Calls whose answer was lost after the provider had decided.
    payment_answers_lost,
    /// Calls that reached the provider twice.
    payment_calls_doubled,
    /// Questions about a key that may have been sent.
    payment_look_ups,
    /// Of those, about keys that the provider had not seen.
    payments_unseen,
    /// Answers that a payment is decided later.
    payments_pending,
    /// Times that a breaker opened.
    breakers_opened,
    /// Orders that an operator ended.
    orders_settled_by_operator,
    /// Payments that an operator made due.
    payments_rechecked,
    /// Decisions of an operator that were refused because a call was under way.
    rejected_in_flight,
    /// Refunds requested.
    refunds_requested,
    /// Refunds that their key had made before.
    refunds_replayed,
    /// Calls to the provider about refunds.
    refund_calls,
    /// Of those, calls whose answer was lost after the provider had decided.
    refund_answers_lost,
    /// Refunds that the provider declined.
    refunds_failed,
    /// Refunds refused because more was wanted than is left.
    rejected_refund,
    /// Payment tasks taken over after another node's lease expired.
    leases_taken_over,
    /// Times that payments were paused or resumed.
    payments_set,
    /// Times that the mode of credentials changed.
    auth_set,
    /// Commands that their key had executed before.
    keyed_repeated,
    /// Tokens created.
    tokens_created,
    /// Tokens revoked.
    tokens_revoked,
    /// Acts of operators that were told to the audit.
    noted,
    /// Commands refused because their sender's token was gone, or because they had none.
    rejected_unauthorized,
    /// Orders and holds refused because the sender is limited to another user.
    rejected_other_user,
    /// Commands refused because the cluster's level is too low for them.
    level_too_low,
    /// Claims of payments while payments were paused.
    claims_put_off,
    /// Results for an attempt that was settled already.
    payment_results_stale,
    /// Nodes added as learners.
    members_added,
    /// Learners promoted to voters.
    members_promoted,
    /// Members removed because their disk was lost, in the step that promoted another.
    members_replaced,
    /// Members removed.
    members_removed,
    /// Leaders removed.
    leaders_removed,
    /// Nodes whose disk was lost.
    nodes_wiped,
    /// Joint phases that ended.
    joint_phases_left,
    /// Snapshots with members that their node did not know.
    members_from_snapshots,
    /// Changes and transfers that the leader refused.
    changes_refused,
    /// Transfers of leadership that ended where the operator wanted.
    transfers_done,
    /// Frames of nodes that came back without their disk.
    frames_of_strangers,
    /// Raises of the level that were applied.
    levels_raised,
    /// Raises of the level that the leader refused.
    raises_refused,
    /// Nodes that got a newer build.
    builds_replaced,
    /// Runs of a cluster that a build before levels founded.
    runs_founded_at_level_0,
    /// Runs with three nodes.
    runs_of_three,
    /// Runs with five or seven nodes.
    runs_of_more,
    /// Runs with four or six nodes, where half is not a majority.
    runs_of_even,
    /// Runs that ended with a minority still down.
    runs_with_minority_down,
}
