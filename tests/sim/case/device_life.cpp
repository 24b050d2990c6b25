// SPDX-License-Identifier: GPL-2.0
//
// Cases: devices that change under trackers and snapshots.
#include <case/stage.hpp>
#include <cstring>
#include <script/device_life.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

constexpr u64 kSweepUs = 2'500'000;

bool same_generation(const blk_snap_cbt_info &a, const blk_snap_cbt_info &b)
{
	return std::memcmp(&a.generation_id, &b.generation_id, 16) == 0;
}

} // namespace

// Untouched blocks would be read from the new medium; and nothing known of the old one is worth
// anything.
void medium_is_exchanged(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &first = stage.taken(disk, store);
	const auto before = stage.info(disk);
	SIM_EXPECT(stage.read(*first.images[0], 0, 64) == 0);
	exchange(history, disk);
	scheduler().sleep(kSweepUs);
	SIM_EXPECT(stage.read(*first.images[0], 0, 64) == 5);
	stage.expect_corrupted(first, disk, 19);
	stage.destroy(first);
	// Noticed at the next create, and in the list of trackers from then on.
	SnapshotModel &second = stage.create({&disk});
	SIM_EXPECT(!same_generation(before, stage.info(disk)));
	stage.append(second, store);
	const auto created = stage.info(disk);
	exchange(history, disk);
	stage.take(second);
	SIM_EXPECT(!same_generation(created, stage.info(disk)));
	SIM_EXPECT(stage.info(disk).snap_number == 1);
	scheduler().sleep(kSweepUs);
	SIM_EXPECT(stage.read(*second.images[0], 0, 256) == 0);
	stage.destroy(second);
}

// The sweep fails the area of a device that shrank, while a destroy takes the area away.
void sweep_meets_destroy(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	scheduler().steal_often();
	for (u32 round = 0; round < 3; round++) {
		SnapshotModel &snapshot = stage.taken(disk, store);
		bool stop = false;
		resize(history, disk, 128);
		for (u32 i = 0; i < 4; i++)
			stage.spawn("lister", [&stop] {
				std::vector<blk_snap_cbt_info> infos;
				while (!stop)
					SIM_EXPECT(agent_ioctl::collect_trackers(infos) == 0);
			});
		scheduler().sleep(world().random.below(40));
		stage.destroy(snapshot);
		stop = true;
		stage.join();
		resize(history, disk, 256);
	}
}

} // namespace sim
