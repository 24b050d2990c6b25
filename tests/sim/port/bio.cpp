// SPDX-License-Identifier: GPL-2.0
//
// Port: bios. Admission, parking, image data, and the core's own I/O.
#include <blksnap/port/bio.h>

#include <algorithm>
#include <port/handles.hpp>
#include <world/block_layer.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

struct shim_io {
	struct bio *bio;
	void *owner;
	u32 capacity; // pages
	bool cloned = false;
	bool completed = false;
	alignas(8) unsigned char room[SHIM_IO_ROOM_BYTES] = {};
};

namespace
{

shim_write_kind write_kind(Op op)
{
	switch (op) {
	case Op::WriteZeroes:
		return SHIM_WRITE_ZEROES;
	case Op::Erase:
		return SHIM_WRITE_ERASE;
	case Op::Discard:
		return SHIM_WRITE_DISCARD;
	default:
		return SHIM_WRITE_DATA;
	}
}

void check_live(const struct bio *bio, const char *what)
{
	if (bio->life != BioLife::Submitted)
		fail("bio", "%s of bio %llu, which has ended", what, (unsigned long long)bio->id);
}

void unpark(struct bio *bio)
{
	if (bio->parked)
		world().live_parked--;
	bio->parked = false;
}

void free_io(shim_io *io)
{
	world().live_ios--;
	delete io;
}

void io_end(struct bio *bio)
{
	auto *io = static_cast<shim_io *>(bio->io);
	void *owner = io->owner;
	const int status = bio->status;
	for (page *page : bio->pages)
		if (page->canary != kPageCanary)
			fail("memory", "a page was freed while its I/O ran");
	bio->pages.clear();
	io->completed = true;
	if (!io->cloned)
		free_io(io);
	blksnap_io_complete(owner, status);
}

shim_io *make_io(Device &device, Op op, u64 sector, u32 pages, bool may_wait)
{
	scheduler().might_sleep("allocating an own bio");
	scheduler().point();
	// Those before it may be the ones that are waited for.
	if (may_wait && scheduler().current().bio_list)
		fail("context", "a submitter waits for an own bio");
	if (!may_wait && world().memory.refuses(world().random, true))
		return nullptr;
	world().live_ios++;
	struct bio *bio = make_bio(device, op, sector, 0);
	auto *io = new shim_io{bio, nullptr, pages};
	bio->own = true;
	bio->core_use = CoreUse::Copy;
	bio->io = io;
	bio->end_io = io_end;
	return io;
}

void check_fill(const struct bio *bio, u32 offset, u32 bytes)
{
	check_live(bio, "a fill");
	if (offset % 512 || bytes % 512 || offset + u64{bytes} > u64{bio->sectors} * 512)
		fail("bio", "fill of %u+%u in a bio of %u sectors", offset, bytes, bio->sectors);
}

} // namespace

void shim_bio_describe_write(struct bio *bio, shim_write *write) noexcept
{
	check_live(bio, "a description");
	*write = {};
	write->own = bio->own; // then nobody may look at the rest, which is as of any other
	write->admission = shim_bio_admission(bio);
	Device &device = *bio->device;
	const Device &bottom = *device.bottom();
	const u64 start = device.kind == DeviceKind::Partition ? device.lower_start : 0;
	write->sector = absolute_sector(*bio);
	write->end_sector = start + device.sectors;
	write->sectors = bio->sectors;
	write->kind = write_kind(bio->op);
	write->supported = bio->op == Op::Discard	? bottom.supports_discard
			   : bio->op == Op::WriteZeroes ? bottom.supports_zeroes
			   : bio->op == Op::Erase	? bottom.supports_zeroes
							: 1;
}

shim_bio_saved *shim_bio_admission(struct bio *bio) noexcept
{
	return bio->end_io == admitted_end_io ? static_cast<shim_bio_saved *>(bio->private_data)
					      : nullptr;
}

enum shim_may_read shim_submitter_may_read(struct bio *bio) noexcept
{
	if (scheduler().current().bio_list)
		return SHIM_MAY_NOT_READ;
	return bio->nowait ? SHIM_MAY_READ_NOWAIT : SHIM_MAY_READ;
}

struct bio *shim_bio_next(struct bio *bio) noexcept
{
	check_live(bio, "the link");
	return bio->next;
}

void shim_bio_set_next(struct bio *bio, struct bio *next) noexcept
{
	check_live(bio, "the link");
	bio->next = next;
}

void shim_bio_prepare_park(struct bio *bio) noexcept
{
	check_live(bio, "parking");
	TRACE("bio %llu is parked", (unsigned long long)bio->id);
	bio->nowait = false;
	if (!bio->parked)
		world().live_parked++;
	bio->parked = true;
}

void shim_bio_admit(struct bio *bio, shim_bio_saved *saved) noexcept
{
	check_live(bio, "admission");
	saved->raw[0] = reinterpret_cast<u64>(bio->end_io);
	saved->raw[1] = reinterpret_cast<u64>(bio->private_data);
	bio->end_io = admitted_end_io;
	bio->private_data = saved;
	world().live_records++;
}

int shim_bio_parent_is_admitted(struct bio *bio) noexcept
{
	bio::EndIo end_io = bio->end_io;
	void *private_data = bio->private_data;
	while (end_io == admitted_end_io) {
		const auto *saved = static_cast<shim_bio_saved *>(private_data);
		end_io = reinterpret_cast<bio::EndIo>(saved->raw[0]);
		private_data = reinterpret_cast<void *>(saved->raw[1]);
	}
	return end_io == chain_end_io &&
	       static_cast<struct bio *>(private_data)->end_io == admitted_end_io;
}

void shim_bio_submit(struct bio *bio) noexcept
{
	check_live(bio, "release");
	TRACE("bio %llu is released", (unsigned long long)bio->id);
	if (!bio->parked)
		fail("bio", "bio %llu is released twice, or was never held",
		     (unsigned long long)bio->id);
	unpark(bio);
	if (world().on_release)
		world().on_release();
	submit_bio(bio);
}

void shim_bio_end(struct bio *bio, int error) noexcept
{
	check_live(bio, "the end");
	if (error < 0)
		fail("bio", "an end with a negative error");
	unpark(bio);
	scheduler().point();
	end_bio(bio, error);
}

shim_image_request shim_bio_describe_image(struct bio *bio) noexcept
{
	check_live(bio, "a description");
	const shim_u8 op = bio->op == Op::Read	  ? SHIM_IMAGE_READ
			   : bio->op == Op::Write ? SHIM_IMAGE_WRITE
			   : bio->op == Op::Flush ? SHIM_IMAGE_FLUSH
						  : SHIM_IMAGE_OTHER;
	return {.sector = bio->sector, .sectors = bio->sectors, .op = op};
}

void shim_bio_fill(struct bio *bio, shim_bio_cursor *, shim_u32 offset, struct page *page,
		   shim_u32 page_offset, shim_u32 bytes) noexcept
{
	check_fill(bio, offset, bytes);
	if (page_offset % 512 || page_offset + bytes > 4096 || page->canary != kPageCanary)
		fail("bio", "fill from %u+%u of a page", page_offset, bytes);
	if (world().on_fill)
		world().on_fill();
	for (u32 i = 0; i < bytes / 512; i++)
		bio->cell(offset / 512 + i) = page->stamp[page_offset / 512 + i];
}

void shim_bio_redirect(struct bio *bio, shim_bio_redirected *saved, shim_bdev *bdev,
		       shim_u64 sector) noexcept
{
	check_live(bio, "a redirection");
	if (bio->op != Op::Read)
		fail("bio", "something that is no read is redirected");
	saved->raw[0] = reinterpret_cast<u64>(bio->end_io);
	saved->raw[1] = reinterpret_cast<u64>(bio->private_data);
	saved->raw[2] = reinterpret_cast<u64>(bio->device);
	saved->raw[3] = bio->sector;
	saved->raw[4] = bio->sectors;
	saved->raw[5] = bio->skip;
	bio->end_io = redirected_end_io;
	bio->private_data = saved;
	bio->device = &device_of(bdev);
	bio->sector = sector;
	bio->remapped = false;
	bio->core_use = CoreUse::Image;
	world().live_records++;
	submit_bio(bio);
}

void shim_bio_rewind(struct bio *bio, const shim_bio_redirected *saved) noexcept
{
	check_live(bio, "a rewind");
	bio->sector = saved->raw[3];
	bio->sectors = static_cast<u32>(saved->raw[4]);
	bio->skip = static_cast<u32>(saved->raw[5]);
	bio->status = 0;
	bio->remaining = 1;
}

void shim_bio_set_error(struct bio *bio, int error) noexcept
{
	check_live(bio, "an error");
	if (error <= 0)
		fail("bio", "a completion with a negative error");
	bio->status = error;
}

void shim_bio_fill_zero(struct bio *bio, shim_bio_cursor *, shim_u32 offset,
			shim_u32 bytes) noexcept
{
	check_fill(bio, offset, bytes);
	for (u32 i = 0; i < bytes / 512; i++)
		bio->cell(offset / 512 + i) = 0;
}

shim_io *shim_io_alloc(shim_bdev *bdev, enum shim_io_op op, shim_u64 sector, shim_u32 pages,
		       int may_wait) noexcept
{
	if (!pages || pages > SHIM_IO_MAX_PAGES)
		fail("bio", "an own bio of %u pages", pages);
	return make_io(device_of(bdev), op == SHIM_IO_READ ? Op::Read : Op::Write, sector, pages,
		       may_wait);
}

void shim_io_add_page(shim_io *io, struct page *page, shim_u32 bytes) noexcept
{
	struct bio &bio = *io->bio;
	if (bio.pages.size() >= io->capacity || bytes % 512 || !bytes || bytes > 4096 ||
	    bio.sectors % kSectorsPerPage || page->canary != kPageCanary)
		fail("bio", "page %zu of %u bytes does not fit an own bio", bio.pages.size(),
		     bytes);
	bio.pages.push_back(page);
	bio.sectors += bytes / 512;
}

shim_io *shim_io_clone(struct bio *parent, shim_bio_cursor *, shim_u32 offset_sectors,
		       shim_u32 sectors, shim_bdev *bdev, shim_u64 sector, int may_wait) noexcept
{
	check_live(parent, "a clone");
	if (!sectors || offset_sectors + u64{sectors} > parent->sectors)
		fail("bio", "clone of %u+%u of a bio of %u sectors", offset_sectors, sectors,
		     parent->sectors);
	shim_io *io = make_io(device_of(bdev), parent->op, sector, 0, may_wait);
	if (!io)
		return nullptr;
	io->cloned = true;
	io->bio->core_use = CoreUse::Image;
	io->bio->sectors = sectors;
	io->bio->data = parent->data;
	io->bio->pages = parent->pages;
	io->bio->skip = parent->skip + offset_sectors;
	return io;
}

void *shim_io_room(shim_io *io) noexcept
{
	if (!io->cloned)
		fail("bio", "the room of an own bio that is no clone");
	return io->room;
}

void shim_io_free(shim_io *io) noexcept
{
	if (!io->cloned || !io->completed)
		fail("bio", "an own bio is freed too early");
	free_io(io);
}

void shim_io_set_nowait(shim_io *io) noexcept
{
	io->bio->nowait = true;
}

void shim_io_submit(shim_io *io, void *owner) noexcept
{
	io->owner = owner;
	struct bio *bio = io->bio;
	TRACE("own %s %s %llu+%u", bio->op == Op::Read ? "read" : "write",
	      bio->device->name.c_str(), (unsigned long long)bio->sector, bio->sectors);
	if (!bio->sectors)
		fail("bio", "an own bio without data is submitted");
	for (u32 i = 0; bio->op == Op::Write && i < bio->sectors; i++)
		if (bio->cell(i) == kGarbageStamp)
			fail("memory", "what the memory held before goes to %s",
			     bio->device->name.c_str());
	submit_bio(bio);
}
