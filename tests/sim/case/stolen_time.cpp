// SPDX-License-Identifier: GPL-2.0
//
// Cases: a writer loses its CPU in the middle of the hook, for longer than a call takes that changes what
// it was just looking at.
#include <case/stage.hpp>
#include <script/device_life.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// Tasks that write all the time, until the end of this object.
class Writers
{
public:
	Writers(Stage &stage, const std::vector<Device *> &devices) : stage_(stage)
	{
		scheduler().steal_often();
		for (u32 i = 0; i < 4; i++)
			for (Device *device : devices)
				stage.spawn("writer", [this, device] { run(*device); });
	}
	~Writers()
	{
		stop_ = true;
		stage_.join();
	}

private:
	void run(Device &device)
	{
		Random &random = world().random;
		while (!stop_) {
			const u32 sectors = static_cast<u32>(random.between(1, 8));
			const u64 sector = random.below(device.sectors - sectors + 1);
			SIM_EXPECT(stage_.write(device, sector, sectors) == 0);
		}
	}

	Stage &stage_;
	bool stop_ = false;
};

Device &fast_disk(Stage &stage, u64 sectors)
{
	Device &disk = stage.disk(sectors);
	disk.latency_us = 1;
	return disk;
}

Backup back_up(Stage &stage, SnapshotModel &snapshot)
{
	ImageModel &image = *snapshot.images[0];
	Backup backup;
	SIM_EXPECT(stage.read(image, 0, static_cast<u32>(image.sectors)) == 0);
	backup.valid = true;
	backup.info = stage.info(image.origin);
	backup.take_end = snapshot.take_end;
	backup.map_begin = world().writes.tick();
	for (u64 sector = 0; sector < image.sectors; sector++)
		backup.content.push_back(image.cut(sector));
	return backup;
}

} // namespace

// What a writer was just marking goes away when the take is given up.
void takes_fail_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 64);
	Device &store = stage.store(256);
	SnapshotModel &snapshot = stage.create({&disk});
	stage.append(snapshot, store);
	world().freeze_timeout_permille = 1000;
	Writers writers(stage, {&disk});
	for (u32 i = 0; i < 20; i++)
		SIM_EXPECT(stage.try_take(snapshot) == -110);
	stage.destroy(snapshot);
}

// The map is replaced while somebody marks in it.
void generations_change_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 64);
	Device &store = stage.store(256);
	stage.destroy(stage.taken(disk, store));
	Writers writers(stage, {&disk});
	for (u32 i = 0; i < 20; i++) {
		exchange(history, disk);
		SIM_EXPECT(stage.try_create({&disk}) == 0);
	}
}

// A writer that has not seen the mirror of its map yet marks late, and must not be missed.
void backups_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 512);
	Device &store = stage.store(2048);
	Writers writers(stage, {&disk});
	Backup older;
	for (u32 i = 0; i < 6; i++) {
		SnapshotModel &snapshot = stage.taken(disk, store);
		Backup newer = back_up(stage, snapshot);
		const auto map = stage.map(disk);
		if (older.valid)
			check_map(disk, older, newer, map);
		older = std::move(newer);
		stage.destroy(snapshot);
	}
}

// The area goes away while a writer asks it.
void destroys_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 64);
	Device &store = stage.store(256);
	Writers writers(stage, {&disk});
	for (u32 i = 0; i < 10; i++)
		stage.destroy(stage.taken(disk, store));
}

// A tracker goes away while a writer meets it on the list, where another one stays.
void trackers_go_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 64);
	Device &part = world().add_device(DeviceKind::Partition, "part", 32, &disk, 16);
	SIM_EXPECT(stage.try_create({&disk}) == 0);
	Writers writers(stage, {&disk});
	for (u32 i = 0; i < 20; i++) {
		SIM_EXPECT(stage.try_create({&part}) == 0);
		SIM_EXPECT(agent_ioctl::remove_tracker(part) == 0);
	}
}

// Disks go while the completions of their last writes are on their way out of them.
void disks_go_under_completions(History &history)
{
	Stage stage(history);
	Device &other = fast_disk(stage, 64);
	scheduler().steal_often();
	std::vector<Device *> disks;
	for (u32 i = 0; i < 24; i++) {
		Device &disk = fast_disk(stage, 64);
		SIM_EXPECT(stage.try_create({&disk}) == 0);
		disk.hung = true;
		stage.spawn("writer", [&] { SIM_EXPECT(stage.write(disk, 8, 8) == 0); });
		while (disk.stuck.empty())
			scheduler().sleep(100);
		SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
		disks.push_back(&disk);
	}
	stage.spawn("resume", [&] {
		for (Device *disk : disks) {
			scheduler().sleep(world().random.below(1000));
			disk_resume(*disk);
		}
	});
	for (u32 i = 0; i < 60; i++) { // each looks for disks that can go
		SIM_EXPECT(stage.try_create({&other}) == 0);
		SIM_EXPECT(agent_ioctl::remove_tracker(other) == 0);
	}
	stage.join();
}

// A disk goes while writers who were held back, because too many are parked, are on their way out of it.
void disks_go_under_crowds(History &history)
{
	Stage stage(history);
	world().params.parked_limit = 1;
	stage.limit_pages(1);
	for (u32 i = 0; i < 6; i++) {
		Device &disk = fast_disk(stage, 64);
		Device &store = stage.store(256);
		SnapshotModel &snapshot = stage.taken(disk, store);
		store.hung = true;
		SIM_EXPECT(stage.write(disk, 0, 8) == 0);
		for (u64 block = 1; block < 7; block++)
			stage.spawn("writer", [&stage, &disk, block] {
				SIM_EXPECT(stage.write(disk, block * 8, 8) == 0);
			});
		scheduler().sleep(20'000);
		disk_resume(store);
		scheduler().steal_often();
		stage.destroy(snapshot);
		SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
		for (u32 n = 0; n < 4; n++) {
			SIM_EXPECT(stage.try_create({&store}) == 0);
			SIM_EXPECT(agent_ioctl::remove_tracker(store) == 0);
		}
		stage.join();
	}
}

// Snapshots, trackers and disks go under writers, and come again, with too many of them parked.
void all_goes_under_writers(History &history)
{
	Stage stage(history);
	Device &disk = fast_disk(stage, 64);
	Device &store = stage.store(256);
	world().params.parked_limit = 1;
	Writers writers(stage, {&disk, &disk});
	for (u32 i = 0; i < 10; i++) {
		stage.destroy(stage.taken(disk, store));
		SIM_EXPECT(agent_ioctl::remove_tracker(disk) == 0);
	}
}

} // namespace sim
