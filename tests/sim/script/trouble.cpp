// SPDX-License-Identifier: GPL-2.0
//
// Trouble makers: calls at the wrong moment, and devices that misbehave.
#include <cstring>
#include <script/agent_store.hpp>
#include <script/device_life.hpp>
#include <script/foreign_io.hpp>
#include <script/history.hpp>
#include <script/inquiry.hpp>
#include <script/ioctl.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

SnapshotModel *draw_snapshot(History &history)
{
	if (history.snapshots.empty())
		return nullptr;
	auto &snapshot = history.snapshots[world().random.below(history.snapshots.size())];
	return snapshot->created ? snapshot.get() : nullptr;
}

void destroy_some(History &history)
{
	SnapshotModel *snapshot = draw_snapshot(history);
	if (!snapshot)
		return;
	if (snapshot->end_begin == kNever)
		snapshot->end_begin = world().writes.tick();
	release_store(*snapshot);
	agent_ioctl::destroy(snapshot->id);
}

void call_nonsense()
{
	Random &random = world().random;
	UserBuffer buffer;
	static constexpr unsigned kUnknown[] = {0,	    0x5620,	0x40085620, 0x40085621,
						0x40085622, 0x40105600, ~0u};
	if (blksnap_control_ioctl(random.pick(kUnknown), buffer.address(), random.one_in(2)) != -25)
		fail("ioctl", "an unknown command is not refused with ENOTTY");
	static constexpr unsigned kKnown[] = {
		IOCTL_BLK_SNAP_TRACKER_COLLECT,		IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP,
		IOCTL_BLK_SNAP_SNAPSHOT_CREATE,		IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE,
		IOCTL_BLK_SNAP_SNAPSHOT_TAKE,		IOCTL_BLK_SNAP_SNAPSHOT_DESTROY,
		IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT,
	};
	const unsigned command = random.pick(kKnown);
	const u64 bad = random.one_in(2) ? 0 : ~u64{0} - 100;
	const long result = blksnap_control_ioctl(command, bad, 0);
	if (result != -14 && !(result == -12 && world().memory.has_failed()))
		fail("ioctl", "command %x with a bad pointer gives %ld", command, result);
	scheduler().current().admin = false;
	const long refused = blksnap_control_ioctl(command, buffer.address(), 0);
	scheduler().current().admin = true;
	if (refused != -1)
		fail("ioctl", "command %x without privilege gives %ld", command, refused);
	const u8 nobody[16] = {1, 2, 3};
	const long unknown = agent_ioctl::take(nobody);
	if (unknown != -3 && !(unknown == -14 && world().efault_fired))
		fail("ioctl", "take of an unknown snapshot is not ESRCH");
}

// A snapshot of its own that lives for a moment.
void come_and_go(History &history)
{
	Random &random = world().random;
	const auto &paths = history.plan.paths;
	u8 id[16];
	if (agent_ioctl::create({paths[random.below(paths.size())]}, id))
		return;
	scheduler().sleep(random.below(2000));
	while (agent_ioctl::destroy(id) == -14)
		; // or nobody would end it
}

void make_calls(History &history)
{
	Random &random = world().random;
	std::vector<blk_snap_cbt_info> infos;
	std::vector<u8> map;
	switch (random.below(10)) {
	case 0:
		return destroy_some(history);
	case 1:
		agent_ioctl::remove_tracker(
			*history.plan.paths[random.below(history.plan.paths.size())]);
		return;
	case 2:
		agent_ioctl::collect_trackers(infos);
		return;
	case 3:
		if (SnapshotModel *snapshot = draw_snapshot(history))
			agent_ioctl::take(snapshot->id);
		return;
	case 4:
		return come_and_go(history);
	case 5:
		if (SnapshotModel *snapshot = draw_snapshot(history))
			append_store(history.plan, *snapshot, StoreTime::Late);
		return;
	case 6:
		if (SnapshotModel *snapshot = draw_snapshot(history))
			mark_some_dirty(history.plan, *snapshot);
		return;
	case 7:
		agent_ioctl::read_map(*history.plan.origins[0], map);
		return;
	default:
		call_nonsense();
	}
}

void suspend_some(Plan &plan)
{
	if (plan.linears.empty())
		return;
	Device &linear = *plan.linears[world().random.below(plan.linears.size())];
	if (linear.suspended)
		return;
	linear.suspended = true;
	scheduler().sleep(world().random.below(30'000));
	linear_resume(linear);
}

void hang_some(Plan &plan)
{
	Random &random = world().random;
	Device &store = *plan.stores[random.below(plan.stores.size())];
	store.hung = true;
	TRACE("%s does not answer any more", store.name.c_str());
	if (random.one_in(2)) {
		scheduler().sleep(random.below(10'000'000));
		disk_resume(store);
	}
}

void remove_some(Plan &plan)
{
	Random &random = world().random;
	auto &list = random.one_in(2) ? plan.stores : plan.paths;
	Device &device = *list[random.below(list.size())];
	TRACE("%s is removed", device.name.c_str());
	device.removed = true;
}

void kill_some()
{
	for (const auto &fiber : scheduler().fibers()) {
		if (std::strcmp(fiber->name, "event-waiter") == 0 && world().random.one_in(2)) {
			fiber->signalled = true;
			scheduler().wake(*fiber);
			return;
		}
	}
}

} // namespace

void run_trouble(History &history)
{
	Plan &plan = history.plan;
	Random &random = world().random;
	while (!history.stopping) {
		scheduler().sleep(random.below(15'000));
		if (history.stopping)
			return;
		if (plan.chaos)
			make_calls(history);
		if (plan.suspends && random.one_in(2))
			suspend_some(plan);
		if (plan.hangs && !history.stopping && random.one_in(4))
			hang_some(plan);
		if (plan.removal && random.one_in(6))
			remove_some(plan);
		if (plan.kills && random.one_in(2))
			kill_some();
		if (plan.resizes && random.one_in(2))
			resize_some(history);
		if (plan.exchanges && random.one_in(8))
			exchange_some(history);
	}
}

} // namespace sim
