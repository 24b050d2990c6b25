// SPDX-License-Identifier: GPL-2.0
//
// programs: programs that end between requests, in them, and while they write. Snapshots belong to nobody: what a
// program leaves, another one can end.
#include "kselftest.hpp"

#include "agent.hpp"
#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "missing_page.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"
#include "scratch.hpp"
#include "stuck.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>
#include <functional>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

// What anybody finds can be ended by anybody.
void end_all(const Control &control)
{
	for (const blk_snap_uuid &id : snapshot_ids(control))
		EXPECT_ERRNO(control.try_destroy(id), 0);
	for (const blk_snap_cbt_info &info : trackers(control))
		EXPECT_ERRNO(remove_tracker(control, info.dev_id), 0);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

std::size_t count_in_log(const std::string &text)
{
	const std::string log = run({"dmesg"}).output;
	std::size_t count = 0;

	for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1))
		count++;
	return count;
}

// What a killed program did stays done. Return: whether all of it does.
bool expect_all_stays(const Control &control, Step last, const Disk &origin, const Disk &store)
{
	const std::uint64_t half = store.sectors() / 2;
	const std::vector<blk_snap_uuid> ids = snapshot_ids(control);
	bool good = EXPECT_EQ(ids.size(), has_snapshot(last) ? 1u : 0u);

	good &= EXPECT_EQ(control.trackers(), has_tracker(last) ? 1u : 0u);
	good &= EXPECT(exists("/dev/blksnap-image0") == has_image(last));
	if (has_image(last)) {
		std::vector<unsigned> marked;
		if (last >= Step::MarkDirty)
			marked.push_back(kMarkedBlock);
		good &= EXPECT(Disk("/dev/blksnap-image0").holds(7, 0, kMib));
		good &= EXPECT_EQ(changed_blocks(control, origin.number(), 0), marked);
	}
	if (ids.empty())
		return good;
	blk_snap_snapshot_event event{};
	event.id = ids[0];
	good &= EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event),
			     last >= Step::WaitEvent ? ENOENT : 0);
	good &= EXPECT_ERRNO(control.try_append(ids[0], store.number(), {{half, half}}),
			     last >= Step::AppendMore ? EINVAL : 0);
	return good;
}

void leave_mounts_of_others()
{
	REQUIRE_EQ(unshare(CLONE_NEWNS), 0);
	REQUIRE_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
}

} // namespace

// --- between requests ------------------------------------------------------------------------

TEST(a_program_killed_between_any_two_requests, .timeout_seconds = 180)
{
	const NullDisk origin(64), store(64);
	const Control control;
	for (const Step step : kSteps) {
		origin.fill(7, 0, kMib);
		Agent agent(step, origin, store);
		EXPECT_EQ(control.snapshots(), has_snapshot(step) ? 1u : 0u);
		EXPECT(agent.dies());
		origin.fill(1, 0, kMib);
		if (!expect_all_stays(control, step, origin, store))
			note("that was after step %u", static_cast<unsigned>(step));
		end_all(control);
	}
}

// What it mounted stays, in nobody's hands, unless it had mounts of its own.
TEST(a_program_killed_with_its_image_mounted, .timeout_seconds = 120)
{
	const NullDisk origin(64), store(64);
	const Control control;
	const std::string path = scratch_directory() + "/left";
	REQUIRE_EQ(mkdir(path.c_str(), 0700), 0);
	for (const bool has_own_mounts : {false, true}) {
		make_file_system(origin, "ext4");
		const Arrival arrival;
		Child agent([&]() -> int {
			const Control own;
			const Snapshot snapshot(own, {&origin});
			snapshot.take_with(store);
			if (has_own_mounts)
				leave_mounts_of_others();
			run_or_throw({"mount", "/dev/blksnap-image0", path});
			arrival.tell_and_stay();
		});
		arrival.wait_for();
		EXPECT(dies(agent));
		origin.fill(1, 0, kMib);
		EXPECT(exists(path + "/lost+found") == !has_own_mounts);
		end_all(control);
		EXPECT(!exists("/dev/blksnap-image0"));
		if (!has_own_mounts)
			EXPECT_EQ(umount2(path.c_str(), 0), 0);
	}
	EXPECT_EQ(rmdir(path.c_str()), 0);
}

// --- in a request ----------------------------------------------------------------------------

// Its memory is not there yet: it is read before anything is done, and written to when it is done. Nobody else waits.
TEST(a_program_killed_in_a_request_that_waits_for_its_memory, .timeout_seconds = 120)
{
	const NullDisk origin(64), store(64), other(16);
	const Control control;
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 32 * kMib}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	const auto is_killed = [&](const std::function<void(const MissingPage &)> &request) {
		const Arrival arrival;
		Child agent([&]() -> int {
			const MissingPage page;
			std::thread thread([&] { request(page); });
			REQUIRE(page.is_asked_for(30000));
			arrival.tell_and_stay();
		});
		arrival.wait_for();
		EXPECT_EQ(control.snapshots(), 1u);
		EXPECT(dies(agent));
	};
	is_killed([&](const MissingPage &page) {
		blk_snap_snapshot_create create{};
		create.count = 1;
		create.dev_id_array = static_cast<blk_snap_dev *>(page.get());
		(void)control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create);
	});
	is_killed([&](const MissingPage &page) {
		blk_snap_snapshot_append_storage append{};
		append.id = snapshot.id();
		append.dev_id = store.number();
		append.count = 1;
		append.ranges = static_cast<blk_snap_block_range *>(page.get());
		(void)control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append);
	});
	is_killed([&](const MissingPage &page) {
		blk_snap_tracker_mark_dirty_blocks mark{};
		mark.dev_id = origin.number();
		mark.count = 1;
		mark.dirty_blocks_array = static_cast<blk_snap_block_range *>(page.get());
		(void)control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &mark);
	});
	is_killed([&](const MissingPage &page) {
		blk_snap_tracker_read_cbt_bitmap read{};
		read.dev_id = origin.number();
		read.length = 1024;
		read.buff = static_cast<__u8 *>(page.get());
		(void)control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &read);
	});
	is_killed([&](const MissingPage &page) {
		blk_snap_snapshot_event *event = page.after<blk_snap_snapshot_event>(64);
		event->id = snapshot.id();
		(void)control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, event);
	});
	blk_snap_snapshot_event event;
	EXPECT_ERRNO(snapshot.wait_event(0, event), 0); // nobody was told of it
	EXPECT_EQ(event.code, blk_snap_event_code_low_free_space);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), std::vector<unsigned>());
	EXPECT_EQ(control.trackers(), 1u);
	EXPECT_ERRNO(try_create(control, {other.number()}), 0);
	EXPECT_ERRNO(remove_tracker(control, other.number()), 0);
}

// It waits for writes that do not end. The take is undone, and can be had again.
TEST(a_program_killed_in_a_take_that_waits_for_writes, .timeout_seconds = 120)
{
	const module::Parameter patience("drain_timeout_ms", "20000");
	const NullDisk plain(256), lower(64), store(64);
	const Control control;
	make_file_system(plain, "ext4");
	Mount mount(plain);
	const Stuck stuck(lower, 32 * kMib);
	stuck.disk().fill(7, 0, kMib);
	const Snapshot snapshot(control, {&plain, &stuck.disk()});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	stuck.hold();
	Child writer([&] { return BlockFile(stuck.disk()).write(8 * kMib, pattern(2, 8)); });
	writer.wait_until_asleep();
	Child agent([&] { return snapshot.take(); });
	agent.wait_until_asleep();
	usleep(500000);
	EXPECT(dies(agent, 30)); // no later than drain_timeout_ms allows
	EXPECT(!exists("/dev/blksnap-image0"));
	mount.write_files("after", 2, 64); // not frozen
	EXPECT_ERRNO(mount.sync(), 0);
	stuck.let_go();
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	stuck.disk().fill(3, 0, kMib);
	EXPECT(snapshot.image_of(stuck.disk()).holds(7, 0, kMib));
}

// It looks for older writes, for half a second, since its device has changed. Who is killed gets no thread that
// would freeze: nothing is taken, or with what is dirty.
TEST(a_program_killed_before_anything_is_frozen_takes_nothing, .timeout_seconds = 180)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 32 * kMib));
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	const std::size_t told = count_in_log("take: the caller was killed");
	for (unsigned mib = 33; mib < 50 && count_in_log("take: the caller was killed") == told;
	     mib++) {
		const Snapshot snapshot(control, {&origin});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		origin.reload(linear_table(lower, 0, mib * kMib));
		const std::string name = "dirty" + std::to_string(mib) + "-";
		mount.write_files(name, 2, 64);
		Child agent([&] { return snapshot.take(); });
		usleep(50000 * (mib - 31)); // 100 ms and more, until it falls into that half second
		agent.kill(SIGKILL);
		(void)agent.wait();
		const int again = snapshot.take();
		EXPECT(again == 0 || again == EALREADY);
		EXPECT(Mount(snapshot.image_of(origin)).holds_files(name, 2, 64));
	}
	EXPECT(count_in_log("take: the caller was killed") > told);
}

// It waits for a file system that does not freeze.
TEST(a_program_killed_in_a_take_that_waits_for_a_file_system, .timeout_seconds = 180)
{
	const NullDisk lower(64), store(64);
	const Control control;
	const Stuck stuck(lower, lower.sectors());
	make_file_system(stuck.disk(), "ext4");
	Mount mount(stuck.disk());
	const module::Parameter limit("freeze_timeout_ms", "60000");
	const Snapshot snapshot(control, {&stuck.disk()});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	mount.write_files("dirty", 4, 64);
	stuck.hold();
	Child agent([&] { return snapshot.take(); });
	agent.wait_until_asleep();
	usleep(500000);
	agent.kill(SIGKILL);
	usleep(200000);
	stuck.let_go();
	const int status = agent.wait();
	EXPECT(status == 256 + SIGKILL || status == 0);
	mount.write_files("later", 4, 64); // it is thawed, also if it froze in the end
	EXPECT_ERRNO(mount.sync(), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(mount.unmount(), 0);
}

// It waits for a store that does not answer. The snapshot is gone when the store does.
TEST(a_program_killed_in_a_destroy_that_waits_for_the_store, .timeout_seconds = 120)
{
	const NullDisk origin(64), lower(64);
	const Control control;
	const Stuck stuck(lower, 64 * kMib);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(stuck.disk());
	// The copy is in memory, and on its way to the store: the writer waits for neither.
	stuck.hold();
	const LetGo at_end(stuck);
	overwrite_some(origin);
	Child agent([&] { return snapshot.destroy(); });
	agent.wait_until_asleep();
	usleep(300000);
	agent.kill(SIGKILL);
	usleep(200000);
	stuck.let_go();
	const int status = agent.wait();
	EXPECT(status == 256 + SIGKILL || status == 0);
	EXPECT(wait_until([&] { return control.snapshots() == 0 || !snapshot.destroy(); }));
	EXPECT(!exists("/dev/blksnap-image0"));
}

// --- a store that does not answer ------------------------------------------------------------

namespace
{

constexpr std::uint64_t kWritten = 8 * kMib; // by one writer: more than copies may keep in memory

// Copies have little memory, and the image is not given up.
struct LittleMemory {
	const module::Parameter patience{"cow_timeout_ms", "3600000"};
	const module::Parameter memory{"cow_memory_limit_kib", "1024"};
};

} // namespace

// What was submitted is written when there is memory for its copies, and then they are gone.
TEST(writers_killed_while_they_wait_for_copies, .timeout_seconds = 120)
{
	const LittleMemory little;
	const NullDisk origin(64), lower(64);
	const Stuck store(lower, 64 * kMib);
	const Held held(origin, store.disk(), 2 * kWritten);
	store.hold();
	Child one([&] { return BlockFile(origin).write(0, pattern(2, kWritten)); });
	Child many([&] {
		std::vector<std::uint64_t> sectors;
		for (std::uint64_t at = kWritten; at < 2 * kWritten; at += 64)
			sectors.push_back(at);
		return write_together(BlockFile(origin), sectors, pattern(3, 64));
	});
	const LetGo at_end(store);
	for (Child *writer : {&one, &many}) {
		writer->wait_until_asleep();
		writer->kill(SIGKILL);
	}
	usleep(300000);
	store.let_go();
	EXPECT_EQ(one.wait(), 256 + SIGKILL);
	EXPECT_EQ(many.wait(), 256 + SIGKILL);
	EXPECT(origin.holds(2, 0, kWritten));
	for (std::uint64_t at = kWritten; at < 2 * kWritten; at += 64)
		REQUIRE(origin.holds(3, at, 64));
	EXPECT(held.image_is_right());
	origin.fill(4, 0, 2 * kWritten);
	EXPECT(held.image_is_right());
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

// It takes as long as the store does; the writers do not, and nobody finds the snapshot any more.
TEST(a_destroy_lets_writers_go_while_the_store_does_not_answer, .timeout_seconds = 120)
{
	const LittleMemory little;
	const NullDisk origin(64), lower(64);
	const Stuck store(lower, 64 * kMib);
	const Control control;
	const Snapshot snapshot(control, {&origin});
	const Arrival written, destroyed;
	snapshot.take_with(store.disk());
	store.hold();
	Child writer([&] {
		const int error = origin.try_write(0, pattern(2, kWritten));
		written.tell();
		return error;
	});
	const LetGo at_end_of_writer(store);
	writer.wait_until_asleep();
	EXPECT(!written.is_told());
	Child destroyer([&] {
		const int error = snapshot.destroy();
		destroyed.tell();
		return error;
	});
	const LetGo at_end(store);
	written.wait_for();
	EXPECT_EQ(writer.wait(), 0);
	EXPECT(wait_until([] { return !exists("/dev/blksnap-image0"); }));
	destroyer.wait_until_asleep();
	EXPECT(!destroyed.is_told());
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_ERRNO(snapshot.destroy(), ENODEV);
	EXPECT_ERRNO(try_create(control, {origin.number()}), EALREADY);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), EBUSY);
	store.let_go();
	EXPECT_EQ(destroyer.wait(), 0);
	EXPECT(origin.holds(2, 0, kWritten));
	EXPECT_ERRNO(try_create(control, {origin.number()}), 0);
}

// It waits for a read that the origin does not answer. That gives what was there at the cut, or fails.
TEST(a_destroy_waits_for_reads_of_the_image, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const Stuck origin(lower, 32 * kMib);
	const Control control;
	origin.disk().fill(7, 0, kMib);
	const Snapshot snapshot(control, {&origin.disk()});
	snapshot.take_with(store);
	const Disk image = snapshot.image_of(origin.disk());
	const Arrival destroyed;
	origin.hold();
	Child reader([&] {
		Bytes bytes(kMib * 512);
		const int error = BlockFile(image).read(0, bytes);
		return error == EIO || (!error && bytes == pattern(7, kMib)) ? 0 : 1;
	});
	const LetGo at_end_of_reader(origin);
	reader.wait_until_asleep();
	Child destroyer([&] {
		const int error = snapshot.destroy();
		destroyed.tell();
		return error;
	});
	const LetGo at_end(origin);
	EXPECT(wait_until([&] { return control.snapshots() == 0; }));
	destroyer.wait_until_asleep();
	EXPECT(!destroyed.is_told());
	EXPECT_ERRNO(remove_tracker(control, origin.disk().number()), EBUSY);
	origin.let_go();
	EXPECT_EQ(reader.wait(), 0);
	EXPECT_EQ(destroyer.wait(), 0);
	EXPECT(!exists(image.path()));
	EXPECT(origin.disk().holds(7, 0, kMib));
}
