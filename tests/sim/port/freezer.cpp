// SPDX-License-Identifier: GPL-2.0
//
// Port: file systems. Freezing writes what is dirty and waits for writers; thawing writes the
// superblock. Both are real bios through the hook, so a gate that is closed at the wrong time hangs.
#include <algorithm>
#include <blksnap/port/bdev.h>
#include <port/handles.hpp>
#include <vector>
#include <script/foreign_io.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

struct shim_freezer {
	std::vector<std::vector<Device *>> levels; // each device once, in the first that it is in
	std::size_t next = 0;
	std::vector<Device *> frozen;
};

namespace
{

bool is_in(const shim_freezer &freezer, const Device *device)
{
	for (const auto &level : freezer.levels)
		if (std::find(level.begin(), level.end(), device) != level.end())
			return true;
	return false;
}

void add_with_partitions(Device &device, shim_freezer &freezer)
{
	for (const auto &other : world().devices) {
		const bool covered =
			other.get() == &device ||
			(other->kind == DeviceKind::Partition && other->lower == &device);
		if (covered && other->has_fs && !is_in(freezer, other.get()))
			freezer.levels.back().push_back(other.get());
	}
}

void sync_file_system(Device &device)
{
	if (device.gone())
		return;
	ForeignIo io(device, Op::Write, 0, 1);
	io.submit();
	io.wait();
}

bool freeze(Device &device, u64 deadline)
{
	device.frozen++;
	while (device.fs_writes) {
		if (scheduler().now() > deadline)
			return false;
		scheduler().sleep(300);
	}
	sync_file_system(device);
	return true;
}

} // namespace

shim_freezer *shim_freezer_create() noexcept
{
	scheduler().might_sleep("a freezer");
	if (world().memory.refuses(world().random, false))
		return nullptr;
	world().live_freezers++;
	return new shim_freezer;
}

int shim_freezer_add(shim_freezer *freezer, shim_bdev *const *bdevs, shim_u32 count) noexcept
{
	World &w = world();
	scheduler().might_sleep("helpers of a freezer");
	if (freezer->next)
		fail("freezer", "a level is added when file systems are frozen");
	freezer->levels.emplace_back();
	for (u32 i = 0; i < count; i++)
		add_with_partitions(device_of(bdevs[i]), *freezer);
	if (w.random.permille(w.killed_taker_permille))
		return -4;
	return scheduler().now() < w.frozen_late_until_us ? -16 : 0;
}

int shim_freezer_freeze(shim_freezer *freezer, shim_u32 timeout_ms) noexcept
{
	World &w = world();
	scheduler().might_sleep("freezing");
	const u64 deadline = scheduler().now() + u64{timeout_ms} * 1000;
	if (w.random.permille(w.freeze_timeout_permille)) {
		w.frozen_late_until_us = scheduler().now() + w.late_freeze_us;
		return -110;
	}
	for (Device *device : freezer->levels.at(freezer->next++)) {
		if (w.random.one_in(16))
			continue; // somebody else froze it, or it failed: left alone
		freezer->frozen.push_back(device);
		TRACE("freezing %s", device->name.c_str());
		if (!freeze(*device, deadline))
			return -110;
	}
	return 0;
}

void shim_freezer_thaw(shim_freezer *freezer) noexcept
{
	scheduler().might_sleep("thawing");
	while (!freezer->frozen.empty()) {
		Device &device = *freezer->frozen.back();
		freezer->frozen.pop_back();
		sync_file_system(device);
		device.frozen--;
		TRACE("thawed %s", device.name.c_str());
	}
}

void shim_freezer_destroy(shim_freezer *freezer) noexcept
{
	shim_freezer_thaw(freezer);
	world().live_freezers--;
	delete freezer;
}

unsigned shim_noio_begin() noexcept
{
	return scheduler().current().noio_depth++;
}

void shim_noio_end(unsigned cookie) noexcept
{
	scheduler().current().noio_depth = cookie;
}
