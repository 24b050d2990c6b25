// SPDX-License-Identifier: GPL-2.0
//
// Drivers: what the devices do with a bio.
#include <blksnap/port/image.h>
#include <utility>
#include <world/block_layer.hpp>
#include <world/report.hpp>
#include <world/stamp.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

// Moves the stamps. The request is atomic; when it happens within its time is the driver's choice.
void transfer(bio &bio)
{
	Device &disk = *bio.device->whole();
	for (u32 i = 0; i < bio.sectors; i++) {
		u64 &media = disk.content[bio.sector + i];
		if (bio.op == Op::Read)
			bio.cell(i) = media;
		else if (bio.op == Op::Write)
			media = bio.cell(i);
		else
			media = Stamp::pack(bio.stamp_write, disk.id, bio.sector + i);
	}
}

bool request_fails(Device &disk, const bio &bio)
{
	const u32 rate =
		bio.op == Op::Read ? disk.faults.read_permille : disk.faults.write_permille;
	return disk.removed || (bio.sectors && world().random.permille(rate));
}

void finish(bio *bio, bool moved)
{
	Device &disk = *bio->device->whole();
	if (disk.hung) {
		disk.stuck.push_back(bio);
		return;
	}
	if (bio->counted)
		disk.writes_in_flight--;
	bio->counted = false;
	if (!moved && request_fails(disk, *bio)) {
		TRACE("%s: %s %llu+%u fails", disk.name.c_str(),
		      bio->op == Op::Read ? "read" : "write", (unsigned long long)bio->sector,
		      bio->sectors);
		end_bio(bio, 5);
		return;
	}
	if (!moved)
		transfer(*bio);
	end_bio(bio);
}

u64 latency(Device &disk)
{
	Random &random = world().random;
	u64 time = 1 + random.below(disk.latency_us);
	if (random.one_in(20))
		time *= 10;
	return time;
}

void start(bio *bio)
{
	Device &disk = *bio->device->whole();
	Random &random = world().random;
	if (bio->sectors && bio->sector + bio->sectors > disk.sectors) {
		if (disk.shrunk)
			return end_bio(bio, 5); // it was on its way when that happened
		fail("bio", "%s: request behind the end passed all checks", disk.name.c_str());
	}
	if (changes_data(bio->op) && bio->core_use == CoreUse::None) {
		bio->counted = true;
		disk.writes_in_flight++;
	}
	bool moved = false;
	if (random.one_in(3) && !disk.hung && !disk.faults.read_permille &&
	    !disk.faults.write_permille && !disk.removed) {
		transfer(*bio);
		moved = true;
	}
	if (disk.latency_us == 0 && random.one_in(2))
		return finish(bio, moved);
	scheduler().after(latency(disk), "disk-irq", [bio, moved] { finish(bio, moved); });
}

void clone_end_io(bio *clone)
{
	auto *parent = static_cast<bio *>(clone->private_data);
	end_bio(parent, clone->status);
}

} // namespace

void disk_submit(bio *bio)
{
	Device &disk = *bio->device->whole();
	while (disk.max_sectors && bio->sectors > disk.max_sectors) {
		struct bio *front = split_bio(bio, disk.max_sectors);
		if (disk.resubmits_rest) {
			submit_bio(bio);
			return start(front);
		}
		start(front);
	}
	start(bio);
}

void disk_resume(Device &disk)
{
	disk.hung = false;
	disk.resumed = world().writes.next_order();
	for (bio *bio : std::exchange(disk.stuck, {}))
		scheduler().after(latency(disk), "disk-irq", [bio] { finish(bio, false); });
}

void linear_submit(bio *bio)
{
	Device &linear = *bio->device;
	if (linear.suspended) {
		linear.deferred.push_back(bio);
		return;
	}
	struct bio *part = bio;
	if (linear.max_sectors && bio->sectors > linear.max_sectors) {
		part = split_bio(bio, linear.max_sectors);
		submit_bio(bio);
	}
	struct bio *clone =
		make_bio(*linear.lower, part->op, part->sector + linear.lower_start, part->sectors);
	clone->data = part->data;
	clone->pages = part->pages;
	clone->skip = part->skip;
	clone->stamp_write = part->stamp_write;
	clone->core_use = part->core_use;
	clone->end_io = clone_end_io;
	clone->private_data = part;
	submit_bio(clone);
}

// As dm's worker does: the deferred bios, the very same objects, come once more.
void linear_resume(Device &linear)
{
	linear.suspended = false;
	auto bios = std::exchange(linear.deferred, {});
	if (bios.empty())
		return;
	scheduler().spawn("dm-worker", [bios] {
		for (bio *bio : bios)
			submit_bio(bio);
	});
}

void remap_submit(bio *bio)
{
	Device &device = *bio->device;
	bio->device = device.lower;
	bio->sector += device.lower_start;
	bio->remapped = false;
	submit_bio(bio);
}

void image_submit(bio *bio)
{
	Device &device = *bio->device;
	if (device.removed)
		return end_bio(bio, 5);
	device.inside++;
	blksnap_image_submit(device.image, bio, shim_bio_describe_image(bio));
	device.inside--;
}

} // namespace sim
