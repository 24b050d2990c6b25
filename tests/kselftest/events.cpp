// SPDX-License-Identifier: GPL-2.0
//
// events: WAIT_EVENT, what the two kinds of events say, and when they come.
#include "kselftest.hpp"

#include "memory.hpp"
#include "module.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <csignal>
#include <ctime>
#include <memory>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors
constexpr unsigned kSoonMs = 10000;  // a limit for what comes, not a time to wait
constexpr unsigned kNothingMs = 500; // long enough for what must not come

std::int64_t monotonic_ns()
{
	timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return static_cast<std::int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

// Reads the request for the first portion, which is there from the beginning.
void read_first_request(const Snapshot &snapshot)
{
	blk_snap_snapshot_event event;

	REQUIRE_ERRNO(snapshot.wait_event(0, event), 0);
	REQUIRE_EQ(event.code, blk_snap_event_code_low_free_space);
}

void expect_low_free_space(const Snapshot &snapshot, std::uint64_t sectors)
{
	blk_snap_snapshot_event event;
	blk_snap_event_low_free_space data;

	REQUIRE_ERRNO(snapshot.wait_event(kSoonMs, event), 0);
	REQUIRE_EQ(event.code, blk_snap_event_code_low_free_space);
	memcpy(&data, event.data, sizeof(data));
	EXPECT_EQ(data.requested_nr_sect, sectors);
	EXPECT(all_bytes(event.data + sizeof(data), sizeof(event.data) - sizeof(data), 0));
}

// The next event that is no request for space.
void expect_corrupted(const Snapshot &snapshot, const Disk &origin, int error)
{
	blk_snap_snapshot_event event;
	blk_snap_event_corrupted data;

	do {
		REQUIRE_ERRNO(snapshot.wait_event(kSoonMs, event), 0);
	} while (event.code == blk_snap_event_code_low_free_space);
	REQUIRE_EQ(event.code, blk_snap_event_code_corrupted);
	memcpy(&data, event.data, sizeof(data));
	EXPECT(same(data.orig_dev_id, origin.number()));
	EXPECT_ERRNO(data.err_code, error);
	EXPECT(all_bytes(event.data + sizeof(data), sizeof(event.data) - sizeof(data), 0));
}

void expect_no_event(const Snapshot &snapshot)
{
	blk_snap_snapshot_event event;

	EXPECT_ERRNO(snapshot.wait_event(kNothingMs, event), ENOENT);
}

void expect_image_is_lost(const Snapshot &snapshot, const Disk &origin)
{
	const Disk image = snapshot.image_of(origin);
	Bytes bytes(4096);

	EXPECT_ERRNO(image.try_read(0, bytes), EIO);
	EXPECT_ERRNO(image.try_write(0, bytes), EIO);
}

// Waits in a child; its result is the errno.
std::unique_ptr<Child> waiter(const Snapshot &snapshot, unsigned timeout_ms = 600000)
{
	auto child = std::make_unique<Child>([&snapshot, timeout_ms] {
		struct sigaction action {
		};
		action.sa_handler = [](int) {};
		sigaction(SIGUSR1, &action, nullptr);
		blk_snap_snapshot_event event;
		return snapshot.wait_event(timeout_ms, event);
	});
	return child;
}

} // namespace

// --- waiting ---------------------------------------------------------------------------------

TEST(the_first_portion_is_requested_when_create_returns)
{
	const Control control;
	const NullDisk origin(16);
	const module::Parameter portion("diff_storage_minimum", "12345");
	const std::int64_t before = monotonic_ns();
	const Snapshot snapshot(control, {&origin});
	const std::int64_t after = monotonic_ns();
	blk_snap_snapshot_event event;
	REQUIRE_ERRNO(snapshot.wait_event(0, event), 0);
	EXPECT_EQ(event.code, blk_snap_event_code_low_free_space);
	EXPECT(event.time_label >= before);
	EXPECT(event.time_label <= after);
	blk_snap_event_low_free_space data;
	memcpy(&data, event.data, sizeof(data));
	EXPECT_EQ(data.requested_nr_sect, 12345u);
	EXPECT(all_bytes(event.data + sizeof(data), sizeof(event.data) - sizeof(data), 0));
	// What was given stays.
	EXPECT(same(event.id, snapshot.id()));
	EXPECT_EQ(event.timeout_ms, 0u);
	expect_no_event(snapshot);
}

TEST(without_an_event_wait_is_enoent_and_tells_nothing)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	blk_snap_snapshot_event event;
	for (const unsigned timeout : {0u, 1u, 50u}) {
		EXPECT_ERRNO(snapshot.wait_event(timeout, event), ENOENT);
		EXPECT(all_bytes(&event.code,
				 sizeof(event) - offsetof(blk_snap_snapshot_event, code), kPoison));
	}
}

TEST(wait_lasts_as_many_milliseconds_as_it_is_told)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	blk_snap_snapshot_event event;
	for (const unsigned timeout : {0u, 100u, 700u, 2000u}) {
		const double begin = now();
		EXPECT_ERRNO(snapshot.wait_event(timeout, event), ENOENT);
		const double waited = (now() - begin) * 1000;
		note("%u ms: %.1f ms", timeout, waited);
		EXPECT(waited >= timeout);
		EXPECT(waited < timeout + 1000);
	}
}

TEST(wait_on_an_unknown_snapshot_is_esrch)
{
	const Control control;
	blk_snap_snapshot_event event;
	memset(&event, kPoison, sizeof(event));
	event.id = kUnknownId;
	event.timeout_ms = 10000;
	const double begin = now();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event), ESRCH);
	EXPECT(now() - begin < 5);
}

TEST(wait_on_a_destroyed_snapshot_is_esrch)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	blk_snap_snapshot_event event;
	EXPECT_ERRNO(snapshot.destroy(), 0);
	// The request that nobody read is gone, too.
	EXPECT_ERRNO(snapshot.wait_event(0, event), ESRCH);
}

TEST(a_signal_ends_the_wait_with_eintr)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	const auto child = waiter(snapshot);
	child->wait_until_asleep();
	child->kill(SIGUSR1);
	EXPECT_ERRNO(child->wait(), EINTR);
}

TEST(a_waiter_can_be_killed)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	const auto child = waiter(snapshot);
	child->wait_until_asleep();
	const double begin = now();
	child->kill(SIGKILL);
	EXPECT_EQ(child->wait(), 256 + SIGKILL);
	EXPECT(now() - begin < 5);
	EXPECT_EQ(control.snapshots(), 1u);
}

TEST(an_interrupted_wait_loses_no_event)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const module::Parameter portion("diff_storage_minimum", "64");
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	const auto child = waiter(snapshot);
	child->wait_until_asleep();
	child->kill(SIGUSR1);
	EXPECT_ERRNO(child->wait(), EINTR);
	REQUIRE_ERRNO(snapshot.append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, kMib * 3 / 4);
	expect_low_free_space(snapshot, 64);
}

TEST(each_event_goes_to_one_of_many_waiters)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	REQUIRE_ERRNO(snapshot.append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	std::vector<std::unique_ptr<Child>> children;
	for (int i = 0; i < 6; i++) {
		children.push_back(waiter(snapshot, 8000));
		children.back()->wait_until_asleep();
	}
	origin.fill(1, 0, kMib * 3 / 4);
	unsigned got = 0, none = 0;
	for (const auto &child : children) {
		const int error = child->wait();
		got += error == 0;
		none += error == ENOENT;
	}
	EXPECT_EQ(got, 1u);
	EXPECT_EQ(none, 5u);
}

TEST(destroy_wakes_all_waiters_with_esrch)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	std::vector<std::unique_ptr<Child>> children;
	for (int i = 0; i < 8; i++) {
		children.push_back(waiter(snapshot));
		children.back()->wait_until_asleep();
	}
	const double begin = now();
	EXPECT_ERRNO(snapshot.destroy(), 0);
	for (const auto &child : children)
		EXPECT_ERRNO(child->wait(), ESRCH);
	note("took %.3f s", now() - begin);
	EXPECT(now() - begin < 10);
}

// A waiter that is stopped cannot leave: nobody waits for it.
TEST(destroy_does_not_wait_for_waiters)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	snapshot.take_with(store);
	const auto child = waiter(snapshot);
	child->wait_until_asleep();
	child->kill(SIGSTOP);
	const double begin = now();
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT(now() - begin < 10);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
	child->kill(SIGCONT);
	// What it sees first decides: the stop, which is a signal, or the end.
	const int error = child->wait();
	if (error != EINTR)
		EXPECT_ERRNO(error, ESRCH);
}

TEST(snapshots_have_events_of_their_own)
{
	const Control control;
	const NullDisk one(16), two(16);
	const Snapshot first(control, {&one});
	read_first_request(first);
	const module::Parameter portion("diff_storage_minimum", "4096");
	const Snapshot second(control, {&two});
	blk_snap_snapshot_event event;
	EXPECT_ERRNO(first.wait_event(0, event), ENOENT);
	expect_low_free_space(second, 4096);
}

// --- low free space --------------------------------------------------------------------------

TEST(half_of_a_portion_left_requests_the_next)
{
	const Control control;
	const NullDisk origin(32), store(32);
	const module::Parameter portion("diff_storage_minimum", "2048");
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	REQUIRE_ERRNO(snapshot.append(store, {{0, 8 * kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	expect_no_event(snapshot);
	origin.fill(1, 0, 3 * kMib);
	expect_no_event(snapshot);
	origin.fill(1, 3 * kMib, 2 * kMib);
	expect_low_free_space(snapshot, 2048);
	EXPECT(snapshot.image_of(origin).read(0, 5 * kMib) == Bytes(5 << 20));
}

TEST(a_portion_is_requested_once)
{
	const Control control;
	const NullDisk origin(32), store(32);
	const module::Parameter portion("diff_storage_minimum", "2048");
	const Snapshot snapshot(control, {&origin});
	read_first_request(snapshot);
	REQUIRE_ERRNO(snapshot.append(store, {{0, 8 * kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 5 * kMib);
	expect_low_free_space(snapshot, 2048);
	origin.fill(1, 5 * kMib, 2 * kMib);
	expect_no_event(snapshot);
	// Half of the last portion, not of all there is: 4 of 8 MiB.
	REQUIRE_ERRNO(snapshot.append(store, {{8 * kMib, 8 * kMib}}), 0);
	expect_no_event(snapshot);
	origin.fill(1, 7 * kMib, 4 * kMib);
	expect_no_event(snapshot);
	origin.fill(1, 11 * kMib, 2 * kMib);
	expect_low_free_space(snapshot, 2048);
	expect_no_event(snapshot);
}

TEST(requests_that_nobody_reads_are_merged)
{
	const Control control;
	const NullDisk origin(32), store(32);
	const module::Parameter portion("diff_storage_minimum", "2048");
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 4 * kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 3 * kMib);
	REQUIRE_ERRNO(snapshot.append(store, {{4 * kMib, 4 * kMib}}), 0);
	origin.fill(1, 3 * kMib, 3 * kMib);
	usleep(kNothingMs * 1000);
	expect_low_free_space(snapshot, 2048);
	expect_no_event(snapshot);
}

TEST(the_parameter_is_that_of_the_creation)
{
	const Control control;
	const NullDisk origin(16), store(16);
	std::unique_ptr<Snapshot> snapshot;
	{
		const module::Parameter portion("diff_storage_minimum", "777");
		snapshot = std::make_unique<Snapshot>(control, std::vector<const Disk *>{&origin});
	}
	expect_low_free_space(*snapshot, 777);
	REQUIRE_ERRNO(snapshot->append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot->take(), 0);
	origin.fill(1, 0, kMib * 3 / 4);
	expect_low_free_space(*snapshot, 777);
}

// --- corrupted -------------------------------------------------------------------------------

TEST(a_full_store_loses_the_image_with_enospc)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 4 * kMib);
	EXPECT(origin.holds(1, 0, 4 * kMib));
	expect_corrupted(snapshot, origin, ENOSPC);
	expect_image_is_lost(snapshot, origin);
	origin.fill(2, 4 * kMib, kMib);
	expect_no_event(snapshot);
}

TEST(each_device_is_reported_once)
{
	const Control control;
	const NullDisk one(16), two(16), three(16), store(16);
	const Snapshot snapshot(control, {&one, &two, &three});
	REQUIRE_ERRNO(snapshot.append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	one.fill(1, 0, 4 * kMib);
	expect_corrupted(snapshot, one, ENOSPC);
	expect_no_event(snapshot);
	two.fill(1, 0, 4 * kMib);
	expect_corrupted(snapshot, two, ENOSPC);
	one.fill(2, 4 * kMib, 4 * kMib);
	two.fill(2, 4 * kMib, 4 * kMib);
	expect_no_event(snapshot);
	EXPECT(snapshot.image_of(three).read(0, 8) == Bytes(4096));
}

TEST(a_store_that_fails_loses_the_image_with_eio)
{
	const Control control;
	const NullDisk origin(16), lower(16);
	const DmDisk store("0 32768 linear " + lower.path() + " 0");
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	store.reload("0 32768 error");
	origin.fill(1, 0, 128);
	EXPECT(origin.holds(1, 0, 128));
	expect_corrupted(snapshot, origin, EIO);
	expect_image_is_lost(snapshot, origin);
}

TEST(an_origin_that_cannot_be_read_loses_the_image_with_eio)
{
	const Control control;
	const NullDisk lower(16), store(16);
	const DmDisk broken("0 32768 error"), origin("0 32768 linear " + lower.path() + " 0");
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	// The delay target takes another device for reads than for writes.
	origin.reload("0 32768 delay " + broken.path() + " 0 0 " + lower.path() + " 0 0");
	origin.fill(1, 0, 128);
	expect_corrupted(snapshot, origin, EIO);
	expect_image_is_lost(snapshot, origin);
}

TEST(a_store_that_hangs_loses_the_image_with_etimedout, .timeout_seconds = 120)
{
	const Control control;
	const NullDisk origin(16), lower(16);
	const DmDisk store("0 32768 linear " + lower.path() + " 0");
	const module::Parameter limit("cow_timeout_ms", "500");
	const module::Parameter memory("cow_memory_limit_kib", "1024");
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	run_or_throw({"dmsetup", "suspend", "--noflush", "--nolockfs", store.dm_name()});
	// More than may be kept in memory: the writer waits, but not for ever.
	Child writer([&] {
		origin.fill(1, 0, 8 * kMib);
		return 0;
	});
	expect_corrupted(snapshot, origin, ETIMEDOUT);
	EXPECT_EQ(writer.wait(), 0);
	run_or_throw({"dmsetup", "resume", store.dm_name()});
	EXPECT(origin.holds(1, 0, 8 * kMib));
	expect_image_is_lost(snapshot, origin);
}

TEST(an_origin_that_shrinks_loses_the_image_with_enodev)
{
	const Control control;
	const LoopDisk origin(16 << 20);
	const NullDisk store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	origin.resize(8 << 20);
	expect_corrupted(snapshot, origin, ENODEV);
	expect_image_is_lost(snapshot, origin);
}

TEST(events_come_in_the_order_in_which_they_happened)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	origin.fill(1, 0, 4 * kMib);
	EXPECT(wait_until([&] {
		Bytes bytes(4096);
		return snapshot.image_of(origin).try_read(0, bytes) == EIO;
	}));
	blk_snap_snapshot_event first, second;
	REQUIRE_ERRNO(snapshot.wait_event(kSoonMs, first), 0);
	REQUIRE_ERRNO(snapshot.wait_event(kSoonMs, second), 0);
	EXPECT_EQ(first.code, blk_snap_event_code_low_free_space);
	EXPECT_EQ(second.code, blk_snap_event_code_corrupted);
	EXPECT(first.time_label < second.time_label);
}
