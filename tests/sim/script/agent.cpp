// SPDX-License-Identifier: GPL-2.0
//
// Agent: the backup program. Creates, takes, reads, compares, destroys.
#include <algorithm>
#include <cstring>
#include <oracle/cbt_model.hpp>
#include <script/agent_store.hpp>
#include <script/device_life.hpp>
#include <script/foreign_io.hpp>
#include <script/history.hpp>
#include <script/inquiry.hpp>
#include <script/ioctl.hpp>
#include <script/snapshot_images.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

class Agent
{
public:
	explicit Agent(History &history)
		: history_(history), plan_(history.plan), backups_(world().devices.size())
	{
	}
	void cycle(bool last);
	// Many short lives of snapshots, so that the next ones have numbers about the last.
	void age();

private:
	bool create(SnapshotModel &snapshot);
	bool take(SnapshotModel &snapshot);
	bool try_take(SnapshotModel &snapshot);
	void use(SnapshotModel &snapshot);
	void back_up(ImageModel &image);
	bool read_all(ImageModel &image);
	void destroy(SnapshotModel &snapshot);
	void drain_events(SnapshotModel &snapshot);
	// In a history where nothing can fail, this must be 0.
	bool expect(const char *what, long result)
	{
		if (result && plan_.strict())
			fail("ioctl", "%s gives %ld, and nothing went wrong", what, result);
		return result == 0;
	}

	History &history_;
	Plan &plan_;
	std::vector<Backup> backups_; // by id of the origin
};

bool Agent::create(SnapshotModel &snapshot)
{
	Random &random = world().random;
	for (Device *origin : plan_.origins)
		if (random.one_in(2))
			snapshot.origins.push_back(origin);
	if (snapshot.origins.empty())
		snapshot.origins.push_back(plan_.origins[random.below(plan_.origins.size())]);
	return expect("create", agent_ioctl::create(snapshot.origins, snapshot.id));
}

bool Agent::try_take(SnapshotModel &snapshot)
{
	WriteLog &writes = world().writes;
	snapshot.take_begin = writes.tick();
	snapshot.take_begin_us = scheduler().now();
	const long result = agent_ioctl::take(snapshot.id);
	snapshot.take_end = writes.tick();
	snapshot.instant = {snapshot.take_begin, snapshot.take_end};
	return expect("take", result);
}

bool Agent::take(SnapshotModel &snapshot)
{
	u32 more = plan_.retakes ? 2 : 0;
	while (!try_take(snapshot)) {
		if (!more--)
			return false;
		scheduler().sleep(world().random.below(3000));
	}
	return find_images(plan_, snapshot);
}

bool Agent::read_all(ImageModel &image)
{
	for (u64 sector = 0; sector < image.sectors;) {
		const u32 sectors = static_cast<u32>(
			std::min<u64>(image.sectors - sector, world().random.between(8, 256)));
		ForeignIo io(image.image, Op::Read, sector, sectors, &image);
		io.submit();
		io.wait();
		if (io.status())
			return false;
		sector += sectors;
	}
	return true;
}

void Agent::back_up(ImageModel &image)
{
	std::vector<blk_snap_cbt_info> infos;
	std::vector<u8> map;
	Backup backup;
	if (!read_all(image) || !expect("tracker_collect", agent_ioctl::collect_trackers(infos)))
		return;
	backup.take_end = image.snapshot.take_end;
	backup.map_begin = world().writes.tick();
	if (!expect("read_map", agent_ioctl::read_map(image.origin, map)))
		return;
	for (const auto &info : infos) {
		if (info.dev_id.mj != image.origin.major || info.dev_id.mn != image.origin.minor)
			continue;
		backup.valid = true;
		backup.info = info;
	}
	if (image.snapshot.ending() || world().settle_gave_up)
		return; // somebody else destroyed it: the numbers may be of a later take
	if (!backup.valid) {
		expect("find the tracker", -61);
		return;
	}
	check_map_shape(image.origin, image.sectors, backup.info, map);
	for (u64 sector = 0; sector < image.sectors; sector++)
		backup.content.push_back(image.plain(sector) ? image.cut(sector)
							     : ImageModel::kUnknown);
	Backup &older = backups_[image.origin.id];
	check_dirty_marks(image.origin, older, backup, map);
	if (image.exchanged)
		backup.valid = false; // of two media
	else if (older.valid)
		check_map(image.origin, older, backup, map);
	older = std::move(backup);
}

void Agent::use(SnapshotModel &snapshot)
{
	if (plan_.inquiries)
		inquire(plan_, snapshot);
	if (plan_.dirty)
		mark_some_dirty(plan_, snapshot);
	if (plan_.backups)
		for (auto &image : snapshot.images)
			back_up(*image);
	for (u32 i = 0; i < plan_.image_users; i++) {
		snapshot.readers++;
		history_.others.spawn("image-user",
				      [this, &snapshot] { run_image_user(history_, snapshot); });
	}
	scheduler().sleep(world().random.below(20'000));
	if (plan_.append_late)
		append_store(plan_, snapshot, StoreTime::Late);
	if (plan_.bad_appends)
		append_nonsense(plan_, snapshot);
	if (plan_.dirty)
		mark_some_dirty(plan_, snapshot);
	if ((plan_.resizes || plan_.exchanges) && world().random.one_in(3))
		spoil_own(history_, snapshot);
	const bool patient = world().random.one_in(2);
	while (patient && snapshot.readers)
		scheduler().sleep(1000);
}

// What the waiters have left, so that the count of events is complete.
void Agent::drain_events(SnapshotModel &snapshot)
{
	snapshot.stop_waiting = true;
	while (snapshot.waiters)
		scheduler().sleep(1000);
	for (;;) {
		agent_ioctl::Event event;
		const long result = agent_ioctl::wait_event(snapshot.id, 50, event);
		if (result == -14 || result == -12)
			continue; // no event is lost by that
		if (result)
			break;
		snapshot.on_event(event.code, event.origin, event.error, event.time_us);
	}
	if (snapshot.ending())
		return; // by somebody else: then there are no more
	for (auto &image : snapshot.images)
		if (image->seen_lost && !image->corrupted_events)
			fail("events", "%s gives EIO, but no event said so",
			     image->image.name.c_str());
	if (!snapshot.low_space_events)
		fail("events", "no event asked for the first portion");
}

void Agent::destroy(SnapshotModel &snapshot)
{
	if (snapshot.end_begin == kNever)
		snapshot.end_begin = world().writes.tick();
	release_store(snapshot);
	long result;
	do
		result = agent_ioctl::destroy(snapshot.id);
	while (result == -14 && plan_.efaults);
	if (result && !plan_.chaos)
		fail("ioctl", "destroy gives %ld", result);
	for (auto &image : snapshot.images)
		if (!result && image->image.major)
			fail("ioctl", "%s is still there after destroy", image->image.name.c_str());
}

void Agent::cycle(bool last)
{
	history_.snapshots.push_back(std::make_unique<SnapshotModel>());
	SnapshotModel &snapshot = *history_.snapshots.back();
	if (!create(snapshot))
		return;
	snapshot.created = true;
	if (plan_.bad_appends)
		append_nonsense(plan_, snapshot);
	append_store(plan_, snapshot, StoreTime::BeforeTake);
	if (plan_.dirty && world().random.one_in(2))
		mark_some_dirty(plan_, snapshot);
	const u32 waiters = static_cast<u32>(world().random.below(3));
	for (u32 i = 0; i < waiters; i++) {
		snapshot.waiters++;
		history_.others.spawn("event-waiter",
				      [this, &snapshot] { run_event_waiter(history_, snapshot); });
	}
	scheduler().sleep(world().random.below(3000));
	if (take(snapshot))
		use(snapshot);
	drain_events(snapshot);
	if (!(last && plan_.leave_snapshot))
		destroy(snapshot);
}

void Agent::age()
{
	for (u32 i = 0; i < plan_.ageing; i++) {
		u8 id[16];
		const blk_snap_block_range range{0, plan_.ageing_store->sectors};
		if (agent_ioctl::create(plan_.origins, id))
			continue;
		if (!agent_ioctl::append(id, *plan_.ageing_store, &range, 1))
			agent_ioctl::take(id);
		agent_ioctl::destroy(id);
	}
}

} // namespace

void run_event_waiter(History &history, SnapshotModel &snapshot)
{
	while (!snapshot.stop_waiting) {
		agent_ioctl::Event event;
		const u32 timeout = static_cast<u32>(1 + world().random.below(30));
		const long result = agent_ioctl::wait_event(snapshot.id, timeout, event);
		scheduler().current().signalled = false;
		if (result == 0)
			snapshot.on_event(event.code, event.origin, event.error, event.time_us);
		if (result == -3)
			break; // the snapshot is gone
		const bool usual = result == -2 || (result == -4 && history.plan.kills) ||
				   (result == -14 && history.plan.efaults) || !result;
		if (!usual && history.plan.strict())
			fail("ioctl", "wait_event gives %ld", result);
	}
	snapshot.waiters--;
}

void run_agent(History &history)
{
	Agent agent(history);
	if (history.plan.ageing)
		agent.age();
	for (u32 i = 0; i < history.plan.cycles; i++) {
		agent.cycle(i + 1 == history.plan.cycles);
		scheduler().sleep(world().random.below(5000));
	}
}

} // namespace sim
