// SPDX-License-Identifier: GPL-2.0
//
// collect: COLLECT and COLLECT_IMAGES of snapshots. That of trackers is in the area tracker.
#include "kselftest.hpp"

#include "memory.hpp"
#include "snapshot.hpp"

#include <set>

using namespace kselftest;

namespace
{

int collect_images(const Control &control, blk_snap_snapshot_collect_images &argument)
{
	return control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &argument);
}

} // namespace

// --- snapshots -------------------------------------------------------------------------------

TEST(collect_lists_the_snapshots)
{
	const Control control;
	const NullDisk one(16), two(16);
	const Snapshot first(control, {&one}), second(control, {&two});
	blk_snap_uuid ids[4];
	memset(ids, kPoison, sizeof(ids));
	blk_snap_snapshot_collect argument{4, ids};
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument), 0);
	REQUIRE_EQ(argument.count, 2u);
	EXPECT(argument.ids == ids);
	EXPECT(same(ids[0], first.id()) != same(ids[1], first.id()));
	EXPECT(same(ids[0], second.id()) != same(ids[1], second.id()));
	EXPECT(all_bytes(&ids[2], 2 * sizeof(ids[0]), kPoison));
}

TEST(collect_without_an_array_counts)
{
	const Control control;
	const NullDisk one(16), two(16);
	const auto count = [&](__u32 room) {
		blk_snap_snapshot_collect argument{room, nullptr};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument), 0);
		return argument.count;
	};
	EXPECT_EQ(count(0), 0u);
	EXPECT_EQ(count(5), 0u);
	const Snapshot first(control, {&one}), second(control, {&two});
	EXPECT_EQ(count(0), 2u);
	EXPECT_EQ(count(1), 2u);
	EXPECT_EQ(count(5), 2u);
}

TEST(collect_into_too_small_an_array_is_enodata)
{
	const Control control;
	const NullDisk one(16), two(16);
	const Snapshot first(control, {&one}), second(control, {&two});
	const Fenced ids(2 * sizeof(blk_snap_uuid));
	for (const __u32 room : {0u, 1u}) {
		blk_snap_snapshot_collect argument{room, ids.as<blk_snap_uuid>()};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument), ENODATA);
		EXPECT_EQ(argument.count, 2u);
		EXPECT(ids.untouched());
	}
}

TEST(collect_with_room_for_none_finds_none)
{
	const Control control;
	const Fenced ids(sizeof(blk_snap_uuid));
	blk_snap_snapshot_collect argument{0, ids.as<blk_snap_uuid>()};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument), 0);
	EXPECT_EQ(argument.count, 0u);
	EXPECT(ids.untouched());
}

// --- images ----------------------------------------------------------------------------------

TEST(images_are_paired_with_their_origins)
{
	const Control control;
	const NullDisk one(16), two(24), three(32), store(16);
	const Snapshot snapshot(control, {&two, &three, &one});
	snapshot.take_with(store);
	blk_snap_image_info infos[5];
	memset(infos, kPoison, sizeof(infos));
	blk_snap_snapshot_collect_images argument{snapshot.id(), 5, infos};
	REQUIRE_ERRNO(collect_images(control, argument), 0);
	REQUIRE_EQ(argument.count, 3u);
	EXPECT(same(argument.id, snapshot.id()));
	EXPECT(argument.image_info_array == infos);
	EXPECT(all_bytes(&infos[3], 2 * sizeof(infos[0]), kPoison));
	std::set<unsigned> minors;
	const Disk *const disks[] = {&one, &two, &three};
	for (const Disk *disk : disks)
		for (unsigned i = 0; i < 3; i++) {
			if (!same(infos[i].orig_dev_id, disk->number()))
				continue;
			const Disk image("/dev/blksnap-image" +
					 std::to_string(infos[i].image_dev_id.mn));
			EXPECT(same(image.number(), infos[i].image_dev_id));
			EXPECT_EQ(image.sectors(), disk->sectors());
			minors.insert(infos[i].image_dev_id.mn);
		}
	EXPECT_EQ(minors, (std::set<unsigned>{0, 1, 2}));
}

TEST(images_without_an_array_are_counted)
{
	const Control control;
	const NullDisk one(16), two(16), store(16);
	const Snapshot snapshot(control, {&one, &two});
	snapshot.take_with(store);
	for (const __u32 room : {0u, 1u, 9u}) {
		blk_snap_snapshot_collect_images argument{snapshot.id(), room, nullptr};
		EXPECT_ERRNO(collect_images(control, argument), 0);
		EXPECT_EQ(argument.count, 2u);
	}
}

TEST(images_into_too_small_an_array_are_enodata)
{
	const Control control;
	const NullDisk one(16), two(16), store(16);
	const Snapshot snapshot(control, {&one, &two});
	snapshot.take_with(store);
	const Fenced infos(2 * sizeof(blk_snap_image_info));
	for (const __u32 room : {0u, 1u}) {
		blk_snap_snapshot_collect_images argument{snapshot.id(), room,
							  infos.as<blk_snap_image_info>()};
		EXPECT_ERRNO(collect_images(control, argument), ENODATA);
		EXPECT_EQ(argument.count, 2u);
		EXPECT(infos.untouched());
	}
}

TEST(images_of_an_unknown_snapshot_are_esrch)
{
	const Control control;
	blk_snap_image_info info;
	blk_snap_snapshot_collect_images argument{kUnknownId, 1, &info};
	EXPECT_ERRNO(collect_images(control, argument), ESRCH);
	EXPECT_EQ(argument.count, 1u);
}

TEST(images_before_the_take_are_enodev)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	blk_snap_snapshot_collect_images argument{snapshot.id(), 0, nullptr};
	EXPECT_ERRNO(collect_images(control, argument), ENODEV);
	snapshot.take_with(store);
	EXPECT_ERRNO(collect_images(control, argument), 0);
	EXPECT_ERRNO(snapshot.destroy(), 0);
	EXPECT_ERRNO(collect_images(control, argument), ESRCH);
}
