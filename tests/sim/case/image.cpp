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

} // namespace sim
