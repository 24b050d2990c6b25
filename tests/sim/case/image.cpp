// SPDX-License-Identifier: GPL-2.0
//
// Cases: reading images.
#include <case/stage.hpp>
#include <world/report.hpp>

namespace sim
{

// A copy that is stored goes when its last reader does. Were it given to new ones, readers that follow
// each other could keep its pages for ever.
void stored_copy_takes_no_readers(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(256);
	Device &store = stage.store(1024);
	SnapshotModel &snapshot = stage.taken(disk, store);
	u32 fills = 0;
	bool first_may_go_on = false;
	store.hung = true;
	SIM_EXPECT(stage.write(disk, 0, 8) == 0);
	world().on_fill = [&] {
		fills++;
		while (!first_may_go_on)
			scheduler().sleep(100);
	};
	stage.spawn("first", [&] { SIM_EXPECT(stage.read(*snapshot.images[0], 0, 8) == 0); });
	scheduler().sleep(100'000);
	SIM_EXPECT(fills == 1);
	disk_resume(store);
	scheduler().sleep(100'000);
	bool second_is_done = false;
	stage.spawn("second", [&] {
		SIM_EXPECT(stage.read(*snapshot.images[0], 0, 8) == 0);
		second_is_done = true;
	});
	scheduler().sleep(100'000);
	SIM_EXPECT(fills == 1 && second_is_done);
	first_may_go_on = true;
	stage.join();
	world().on_fill = nullptr;
	stage.destroy(snapshot);
}

// Reads that were overtaken by writes complete while the store fails. Who loses the image drops its copies:
// the blocks look untouched then, and what was read there is not what stood there at the cut.
void image_is_lost_under_overtaken_reads(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	Device &store = stage.store(256);
	disk.latency_us = store.latency_us = 100;
	scheduler().steal_often();
	for (u32 i = 0; i < 10; i++) {
		SnapshotModel &snapshot = stage.taken(disk, store);
		store.hung = disk.hung = true;
		for (u64 sector = 0; sector < disk.sectors; sector += 8)
			stage.spawn("reader", [&, sector] {
				const int status = stage.read(*snapshot.images[0], sector, 8);
				SIM_EXPECT(status == 0 || status == 5);
			});
		while (disk.stuck.size() < disk.sectors / 8)
			scheduler().sleep(100);
		disk.hung = false; // those stay where they are
		for (u64 sector = 0; sector < disk.sectors; sector += 8)
			SIM_EXPECT(stage.write(disk, sector, 8) == 0);
		store.faults.write_permille = 1000;
		disk_resume(store);
		disk_resume(disk);
		stage.join();
		store.faults.write_permille = 0;
		stage.destroy(snapshot);
	}
}

} // namespace sim
