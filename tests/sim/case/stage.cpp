// SPDX-License-Identifier: GPL-2.0
//
// Stage: see the header.
#include <case/stage.hpp>

#include <algorithm>
#include <script/agent_store.hpp>
#include <script/snapshot_images.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

void expect_success(const char *what, long result)
{
	if (result)
		fail("case", "%s gives %ld", what, result);
}

} // namespace

Device &Stage::disk(u64 sectors)
{
	Device &device = world().add_device(DeviceKind::Disk, "disk", sectors, nullptr, 0);
	device.latency_us = 100;
	return device;
}

Device &Stage::stacked(Device &lower)
{
	return world().add_device(DeviceKind::Linear, "dm", lower.sectors - 8, &lower, 8);
}

Device &Stage::store(u64 sectors)
{
	Device &device = disk(sectors);
	world().store_ranges.push_back({&device, 0, sectors, nullptr, true});
	return device;
}

void Stage::limit_pages(u32 pages)
{
	world().params.free_diff_buffer_pool_size = pages;
	world().params.cow_memory_limit_kib = pages * 4;
}

long Stage::try_create(const std::vector<Device *> &origins)
{
	u8 id[16];
	const long result = agent_ioctl::create(origins, id);
	if (!result)
		expect_success("destroy", agent_ioctl::destroy(id));
	return result;
}

SnapshotModel &Stage::create(const std::vector<Device *> &origins)
{
	history_.snapshots.push_back(std::make_unique<SnapshotModel>());
	SnapshotModel &snapshot = *history_.snapshots.back();
	snapshot.origins = origins;
	expect_success("create", agent_ioctl::create(origins, snapshot.id));
	snapshot.created = true;
	agent_ioctl::Event event;
	SIM_EXPECT(next_event(snapshot, event) == 0 && event.code == 0);
	return snapshot;
}

long Stage::try_append(SnapshotModel &snapshot, Device &device, u64 sector, u64 sectors)
{
	const blk_snap_block_range range{sector, sectors};
	return agent_ioctl::append(snapshot.id, device, &range, 1);
}

void Stage::append(SnapshotModel &snapshot, Device &store)
{
	expect_success("append", try_append(snapshot, store, 0, store.sectors));
}

long Stage::try_take(SnapshotModel &snapshot)
{
	WriteLog &writes = world().writes;
	snapshot.take_begin = writes.tick();
	snapshot.take_begin_us = scheduler().now();
	const long result = agent_ioctl::take(snapshot.id);
	snapshot.take_end = writes.tick();
	snapshot.instant = {snapshot.take_begin, snapshot.take_end};
	if (!result)
		SIM_EXPECT(find_images(history_.plan, snapshot));
	return result;
}

void Stage::take(SnapshotModel &snapshot)
{
	expect_success("take", try_take(snapshot));
}

SnapshotModel &Stage::taken(Device &origin, Device &store)
{
	SnapshotModel &snapshot = create({&origin});
	append(snapshot, store);
	take(snapshot);
	return snapshot;
}

void Stage::destroy(SnapshotModel &snapshot)
{
	snapshot.end_begin = world().writes.tick();
	expect_success("destroy", agent_ioctl::destroy(snapshot.id));
}

void Stage::age(Device &origin, Device &store, u32 number)
{
	const blk_snap_block_range range{0, store.sectors};
	for (u32 taken = 1; taken < number; taken++) {
		u8 id[16];
		expect_success("create", agent_ioctl::create({&origin}, id));
		expect_success("append", agent_ioctl::append(id, store, &range, 1));
		expect_success("take", agent_ioctl::take(id));
		expect_success("destroy", agent_ioctl::destroy(id));
	}
}

int Stage::write(Device &device, u64 sector, u32 sectors)
{
	ForeignIo io(device, Op::Write, sector, sectors);
	io.submit();
	io.wait();
	return io.status();
}

int Stage::read(ImageModel &image, u64 sector, u32 sectors)
{
	ForeignIo io(image.image, Op::Read, sector, sectors, &image);
	io.submit();
	io.wait();
	return io.status();
}

long Stage::next_event(SnapshotModel &snapshot, agent_ioctl::Event &event, u32 timeout_ms)
{
	const long result = agent_ioctl::wait_event(snapshot.id, timeout_ms, event);
	if (!result)
		snapshot.on_event(event.code, event.origin, event.error, event.time_us);
	return result;
}

void Stage::expect_corrupted(SnapshotModel &snapshot, const Device &origin, int error)
{
	agent_ioctl::Event event;
	for (;;) {
		// Writes are let go before the event is posted.
		const long result = next_event(snapshot, event, 1000);
		if (result)
			fail("case", "no event says that the image of %s is lost",
			     origin.name.c_str());
		if (event.code == 1)
			break;
	}
	if (event.origin != &origin || event.error != error)
		fail("case", "the image of %s is lost with error %d instead of %d",
		     origin.name.c_str(), event.error, error);
}

blk_snap_cbt_info Stage::info(const Device &origin)
{
	std::vector<blk_snap_cbt_info> infos;
	expect_success("tracker_collect", agent_ioctl::collect_trackers(infos));
	for (const auto &info : infos)
		if (info.dev_id.mj == origin.major && info.dev_id.mn == origin.minor)
			return info;
	fail("case", "%s has no tracker", origin.name.c_str());
}

std::vector<u8> Stage::map(const Device &origin)
{
	std::vector<u8> map;
	expect_success("read_map", agent_ioctl::read_map(origin, map));
	return map;
}

} // namespace sim
