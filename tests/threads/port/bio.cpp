// SPDX-License-Identifier: GPL-2.0
//
// Port: bios. Admission, parking, image data, and the core's own I/O.
#include <blksnap/port/bio.h>

#include <blksnap/port/lock.h>
#include <machine/machine.hpp>
#include <utility>

using namespace threads;

struct shim_io {
	struct bio bio;
	void *owner = nullptr;
	std::vector<page *> pages;
	u32 capacity = 0;
	bool cloned = false;
	alignas(8) unsigned char room[SHIM_IO_ROOM_BYTES];
};

namespace
{

shim_write_kind write_kind(Op op)
{
	switch (op) {
	case Op::Zeroes:
		return SHIM_WRITE_ZEROES;
	case Op::Discard:
		return SHIM_WRITE_DISCARD;
	default:
		return SHIM_WRITE_DATA;
	}
}

u64 raw(bio::EndIo end_io)
{
	return reinterpret_cast<u64>(end_io);
}

bio::EndIo end_io_of(const bio *bio)
{
	return bio->end_io.load(std::memory_order_relaxed);
}

void unpark(bio *bio)
{
	if (std::exchange(bio->parked, false))
		count_live(Live::Parked, -1);
}

void free_io(shim_io *io)
{
	count_live(Live::Io, -1);
	delete io;
}

// A clone belongs to the core: when it has been told, the clone may be gone.
void io_end(bio *bio)
{
	auto *io = static_cast<shim_io *>(bio->private_data);
	const bool cloned = io->cloned;
	shim_rcu_read_lock();
	blksnap_io_complete(io->owner, bio->status.load(std::memory_order_relaxed));
	if (!cloned)
		free_io(io);
	shim_rcu_read_unlock();
}

shim_io *make_io(shim_bdev *bdev, Op op, u64 sector, bool may_wait)
{
	check_may_sleep("allocating an own bio");
	if (may_wait && bio_list)
		fail("a submitter waits for an own bio");
	if (!may_wait && one_in(10))
		return nullptr;
	count_live(Live::Io, 1);
	auto *io = new shim_io;
	io->bio.device = bdev->device;
	io->bio.op = op;
	io->bio.sector = sector;
	io->bio.own = true;
	io->bio.end_io.store(io_end, std::memory_order_relaxed);
	io->bio.private_data = io;
	return io;
}

} // namespace

// --- writes of others --------------------------------------------------------------------------------

void shim_bio_describe_write(struct bio *bio, shim_write *write) noexcept
{
	write->own = bio->own;
	if (bio->own)
		return;
	write->admission = shim_bio_admission(bio);
	write->sector = bio->device->start + bio->sector;
	write->end_sector = bio->device->start + bio->device->sectors;
	write->sectors = bio->sectors;
	write->kind = write_kind(bio->op);
	write->supported = 1;
}

shim_bio_saved *shim_bio_admission(struct bio *bio) noexcept
{
	return end_io_of(bio) == admitted_end_io ? static_cast<shim_bio_saved *>(bio->private_data)
						 : nullptr;
}

enum shim_may_read shim_submitter_may_read(struct bio *bio) noexcept
{
	if (bio_list || is_work)
		return SHIM_MAY_NOT_READ;
	return bio->nowait ? SHIM_MAY_READ_NOWAIT : SHIM_MAY_READ;
}

struct bio *shim_bio_next(struct bio *bio) noexcept
{
	return bio->next;
}

void shim_bio_set_next(struct bio *bio, struct bio *next) noexcept
{
	bio->next = next;
}

void shim_bio_prepare_park(struct bio *bio) noexcept
{
	bio->nowait = false;
	if (!std::exchange(bio->parked, true))
		count_live(Live::Parked, 1);
}

void shim_bio_admit(struct bio *bio, shim_bio_saved *saved) noexcept
{
	saved->raw[0] = raw(end_io_of(bio));
	saved->raw[1] = reinterpret_cast<u64>(bio->private_data);
	bio->end_io.store(admitted_end_io, std::memory_order_relaxed);
	bio->private_data = saved;
	count_live(Live::Record, 1);
}

// Of the parent, which others may be working on, only one word is looked at.
int shim_bio_parent_is_admitted(struct bio *bio) noexcept
{
	bio::EndIo end_io = end_io_of(bio);
	void *private_data = bio->private_data;
	while (end_io == admitted_end_io) {
		const auto *saved = static_cast<shim_bio_saved *>(private_data);
		end_io = reinterpret_cast<bio::EndIo>(saved->raw[0]);
		private_data = reinterpret_cast<void *>(saved->raw[1]);
	}
	return end_io == chained_end_io &&
	       end_io_of(static_cast<struct bio *>(private_data)) == admitted_end_io;
}

void shim_bio_submit(struct bio *bio) noexcept
{
	if (!bio->parked)
		fail("a bio is released that was not held");
	unpark(bio);
	bio->next = nullptr;
	submit_bio(bio);
}

void shim_bio_end(struct bio *bio, int error) noexcept
{
	unpark(bio);
	if (error)
		bio->status.store(error, std::memory_order_relaxed);
	end_bio(bio);
}

// --- requests to an image ----------------------------------------------------------------------------

shim_image_request shim_bio_describe_image(struct bio *bio) noexcept
{
	const shim_u8 op = bio->op == Op::Read	  ? SHIM_IMAGE_READ
			   : bio->op == Op::Write ? SHIM_IMAGE_WRITE
			   : bio->op == Op::Flush ? SHIM_IMAGE_FLUSH
						  : SHIM_IMAGE_OTHER;
	return {.sector = bio->sector, .sectors = bio->sectors, .op = op};
}

void shim_bio_fill(struct bio *bio, shim_bio_cursor *, shim_u32 offset, struct page *page,
		   shim_u32 page_offset, shim_u32 bytes) noexcept
{
	for (u32 i = 0; i < bytes / 512; i++)
		bio->cell(offset / 512 + i) = page->stamp[page_offset / 512 + i];
}

void shim_bio_fill_zero(struct bio *bio, shim_bio_cursor *, shim_u32 offset,
			shim_u32 bytes) noexcept
{
	for (u32 i = 0; i < bytes / 512; i++)
		bio->cell(offset / 512 + i) = 0;
}

void shim_bio_redirect(struct bio *bio, shim_bio_redirected *saved, shim_bdev *bdev,
		       shim_u64 sector) noexcept
{
	saved->raw[0] = raw(end_io_of(bio));
	saved->raw[1] = reinterpret_cast<u64>(bio->private_data);
	saved->raw[2] = reinterpret_cast<u64>(bio->device);
	saved->raw[3] = bio->sector;
	saved->raw[4] = bio->sectors;
	saved->raw[5] = bio->skip;
	bio->end_io.store(redirected_end_io, std::memory_order_relaxed);
	bio->private_data = saved;
	bio->device = bdev->device;
	bio->sector = sector;
	count_live(Live::Record, 1);
	submit_bio(bio);
}

void shim_bio_rewind(struct bio *bio, const shim_bio_redirected *saved) noexcept
{
	bio->sector = saved->raw[3];
	bio->sectors = static_cast<u32>(saved->raw[4]);
	bio->skip = static_cast<u32>(saved->raw[5]);
	bio->status.store(0, std::memory_order_relaxed);
	bio->remaining.store(1, std::memory_order_relaxed);
}

void shim_bio_set_error(struct bio *bio, int error) noexcept
{
	bio->status.store(error, std::memory_order_relaxed);
}

// --- own I/O -----------------------------------------------------------------------------------------

shim_io *shim_io_alloc(shim_bdev *bdev, enum shim_io_op op, shim_u64 sector, shim_u32 pages,
		       int may_wait) noexcept
{
	shim_io *io = make_io(bdev, op == SHIM_IO_READ ? Op::Read : Op::Write, sector, may_wait);
	if (io)
		io->capacity = pages;
	return io;
}

void shim_io_add_page(shim_io *io, struct page *page, shim_u32 bytes) noexcept
{
	if (io->pages.size() == io->capacity || io->bio.sectors % kSectorsPerPage)
		fail("a page does not fit an own bio");
	io->pages.push_back(page);
	io->bio.pages = io->pages.data();
	io->bio.sectors += bytes / 512;
}

shim_io *shim_io_clone(struct bio *parent, shim_bio_cursor *, shim_u32 offset_sectors,
		       shim_u32 sectors, shim_bdev *bdev, shim_u64 sector, int may_wait) noexcept
{
	shim_io *io = make_io(bdev, parent->op, sector, may_wait);
	if (!io)
		return nullptr;
	io->cloned = true;
	io->bio.sectors = sectors;
	io->bio.data = parent->data;
	io->bio.pages = parent->pages;
	io->bio.skip = parent->skip + offset_sectors;
	return io;
}

void *shim_io_room(shim_io *io) noexcept
{
	return io->room;
}

void shim_io_free(shim_io *io) noexcept
{
	free_io(io);
}

void shim_io_set_nowait(shim_io *io) noexcept
{
	io->bio.nowait = true;
}

void shim_io_submit(shim_io *io, void *owner) noexcept
{
	io->owner = owner;
	submit_bio(&io->bio);
}
