// SPDX-License-Identifier: GPL-2.0
//
// unload: the removal of the module, in each state and with each request in flight. It goes, or stays and says so.
#include "kselftest.hpp"

#include "agent.hpp"
#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "missing_page.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"
#include "scratch.hpp"
#include "storm.hpp"
#include "stuck.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

// Threads of the kernel.
unsigned threads_called(const std::string &name)
{
	unsigned count = 0;

	for (const auto &process : std::filesystem::directory_iterator("/proc"))
		count += read_line(process.path() / "comm") == name;
	return count;
}

// A snapshot that is held, and belongs to nobody. The first half of the store is given.
blk_snap_uuid hold(const Disk &origin, const Disk &store)
{
	const Control control;
	const blk_snap_uuid id = control.create({origin.number()});
	REQUIRE_ERRNO(control.try_append(id, store.number(), {{0, store.sectors() / 2}}), 0);
	REQUIRE_ERRNO(control.try_take(id), 0);
	return id;
}

// Whether nobody has it open.
bool store_is_released(const Stuck &store)
{
	return run({"dmsetup", "info", "--columns", "--noheadings", "-o", "open",
		    store.disk().dm_name()})
		       .output == "0\n";
}

} // namespace

// What it leaves to a device that does not answer holds the module, until it answers.
TEST(the_module_stays_while_a_freeze_is_late, .timeout_seconds = 180)
{
	const module::Reload reload;
	const NullDisk lower(64), store(64);
	const Stuck stuck(lower, lower.sectors());
	make_file_system(stuck.disk(), "ext4");
	Mount mount(stuck.disk());
	const LetGo let_go(stuck);
	{
		const Control control;
		const module::Parameter limit("freeze_timeout_ms", "200");
		const Snapshot snapshot(control, {&stuck.disk()});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		mount.write_files("dirty", 4, 64);
		stuck.hold();
		const double begin = now();
		EXPECT_ERRNO(snapshot.take(), ETIMEDOUT);
		EXPECT(now() - begin < 2 * slowdown());
		EXPECT_ERRNO(snapshot.take(), EBUSY); // instead of one more that waits
		EXPECT_EQ(threads_called("blksnap-freeze"), 1u);
	}
	EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	stuck.let_go();
	EXPECT(wait_until([] { return threads_called("blksnap-freeze") == 0; }, 30));
	mount.write_files("later", 4, 64);
	EXPECT_ERRNO(mount.sync(), 0);
	EXPECT_ERRNO(module::unload(), 0);
}

TEST(the_module_goes_in_every_state_that_nobody_uses, .timeout_seconds = 300)
{
	const module::Reload reload;
	const NullDisk origin(64), store(64);
	Load load(origin, 0, 16 * kMib);
	for (const Step step : kSteps) {
		if (!module::is_loaded())
			REQUIRE_ERRNO(module::load(), 0);
		Agent agent(step, origin, store);
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK); // it has the node open
		EXPECT(agent.dies());
		load.wait_for(20);
		REQUIRE_ERRNO(module::unload(), 0);
		EXPECT(!exists("/dev/blksnap-image0"));
	}
	EXPECT_ERRNO(load.stop(), 0);
}

TEST(the_module_goes_with_a_lost_image, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(64), store(16);
	{
		const Control control;
		const blk_snap_uuid id = control.create({origin.number()});
		REQUIRE_ERRNO(control.try_append(id, store.number(), {{0, 2 * kMib}}), 0);
		REQUIRE_ERRNO(control.try_take(id), 0);
	}
	origin.fill(1, 0, 16 * kMib); // more than the store takes
	Bytes bytes(4096);
	EXPECT_ERRNO(Disk("/dev/blksnap-image0").try_read(0, bytes), EIO);
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(origin.holds(1, 0, 16 * kMib));
}

// Whoever is in a request keeps it.
TEST(the_module_stays_while_a_request_is_in_flight, .timeout_seconds = 180)
{
	const module::Reload reload;
	const module::Parameter patience("drain_timeout_ms", "20000");
	const NullDisk lower(64), lower_store(64);
	const Stuck origin(lower, 32 * kMib), store(lower_store, 64 * kMib);
	blk_snap_uuid id;
	{
		const Control control;
		id = control.create({origin.disk().number()});
		REQUIRE_ERRNO(control.try_append(id, store.disk().number(), {{0, 64 * kMib}}), 0);
	}
	const auto request = [&](auto &&call) {
		return [&, call] {
			const Control control;
			return call(control);
		};
	};
	const auto stays = [&](Child &agent) {
		agent.wait_until_asleep();
		usleep(300000);
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	};
	{
		origin.hold();
		Child writer([&] { return BlockFile(origin.disk()).write(0, pattern(2, 8)); });
		writer.wait_until_asleep();
		Child take(request([&](const Control &control) { return control.try_take(id); }));
		stays(take);
		origin.let_go();
		EXPECT_EQ(writer.wait(), 0);
		EXPECT_EQ(take.wait(), 0);
	}
	{
		Child wait(request([&](const Control &control) {
			blk_snap_snapshot_event event{};
			event.id = id;
			event.timeout_ms = 60000;
			for (;;)
				if (control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event))
					return 0;
		}));
		stays(wait);
		EXPECT(dies(wait));
	}
	{
		store.hold();
		const LetGo at_end(store);
		overwrite_some(origin.disk());
		Child destroy(
			request([&](const Control &control) { return control.try_destroy(id); }));
		stays(destroy);
		store.let_go();
		EXPECT_EQ(destroy.wait(), 0);
	}
	EXPECT_ERRNO(module::unload(), 0);
}

// Of a disk with a request queue: create waits for what is in there since before the attach.
TEST(the_module_stays_while_a_create_waits_for_older_writes, .timeout_seconds = 120)
{
	const module::Reload reload;
	const ScsiDisk origin({"dev_size_mb=64", "delay=0"});
	const std::string delay = "/sys/bus/pseudo/drivers/scsi_debug/delay"; // in jiffies
	settle_udev();
	REQUIRE(wait_until([&] { return write_file(delay, "750") == 0; })); // not while it is busy
	const Arrival returned;
	// Open until the disk is quick again: udev reads one that a writer has closed, piece by piece.
	std::optional<BlockFile> file(std::in_place, origin);
	Child writer([&] { return file->write(0, pattern(2, 8)); });
	writer.wait_until_asleep();
	Child create([&] {
		const Control control;
		(void)control.create({origin.number()});
		returned.tell();
		return 0;
	});
	create.wait_until_asleep();
	EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	EXPECT(!returned.is_told());
	EXPECT_EQ(writer.wait(), 0);
	EXPECT_EQ(create.wait(), 0);
	EXPECT(wait_until([&] { return write_file(delay, "0") == 0; }));
	file.reset();
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(origin.read(0, 8) == pattern(2, 8));
}

// They reach for memory of their program, which is not there yet.
TEST(the_module_stays_while_a_request_waits_for_memory, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(64), store(64);
	const blk_snap_uuid id = hold(origin, store);
	const blk_snap_dev device = origin.number();
	const auto stays = [](unsigned long number, void *argument, const MissingPage &page,
			      const blk_snap_block_range &content) {
		int error = -1;
		std::thread agent([&] { error = Control().try_call(number, argument); });
		EXPECT(page.is_asked_for(30000));
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
		page.provide(&content, sizeof(content));
		agent.join();
		EXPECT_ERRNO(error, 0);
	};
	{
		const MissingPage page;
		blk_snap_snapshot_append_storage append{};
		append.id = id;
		append.dev_id = store.number();
		append.count = 1;
		append.ranges = static_cast<blk_snap_block_range *>(page.get());
		stays(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append, page,
		      {32 * kMib, 32 * kMib});
	}
	{
		const MissingPage page;
		blk_snap_tracker_mark_dirty_blocks dirty{};
		dirty.dev_id = device;
		dirty.count = 1;
		dirty.dirty_blocks_array = static_cast<blk_snap_block_range *>(page.get());
		stays(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty, page, {5 * 128, 1});
	}
	{
		const MissingPage page;
		blk_snap_tracker_read_cbt_bitmap read{};
		read.dev_id = device;
		read.length = 1024;
		read.buff = static_cast<__u8 *>(page.get());
		stays(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &read, page, {0, 0});
		const auto *map = static_cast<const unsigned char *>(page.get());
		EXPECT(map[5] != 0 && map[4] == 0 && map[6] == 0);
	}
	EXPECT_ERRNO(module::unload(), 0);
}

// --- images and copies in use ----------------------------------------------------------------

TEST(an_image_in_use_keeps_the_module, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(256), store(64);
	make_file_system(origin, "ext4");
	{
		const Control control;
		const blk_snap_uuid id = control.create({origin.number()});
		REQUIRE_ERRNO(control.try_append(id, store.number(), {{0, store.sectors()}}), 0);
		REQUIRE_ERRNO(control.try_take(id), 0);
	}
	const Disk image("/dev/blksnap-image0");
	{
		const BlockFile open(image, O_RDONLY);
		EXPECT_ERRNO(module::unload(), EWOULDBLOCK);
	}
	{
		const Mount mount(image);
		EXPECT_ERRNO(module::unload(), EWOULDBLOCK);
	}
	EXPECT(module::is_loaded());
	EXPECT(image.read(64, 8) == origin.read(64, 8)); // not where a mount writes
	// With a snapshot held it goes, all the same.
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(!exists("/dev/blksnap-image0"));
	EXPECT_EQ(find_damage(origin, "ext4"), "");
}

TEST(the_module_goes_under_load_with_snapshots_held, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk a(64), b(64), store(64);
	Load on_a(a, 0, 65536), on_b(b, 0, 65536);
	for (unsigned round = 0; round < 3; round++) {
		if (!module::is_loaded())
			REQUIRE_ERRNO(module::load(), 0);
		{
			const Control control;
			const blk_snap_uuid first = control.create({a.number()});
			const blk_snap_uuid second = control.create({b.number()});
			REQUIRE_ERRNO(control.try_append(first, store.number(), {{0, 65536}}), 0);
			REQUIRE_ERRNO(control.try_append(second, store.number(), {{65536, 65536}}),
				      0);
			REQUIRE_ERRNO(control.try_take(first), 0);
			if (round)
				REQUIRE_ERRNO(control.try_take(second), 0);
		}
		on_a.wait_for(50);
		on_b.wait_for(50);
		REQUIRE_ERRNO(module::unload(), 0);
	}
	EXPECT_ERRNO(on_a.stop(), 0);
	EXPECT_ERRNO(on_b.stop(), 0);
}

// Somebody reads what is at the origin, which does not answer. Also if he is killed, or reads ahead and closes.
TEST(the_module_stays_while_an_image_is_read, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk lower(64), store(64);
	const Stuck origin(lower, 32 * kMib);
	origin.disk().fill(7, 0, 2 * kMib);
	hold(origin.disk(), store);
	const Disk image("/dev/blksnap-image0");
	const auto read = [&] { return image.holds(7, 0, kMib) ? 0 : 1; };
	const auto read_ahead = [&] {
		const BlockFile file(image, O_RDONLY);
		return posix_fadvise(file.fd(), kMib * 512, kMib * 512, POSIX_FADV_WILLNEED);
	};
	// One after the other: only who closes it last waits for what was read ahead.
	for (const std::function<int()> &job : {std::function<int()>(read), {read_ahead}}) {
		for (const bool is_killed : {false, true}) {
			origin.hold();
			Child reader(job);
			const LetGo at_end(origin);
			reader.wait_until_asleep();
			if (is_killed)
				reader.kill(SIGKILL);
			usleep(300000);
			EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
			origin.let_go();
			EXPECT_EQ(reader.wait(), is_killed ? 256 + SIGKILL : 0);
		}
	}
	EXPECT(image.holds(7, 0, 2 * kMib));
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT(origin.disk().holds(7, 0, 2 * kMib));
}

// A mount that a killed program left belongs to nobody, but it is one.
TEST(the_module_stays_while_a_mount_of_a_killed_program_does, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk origin(64), store(64);
	make_file_system(origin, "ext4");
	hold(origin, store);
	const std::string path = scratch_directory() + "/left";
	REQUIRE_EQ(mkdir(path.c_str(), 0700), 0);
	const Arrival arrival;
	Child agent([&]() -> int {
		run_or_throw({"mount", "/dev/blksnap-image0", path});
		arrival.tell_and_stay();
	});
	arrival.wait_for();
	EXPECT(dies(agent));
	settle_udev();
	EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
	EXPECT(exists(path + "/lost+found"));
	EXPECT_EQ(umount2(path.c_str(), 0), 0);
	EXPECT_ERRNO(module::unload(), 0);
	EXPECT_EQ(rmdir(path.c_str()), 0);
}

// Writers that wait for copies are let go at once, also if there is no end to the copies yet. Killing who removes
// the module changes nothing: it is on its way.
TEST(the_module_goes_when_the_store_answers_and_lets_writers_go_before, .timeout_seconds = 120)
{
	const module::Reload reload;
	const module::Parameter patience("cow_timeout_ms", "3600000");
	const module::Parameter memory("cow_memory_limit_kib", "1024");
	const NullDisk origin(64), lower(64);
	const Stuck store(lower, 64 * kMib);
	hold(origin, store.disk());
	const Arrival written;
	store.hold();
	Child writer([&] {
		const int error = origin.try_write(0, pattern(2, 8 * kMib));
		written.tell();
		return error;
	});
	const LetGo at_end_of_writer(store);
	writer.wait_until_asleep();
	EXPECT(!written.is_told());
	Child remover([] { return module::unload(); });
	const LetGo at_end(store);
	written.wait_for();
	EXPECT_EQ(writer.wait(), 0);
	EXPECT(wait_until([] { return !exists("/dev/blksnap-image0"); }));
	EXPECT(!exists("/dev/blksnap"));
	remover.kill(SIGKILL);
	origin.fill(3, 16 * kMib, kMib);
	EXPECT(origin.holds(3, 16 * kMib, kMib));
	EXPECT(!store_is_released(store));
	EXPECT(module::is_loaded());
	store.let_go();
	(void)remover.wait();
	EXPECT(!module::is_loaded());
	EXPECT(store_is_released(store));
	EXPECT(origin.holds(2, 0, 8 * kMib));
	EXPECT(origin.holds(3, 16 * kMib, kMib));
}

// A write that was let in ends with the device's answer, and its end is code of the module. Removing the tracker does
// not wait for it.
TEST(the_module_goes_when_writes_in_flight_do, .timeout_seconds = 120)
{
	const module::Reload reload;
	const NullDisk lower(64), other(64), store(64);
	const Stuck origin(lower, 32 * kMib);
	{
		const Control control;
		const Snapshot snapshot(control, {&origin.disk()}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
	}
	origin.hold();
	Child writer([&] { return BlockFile(origin.disk()).write(0, pattern(2, kMib)); });
	const LetGo at_end_of_writer(origin);
	writer.wait_until_asleep();
	EXPECT_ERRNO(remove_tracker(Control(), origin.disk().number()), 0);
	hold(other, store);
	Child remover([] { return module::unload(); });
	const LetGo at_end(origin);
	EXPECT(wait_until([] { return !exists("/dev/blksnap-image0"); }));
	remover.kill(SIGKILL);
	other.fill(3, 0, kMib);
	EXPECT(module::is_loaded());
	origin.let_go();
	EXPECT_EQ(writer.wait(), 0);
	(void)remover.wait();
	EXPECT(!module::is_loaded());
	EXPECT(origin.disk().holds(2, 0, kMib));
	EXPECT(other.holds(3, 0, kMib));
}

// --- requests all the time -------------------------------------------------------------------

// Either somebody has the node open, or the module goes; what comes then finds no node.
TEST(the_module_goes_or_stays_under_a_storm_of_requests, .timeout_seconds = 240)
{
	const module::Reload reload;
	const NullDisk first(64), second(16), store(64);
	Storm storm(first, second, store);
	unsigned gone = 0, kept = 0;
	EXPECT(wait_until([&] { return storm.least_done() > 0; }, 60));
	for (unsigned round = 0; round < 5; round++) {
		if (!module::is_loaded())
			EXPECT_ERRNO(module::load(), 0);
		const unsigned before = storm.done(Storm::kTake);
		EXPECT(wait_until([&] { return storm.done(Storm::kTake) > before; }, 30));
		int error = EWOULDBLOCK;
		EXPECT(wait_until(
			[&] {
				error = module::try_unload();
				kept += error == EWOULDBLOCK;
				return error != EWOULDBLOCK;
			},
			30));
		EXPECT_ERRNO(error, 0);
		gone += error == 0;
		const unsigned absent = storm.absent();
		EXPECT(wait_until([&] { return storm.absent() > absent; }));
	}
	storm.stop();
	note("no request succeeded less than %u times; no node %u times; it stayed %u times",
	     storm.least_done(), storm.absent(), kept);
	EXPECT_EQ(gone, 5u);
}
