// SPDX-License-Identifier: GPL-2.0
//
// Port: devices of others. They hold no file systems, so a freezer has nothing to do but to be late at times.
#include <blksnap/port/bdev.h>

#include <cstdio>
#include <machine/machine.hpp>

using namespace threads;

struct shim_device {
	Device *device;
};

struct shim_freezer {
	bool frozen;
};

namespace
{

void describe(Device &device, shim_bdev_info *info)
{
	*info = {};
	info->major = device.major;
	info->minor = device.minor;
	info->major_of_disk = device.whole.major;
	info->minor_of_disk = device.whole.minor;
	info->disk_key = reinterpret_cast<u64>(&device.whole);
	info->start_sector = device.start;
	info->is_partition = &device.whole != &device;
	info->sectors = device.sectors;
	info->diskseq = 1;
	info->logical_block_bytes = 512;
	info->physical_block_bytes = 4096;
	info->is_image = device.major == kImageMajor;
	info->untrackable_why = info->unstorable_why = "";
	std::snprintf(info->name, sizeof(info->name), "%s", device.name.c_str());
}

// An image is opened only to be told that it is one: it stays as long as it is held.
struct HeldBdev : shim_bdev {
	std::shared_ptr<Device> held;
};

} // namespace

int shim_bdev_open(shim_u32 major, shim_u32 minor, shim_bdev **bdev) noexcept
{
	check_may_sleep("opening a device");
	auto device = find_device(major, minor);
	if (!device)
		return -6;
	if (one_in(50)) // somebody has a partition table read again
		return -11;
	count_live(Live::Bdev, 1);
	auto *opened = new HeldBdev;
	opened->device = device.get();
	opened->held = std::move(device);
	*bdev = opened;
	return 0;
}

void shim_bdev_close(shim_bdev *bdev) noexcept
{
	check_may_sleep("closing a device");
	count_live(Live::Bdev, -1);
	delete static_cast<HeldBdev *>(bdev);
}

void shim_bdev_describe(shim_bdev *bdev, shim_bdev_info *info) noexcept
{
	describe(*bdev->device, info);
}

shim_device *shim_device_remember(shim_bdev *bdev) noexcept
{
	count_live(Live::Remembered, 1);
	return new shim_device{bdev->device};
}

void shim_device_forget(shim_device *device) noexcept
{
	count_live(Live::Remembered, -1);
	delete device;
}

int shim_device_describe(shim_device *device, shim_bdev_info *info) noexcept
{
	describe(*device->device, info);
	return 0;
}

// Twice, for a write may have been counted in the older generation after that was waited for.
int shim_bdev_settle(shim_bdev *bdev, shim_u64) noexcept
{
	check_may_sleep("settling a device");
	Device &device = bdev->device->whole;
	std::lock_guard guard(device.settling);
	for (int i = 0; i < 2; i++) {
		const u32 old = device.generation.fetch_add(1) & 1;
		while (device.writes[old].load())
			usleep(50);
	}
	return 0;
}

int shim_bdev_stands_on(shim_bdev *, shim_bdev *) noexcept
{
	return 0;
}

shim_u32 shim_bdev_first_below(shim_bdev *, shim_bdev *const *, shim_u32 count) noexcept
{
	return count;
}

shim_freezer *shim_freezer_create() noexcept
{
	count_live(Live::Freezer, 1);
	return new shim_freezer{};
}

int shim_freezer_add(shim_freezer *, shim_bdev *const *, shim_u32) noexcept
{
	check_may_sleep("helpers of a freezer");
	return one_in(100) ? -4 : 0;
}

int shim_freezer_freeze(shim_freezer *freezer, shim_u32) noexcept
{
	check_may_sleep("freezing");
	pause_us(200);
	freezer->frozen = true;
	return one_in(50) ? -110 : 0;
}

void shim_freezer_thaw(shim_freezer *freezer) noexcept
{
	check_may_sleep("thawing");
	freezer->frozen = false;
}

void shim_freezer_destroy(shim_freezer *freezer) noexcept
{
	if (freezer->frozen)
		fail("a freezer goes while file systems are frozen");
	count_live(Live::Freezer, -1);
	delete freezer;
}

namespace
{
thread_local unsigned noio_depth = 0;
}

unsigned shim_noio_begin() noexcept
{
	return noio_depth++;
}

void shim_noio_end(unsigned cookie) noexcept
{
	noio_depth = cookie;
}
