// SPDX-License-Identifier: GPL-2.0
//
// Cases: the change map.
#include <algorithm>
#include <case/stage.hpp>
#include <cstring>
#include <world/report.hpp>

namespace sim
{

// At the wrap of the number a take replaces the map that others may just be describing.
void list_meets_wrap(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	Device &store = stage.store(64);
	world().params.free_diff_buffer_pool_size = 1;
	stage.age(disk, store, 255);
	const auto old = stage.info(disk);
	SIM_EXPECT(old.snap_number == 254);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	bool stop = false;
	scheduler().steal_often();
	for (u32 i = 0; i < 3; i++)
		stage.spawn("lister", [&] {
			while (!stop) {
				const auto info = stage.info(disk);
				const bool same =
					!std::memcmp(&info.generation_id, &old.generation_id, 16);
				SIM_EXPECT(info.snap_number == (same ? 254 : 1));
				SIM_EXPECT(info.device_capacity == 64 * 512 && info.blk_count == 8);
			}
		});
	stage.take(snapshot);
	stop = true;
	stage.join();
	const auto fresh = stage.info(disk);
	SIM_EXPECT(fresh.snap_number == 1);
	SIM_EXPECT(std::memcmp(&fresh.generation_id, &old.generation_id, 16) != 0);
	stage.destroy(snapshot);
}

// Many ranges in any order, as one; and one that is wrong spoils all.
void dirty_ranges(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	const blk_snap_block_range none{};
	SIM_EXPECT(agent_ioctl::mark_dirty(disk, &none, 1) == -19);
	SnapshotModel &snapshot = stage.taken(disk, store);
	const std::vector<u8> clean = stage.map(disk);
	SIM_EXPECT(std::count(clean.begin(), clean.end(), 0) == 32);
	const blk_snap_block_range kBad[][3] = {
		{{0, 8}, {256, 1}, {16, 8}},  {{0, 256}, {0, 257}, {0, 1}},
		{{8, 8}, {~0ull, 1}, {0, 1}}, {{8, 8}, {9, ~0ull}, {0, 1}},
		{{8, 8}, {0, 8}, {255, 2}},
	};
	for (const auto &ranges : kBad)
		SIM_EXPECT(agent_ioctl::mark_dirty(disk, ranges, 3) == -22);
	SIM_EXPECT(agent_ioctl::mark_dirty(disk, kBad[0], 262145) == -22);
	SIM_EXPECT(agent_ioctl::mark_dirty(disk, nullptr, 0) == 0);
	SIM_EXPECT(stage.map(disk) == clean);
	const blk_snap_block_range good[] = {{200, 1}, {0, 0},	 {40, 8}, {255, 1},
					     {41, 9},  {200, 0}, {33, 7}, {256, 0}};
	SIM_EXPECT(agent_ioctl::mark_dirty(snapshot.images[0]->image, good, 8) == 0);
	std::vector<u8> marked(32, 0);
	marked[25] = marked[31] = marked[4] = marked[5] = marked[6] = 1;
	SIM_EXPECT(stage.map(disk) == marked);
	stage.destroy(snapshot);
	SnapshotModel &second = stage.taken(disk, store);
	for (u8 &byte : marked)
		byte *= 2;
	SIM_EXPECT(stage.map(disk) == marked);
	stage.destroy(second);
}

} // namespace sim
