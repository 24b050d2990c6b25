// SPDX-License-Identifier: GPL-2.0
//
// Image: the block device that shows one original device as it was at the cut.
//
// A read that comes from one place is sent there as it is, by its submitter. Any other request is cut
// into pieces of equal origin: pages of copies, the store, the original device, or zeroes. Own bios
// carry the pieces; many are in flight. The submitter of a read up to 1 MiB cuts it as far as there is
// memory; all else is done by a worker. What was read from the original device is looked at again when it
// completes: if a block was preserved meanwhile, it is read again from its copy. No reader stops a writer.
//
// Writes to the image stay in the diff storage: each block is preserved first, then overwritten
// there, so that a partial write keeps the rest of its block.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/core/diff_area.hpp>
#include <blksnap/core/in_flight.hpp>
#include <blksnap/port/image.h>

namespace blksnap
{

class Image;

// A read that was sent on as it is.
struct ImageRead {
	shim_bio_redirected saved; // first: the port hands this address back
	Image *image;
	InFlight<ImageRead>::Slot *slot;
	SectorRange range;
	u32 epoch;
	bool from_origin;

	ImageRead() {} // all is filled in when it is used

	static ImageRead &from(shim_bio_redirected *saved)
	{
		return *reinterpret_cast<ImageRead *>(saved);
	}
};

// One request to the image that is cut, from then on to its end.
struct ImageRequest {
	Image &image;
	bio *const request;
	const u64 first_sector; // of the image
	const bool is_write;
	shim_bio_cursor cursor{}; // of whoever cuts it
	Atomic<u32> pieces{1};	  // and one for whoever cuts it
	Atomic<int> error;
	// What the worker is to read, again or for the first time, when all pieces are done; guarded by
	// the queue.
	u64 again_first = ~u64{0};
	u64 again_end = 0;
	ListHook again_hook;

	ImageRequest(Image &owner, bio *bio, u64 first, bool write)
		: image(owner), request(bio), first_sector(first), is_write(write)
	{
	}
};

// It lives in the memory that its bio brings.
struct ImagePiece final : IoOwner {
	shim_io *const io;
	ImageRequest &request;
	const SectorRange range; // of the image
	const bool from_origin;
	const u32 epoch;

	ImagePiece(shim_io *own, ImageRequest &owner, SectorRange part, bool origin, u32 seen)
		: IoOwner(IoKind::ImagePiece), io(own), request(owner), range(part),
		  from_origin(origin), epoch(seen)
	{
	}
};

static_assert(sizeof(ImagePiece) <= SHIM_IO_ROOM_BYTES);

class Image final
{
public:
	// The device exists but is not shown. Context: process.
	static Result<Own<Image>> create(DiffArea &area, DiffStorage &storage, u64 sectors);
	Image(const Image &) = delete;
	Image &operator=(const Image &) = delete;
	// Needs: the area has ended, and a grace period since remove(): the last to leave may still be on
	// its way out.
	~Image();

	Result<void> show();
	// Hides the device and waits until the last request has ended. Needs an ended area, or
	// dirty pages would be written for ever. Context: process.
	void remove();
	u32 major() const { return major_; }
	u32 minor() const { return minor_; }

	void submit(bio *bio, shim_image_request request); // Context: process.
	void requeue(BioList &bios); // They may find something new. Context: any.
	void run();		     // the worker
	void on_piece_done(ImagePiece &piece, int error); // Context: any.
	// False: it is to be read again, and the bio is kept. Context: any.
	bool on_read_done(ImageRead &read, bio *bio, int error);

private:
	struct Queue {
		BioList bios;
		IntrusiveList<ImageRequest, &ImageRequest::again_hook> again;
	};

	Image(DiffArea &area, DiffStorage &storage) : area_(area), storage_(storage) {}
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	using Slot = InFlight<ImageRead>::Slot;
	// A submitter's bios are on their way only when it has returned from submit(): what it cuts is no
	// larger than this, which is 257 pieces at most.
	static constexpr u64 kSubmitterSectors = 2048;

	bool serve_whole(bio *bio, shim_image_request request, Slot &slot);
	bool redirect(bio *bio, Slot &slot, SectorRange range, DiffArea::Whole whole);
	ImageRead *take_read(Slot &slot);
	bool on_read_disturbed(ImageRead &read, bio *bio);
	void forget(ImageRead &read);
	bool serve_one_source(bio *bio, Slot &slot, SectorRange range);
	void leave(Slot &slot);
	void hand_over(bio *bio);
	bool idle() const;
	void fill(bio *bio, shim_bio_cursor &cursor, u32 offset_sectors,
		  const DiffArea::Source &source);
	void serve(bio *bio);
	void serve_write(bio *bio, SectorRange range);
	void start(bio *bio, SectorRange range, bool is_write);
	ImageRequest *begin(bio *bio, SectorRange range, bool is_write);
	bool cut_by_submitter(bio *bio, SectorRange range);
	SectorRange cut(ImageRequest &request, SectorRange range, bool may_wait);
	void cut_again(ImageRequest &request);
	u64 move(ImageRequest &request, SectorRange range, const DiffArea::Source &source,
		 bool may_wait);
	u64 send(ImageRequest &request, SectorRange part, const DiffArea::Source &source,
		 bool may_wait);
	void cut_later(ImageRequest &request, SectorRange range);
	void put(ImageRequest &request);
	void end(bio *bio, int error);

	DiffArea &area_;
	DiffStorage &storage_;
	shim_image_disk *disk_ = nullptr;
	u32 major_ = 0;
	u32 minor_ = 0;
	Guarded<Queue, LockRank::Image> queue_{"blksnap image"};
	InFlight<ImageRead> reads_; // requests on their way through submit(), and redirected reads
	Atomic<u32> requests_;	    // handed over to the worker and not ended
	Atomic<bool> removing_;
	WaitQueue ended_{"blksnap image requests"};
	shim_work *work_ = nullptr;
};

} // namespace blksnap
