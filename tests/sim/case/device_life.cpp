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

// A volume that shrank and grew again may have other blocks there, which no write brought.
void size_goes_and_comes_back(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	const auto shrink_and_grow = [&] {
		resize(history, disk, 128);
		scheduler().sleep(kSweepUs);
		resize(history, disk, 256);
	};
	stage.destroy(stage.taken(disk, store));
	const auto tracked = stage.info(disk);
	shrink_and_grow();
	SnapshotModel &snapshot = stage.create({&disk});
	const auto created = stage.info(disk);
	SIM_EXPECT(!same_generation(tracked, created));
	stage.append(snapshot, store);
	shrink_and_grow();
	stage.take(snapshot);
	const auto held = stage.info(disk);
	SIM_EXPECT(!same_generation(created, held) && held.snap_number == 1);
	shrink_and_grow();
	stage.expect_corrupted(snapshot, disk, 19);
	SIM_EXPECT(same_generation(held, stage.info(disk)));
	stage.destroy(snapshot);
	stage.destroy(stage.taken(disk, store));
	const auto after = stage.info(disk);
	SIM_EXPECT(!same_generation(held, after) && after.snap_number == 1);
	stage.destroy(stage.taken(disk, store)); // and that was all
	SIM_EXPECT(same_generation(after, stage.info(disk)) && stage.info(disk).snap_number == 2);
}

// What is written to the new part before the tracker covers that is counted by nobody: it is waited for.
void write_to_a_grown_part_is_waited_for(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(128);
	Device &store = stage.store(1024);
	SIM_EXPECT(stage.try_create({&disk}) == 0);
	resize(history, disk, 256);
	disk.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 200, 8) == 0); });
	while (disk.stuck.empty())
		scheduler().sleep(1000);
	stage.spawn("resume", [&] {
		scheduler().sleep(100'000);
		disk_resume(disk);
	});
	SnapshotModel &snapshot = stage.taken(disk, store);
	SIM_EXPECT(!disk.hung);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.join();
	stage.destroy(snapshot);
}

// A device that does not answer can keep whoever opens it waiting: who did not name it does not wait with him.
void slow_opens_hold_up_nobody(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	Device &slow_disk = stage.disk(256);
	Device &slow_store = stage.store(1024);
	SnapshotModel &taken = stage.taken(disk, store);
	SnapshotModel &created = stage.create({&stage.disk(64)});
	slow_disk.opens_slowly = slow_store.opens_slowly = true;
	stage.spawn("remover", [&] { SIM_EXPECT(agent_ioctl::remove_tracker(slow_disk) == -61); });
	scheduler().sleep(10'000);
	stage.spawn("creator", [&] { SIM_EXPECT(stage.try_create({&slow_disk}) == 0); });
	stage.spawn("appender", [&] { stage.append(created, slow_store); });
	scheduler().sleep(10'000);
	const u64 begin = scheduler().now();
	(void)stage.info(disk);
	stage.destroy(taken);
	SIM_EXPECT(scheduler().now() - begin < 500'000);
	slow_store.opens_slowly = false;
	scheduler().sleep(100'000);
	stage.take(created);
	slow_disk.opens_slowly = false;
	stage.join();
	stage.destroy(created);
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

// A tracker of a device that is gone does not speak for the next one of that number.
void number_of_another_device(History &history)
{
	Stage stage(history);
	Device &old = stage.disk(256);
	Device &store = stage.store(1024);
	stage.destroy(stage.taken(old, store));
	const auto before = stage.info(old);
	Device &fresh = stage.disk(512);
	fresh.major = old.major;
	fresh.minor = old.minor;
	old.major = 0;
	old.removed = true;
	const blk_snap_block_range all{0, 256};
	const u64 who = world().random.below(3);
	if (who == 0)
		SIM_EXPECT(agent_ioctl::remove_tracker(fresh) == -61);
	if (who == 1)
		SIM_EXPECT(agent_ioctl::mark_dirty(fresh, &all, 1) == -19);
	SnapshotModel &snapshot = stage.taken(fresh, store);
	SIM_EXPECT(!same_generation(before, stage.info(fresh)));
	SIM_EXPECT(stage.info(fresh).device_capacity == 512 * 512);
	SIM_EXPECT(stage.write(fresh, 300, 8) == 0);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 512) == 0);
	SIM_EXPECT(snapshot.images[0]->cut(300) >> 36 == 0);
	stage.destroy(snapshot);
}

// One of two is replaced while the other one is opened: its successor is taken, not what is open already.
void device_is_replaced_after_its_open(History &history)
{
	Stage stage(history);
	Device &old = stage.disk(256);
	Device &slow = stage.disk(64);
	slow.opens_slowly = true;
	stage.spawn("creator", [&] { SIM_EXPECT(stage.try_create({&old, &slow}) == 0); });
	scheduler().sleep(10'000);
	Device &fresh = stage.disk(512);
	fresh.major = old.major;
	fresh.minor = old.minor;
	old.major = 0;
	old.removed = true;
	if (world().random.one_in(2)) // its successor may have a tracker then
		SIM_EXPECT(stage.try_create({&fresh}) == 0);
	slow.opens_slowly = false;
	stage.join();
	SIM_EXPECT(stage.info(fresh).device_capacity == 512 * 512);
}

// What is written past the bios is in no map: from then on the numbers of another generation count.
void device_is_written_to_without_bios(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	stage.destroy(stage.taken(disk, store));
	const auto first = stage.info(disk);
	disk.untrackable = 12; // not known
	SIM_EXPECT(stage.try_create({&disk}) == -12);
	SIM_EXPECT(same_generation(first, stage.info(disk)));
	disk.untrackable = 95;
	SIM_EXPECT(stage.try_create({&disk}) == -95);
	std::vector<blk_snap_cbt_info> infos;
	SIM_EXPECT(agent_ioctl::collect_trackers(infos) == 0 && infos.empty());
	disk.untrackable = 0;

	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	const auto second = stage.info(disk);
	SIM_EXPECT(!same_generation(first, second));
	disk.untrackable = 12;
	SIM_EXPECT(agent_ioctl::take(snapshot.id) == -12);
	SIM_EXPECT(same_generation(second, stage.info(disk)));
	disk.untrackable = 95;
	SIM_EXPECT(agent_ioctl::take(snapshot.id) == -95);
	disk.untrackable = 0;
	stage.take(snapshot);
	SIM_EXPECT(!same_generation(second, stage.info(disk)));
	stage.destroy(snapshot);
}

// A disk without trackers stays until its last write has ended. It may be wanted again before.
void disk_is_met_again(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == -61);
	stage.destroy(stage.taken(disk, store));
	disk.hung = true;
	stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 8, 8) == 0); });
	scheduler().sleep(1000);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == -61);
	stage.spawn("resume", [&] {
		scheduler().sleep(world().random.below(2000));
		disk_resume(disk);
	});
	SnapshotModel &snapshot = stage.create({&disk});
	SIM_EXPECT(agent_ioctl::remove_tracker(disk) == -16);
	stage.append(snapshot, store);
	stage.take(snapshot);
	stage.join();
	SIM_EXPECT(stage.write(disk, 8, 8) == 0);
	SIM_EXPECT(stage.read(*snapshot.images[0], 0, 256) == 0);
	stage.destroy(snapshot);
}

// Without memory for a new map the doubt stays until there is some.
void no_memory_for_a_generation(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(128);
	Device &store = stage.store(256);
	stage.destroy(stage.taken(disk, store));
	u32 failed = 0;
	for (u64 nth = 1; nth < 30; nth++) {
		const auto before = stage.info(disk);
		if (nth % 2)
			exchange(history, disk);
		else
			resize(history, disk, disk.sectors + 8);
		world().memory.fail_nth(nth);
		const long result = stage.try_create({&disk});
		world().memory.fail_nth(0);
		SIM_EXPECT(result == 0 || result == -12);
		failed += result != 0;
		SnapshotModel &snapshot = stage.taken(disk, store);
		const auto after = stage.info(disk);
		SIM_EXPECT(!same_generation(before, after) && after.snap_number == 1);
		SIM_EXPECT(after.device_capacity == disk.sectors * 512);
		stage.destroy(snapshot);
	}
	SIM_EXPECT(failed > 10 && failed < 29);
}

} // namespace sim
