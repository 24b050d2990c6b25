// SPDX-License-Identifier: GPL-2.0
//
// Cases: writes that memory has no record for.
#include <case/stage.hpp>
#include <world/report.hpp>

namespace sim
{

// The reserve has as many as there are each time, and who found none is told of the first that comes
// back, not found by the sweep.
void records_come_back(History &history)
{
	constexpr u32 kReserve = 64;
	Stage stage(history);
	Device &disk = stage.disk(1024);
	SIM_EXPECT(stage.try_create({&disk}) == 0);
	world().memory.faults.nowait_permille = 1000;
	for (u32 round = 0; round < 4; round++) {
		std::vector<std::unique_ptr<ForeignIo>> writes;
		disk.hung = true;
		for (u32 i = 0; i < kReserve + 2; i++) {
			writes.push_back(std::make_unique<ForeignIo>(disk, Op::Write, i * 8, 8));
			writes.back()->submit();
		}
		scheduler().sleep(10'000);
		SIM_EXPECT(disk.stuck.size() == kReserve);
		const u64 begin = scheduler().now();
		disk_resume(disk);
		for (auto &write : writes)
			write->wait();
		SIM_EXPECT(scheduler().now() - begin < 100'000);
	}
	world().memory.faults.nowait_permille = 0;
}

} // namespace sim
