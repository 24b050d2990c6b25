// SPDX-License-Identifier: GPL-2.0
//
// Port: image devices. A removed one answers with an error for as long as somebody holds it.
#include <blksnap/port/image.h>

#include <machine/machine.hpp>
#include <map>
#include <mutex>

using namespace threads;

struct shim_image_disk {
	std::shared_ptr<Device> device;
};

namespace
{
std::mutex images_mutex;
std::map<u32, std::shared_ptr<Device>> images; // by minor
} // namespace

namespace threads
{

std::shared_ptr<Device> find_image(u32 minor)
{
	std::lock_guard guard(images_mutex);
	const auto found = images.find(minor);
	return found == images.end() ? nullptr : found->second;
}

// The lock is shared by those inside, who so order nothing for one another.
void image_submit(bio *bio)
{
	constexpr int kIo = 5;
	Device &device = *bio->device;
	if (!device.removed.load(std::memory_order_acquire)) {
		std::shared_lock inside(device.inside);
		if (!device.removed.load(std::memory_order_acquire))
			return blksnap_image_submit(device.image, bio,
						    shim_bio_describe_image(bio));
	}
	bio->status.store(kIo, std::memory_order_relaxed);
	end_bio(bio);
}

} // namespace threads

int shim_image_disk_create(void *image, shim_bdev *, shim_u64 sectors, const char *,
			   shim_image_disk **disk) noexcept
{
	check_may_sleep("an image disk");
	if (one_in(200))
		return -12;
	std::lock_guard guard(images_mutex);
	u32 minor = 0;
	while (images.count(minor))
		minor++;
	auto device = std::make_shared<Device>(kImageMajor, minor, "blksnap-image", sectors);
	device->image = image;
	images[minor] = device;
	count_live(Live::Image, 1);
	*disk = new shim_image_disk{std::move(device)};
	return 0;
}

int shim_image_disk_add(shim_image_disk *disk) noexcept
{
	check_may_sleep("adding a disk");
	if (one_in(200))
		return -12;
	disk->device->removed.store(false, std::memory_order_release);
	return 0;
}

void shim_image_disk_number(shim_image_disk *disk, shim_u32 *major, shim_u32 *minor) noexcept
{
	*major = disk->device->major;
	*minor = disk->device->minor;
}

void shim_image_disk_remove(shim_image_disk *disk) noexcept
{
	check_may_sleep("removing a disk");
	disk->device->removed.store(true);
	{
		std::unique_lock nobody_inside(disk->device->inside);
	}
	std::lock_guard guard(images_mutex);
	images.erase(disk->device->minor);
	count_live(Live::Image, -1);
	delete disk;
}
