//! What a run did and saw. A simulation that did nothing proves nothing, so every counter here has
//! to be above zero over a suite.

macro_rules! coverage {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Coverage {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Coverage {
            /// All counters by name.
            pub fn each(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            /// Adds another run's counters.
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
    /// Entries that a node had to replace in its log.
    log_suffixes_replaced,
    /// Entries committed.
    entries_committed,
    /// Entries that held more than one command.
    entries_batched,
    /// Entries without commands that let the clock pass a deadline.
    clock_ticks,
    /// Processes killed, their page cache surviving.
    kills,
    /// Power cuts, which lose what was not synced.
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
    /// Appends that a power cut took, none of which had been acknowledged.
    appends_lost,
    /// Appends of which a power cut left a part, cut off when the log was opened.
    appends_torn,
    /// Appends not yet synced that survived a crash all the same.
    appends_kept,
    /// Crashes between the write of an append and its sync.
    crashes_before_sync,
    /// Nodes whose log was damaged, noticed, and which did not come back.
    logs_damaged,
    /// Checkpoints written.
    checkpoints,
    /// Checkpoints during which the node crashed.
    checkpoints_torn,
    /// Checkpoints damaged on disk, noticed, set aside and rebuilt from the log.
    checkpoints_rebuilt,
    /// Snapshots taken.
    snapshots_taken,
    /// Snapshots that a full disk kept from being taken.
    snapshots_failed,
    /// Snapshots during whose writing the node ended.
    snapshots_torn,
    /// Snapshots damaged on disk.
    snapshots_damaged,
    /// Of those, found when they were to be sent or read back.
    snapshots_found_damaged,
    /// States made from a snapshot after their checkpoint was damaged.
    states_from_snapshots,
    /// Times that a log was cut at its beginning.
    logs_cut,
    /// Parts of snapshots sent.
    snapshot_parts_sent,
    /// Transfers of snapshots given up by the node that received them.
    transfers_given_up,
    /// Transfers in which the receiving node ended.
    transfers_torn,
    /// Snapshots that took the place of state and log.
    snapshots_installed,
    /// Installations that a crash cut off after the state had changed and before the log had.
    installs_torn,
    /// Of those, ended when the node started again.
    installs_ended_at_start,
    /// Nodes stopped by a full disk.
    disks_full,
    /// Disks that ran low.
    disks_low,
    /// Disks that were all but full, so that the node took no entries.
    disks_exhausted,
    /// Requests refused because disks were low.
    refused_for_room,
    /// Nodes stopped by a failed sync.
    syncs_failed,
    /// Times that a disk was slow for a while.
    disks_slow,
    /// Pauses.
    pauses,
    /// Pauses of a leader.
    leader_pauses,
    /// One node cut off in both directions.
    isolations,
    /// One node cut off in one direction.
    one_way_cuts,
    /// The cluster cut in two.
    splits,
    /// Two halves joined by one node.
    bridges,
    /// Every node sees its neighbours only.
    rings,
    /// A single link cut.
    single_links_cut,
    /// A link that comes and goes.
    flaps,
    /// Links of a random set cut one by one and released in another order.
    swizzles,
    /// Times that the network got worse for a while.
    storms,
    /// Frames lost at random.
    frames_lost,
    /// Frames that found their link cut.
    frames_cut,
    /// Frames delivered twice.
    frames_duplicated,
    /// Frames that overtook others.
    frames_reordered,
    /// Frames damaged on the way and refused by their checksum.
    frames_damaged,
    /// Links reported as broken to raft.
    links_broken,
    /// Clocks that jumped forwards.
    clock_jumps_forwards,
    /// Clocks that jumped backwards.
    clock_jumps_backwards,
    /// Clocks that ran too fast or too slow.
    clocks_drifting,
    /// Leaders told to hand leadership over.
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
    /// Requests that a client gave up in doubt.
    left_in_doubt,
    /// Requests that were in doubt and turned out to be in the log.
    unknown_but_applied,
    /// Requests that were in doubt and never reached the log.
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
    /// Stale reads that were behind what had been acknowledged.
    stale_reads_behind,
    /// Reads that waited for a position.
    reads_at_position,
    /// Lists and counts read.
    lists,
    /// Orders and holds read back from the checkpoint.
    rows_read_from_store,
    /// Reads of a product's ledger.
    ledgers,
    /// Reads of a provider's report.
    reports_read,
    /// Batches whose orders were all placed, by whatever rule.
    batches_placed,
    /// Batches of which some orders were refused and others placed.
    batches_in_part,
    /// Batches of which nothing was placed because one order could not be.
    batches_refused,
    /// Events told.
    events_told,
    /// Products told to be sold out.
    sold_out,
    /// Products told to be nearly so.
    stock_low,
    /// Events that a subscriber heard.
    events_heard,
    /// Pages of events that came from a chunk of a checkpoint.
    events_read_from_store,
    /// Times that a chunk went while a subscriber's page was read from it.
    events_gone_while_read,
    /// Times that a subscriber went on at another node, after the last event it had heard.
    subscribers_moved,
    /// Times that a subscriber was so far behind that events were gone.
    subscribers_too_late,
    /// Keys closed before they made an order.
    keys_fenced,
    /// Refusals of a closed key.
    rejected_key_fenced,
    /// Stock adjusted.
    stock_adjusted,
    /// Adjustments asked for again under their key.
    adjustments_replayed,
    /// Adjustments refused for the stock there was.
    rejected_adjustment,
    /// Refusals because of a limit per user.
    rejected_user_limit,
    /// Reports of payments that settled their order.
    reports_applied,
    /// Reports that had been told before.
    reports_repeated,
    /// Reports that came before their order.
    reports_parked,
    /// Reports that waited for their order and found it, whatever came of that.
    reports_matched,
    /// Reports whose order did not come in time.
    reports_unmatched,
    /// Reports that came late, for an order under way, or of another amount.
    reports_in_conflict,
    /// Holds made.
    holds_created,
    /// Holds that became an order.
    holds_consumed,
    /// Holds whose deadline passed.
    holds_expired,
    /// Holds released.
    holds_released,
    /// Holds that were given more time.
    holds_extended,
    /// Holds asked for again under their key.
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
    /// Orders cancelled, by whomever.
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
    /// Calls that got no answer.
    payment_no_answers,
    /// Calls whose request was lost before the provider saw it.
    payment_requests_lost,
    /// Calls whose answer was lost after the provider had decided.
    payment_answers_lost,
    /// Calls that reached the provider twice.
    payment_calls_doubled,
    /// Payment tasks taken over after the lease of another node ran out.
    leases_taken_over,
    /// Times that somebody let payments wait, or go on.
    payments_set,
    /// Payments that were to be claimed while payments waited.
    claims_put_off,
    /// Results handed in for an attempt that was over.
    payment_results_stale,
    /// Nodes added as learners.
    members_added,
    /// Learners that got their vote.
    members_promoted,
    /// Members removed because their disk was lost, in the step that gave another its vote.
    members_replaced,
    /// Members removed.
    members_removed,
    /// Leaders removed.
    leaders_removed,
    /// Nodes whose disk was lost.
    nodes_wiped,
    /// Joint phases that ended.
    joint_phases_left,
    /// Snapshots that brought members which their node did not know of.
    members_from_snapshots,
    /// Changes and transfers that the leader refused.
    changes_refused,
    /// Transfers of leadership after which it was where the operator wanted it.
    transfers_done,
    /// Frames of nodes that came back without their disk.
    frames_of_strangers,
    /// Runs with three nodes.
    runs_of_three,
    /// Runs with five or seven nodes.
    runs_of_more,
    /// Runs with four or six nodes, where half is no majority.
    runs_of_even,
    /// Runs that ended with a minority still down.
    runs_with_minority_down,
}
