// SPDX-License-Identifier: GPL-2.0
//
// Image: the block device that shows one original device as it was at the cut.
//
// A request is cut into pieces of equal origin: pages of copies, the store, the original device, or
// zeroes. Own bios carry the pieces; many are in flight. A piece read from the original device is
// looked at again when it completes: if a block was preserved meanwhile, it is read again from its
// copy. No reader stops a writer.
//
// Writes to the image stay in the diff storage: each block is preserved first, then overwritten
// there, so that a partial write keeps the rest of its block.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/core/diff_area.hpp>
#include <blksnap/port/image.h>

namespace blksnap
{

class Image;

// One request to the image, from the hand-over to its end.
struct ImageRequest {
	Image &image;
	bio *const request;
	const bool is_write;
	Atomic<u32> pieces{1}; // and one for whoever cuts it
	Atomic<int> error;

	ImageRequest(Image &owner, bio *bio, bool write)
		: image(owner), request(bio), is_write(write)
	{
	}
};

struct ImagePiece final : IoOwner {
	ImageRequest &request;
	const SectorRange range;  // of the image
	const u32 offset_sectors; // in the request
	const bool from_origin;
	ListHook again_hook;

	ImagePiece(ImageRequest &owner, SectorRange part, u32 offset, bool origin)
		: IoOwner(IoKind::ImagePiece), request(owner), range(part), offset_sectors(offset),
		  from_origin(origin)
	{
	}
};

class Image final
{
public:
	// The device exists but is not shown. Context: process.
	static Result<Own<Image>> create(DiffArea &area, DiffStorage &storage, u64 sectors);
	Image(const Image &) = delete;
	Image &operator=(const Image &) = delete;
	// Needs: the area has ended.
	~Image();

	Result<void> show();
	// Hides the device and waits until the last request has ended. Needs an ended area, or
	// dirty pages would be written for ever. Context: process.
	void remove();
	u32 major() const { return major_; }
	u32 minor() const { return minor_; }

	void submit(bio *bio);	     // Context: process.
	void requeue(BioList &bios); // They may find something new. Context: any.
	void run();		     // the worker
	void on_piece_done(ImagePiece &piece, int error); // Context: any.

private:
	using PieceQueue = IntrusiveList<ImagePiece, &ImagePiece::again_hook>;
	struct Queue {
		BioList bios;
		PieceQueue again;
	};

	Image(DiffArea &area, DiffStorage &storage) : area_(area), storage_(storage) {}
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	bool serve_whole(bio *bio);
	bool is_one_place(const DiffArea::Source &source);
	bool fill(bio *bio, u32 offset_sectors, const DiffArea::Source &source);
	void serve(bio *bio);
	void serve_write(bio *bio, SectorRange range);
	void start(bio *bio, SectorRange range, bool is_write);
	ImageRequest *begin(bio *bio, bool is_write);
	void cut(ImageRequest &request, SectorRange range, u32 offset_sectors);
	void move(ImageRequest &request, SectorRange range, u32 offset_sectors,
		  const DiffArea::Source &source);
	void send(ImageRequest &request, SectorRange part, u32 offset_sectors,
		  const DiffArea::Source &source);
	void put(ImageRequest &request);
	void end(bio *bio, int error);

	DiffArea &area_;
	DiffStorage &storage_;
	shim_image_disk *disk_ = nullptr;
	u32 major_ = 0;
	u32 minor_ = 0;
	Guarded<Queue, LockRank::Image> queue_{"blksnap image"};
	Atomic<u32> requests_; // taken and not ended
	WaitQueue ended_{"blksnap image requests"};
	shim_work *work_ = nullptr;
};

} // namespace blksnap
