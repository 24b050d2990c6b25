// SPDX-License-Identifier: GPL-2.0
//
// lives: what happens to devices while an image is open or mounted; file systems that somebody freezes, and
// stores that stand still. More cells of the table in Documentation/testing.rst; see devices for the others.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "extents.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "opened.hpp"
#include "process.hpp"
#include "shown.hpp"
#include "standstill.hpp"

#include <atomic>
#include <optional>
#include <thread>
#include <utility>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kMib = 2048; // in sectors

// Puts a table with one partition on a disk.
Disk make_partition(const Disk &disk)
{
	run_or_throw(
		{"sh", "-c",
		 "echo 'start=2048, size=65536' | sfdisk --quiet --wipe=never " + disk.path()});
	settle_udev();
	return Disk(disk.path() + (isdigit(disk.path().back()) ? "p1" : "1"));
}

int read_table(const Disk &disk)
{
	settle_udev();
	return run({"blockdev", "--rereadpt", disk.path()}).status;
}

// A take that has frozen all file systems and waits for a write that does not end, until drain_timeout_ms.
class WaitingTake
{
public:
	WaitingTake(const Snapshot &snapshot, const DmDisk &busy) : suspended_(busy)
	{
		writer_.emplace([&] { return BlockFile(busy).write(0, pattern(2, 8)); });
		writer_->wait_until_asleep();
		taker_ = std::thread([&] { result_ = snapshot.take(); });
		usleep(2000000 * slowdown());
	}
	~WaitingTake()
	{
		if (!taker_.joinable())
			return;
		suspended_.try_resume();
		taker_.join();
	}
	WaitingTake(const WaitingTake &) = delete;
	WaitingTake &operator=(const WaitingTake &) = delete;

	// Return: an errno or 0, or -1 as long as it has not come back.
	int result() const { return result_; }
	// Lets the write end. Return: what the take came to.
	int finish()
	{
		suspended_.resume();
		taker_.join();
		EXPECT_EQ(writer_->wait(), 0);
		return result_;
	}

private:
	std::optional<Child> writer_; // ends after the device was resumed
	const Suspended suspended_;
	std::thread taker_;
	std::atomic<int> result_ = -1;
};

// Writes to a file that is there, without the device: as soon as its file system is not frozen.
class Rewriter
{
public:
	Rewriter(const Mount &mount, const std::string &name)
		: thread_([this, path = mount.path() + "/" + name] {
			  if (write_file(path, "over") == 0)
				  done_at_ = now();
		  })
	{
	}
	~Rewriter() { thread_.join(); }
	Rewriter(const Rewriter &) = delete;
	Rewriter &operator=(const Rewriter &) = delete;

	bool is_done() const { return done_at_ > 0; }
	double done_at() const { return done_at_; }

private:
	std::atomic<double> done_at_ = 0;
	std::thread thread_;
};

// Then the thaw has the last reference to the file system, and all the work of its end.
void unmount_while_frozen(const std::string &type)
{
	const module::Parameter patience("drain_timeout_ms", std::to_string(20000 * slowdown()));
	const NullDisk below_busy(64), origin(512), store(64);
	const DmDisk busy(linear_table(below_busy, 0, 64 * kMib));
	make_file_system(origin, type);
	Mount mount(origin);
	mount.write_files("old", 4, 64);
	const Control control;
	const Snapshot snapshot(control, {&origin, &busy});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	{
		const std::string alive = "/sys/fs/" + type + "/" + origin.name();
		WaitingTake take(snapshot, busy);
		EXPECT_ERRNO(mount.unmount(), 0);
		EXPECT(exists(alive));
		EXPECT_EQ(take.result(), -1);
		EXPECT_ERRNO(take.finish(), 0);
		EXPECT(!exists(alive));
	}
	EXPECT_EQ(find_damage(origin, type), "");
	const Mount image(snapshot.image_of(origin), type == "xfs" ? "nouuid" : "defaults");
	EXPECT(image.holds_files("old", 4, 64));
}

} // namespace

// --- another size ----------------------------------------------------------------------------

TEST(an_origin_that_is_resized_under_its_open_image)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 32 * kMib));
	const Held held(origin, store);
	const Opened image(held);
	origin.reload(linear_table(lower, 0, 64 * kMib));
	settle_udev();
	origin.fill(1, 0, kMib);
	origin.fill(1, 32 * kMib, kMib);
	EXPECT(image.is_right());
	EXPECT(held.image_is_right());
	origin.reload(linear_table(lower, 0, 16 * kMib));
	EXPECT(lost_image(held.snapshot(), 10000).has_value());
	Bytes bytes(4096);
	EXPECT_ERRNO(image.try_read(bytes), EIO);
	origin.fill(2, 0, kMib);
	EXPECT(origin.holds(2, 0, kMib));
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	EXPECT(image.try_read(bytes) != 0);
}

// --- partitions ------------------------------------------------------------------------------

TEST(a_partition_table_is_not_read_under_an_image_in_use, .timeout_seconds = 120)
{
	const NullDisk disk(64), store(64);
	const Disk partition = make_partition(disk);
	{
		const Held held(partition, store);
		const Opened image(held);
		EXPECT(read_table(disk) != 0);
		partition.fill(1, 0, kMib);
		EXPECT(image.is_right());
		EXPECT(held.image_is_right());
	}
	{
		Shown shown(partition, store);
		EXPECT(read_table(disk) != 0);
		partition.fill(1, 16 * kMib, kMib);
		EXPECT(shown.files_are_right());
		EXPECT(!lost_image(shown.snapshot(), 0).has_value());
		shown.end();
	}
	EXPECT_EQ(read_table(disk), 0);
	settle_udev();
}

// Partitions of the disk may come and go; those of its image do not exist.
TEST(a_partition_table_is_read_under_a_disk_whose_image_is_in_use, .timeout_seconds = 120)
{
	const NullDisk store(64);
	{
		const NullDisk disk(64);
		const Held held(disk, store);
		const Opened image(held);
		make_partition(disk).fill(1, 0, kMib);
		EXPECT_EQ(read_table(disk), 0);
		EXPECT(image.is_right());
		EXPECT(held.image_is_right());
	}
	const NullDisk disk(64);
	Shown shown(disk, store);
	make_partition(disk).fill(1, 16 * kMib, kMib);
	EXPECT_EQ(read_table(disk), 0);
	EXPECT(shown.files_are_right());
	EXPECT(!lost_image(shown.snapshot(), 0).has_value());
	shown.end();
}

// --- dm tables, loop files -------------------------------------------------------------------

TEST(a_table_that_is_swapped_under_an_image_in_use, .timeout_seconds = 120)
{
	const NullDisk first(64), second(64);
	const DmDisk origin(linear_table(first, 0, 32 * kMib)),
		store(linear_table(second, 0, 64 * kMib));
	const auto swap_under_load = [&](std::uint64_t first_sector) {
		Load load(origin, first_sector, 8 * kMib);
		for (int i = 0; i < 3; i++) {
			origin.reload(linear_table(first, 0, 32 * kMib));
			store.reload(linear_table(second, 0, 64 * kMib));
			load.wait_for(5);
		}
		EXPECT_ERRNO(load.stop(), 0);
	};
	{
		const Held held(origin, store);
		const Opened image(held);
		swap_under_load(0);
		EXPECT(image.is_right());
		EXPECT(held.image_is_right());
	}
	Shown shown(origin, store);
	swap_under_load(16 * kMib);
	EXPECT(shown.files_are_right());
	EXPECT(!lost_image(shown.snapshot(), 0).has_value());
	shown.end();
}

// It is taken out when its last user goes, which is the snapshot.
TEST(a_loop_device_that_is_detached_stays_while_its_image_is_in_use, .timeout_seconds = 120)
{
	const NullDisk store(64);
	const auto is_out = [](const Disk &loop) {
		return wait_until(
			[&] { return read_line("/sys/block/" + loop.name() + "/size") == "0"; });
	};
	{
		const LoopDisk origin(32 << 20);
		{
			const Held held(origin, store);
			const Opened image(held);
			settle_udev();
			LoopDisk::detach(origin.path());
			origin.fill(1, 0, kMib);
			EXPECT(image.is_right());
			EXPECT(held.image_is_right());
		}
		EXPECT(is_out(origin));
	}
	const LoopDisk origin(32 << 20);
	Shown shown(origin, store);
	settle_udev();
	LoopDisk::detach(origin.path());
	origin.fill(1, 16 * kMib, kMib);
	EXPECT(shown.files_are_right());
	EXPECT(!lost_image(shown.snapshot(), 0).has_value());
	shown.end();
	EXPECT(is_out(origin));
}

// --- frozen by somebody else -----------------------------------------------------------------

TEST(a_tracked_device_whose_file_system_is_frozen)
{
	const NullDisk origin(64), store(64);
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	{
		const Snapshot past(control, {&origin}, Snapshot::Trackers::Keep);
		past.take_with(store);
	}
	{
		const Frozen frozen(mount);
		Child writer([&] {
			mount.write_files("new", 4, 64);
			return mount.sync();
		});
		writer.wait_until_asleep();
		EXPECT_EQ(tracker_of(control, origin.number()).value().snap_number, 1);
		EXPECT_EQ(frozen.thaw(), 0);
		EXPECT_EQ(writer.wait(), 0);
	}
	{
		const Snapshot next(control, {&origin}, Snapshot::Trackers::Keep);
		next.take_with(store);
		EXPECT(!changed_blocks(control, origin.number(), 1).empty());
	}
	const Frozen frozen(mount);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
	EXPECT_EQ(frozen.thaw(), 0);
	EXPECT(mount.holds_files("new", 4, 64));
	EXPECT_ERRNO(mount.unmount(), 0);
}

// Copies go to the sectors of the file, past the file system that it is in.
TEST(a_store_in_a_file_of_a_frozen_file_system_is_written_to, .timeout_seconds = 120)
{
	const NullDisk origin(64), volume(128);
	const Control control;
	make_file_system(volume, "ext4");
	Mount mount(volume);
	const std::string file = mount.path() + "/store";
	run_or_throw({"fallocate", "-l", "32M", file});
	const auto ranges = ranges_of(file);
	origin.fill(7, 0, 16 * kMib);
	const Snapshot snapshot(control, {&origin});
	{
		const Frozen frozen(mount);
		EXPECT_ERRNO(snapshot.append(volume, ranges), 0);
		EXPECT_ERRNO(snapshot.take(), 0);
		origin.fill(1, 0, 16 * kMib);
		EXPECT(snapshot.image_of(origin).holds(7, 0, 16 * kMib));
		EXPECT_EQ(frozen.thaw(), 0);
	}
	EXPECT(origin.holds(1, 0, 16 * kMib));
	EXPECT(snapshot.image_of(origin).holds(7, 0, 16 * kMib));
	EXPECT(!lost_image(snapshot, 0));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(mount.unmount(), 0);
	EXPECT_EQ(find_damage(volume, "ext4"), "");
}

// A loop device writes to its file as any program would: it waits for the thaw. Writers of the origin do not.
TEST(a_loop_store_on_a_frozen_file_system_costs_the_image_not_the_writes, .timeout_seconds = 180)
{
	const module::Parameter patience("cow_timeout_ms", "3000");
	const module::Parameter memory("cow_memory_limit_kib", "4096");
	const NullDisk origin(64), volume(128);
	make_file_system(volume, "ext4");
	Mount mount(volume);
	run_or_throw({"fallocate", "-l", "64M", mount.path() + "/store"});
	const LoopDisk store(mount.path() + "/store", 512);
	{
		const Held held(origin, store);
		settle_udev();
		const Frozen frozen(mount);
		Child writer([&] { return origin.try_write(0, pattern(1, 16 * kMib)); });
		EXPECT(lost_image(held.snapshot(), 30000 * slowdown()).has_value());
		EXPECT_EQ(writer.wait(), 0);
		EXPECT(origin.holds(1, 0, 16 * kMib));
		Bytes bytes(4096);
		EXPECT_ERRNO(held.image().try_read(0, bytes), EIO);
		EXPECT_EQ(frozen.thaw(), 0);
		EXPECT_ERRNO(held.snapshot().destroy(), 0);
	}
	mount.write_files("after", 4, 64);
	EXPECT_ERRNO(mount.sync(), 0);
}

// --- a store that stands still ---------------------------------------------------------------

// Nothing of a take needs it, and copies wait in memory.
TEST(a_store_that_is_suspended_holds_up_no_take, .timeout_seconds = 120)
{
	const NullDisk origin(64), lower(64);
	const DmDisk store(linear_table(lower, 0, 64 * kMib));
	const Control control;
	origin.fill(7, 0, 16 * kMib);
	const Snapshot snapshot(control, {&origin});
	const Suspended suspended(store);
	EXPECT_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	const double begin = now();
	REQUIRE_ERRNO(snapshot.take(), 0);
	note("the take lasted %.2f s", now() - begin);
	EXPECT(now() - begin < 5 * slowdown());
	origin.fill(1, 0, 4 * kMib);
	EXPECT(origin.holds(1, 0, 4 * kMib));
	EXPECT(snapshot.image_of(origin).holds(7, 0, 16 * kMib));
	suspended.resume();
	origin.fill(2, 4 * kMib, 4 * kMib);
	EXPECT(origin.holds(1, 0, 4 * kMib));
	EXPECT(origin.holds(2, 4 * kMib, 4 * kMib));
	EXPECT(snapshot.image_of(origin).holds(7, 0, 16 * kMib));
	EXPECT(!lost_image(snapshot, 0));
}

TEST(a_store_that_is_suspended_holds_up_no_take_of_a_file_system, .timeout_seconds = 120)
{
	const NullDisk origin(64), lower(64);
	const DmDisk store(linear_table(lower, 0, 64 * kMib));
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	mount.write_files("old", 4, 64);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	const Suspended suspended(store);
	REQUIRE_ERRNO(snapshot.take(), 0);
	mount.write_files("new", 4, 256); // thawed
	EXPECT_ERRNO(mount.sync(), 0);
	suspended.resume();
	EXPECT_EQ(find_damage(snapshot.image_of(origin), "ext4"), "");
	const Mount image(snapshot.image_of(origin));
	EXPECT(image.holds_files("old", 4, 64));
	EXPECT(!exists(image.path() + "/new0"));
	EXPECT(mount.holds_files("new", 4, 256));
	EXPECT(!lost_image(snapshot, 0));
}

// The device of one file system stops answering between its freeze and its thaw, which waits for it then. The
// other one is thawed all the same, whichever is frozen first.
TEST(a_file_system_that_cannot_be_thawed_holds_up_no_other, .timeout_seconds = 240)
{
	const module::Parameter patience("drain_timeout_ms", std::to_string(6000 * slowdown()));
	const NullDisk below_first(64), below_second(64), below_busy(64), beside(64), store(64);
	const DmDisk first(linear_table(below_first, 0, 64 * kMib));
	const DmDisk second(linear_table(below_second, 0, 64 * kMib));
	const DmDisk busy(linear_table(below_busy, 0, 64 * kMib)); // keeps the take waiting
	const Control control;
	for (const Disk *disk : std::initializer_list<const Disk *>{&first, &second, &beside})
		make_file_system(*disk, "ext4");
	Mount mount_of_first(first), mount_of_second(second), mount_of_beside(beside);

	for (const Mount *mount : {&mount_of_first, &mount_of_second, &mount_of_beside})
		mount->write_files("new", 1, 4);
	for (const bool first_is_silent : {true, false}) {
		const DmDisk &silent = first_is_silent ? first : second;
		const Snapshot snapshot(control, {&first, &second, &busy, &beside});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		WaitingTake take(snapshot, busy);
		const Rewriter good(first_is_silent ? mount_of_second : mount_of_first, "new0");
		const Rewriter elsewhere(mount_of_beside, "new0");
		const Suspended suspended(silent);
		EXPECT(wait_until([&] { return good.is_done() && elsewhere.is_done(); }, 20));
		// They do not stand on each other: no thaw waits for another.
		EXPECT(good.done_at() - elsewhere.done_at() < 2);
		EXPECT_EQ(take.result(), -1); // it waits for the silent one
		suspended.resume();
		EXPECT_ERRNO(take.finish(), EBUSY);
	}
	for (const Mount *mount : {&mount_of_first, &mount_of_second, &mount_of_beside})
		EXPECT_ERRNO(mount->sync(), 0);
}

// Otherwise what is above writes to what is frozen still: Linux 6.1 warns of it. But it does not wait for ever.
TEST(a_file_system_is_thawed_before_the_one_above_it, .timeout_seconds = 240)
{
	const module::Parameter patience("drain_timeout_ms", std::to_string(10000 * slowdown()));
	const NullDisk below_lower(512), below_busy(64), beside(64), store(64);
	const DmDisk lower(linear_table(below_lower, 0, 512 * kMib));
	const DmDisk busy(linear_table(below_busy, 0, 64 * kMib));
	make_file_system(lower, "ext4");
	const Mount lower_mount(lower);
	run_or_throw({"truncate", "--size=400M", lower_mount.path() + "/disk"});
	const LoopDisk upper(lower_mount.path() + "/disk", 512);
	make_file_system(upper, "xfs"); // whose thaw does not write
	make_file_system(beside, "ext4");
	const Mount upper_mount(upper), beside_mount(beside);
	for (const Mount *mount : {&upper_mount, &beside_mount}) {
		mount->write_files("file", 1, 4);
		EXPECT_ERRNO(mount->sync(), 0);
	}
	const Control control;
	const Snapshot snapshot(control, {&lower, &upper, &busy, &beside});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	WaitingTake take(snapshot, busy);
	const Rewriter above(upper_mount, "file0"), elsewhere(beside_mount, "file0");
	usleep(200000);
	EXPECT(!above.is_done());
	EXPECT(!elsewhere.is_done());	  // the last to be frozen
	const Suspended suspended(lower); // holds up its thaw
	EXPECT(wait_until([&] { return above.is_done() && elsewhere.is_done(); }, 30));
	EXPECT(above.done_at() - elsewhere.done_at() > 1);
	EXPECT_EQ(take.result(), -1);
	suspended.resume();
	EXPECT_ERRNO(take.finish(), EBUSY);
}

TEST(ext4_that_is_unmounted_while_it_is_frozen_ends_with_the_thaw, .timeout_seconds = 240)
{
	unmount_while_frozen("ext4");
}

TEST(xfs_that_is_unmounted_while_it_is_frozen_ends_with_the_thaw, .timeout_seconds = 240)
{
	unmount_while_frozen("xfs");
}

// A freeze that fails is told, and fails no take; what was not frozen is not thawed.
TEST(a_file_system_that_cannot_be_frozen_is_taken_all_the_same, .timeout_seconds = 120)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(linear_table(lower, 0, 64 * kMib));
	const Control control;
	make_file_system(origin, "ext4");
	{
		Mount mount(origin);
		const Snapshot snapshot(control, {&origin});
		REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
		mount.write_files("new", 4, 64);
		origin.reload("0 " + std::to_string(64 * kMib) + " error");
		EXPECT_ERRNO(snapshot.take(), 0);
		EXPECT(run({"dmesg"}).output.find("freezing the file system failed") !=
		       std::string::npos);
		EXPECT_ERRNO(snapshot.destroy(), 0);
		origin.reload(linear_table(lower, 0, 64 * kMib));
	}
	const Mount mount(origin);
	mount.write_files("after", 4, 64);
	EXPECT_ERRNO(mount.sync(), 0);
}
