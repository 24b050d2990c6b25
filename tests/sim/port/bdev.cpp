// SPDX-License-Identifier: GPL-2.0
//
// Port: devices of others. Handles are counted; a closed one is recognised when it is used.
#include <blksnap/port/bdev.h>

#include <cstdio>
#include <port/handles.hpp>
#include <vector>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

namespace sim
{

Device &device_of(shim_bdev *bdev)
{
	if (!bdev->open)
		fail("handle", "%s is used after its close", bdev->device->name.c_str());
	return *bdev->device;
}

} // namespace sim

namespace
{

u64 stack_rank(Device *device)
{
	u64 rank = 0;
	for (; device->lower; device = device->lower)
		rank += device->kind != DeviceKind::Partition && device->visible_stack;
	return rank;
}

void describe(Device &device, shim_bdev_info *info)
{
	Device &whole = *device.whole();
	*info = {};
	info->major = device.major;
	info->minor = device.minor;
	info->disk_key = whole.id + 1;
	info->start_sector = device.kind == DeviceKind::Partition ? device.lower_start : 0;
	info->sectors = device.sectors;
	info->diskseq = whole.diskseq;
	info->stack_rank = stack_rank(&device);
	info->logical_block_bytes = device.block_bytes;
	info->physical_block_bytes = 4096;
	info->major_of_disk = whole.major;
	info->minor_of_disk = whole.minor;
	info->is_partition = device.kind == DeviceKind::Partition;
	info->is_image = device.kind == DeviceKind::Image;
	info->untrackable = device.untrackable;
	info->unstorable = device.unstorable;
	info->unstorable_why = device.unstorable ? "the simulator says so" : "";
	info->untrackable_why = device.untrackable ? "the simulator says so" : "";
	std::snprintf(info->name, sizeof(info->name), "%s", device.name.c_str());
}

} // namespace

namespace
{

// Somebody has the table of its disk read again, at times twice in a row. Not by chance: an open
// draws no number, so that histories stay what they are.
bool is_just_replaced(Device &device)
{
	return device.kind == DeviceKind::Partition && ++device.lookups % 7 >= 5;
}

} // namespace

int shim_bdev_open(shim_u32 major, shim_u32 minor, shim_bdev **bdev) noexcept
{
	scheduler().might_sleep("opening a device");
	scheduler().point();
	Device *device = world().find(major, minor);
	while (device && device->opens_slowly)
		scheduler().sleep(1000);
	if (!device || device->gone())
		return -6;
	if (world().memory.refuses(world().random, false))
		return -12;
	if (is_just_replaced(*device))
		return -11;
	device->opens++;
	world().live_bdevs++;
	*bdev = new shim_bdev{device, true};
	world().bdevs.emplace_back(*bdev);
	return 0;
}

void shim_bdev_close(shim_bdev *bdev) noexcept
{
	scheduler().might_sleep("closing a device");
	device_of(bdev).opens--;
	world().live_bdevs--;
	bdev->open = false;
	scheduler().point();
}

void shim_bdev_describe(shim_bdev *bdev, shim_bdev_info *info) noexcept
{
	scheduler().might_sleep("describing a device");
	describe(device_of(bdev), info);
}

shim_device *shim_device_remember(shim_bdev *bdev) noexcept
{
	if (world().memory.refuses(world().random, false))
		return nullptr;
	world().live_devices++;
	return world().remembered.make(shim_device{&device_of(bdev), true});
}

void shim_device_forget(shim_device *device) noexcept
{
	if (!device->held)
		fail("handle", "a device is forgotten twice");
	device->held = false;
	world().live_devices--;
}

int shim_device_describe(shim_device *device, shim_bdev_info *info) noexcept
{
	scheduler().might_sleep("describing a device");
	scheduler().point();
	if (!device->held)
		fail("handle", "a forgotten device is described");
	if (device->device->gone())
		return -19;
	describe(*device->device, info);
	return 0;
}

int shim_bdev_settle(shim_bdev *bdev, shim_u64) noexcept
{
	Scheduler &sched = scheduler();
	sched.might_sleep("settling a device");
	Device &device = device_of(bdev);
	const u64 limit = world().writes.next_order();
	const u64 deadline = sched.now() + 1'000'000;
	while (world().writes.in_flight_before(limit, device)) {
		if (sched.now() > deadline) {
			world().settle_gave_up = true;
			TRACE("%s: writes from before stay in flight", device.name.c_str());
			return -110;
		}
		sched.sleep(500);
	}
	return 0;
}

int shim_bdev_stands_on(shim_bdev *upper, shim_bdev *lower) noexcept
{
	if (world().memory.refuses(world().random, false))
		return -12;
	const Device *disk = device_of(lower).whole();
	for (Device *device = &device_of(upper); device; device = device->lower) {
		if (device->whole() == disk && device->whole() != device_of(upper).whole())
			return 1;
		if (!device->visible_stack)
			return 0;
	}
	return 0;
}

shim_u32 shim_bdev_first_below(shim_bdev *upper, shim_bdev *const *lowers, shim_u32 count) noexcept
{
	std::vector<const Device *> below;
	scheduler().might_sleep("looking at a stack");
	for (const Device *device = device_of(upper).whole(); device->lower;) {
		if (!device->visible_stack)
			return 0;
		device = device->lower->whole();
		below.push_back(device);
	}
	for (u32 i = 0; i < count; i++)
		for (const Device *device : below)
			if (device == device_of(lowers[i]).whole())
				return i;
	return count;
}
