// SPDX-License-Identifier: GPL-2.0
//
// Port: image devices. A removed one answers later requests with an error, like a dead gendisk.
#include <blksnap/port/image.h>

#include <port/handles.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

struct shim_image_disk {
	Device *device;
};

namespace
{

constexpr u32 kImageMajor = 252;

u32 lowest_free_minor()
{
	for (u32 minor = 0;; minor++) {
		bool taken = false;
		for (const auto &device : world().devices)
			taken |= device->kind == DeviceKind::Image && device->major &&
				 device->minor == minor;
		if (!taken)
			return minor;
	}
}

} // namespace

int shim_image_disk_create(void *image, shim_bdev *origin, shim_u64 sectors, const char *,
			   shim_image_disk **disk) noexcept
{
	World &w = world();
	scheduler().might_sleep("an image disk");
	scheduler().point();
	device_of(origin);
	if (w.memory.refuses(w.random, false))
		return -12;
	const u32 minor = lowest_free_minor();
	Device &device = w.add_device(DeviceKind::Image, "blksnap-image", sectors, nullptr, 0);
	device.major = kImageMajor;
	device.minor = minor;
	device.image = image;
	device.removed = true; // until it is added
	w.live_images++;
	*disk = new shim_image_disk{&device};
	return 0;
}

int shim_image_disk_add(shim_image_disk *disk) noexcept
{
	scheduler().might_sleep("adding a disk");
	if (scheduler().current().noio_depth)
		fail("context", "a disk is added while file systems are frozen");
	if (world().memory.refuses(world().random, false))
		return -12;
	if (world().failing_image_adds && world().failing_image_adds--)
		return -12;
	disk->device->removed = false;
	scheduler().point();
	return 0;
}

void shim_image_disk_number(shim_image_disk *disk, shim_u32 *major, shim_u32 *minor) noexcept
{
	*major = disk->device->major;
	*minor = disk->device->minor;
}

void shim_image_disk_remove(shim_image_disk *disk) noexcept
{
	scheduler().might_sleep("removing a disk");
	Device &device = *disk->device;
	device.removed = true;
	scheduler().point();
	while (device.inside)
		scheduler().sleep(100);
	device.major = 0;
	device.image = nullptr;
	world().live_images--;
	delete disk;
}
