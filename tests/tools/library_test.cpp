// SPDX-License-Identifier: GPL-2.0
//
// The library against a fake module: lists that grow while one asks, maps, sessions.
#include "fake_module.hpp"

#include <blksnap/cbt_map.hpp>
#include <blksnap/error.hpp>
#include <blksnap/snapshot_session.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <future>

namespace blksnap
{

namespace
{

using test::FakeModule;

const Device kDisk{{8, 1}, "/dev/disk"};

blk_snap_cbt_info tracker_info(std::uint32_t block_count, std::uint64_t capacity)
{
	blk_snap_cbt_info info{};
	info.dev_id = {8, 1};
	info.blk_size = 65536;
	info.blk_count = block_count;
	info.device_capacity = capacity;
	info.snap_number = 3;
	return info;
}

int error_code(const std::function<void()> &action)
{
	try {
		action();
	} catch (const Error &error) {
		return error.code();
	}
	return 0;
}

} // namespace

TEST(collect, asks_again_when_the_list_grew_meanwhile)
{
	FakeModule module;
	module.add_snapshot(1, 1);
	bool first = true;
	const auto inner = module.control();
	const Control control{[&](unsigned long request, void *argument) {
		const int result = inner.request(request, argument);
		if (std::exchange(first, false))
			module.add_snapshot(2, 1);
		return result;
	}};
	EXPECT_EQ(collect_snapshots(control).size(), 2u);
}

TEST(collect, gives_no_more_than_there_is_when_the_list_shrank)
{
	FakeModule module;
	module.add_snapshot(1, 1);
	module.add_snapshot(2, 1);
	bool first = true;
	const auto inner = module.control();
	const Control control{[&](unsigned long request, void *argument) {
		const int result = inner.request(request, argument);
		if (std::exchange(first, false))
			module.snapshots.pop_back();
		return result;
	}};
	EXPECT_EQ(collect_snapshots(control).size(), 1u);
}

TEST(collect, passes_other_errors_on)
{
	FakeModule module;
	module.failures[IOCTL_BLK_SNAP_TRACKER_COLLECT] = -EFAULT;
	EXPECT_EQ(error_code([&] { collect_trackers(module.control()); }), EFAULT);
}

TEST(cbt_map, is_read_to_its_end_in_pieces)
{
	FakeModule module;
	module.cbt_map.resize((2 << 20) + 5);
	for (std::size_t at = 0; at < module.cbt_map.size(); at++)
		module.cbt_map[at] = static_cast<std::uint8_t>(at * 7);
	module.trackers = {tracker_info(static_cast<__u32>(module.cbt_map.size()), 0)};
	EXPECT_TRUE(CbtMap::read(module.control(), kDisk).blocks == module.cbt_map);
}

TEST(cbt_map, of_the_wrong_length_is_refused)
{
	FakeModule module;
	module.cbt_map.resize(9);
	module.trackers = {tracker_info(10, 10 * 65536)};
	EXPECT_EQ(error_code([&] { CbtMap::read(module.control(), kDisk); }), EIO);
}

TEST(cbt_map, of_an_untracked_device_is_refused)
{
	FakeModule module;
	EXPECT_EQ(error_code([&] { CbtMap::read(module.control(), kDisk); }), ENODATA);
}

TEST(cbt_map, gives_blocks_above_the_number_as_merged_ranges)
{
	CbtMap map;
	map.tracker.block_size_bytes = 65536;
	map.tracker.capacity_bytes = 13 * 32768; // six and a half blocks
	map.tracker.snapshot_number = 3;
	map.blocks = {0, 2, 3, 1, 0, 2, 2};
	EXPECT_EQ(map.changed_since(0), (std::vector<SectorRange>{{128, 384}, {640, 192}}));
	EXPECT_EQ(map.changed_since(1), (std::vector<SectorRange>{{128, 256}, {640, 192}}));
	EXPECT_EQ(map.changed_since(2), (std::vector<SectorRange>{{256, 128}}));
	EXPECT_TRUE(map.changed_since(3).empty());
}

// An empty list would be taken for "nothing changed".
TEST(cbt_map, does_not_answer_for_another_generation)
{
	CbtMap map;
	map.tracker.snapshot_number = 3;
	map.tracker.generation.bytes[0] = 0xab;
	map.blocks = {0, 2, 3};
	EXPECT_EQ(error_code([&] { map.changed_since(4); }), ESTALE);
	EXPECT_EQ(error_code([&] { map.changed_since(255); }), ESTALE);
	EXPECT_EQ(error_code([&] { map.changed_since(map.tracker.generation, 3); }), 0);
	EXPECT_EQ(error_code([&] { map.changed_since(map.tracker.generation, 4); }), ESTALE);
	EXPECT_EQ(error_code([&] { map.changed_since(Uuid{}, 0); }), ESTALE);
}

TEST(cbt_map, of_two_snapshots_is_refused)
{
	FakeModule module;
	module.cbt_map.resize(10);
	const auto take = [&](auto change) {
		module.trackers = {tracker_info(10, 10 * 65536)};
		module.before[IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP] = [&module, change] {
			change(module.trackers.front());
		};
	};
	take([](blk_snap_cbt_info &info) { info.snap_number++; });
	EXPECT_EQ(error_code([&] { CbtMap::read(module.control(), kDisk); }), EAGAIN);
	take([](blk_snap_cbt_info &info) { info.generation_id.b[0]++; });
	EXPECT_EQ(error_code([&] { CbtMap::read(module.control(), kDisk); }), EAGAIN);
	EXPECT_EQ(error_code([&] { CbtMap::read(module.control(), kDisk); }), 0);
}

TEST(image, is_found_by_its_original)
{
	FakeModule module;
	module.add_snapshot(1, 3);
	const auto id = collect_snapshots(module.control()).front();
	EXPECT_EQ(find_image(module.control(), id, {{8, 3}, "c"}).path(), "/dev/blksnap-image2");
	EXPECT_EQ(error_code([&] { find_image(module.control(), id, {{8, 4}, "d"}); }), ENODEV);
	module.snapshots.front().taken = false;
	EXPECT_EQ(error_code([&] { find_image(module.control(), id, {{8, 3}, "c"}); }), ENODEV);
}

TEST(snapshot_session, delivers_events_and_ends_the_snapshot)
{
	FakeModule module;
	blk_snap_snapshot_event event{};
	event.time_label = 42;
	const blk_snap_event_low_free_space data{2048};
	std::memcpy(event.data, &data, sizeof(data));
	module.events.push_back(event);

	std::promise<std::uint64_t> requested;
	{
		SnapshotSession session{
			module.control(), std::span{&kDisk, 1}, [&](const Event &got) {
				requested.set_value(
					std::get<LowFreeSpace>(got.data).requested_sectors);
			}};
		EXPECT_EQ(requested.get_future().get(), 2048u);
		EXPECT_EQ(error_code([&] { session.take(); }), ENOSPC);
		const SectorRange range{0, 2048};
		session.append_storage(kDisk, std::span{&range, 1});
		session.take();
		EXPECT_EQ(session.image_of(kDisk).path(), "/dev/blksnap-image0");
	}
	EXPECT_TRUE(module.snapshots.empty());
}

TEST(snapshot_session, that_cannot_be_created_throws)
{
	FakeModule module;
	module.failures[IOCTL_BLK_SNAP_SNAPSHOT_CREATE] = -EALREADY;
	EXPECT_EQ(error_code([&] {
			  const SnapshotSession session{module.control(), std::span{&kDisk, 1}};
		  }),
		  EALREADY);
}

} // namespace blksnap
