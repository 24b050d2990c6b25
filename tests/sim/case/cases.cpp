// SPDX-License-Identifier: GPL-2.0
#include <case/cases.hpp>

#include <cstring>

namespace sim
{

// device_life.cpp
void medium_is_exchanged(History &history);
void size_goes_and_comes_back(History &history);
void write_to_a_grown_part_is_waited_for(History &history);
void device_is_written_to_without_bios(History &history);
void slow_opens_hold_up_nobody(History &history);
void device_is_replaced_after_its_open(History &history);
void sweep_meets_destroy(History &history);
void number_of_another_device(History &history);
void disk_is_met_again(History &history);
void no_memory_for_a_generation(History &history);

// copying.cpp
void large_writes(History &history);
void large_copies_are_found(History &history);
void long_zeroes_are_walked_once(History &history);
void refused_writes_wait_for_nothing(History &history);
void page_is_passed_on(History &history);
void slow_store_is_waited_for(History &history);
void another_members_progress_is_none(History &history);
void image_write_ends_with_the_image(History &history);
void loss_releases_a_crowd(History &history);
void loss_drops_many_copies(History &history);
void released_write_meets_a_new_snapshot(History &history);

// image.cpp
void stored_copy_takes_no_readers(History &history);
void image_is_lost_under_overtaken_reads(History &history);

// records.cpp
void records_come_back(History &history);

// storage.cpp
void append_while_another_ends(History &history);
void storage_is_refused(History &history);
void storage_on_a_taken_snapshot(History &history);
void no_memory_to_exclude(History &history);
void no_memory_to_store(History &history);
void writes_over_a_store(History &history);
void writes_over_a_store_need_no_copy(History &history);
void store_is_full_at_each_point(History &history);
void copies_are_no_changes(History &history);
void store_is_put_under_a_read(History &history);
void space_is_asked_for(History &history);

// take.cpp
void watch_runs_before_the_thaw(History &history);
void loss_is_told_again_after_a_retake(History &history);
void take_is_refused(History &history);
void writes_that_do_not_end(History &history);
void older_writes_do_not_end(History &history);
void drain_limit_is_for_all(History &history);
void map_of_a_take_that_fails(History &history);
void grace_periods_are_for_all(History &history);
void killed_taker_takes_nothing(History &history);
void late_freeze_refuses_takes(History &history);
void stacks_side_by_side_are_held_up_together(History &history);
void write_on_its_way_down_is_waited_for(History &history);
void deferred_writes_meet_a_crowd(History &history);
void crowd_is_let_in(History &history);

// chains.cpp
void chain_meets_the_gate(History &history);
void long_chain_meets_the_gate(History &history);
void backward_chain_meets_the_gate(History &history);
void page_is_passed_on_at_the_gate(History &history);
void chains_have_all_records(History &history);

// changes.cpp
void list_meets_wrap(History &history);
void dirty_ranges(History &history);

// stolen_time.cpp
void takes_fail_under_writers(History &history);
void generations_change_under_writers(History &history);
void backups_under_writers(History &history);
void destroys_under_writers(History &history);
void trackers_go_under_writers(History &history);
void disks_go_under_completions(History &history);
void disks_go_under_crowds(History &history);
void all_goes_under_writers(History &history);

// programs.cpp
void name_cannot_be_told(History &history);
void event_cannot_be_told(History &history);
void waiter_is_killed(History &history);

namespace
{

constexpr Case kCases[] = {
	{"medium-is-exchanged", medium_is_exchanged},
	{"size-goes-and-comes-back", size_goes_and_comes_back},
	{"write-to-a-grown-part-is-waited-for", write_to_a_grown_part_is_waited_for},
	{"slow-opens-hold-up-nobody", slow_opens_hold_up_nobody},
	{"device-is-replaced-after-its-open", device_is_replaced_after_its_open},
	{"device-is-written-to-without-bios", device_is_written_to_without_bios},
	{"sweep-meets-destroy", sweep_meets_destroy},
	{"number-of-another-device", number_of_another_device},
	{"disk-is-met-again", disk_is_met_again},
	{"no-memory-for-a-generation", no_memory_for_a_generation},
	{"large-writes", large_writes},
	{"large-copies-are-found", large_copies_are_found},
	{"long-zeroes-are-walked-once", long_zeroes_are_walked_once},
	{"refused-writes-wait-for-nothing", refused_writes_wait_for_nothing},
	{"page-is-passed-on", page_is_passed_on},
	{"slow-store-is-waited-for", slow_store_is_waited_for},
	{"another-members-progress-is-none", another_members_progress_is_none},
	{"image-write-ends-with-the-image", image_write_ends_with_the_image},
	{"loss-releases-a-crowd", loss_releases_a_crowd},
	{"loss-drops-many-copies", loss_drops_many_copies},
	{"released-write-meets-a-new-snapshot", released_write_meets_a_new_snapshot},
	{"stored-copy-takes-no-readers", stored_copy_takes_no_readers},
	{"image-is-lost-under-overtaken-reads", image_is_lost_under_overtaken_reads},
	{"records-come-back", records_come_back},
	{"append-while-another-ends", append_while_another_ends},
	{"storage-is-refused", storage_is_refused},
	{"storage-on-a-taken-snapshot", storage_on_a_taken_snapshot},
	{"no-memory-to-exclude", no_memory_to_exclude},
	{"no-memory-to-store", no_memory_to_store},
	{"writes-over-a-store", writes_over_a_store},
	{"writes-over-a-store-need-no-copy", writes_over_a_store_need_no_copy},
	{"store-is-full-at-each-point", store_is_full_at_each_point},
	{"copies-are-no-changes", copies_are_no_changes},
	{"store-is-put-under-a-read", store_is_put_under_a_read},
	{"space-is-asked-for", space_is_asked_for},
	{"watch-runs-before-the-thaw", watch_runs_before_the_thaw},
	{"loss-is-told-again-after-a-retake", loss_is_told_again_after_a_retake},
	{"take-is-refused", take_is_refused},
	{"writes-that-do-not-end", writes_that_do_not_end},
	{"older-writes-do-not-end", older_writes_do_not_end},
	{"drain-limit-is-for-all", drain_limit_is_for_all},
	{"grace-periods-are-for-all", grace_periods_are_for_all},
	{"killed-taker-takes-nothing", killed_taker_takes_nothing},
	{"late-freeze-refuses-takes", late_freeze_refuses_takes},
	{"stacks-side-by-side-are-held-up-together", stacks_side_by_side_are_held_up_together},
	{"write-on-its-way-down-is-waited-for", write_on_its_way_down_is_waited_for},
	{"map-of-a-take-that-fails", map_of_a_take_that_fails},
	{"chain-meets-the-gate", chain_meets_the_gate},
	{"long-chain-meets-the-gate", long_chain_meets_the_gate},
	{"backward-chain-meets-the-gate", backward_chain_meets_the_gate},
	{"page-is-passed-on-at-the-gate", page_is_passed_on_at_the_gate},
	{"chains-have-all-records", chains_have_all_records},
	{"deferred-writes-meet-a-crowd", deferred_writes_meet_a_crowd},
	{"crowd-is-let-in", crowd_is_let_in},
	{"list-meets-wrap", list_meets_wrap},
	{"dirty-ranges", dirty_ranges},
	{"takes-fail-under-writers", takes_fail_under_writers},
	{"generations-change-under-writers", generations_change_under_writers},
	{"backups-under-writers", backups_under_writers},
	{"destroys-under-writers", destroys_under_writers},
	{"trackers-go-under-writers", trackers_go_under_writers},
	{"disks-go-under-completions", disks_go_under_completions},
	{"disks-go-under-crowds", disks_go_under_crowds},
	{"all-goes-under-writers", all_goes_under_writers},
	{"name-cannot-be-told", name_cannot_be_told},
	{"event-cannot-be-told", event_cannot_be_told},
	{"waiter-is-killed", waiter_is_killed},
};

} // namespace

std::span<const Case> all_cases()
{
	return kCases;
}

const Case *find_case(const char *name)
{
	for (const Case &test : kCases)
		if (!std::strcmp(test.name, name))
			return &test;
	return nullptr;
}

} // namespace sim
