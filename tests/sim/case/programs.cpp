// SPDX-License-Identifier: GPL-2.0
//
// Cases: programs whose memory cannot be written.
#include <case/stage.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// The Nth access to the memory of programs from now on fails.
void fail_user_access(u64 nth)
{
	world().efault_at = world().user_accesses + nth;
}

} // namespace

// A snapshot whose name could not be told is no snapshot: nobody could end it.
void name_cannot_be_told(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	u8 id[16];
	for (u64 nth = 1; nth <= 3; nth++) {
		fail_user_access(nth);
		SIM_EXPECT(agent_ioctl::create({&disk}, id) == -14);
		agent_ioctl::Count count;
		std::vector<blk_snap_uuid> ids;
		SIM_EXPECT(agent_ioctl::collect_snapshots(ids, count) == 0 && ids.empty());
	}
	SIM_EXPECT(stage.try_create({&disk}) == 0);
}

// An event that could not be told comes again, to the next who asks.
void event_cannot_be_told(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	u8 id[16];
	SIM_EXPECT(agent_ioctl::create({&disk}, id) == 0);
	agent_ioctl::Event event;
	for (u64 nth = 1; nth <= 2; nth++) {
		fail_user_access(nth);
		SIM_EXPECT(agent_ioctl::wait_event(id, 0, event) == -14);
	}
	SIM_EXPECT(agent_ioctl::wait_event(id, 0, event) == 0 && event.code == 0);
	SIM_EXPECT(agent_ioctl::wait_event(id, 0, event) == -2);
	SIM_EXPECT(agent_ioctl::destroy(id) == 0);
}

// A signal ends the wait and harms nothing; a destroy ends it, too.
void waiter_is_killed(History &history)
{
	Stage stage(history);
	Device &disk = stage.disk(64);
	SnapshotModel &snapshot = stage.create({&disk}); // its first event is read
	for (const long expected : {-4, -3}) {
		Fiber *waiter = nullptr;
		bool ended = false;
		stage.spawn("waiter", [&] {
			agent_ioctl::Event event;
			waiter = &scheduler().current();
			SIM_EXPECT(agent_ioctl::wait_event(snapshot.id, 60'000, event) == expected);
			ended = true;
		});
		while (!waiter)
			scheduler().sleep(10);
		scheduler().sleep(world().random.below(20));
		SIM_EXPECT(!ended);
		if (expected == -4) {
			waiter->signalled = true;
			scheduler().wake(*waiter);
		} else {
			stage.destroy(snapshot);
		}
		stage.join();
		SIM_EXPECT(scheduler().now() < 1'000'000);
	}
}

} // namespace sim
