// SPDX-License-Identifier: GPL-2.0
//
// tracker: TRACKER_REMOVE and TRACKER_COLLECT, and how long a tracker lives.
#include "kselftest.hpp"

#include "file.hpp"
#include "memory.hpp"
#include "module.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <sys/utsname.h>

#include <memory>

using namespace kselftest;

namespace
{

// A tracker without a snapshot.
class Tracked
{
public:
	Tracked(const Control &control, const Disk &disk)
		: control_(control), device_(disk.number())
	{
		const Snapshot snapshot(control, {&disk}, Snapshot::Trackers::Keep);
	}
	~Tracked() { (void)remove_tracker(control_, device_); }
	Tracked(const Tracked &) = delete;
	Tracked &operator=(const Tracked &) = delete;

private:
	const Control &control_;
	blk_snap_dev device_;
};

bool is_tracked(const Control &control, const Disk &disk)
{
	return tracker_of(control, disk.number()).has_value();
}

bool kernel_is_before(int major, int minor)
{
	utsname name;
	int its_major = 0, its_minor = 0;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &its_major, &its_minor) != 2)
		return false;
	return its_major < major || (its_major == major && its_minor < minor);
}

void expect_untrackable(const Control &control, const blk_snap_dev &device)
{
	EXPECT_ERRNO(try_create(control, {device}), EOPNOTSUPP);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

} // namespace

// --- life ------------------------------------------------------------------------------------

TEST(create_attaches_a_tracker)
{
	const Control control;
	const NullDisk origin(24);
	EXPECT(!is_tracked(control, origin));
	const Snapshot snapshot(control, {&origin});
	const auto info = tracker_of(control, origin.number());
	REQUIRE(info.has_value());
	EXPECT_EQ(info->blk_size, 65536u);
	EXPECT_EQ(info->blk_count, 24u * 16);
	EXPECT_EQ(info->device_capacity, 24ull << 20);
	EXPECT(!all_bytes(&info->generation_id, sizeof(info->generation_id), 0));
	EXPECT_EQ(info->snap_number, 0);
}

TEST(a_tracker_stays_after_destroy)
{
	const Control control;
	const NullDisk origin(16);
	const Tracked tracked(control, origin);
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT(is_tracked(control, origin));
}

TEST(a_tracker_without_a_snapshot_goes_on_tracking)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Tracked tracked(control, origin);
	origin.fill(1, 5 * 128, 1);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), std::vector<unsigned>{5});
}

TEST(writes_are_tracked_from_create_on)
{
	const Control control;
	const NullDisk origin(16), store(16);
	origin.fill(1, 0, 128);
	const Snapshot snapshot(control, {&origin});
	origin.fill(1, 128, 128);
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), std::vector<unsigned>{1});
}

TEST(an_existing_tracker_is_used_again)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Tracked tracked(control, origin);
	const auto before = tracker_of(control, origin.number());
	const Snapshot snapshot(control, {&origin});
	EXPECT_EQ(control.trackers(), 1u);
	const auto after = tracker_of(control, origin.number());
	EXPECT(same(before->generation_id, after->generation_id));
}

// --- remove ----------------------------------------------------------------------------------

TEST(remove_ends_a_tracker)
{
	const Control control;
	const NullDisk origin(16), other(16);
	const Tracked tracked(control, origin), also(control, other);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
	EXPECT(!is_tracked(control, origin));
	EXPECT(is_tracked(control, other));
}

TEST(remove_without_a_tracker_is_enodata)
{
	const Control control;
	const NullDisk origin(16);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), ENODATA);
	{
		const Tracked tracked(control, origin);
		EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
		EXPECT_ERRNO(remove_tracker(control, origin.number()), ENODATA);
	}
}

TEST(remove_while_created_or_taken_is_ebusy)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), EBUSY);
	EXPECT(is_tracked(control, origin));
	snapshot.take_with(store);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), EBUSY);
	EXPECT(is_tracked(control, origin));
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}

TEST(remove_of_a_missing_device_is_enxio)
{
	const Control control;
	for (const blk_snap_dev &device :
	     {kMissingDevice, blk_snap_dev{0, 0}, blk_snap_dev{~0u, ~0u}, blk_snap_dev{4096, 0},
	      blk_snap_dev{1, 1u << 20}})
		EXPECT_ERRNO(remove_tracker(control, device), ENXIO);
}

TEST(remove_of_a_device_that_went_is_enxio)
{
	const Control control;
	auto goes = std::make_unique<NullDisk>(16);
	const blk_snap_dev number = goes->number();
	const Tracked tracked(control, *goes);
	goes.reset();
	EXPECT_ERRNO(remove_tracker(control, number), ENXIO);
}

TEST(a_new_tracker_is_a_new_generation)
{
	const Control control;
	const NullDisk origin(16), store(16);
	blk_snap_uuid generation;
	{
		const Snapshot snapshot(control, {&origin});
		snapshot.take_with(store);
		generation = tracker_of(control, origin.number())->generation_id;
	}
	REQUIRE(!is_tracked(control, origin));
	const Snapshot snapshot(control, {&origin});
	const auto info = tracker_of(control, origin.number());
	EXPECT(!same(info->generation_id, generation));
	EXPECT_EQ(info->snap_number, 0);
}

TEST(trackers_go_with_the_module)
{
	const NullDisk origin(16);
	const module::Reload reload;
	{
		const Control control;
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	}
	REQUIRE_ERRNO(module::unload(), 0);
	REQUIRE_ERRNO(module::load(), 0);
	EXPECT_EQ(Control().trackers(), 0u);
}

// --- collect ---------------------------------------------------------------------------------

TEST(collect_without_trackers_finds_none)
{
	const Control control;
	const Fenced infos(sizeof(blk_snap_cbt_info));
	for (blk_snap_cbt_info *array :
	     {static_cast<blk_snap_cbt_info *>(nullptr), infos.as<blk_snap_cbt_info>()})
		for (const __u32 room : {0u, 1u}) {
			blk_snap_tracker_collect argument{room, array};
			EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument),
				     0);
			EXPECT_EQ(argument.count, 0u);
			EXPECT(argument.cbt_info_array == array);
		}
	EXPECT(infos.untouched());
}

TEST(collect_without_an_array_counts)
{
	const Control control;
	const NullDisk one(16), two(16);
	const Tracked first(control, one), second(control, two);
	for (const __u32 room : {0u, 1u, 2u, 77u}) {
		blk_snap_tracker_collect argument{room, nullptr};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument), 0);
		EXPECT_EQ(argument.count, 2u);
	}
}

TEST(collect_into_too_small_an_array_is_enobufs)
{
	const Control control;
	const NullDisk one(16), two(16);
	const Tracked first(control, one), second(control, two);
	const Fenced infos(2 * sizeof(blk_snap_cbt_info));
	for (const __u32 room : {0u, 1u}) {
		blk_snap_tracker_collect argument{room, infos.as<blk_snap_cbt_info>()};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument), ENOBUFS);
		EXPECT_EQ(argument.count, 2u);
		EXPECT(infos.untouched());
	}
}

TEST(collect_fills_as_many_as_there_are)
{
	const Control control;
	const NullDisk one(16), two(40);
	const LoopDisk three(3 * 65536 + 512);
	const Tracked first(control, one), second(control, two), third(control, three);
	blk_snap_cbt_info infos[5];
	memset(infos, kPoison, sizeof(infos));
	blk_snap_tracker_collect argument{5, infos};
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument), 0);
	REQUIRE_EQ(argument.count, 3u);
	EXPECT(all_bytes(&infos[3], 2 * sizeof(infos[0]), kPoison));

	const Disk *const disks[] = {&one, &two, &three};
	for (const Disk *disk : disks) {
		unsigned found = 0;
		for (unsigned i = 0; i < 3; i++) {
			if (!same(infos[i].dev_id, disk->number()))
				continue;
			found++;
			EXPECT_EQ(infos[i].device_capacity, disk->sectors() * 512);
			EXPECT_EQ(infos[i].blk_size, 65536u);
			EXPECT_EQ(infos[i].blk_count, (disk->sectors() + 127) / 128);
		}
		EXPECT_EQ(found, 1u);
	}
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < i; j++)
			EXPECT(!same(infos[i].generation_id, infos[j].generation_id));
}

// The array says what is true of the map that can be read: the number of the held snapshot.
TEST(collect_tells_the_number_of_the_last_take)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Tracked tracked(control, origin);
	EXPECT_EQ(tracker_of(control, origin.number())->snap_number, 0);
	for (unsigned number = 1; number <= 3; number++) {
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		EXPECT_EQ(tracker_of(control, origin.number())->snap_number, number - 1);
		snapshot.take_with(store);
		EXPECT_EQ(tracker_of(control, origin.number())->snap_number, number);
	}
	EXPECT_EQ(tracker_of(control, origin.number())->snap_number, 3);
}

TEST(trackers_of_gone_devices_are_not_listed)
{
	const Control control;
	const NullDisk stays(16);
	auto goes = std::make_unique<NullDisk>(16);
	const Tracked first(control, stays), second(control, *goes);
	EXPECT_EQ(control.trackers(), 2u);
	goes.reset();
	EXPECT_EQ(control.trackers(), 1u);
	EXPECT(is_tracked(control, stays));
}

// The number of a device that went is given to another: that one is not tracked.
TEST(a_tracker_does_not_pass_to_a_new_device_of_that_number)
{
	const Control control;
	auto old = std::make_unique<NullDisk>(16);
	const blk_snap_dev number = old->number();
	const Tracked tracked(control, *old);
	const blk_snap_uuid generation = tracker_of(control, number)->generation_id;
	old.reset();
	const NullDisk fresh(16), store(16);
	if (!same(fresh.number(), number))
		skip("the number is not used again");
	EXPECT_ERRNO(mark_dirty(control, number, {{0, 1}}), ENODEV);
	EXPECT_ERRNO(remove_tracker(control, number), ENODATA);
	const Snapshot snapshot(control, {&fresh});
	EXPECT(!same(tracker_of(control, number)->generation_id, generation));
	fresh.fill(1, 0, 1);
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, number, 0), std::vector<unsigned>{0});
}

// --- what cannot be tracked ------------------------------------------------------------------

TEST(zoned_devices_are_neither_origin_nor_store)
{
	const NullDisk zoned(64, {"zoned=1", "zone_size=4"}), plain(64);
	const Control control;
	EXPECT_ERRNO(try_create(control, {zoned.number()}), EOPNOTSUPP);
	const Snapshot snapshot(control, {&plain});
	EXPECT_ERRNO(snapshot.append(zoned, {{0, 8192}}), EINVAL);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT(!tracker_of(control, zoned.number()));
}

TEST(devices_with_integrity_metadata_are_refused)
{
	const ScsiDisk disk({"dev_size_mb=64", "dif=1", "dix=1"});
	const Control control;
	if (!exists("/sys/block/" + disk.name() + "/integrity/format") ||
	    read_line("/sys/block/" + disk.name() + "/integrity/format") == "none")
		skip("scsi_debug has no integrity metadata here");
	EXPECT_ERRNO(try_create(control, {disk.number()}), EOPNOTSUPP);
	EXPECT(!tracker_of(control, disk.number()));
}

TEST(devices_without_capacity_are_refused)
{
	const Control control;
	const Run free = run({"losetup", "--find"});
	if (free.status)
		skip("no loop devices here");
	const Disk empty(free.output.substr(0, free.output.find('\n')));
	expect_untrackable(control, empty.number());
}

// Until 6.3 such drivers took pages of swap and of the page cache without a bio.
TEST(devices_that_take_pages_without_bios_are_refused)
{
	if (!kernel_is_before(6, 3))
		skip("this kernel has no such devices");
	if (exists("/sys/module/brd"))
		skip("brd is in use here");
	if (run({"modprobe", "brd", "rd_nr=1", "rd_size=16384"}).status)
		skip("no brd here");
	const Control control;
	expect_untrackable(control, Disk("/dev/ram0").number());
	wait_until([] { return run({"modprobe", "-r", "brd"}).status == 0; });
}

TEST(a_refused_device_takes_no_other_with_it)
{
	const Control control;
	const NullDisk zoned(64, {"zoned=1", "zone_size=4"}), good(16), store(16);
	EXPECT_ERRNO(try_create(control, {good.number(), zoned.number()}), EOPNOTSUPP);
	EXPECT_EQ(control.trackers(), 0u);
	const Snapshot snapshot(control, {&good});
	snapshot.take_with(store);
}
