// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/image.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_storage.hpp>

namespace blksnap
{

Result<Own<Image>> Image::create(DiffArea &area, DiffStorage &storage, u64 sectors)
{
	auto image = TRY(try_new<Image>(Gfp::Kernel, area, storage));

	TRY(port_result(shim_image_disk_create(image.get(), area.origin(), sectors,
					       area.snapshot().text().characters, &image->disk_)));
	shim_image_disk_number(image->disk_, &image->major_, &image->minor_);
	image->work_ = shim_work_create(SHIM_WORK_IMAGE, image.get(), area.tracker().info().name);
	if (!image->work_)
		return Errno::NoMem;
	area.set_image(image.get());
	return image;
}

Image::~Image()
{
	remove();
	if (work_)
		shim_work_destroy(work_);
}

Result<void> Image::show()
{
	return port_result(shim_image_disk_add(disk_));
}

void Image::remove()
{
	if (!disk_)
		return;
	shim_image_disk_remove(disk_);
	disk_ = nullptr;
	ended_.wait([&] { return requests_.load(Order::Acquire) == 0; }, 0, false);
	// end() wakes us under the lock: it has left when we get through.
	queue_.with([](Queue &) {});
}

// --- requests --------------------------------------------------------------------------------

void Image::submit(bio *bio)
{
	requests_.fetch_add(1, Order::Relaxed);
	if (area_.failed()) {
		end(bio, to_int(Errno::Io));
		return;
	}
	if (serve_whole(bio))
		return;
	// Cutting needs several own bios, which a submitter inside the block layer must not
	// allocate: its earlier ones are held back until it returns.
	queue_.with([&](Queue &queue) { queue.bios.push_back(bio); });
	shim_work_queue(work_);
}

// A read that comes from one place needs no worker. Return: whether it was taken.
bool Image::serve_whole(bio *bio)
{
	shim_image_request request;

	shim_bio_describe_image(bio, &request);
	const SectorRange range{request.sector, request.sectors};
	if (request.op != SHIM_IMAGE_READ || range.empty())
		return false;
	const auto source = area_.locate(range);
	if (source.sectors != range.count || !is_one_place(source)) {
		if (source.copy)
			area_.unpin(*source.copy);
		return false;
	}
	// Nothing sleeps while a copy is pinned: its pages are missing elsewhere.
	if (fill(bio, 0, source))
		end(bio, area_.failed() ? to_int(Errno::Io) : 0);
	else if (ImageRequest *started = begin(bio, false)) {
		send(*started, range, 0, source);
		put(*started);
	}
	return true;
}

bool Image::is_one_place(const DiffArea::Source &source)
{
	if (source.kind != DiffArea::Source::Kind::Store)
		return true;
	const auto place = storage_.locate(source.unit);
	return source.sector_in_unit + source.sectors <= u64{place.units} * kSectorsPerBlock;
}

void Image::requeue(BioList &bios)
{
	queue_.with([&](Queue &queue) { queue.bios.splice_back(bios); });
	shim_work_queue(work_);
}

void Image::run()
{
	for (;;) {
		bio *bio = nullptr;
		ImagePiece *piece = nullptr;
		queue_.with([&](Queue &queue) {
			piece = queue.again.pop_front();
			if (!piece)
				bio = queue.bios.pop_front();
		});
		if (piece) {
			cut(piece->request, piece->range, piece->offset_sectors);
			put(piece->request);
			destroy(piece);
		} else if (bio) {
			serve(bio);
		} else {
			return;
		}
	}
}

void Image::serve(bio *bio)
{
	shim_image_request request;

	shim_bio_describe_image(bio, &request);
	const SectorRange range{request.sector, request.sectors};
	if (area_.failed())
		end(bio, to_int(Errno::Io));
	else if (request.op == SHIM_IMAGE_OTHER)
		end(bio, to_int(Errno::NotSupp));
	else if (request.op == SHIM_IMAGE_FLUSH || range.empty())
		end(bio, 0); // nothing outlives the snapshot
	else if (request.op == SHIM_IMAGE_WRITE)
		serve_write(bio, range);
	else
		start(bio, range, false);
}

void Image::serve_write(bio *bio, SectorRange range)
{
	switch (area_.prepare_image_write(bio, range)) {
	case DiffArea::ImageWrite::Parked:
		return;
	case DiffArea::ImageWrite::Failed:
		end(bio, to_int(Errno::Io));
		return;
	case DiffArea::ImageWrite::Ready:
		break;
	}
	// A backup taken from this image differs from the device there.
	area_.tracker().cbt().mark_both(range.first, range.count);
	start(bio, range, true);
}

void Image::start(bio *bio, SectorRange range, bool is_write)
{
	ImageRequest *started = begin(bio, is_write);

	if (!started)
		return;
	cut(*started, range, 0);
	put(*started);
}

// Null: the bio has been ended, memory was short.
ImageRequest *Image::begin(bio *bio, bool is_write)
{
	auto request = try_new<ImageRequest>(Gfp::NoIo, *this, bio, is_write);

	if (request.ok())
		return request.release_value().release();
	end(bio, to_int(request.error()));
	return nullptr;
}

// --- pieces ----------------------------------------------------------------------------------

void Image::cut(ImageRequest &request, SectorRange range, u32 offset_sectors)
{
	while (!range.empty()) {
		const auto source = area_.locate(range);
		move(request, range, offset_sectors, source);
		range.first += source.sectors;
		range.count -= source.sectors;
		offset_sectors += source.sectors;
	}
}

// Moves the first `source.sectors` sectors of the range.
void Image::move(ImageRequest &request, SectorRange range, u32 offset_sectors,
		 const DiffArea::Source &source)
{
	// All blocks of a write are stored. One that a store was put on after the write was prepared
	// shows zeroes: it goes nowhere. To the origin it must not go, whatever happened.
	ASSERT(!request.is_write || source.kind == DiffArea::Source::Kind::Store ||
	       source.kind == DiffArea::Source::Kind::Zero);
	if (request.is_write && source.kind == DiffArea::Source::Kind::Zero) {
		COVERAGE_MARK("image: a store was put where a write goes");
		return;
	}
	if (!fill(request.request, offset_sectors, source))
		send(request, {range.first, source.sectors}, offset_sectors, source);
}

// Fills a part of a read from memory and lets go of the copy; false if it is not in memory.
bool Image::fill(bio *bio, u32 offset_sectors, const DiffArea::Source &source)
{
	const u32 offset_bytes = offset_sectors << kSectorShift;
	const u32 bytes = source.sectors << kSectorShift;

	switch (source.kind) {
	case DiffArea::Source::Kind::Zero:
		shim_bio_fill_zero(bio, offset_bytes, bytes);
		return true;
	case DiffArea::Source::Kind::Memory:
		shim_bio_fill(bio, offset_bytes, source.memory, source.page_offset_bytes, bytes);
		area_.unpin(*source.copy);
		return true;
	case DiffArea::Source::Kind::Store:
	case DiffArea::Source::Kind::Origin:
		break;
	}
	return false;
}

// One piece, one own bio, or several where the store is not contiguous.
void Image::send(ImageRequest &request, SectorRange part, u32 offset_sectors,
		 const DiffArea::Source &source)
{
	const bool from_origin = source.kind == DiffArea::Source::Kind::Origin;
	u64 unit_sector = source.sector_in_unit;

	while (!part.empty()) {
		shim_bdev *bdev = area_.origin();
		u64 sector = part.first;
		u64 sectors = part.count;

		if (!from_origin) {
			const auto place = storage_.locate(
				source.unit + static_cast<u32>(unit_sector / kSectorsPerBlock));
			const u32 within = unit_sector % kSectorsPerBlock;
			bdev = place.bdev;
			sector = place.sector + within;
			sectors = min(sectors, u64{place.units} * kSectorsPerBlock - within);
		}
		auto piece =
			try_new<ImagePiece>(Gfp::NoIo, request, SectorRange{part.first, sectors},
					    offset_sectors, from_origin);
		if (!piece.ok()) {
			COVERAGE_MARK("image: no memory for a piece");
			request.error.store(to_int(piece.error()), Order::Relaxed);
			return;
		}
		request.pieces.fetch_add(1, Order::Relaxed);
		shim_io *io = shim_io_clone(request.request, offset_sectors,
					    static_cast<u32>(sectors), bdev, sector);
		IoOwner *owner = piece.release_value().release();
		shim_io_submit(io, owner);
		part.first += sectors;
		part.count -= sectors;
		offset_sectors += static_cast<u32>(sectors);
		unit_sector += sectors;
	}
}

void Image::on_piece_done(ImagePiece &piece, int error)
{
	ImageRequest &request = piece.request;

	if (error)
		request.error.store(error, Order::Relaxed);
	// First the loss of the image, then the state of the blocks: after a failed copy a write
	// goes on although its blocks are still untouched.
	if (!error && piece.from_origin && !area_.failed() &&
	    !area_.is_still_at_origin(piece.range)) {
		COVERAGE_MARK("image: a read is overtaken by a copy");
		queue_.with([&](Queue &queue) { queue.again.push_back(piece); });
		shim_work_queue(work_);
		return;
	}
	destroy(&piece);
	put(request);
}

void Image::put(ImageRequest &request)
{
	if (request.pieces.fetch_sub(1, Order::AcqRel) != 1)
		return;
	int error = request.error.load(Order::Relaxed);
	if (area_.failed()) {
		COVERAGE_MARK("image: it is lost while a request is served");
		error = to_int(Errno::Io);
	}
	bio *bio = request.request;
	destroy(&request);
	end(bio, error);
}

void Image::end(bio *bio, int error)
{
	shim_bio_end(bio, error);
	queue_.with([&](Queue &) {
		if (requests_.fetch_sub(1, Order::Release) == 1)
			ended_.wake_all();
	});
}

} // namespace blksnap
