// SPDX-License-Identifier: GPL-2.0
//
// removal: what goes away under a tracker or a snapshot: devices and media. For the module see unload.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "process.hpp"
#include "scratch.hpp"

#include <linux/loop.h>
#include <sys/ioctl.h>

#include <atomic>
#include <thread>

using namespace kselftest;

namespace
{

// As when it is pulled out: there is no asking.
void pull_out(const Disk &scsi_disk)
{
	REQUIRE_ERRNO(write_file("/sys/block/" + scsi_disk.name() + "/device/delete", "1"), 0);
	EXPECT(wait_until([&] { return !exists("/sys/block/" + scsi_disk.name()); }));
}

class PluggedDisk : public ScsiDisk
{
public:
	PluggedDisk() : ScsiDisk({"dev_size_mb=64", "delay=0"}) {}
};

bool same_generation(const blk_snap_cbt_info &a, const blk_snap_cbt_info &b)
{
	return !memcmp(a.generation_id.b, b.generation_id.b, sizeof(a.generation_id.b));
}

// A snapshot from create to destroy; the tracker stays.
blk_snap_cbt_info take_once(const Control &control, const Disk &origin, const Disk &store)
{
	const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);

	snapshot.take_with(store);
	return tracker_of(control, origin.number()).value();
}

} // namespace

// --- devices that go -------------------------------------------------------------------------

TEST(a_tracker_goes_with_its_device)
{
	const Control control;
	const PluggedDisk disk;
	const NullDisk store(64);
	(void)take_once(control, disk, store);
	EXPECT_EQ(control.trackers(), 1u);
	pull_out(disk);
	EXPECT_EQ(trackers(control).size(), 0u);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}

// A tracker keeps neither a driver from being unloaded, nor what belongs to it: its memory is gone then, and the
// name of the disk is free.
TEST(a_driver_goes_from_under_a_tracker)
{
	const Control control;
	const NullDisk store(64);
	std::string name;
	for (int round = 0; round < 3; round++) {
		{
			const PluggedDisk disk;
			if (name.empty())
				name = disk.name();
			EXPECT_EQ(disk.name(), name);
			(void)take_once(control, disk, store);
			EXPECT_EQ(control.trackers(), 1u);
		}
		EXPECT(!exists("/sys/module/scsi_debug"));
	}
	EXPECT_EQ(trackers(control).size(), 0u);
}

// Readers of the image, writers of the origin and open files: errors, and an end.
TEST(an_origin_that_goes_under_its_snapshot_gives_errors, .timeout_seconds = 120)
{
	const Control control;
	const PluggedDisk origin;
	const NullDisk store(64);
	origin.fill(7, 0, 16384);
	const blk_snap_dev number = origin.number();
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
		const Disk image = snapshot.image_of(origin);
		const BlockFile file(image);
		origin.fill(1, 0, 8192);
		Load load(origin, 0, 16384);
		std::atomic<bool> done = false;
		std::atomic<unsigned> wrong = 0, good = 0;
		std::thread reader([&] {
			const Bytes then = pattern(7, 16384);
			Bytes bytes(1 << 16);
			for (std::uint64_t at = 0; !done; at = (at + 128) % 16384)
				if (!file.read(at, bytes))
					(memcmp(bytes.data(), &then[at * 512], bytes.size())
						 ? wrong
						 : good)++;
		});
		EXPECT(wait_until([&] { return good > 20; }));
		load.wait_for(20);
		pull_out(origin);
		EXPECT(load.stop() != 0);
		usleep(300000);
		done = true;
		reader.join();
		EXPECT_EQ(wrong, 0u);
		note("%u good reads", good.load());
		EXPECT_ERRNO(snapshot.destroy(), 0);
	}
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
	EXPECT(!tracker_of(control, number));
}

TEST(a_created_snapshot_of_a_gone_device_cannot_be_taken)
{
	const Control control;
	const PluggedDisk origin;
	const NullDisk store(64);
	const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	pull_out(origin);
	EXPECT_ERRNO(snapshot.take(), ENODEV);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}

TEST(a_store_that_goes_costs_the_image_not_the_writes)
{
	const Control control;
	const PluggedDisk store;
	const NullDisk origin(64);
	origin.fill(7, 0, 16384);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	Load load(origin, 0, 16384);
	load.wait_for(20);
	pull_out(store);
	const auto lost = lost_image(snapshot, 20000);
	load.wait_for(50);
	EXPECT_ERRNO(load.stop(), 0);
	REQUIRE(lost.has_value());
	EXPECT(lost->err_code > 0);
	Bytes bytes(4096);
	EXPECT_ERRNO(snapshot.image_of(origin).try_read(0, bytes), EIO);
}

// The other origin of the set is none of its business.
TEST(one_origin_that_goes_leaves_the_other_image)
{
	const Control control;
	const PluggedDisk gone;
	const NullDisk other(64), store(64);
	other.fill(7, 0, 16384);
	const Snapshot snapshot(control, {&gone, &other}, Snapshot::Trackers::Keep);
	snapshot.take_with(store);
	const Disk image = snapshot.image_of(other);
	pull_out(gone);
	other.fill(1, 0, 8192);
	EXPECT(image.holds(7, 0, 16384));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(remove_tracker(control, other.number()), 0);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}

TEST(a_disk_that_is_powered_off_takes_its_tracker_along)
{
	const Control control;
	const NullDisk store(64);
	for (const bool held : {false, true}) {
		const NullDisk disk(64);
		std::optional<Snapshot> snapshot(std::in_place, control,
						 std::vector<const Disk *>{&disk},
						 Snapshot::Trackers::Keep);
		snapshot->take_with(store);
		if (!held)
			snapshot.reset();
		REQUIRE_ERRNO(disk.set("power=0"), 0);
		EXPECT_EQ(trackers(control).size(), 0u);
		snapshot.reset();
		EXPECT(wait_until([&] { return control.trackers() == 0; }));
	}
}

// --- what takes the place of another ---------------------------------------------------------

// The same name and number, but not the same disk: nothing that was known of the old one counts.
TEST(another_device_of_the_same_number_is_another_device)
{
	const Control control;
	const NullDisk store(64), disk(64);
	const blk_snap_dev number = disk.number();
	const blk_snap_cbt_info before = take_once(control, disk, store);
	REQUIRE_ERRNO(disk.set("power=0"), 0);
	REQUIRE_ERRNO(disk.set("power=1"), 0);
	settle_udev();
	if (!same(disk.number(), number))
		note("it has another number now");
	const blk_snap_cbt_info after = take_once(control, disk, store);
	EXPECT(!same_generation(before, after));
	EXPECT_EQ(after.snap_number, 1);
	EXPECT_EQ(control.trackers(), 1u);
	EXPECT_ERRNO(remove_tracker(control, disk.number()), 0);
}

// A loop device stays when its file is taken out.
TEST(another_medium_of_the_same_size_starts_a_generation)
{
	const Control control;
	const NullDisk store(64);
	const std::string other = scratch_directory() + "/medium";
	const LoopDisk disk(16 << 20);
	const blk_snap_cbt_info first = take_once(control, disk, store);
	const blk_snap_cbt_info second = take_once(control, disk, store);
	EXPECT(same_generation(first, second));
	EXPECT_EQ(second.snap_number, 2);
	run_or_throw({"truncate", "-s", "16M", other});
	LoopDisk::detach(disk.path());
	settle_udev();
	run_or_throw({"losetup", disk.path(), other});
	settle_udev();
	const blk_snap_cbt_info third = take_once(control, disk, store);
	EXPECT(!same_generation(first, third));
	EXPECT_EQ(third.device_capacity, first.device_capacity);
	EXPECT_ERRNO(remove_tracker(control, disk.number()), 0);
}

// --- what a tracker must not keep ------------------------------------------------------------

TEST(a_tracker_keeps_no_device_from_being_removed)
{
	const Control control;
	const NullDisk below(64), store(64);
	const std::string table =
		"0 " + std::to_string(below.sectors()) + " linear " + below.path() + " 0";
	const DmDisk disk(table);
	(void)take_once(control, disk, store);
	settle_udev();
	EXPECT_EQ(run({"dmsetup", "remove", "--retry", disk.dm_name()}).status, 0);
	EXPECT_EQ(trackers(control).size(), 0u);

	const LoopDisk loop(16 << 20);
	(void)take_once(control, loop, store);
	settle_udev();
	LoopDisk::detach(loop.path());
	EXPECT(wait_until([&] { return read_line("/sys/block/" + loop.name() + "/size") == "0"; }));
	EXPECT_ERRNO(remove_tracker(control, loop.number()), 0);
}

TEST(a_tracker_keeps_no_partition_table_from_being_read)
{
	const Control control;
	const NullDisk disk(64), store(64);
	run_or_throw({"sh", "-c", "echo 'start=2048, size=8192' | sfdisk --quiet " + disk.path()});
	settle_udev();
	const Disk partition(disk.path() + (isdigit(disk.path().back()) ? "p1" : "1"));
	(void)take_once(control, disk, store);
	(void)take_once(control, partition, store);
	EXPECT_EQ(control.trackers(), 2u);
	settle_udev();
	EXPECT_EQ(run({"blockdev", "--rereadpt", disk.path()}).status, 0);
	settle_udev();
	// The partition that was read again is another one.
	(void)take_once(control, partition, store);
	EXPECT_ERRNO(remove_tracker(control, partition.number()), 0);
	EXPECT_ERRNO(remove_tracker(control, disk.number()), 0);
	EXPECT(wait_until([&] { return control.trackers() == 0; }));
}
