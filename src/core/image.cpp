// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/image.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_storage.hpp>

namespace blksnap
{

Result<Own<Image>> Image::create(DiffArea &area, DiffStorage &storage, u64 sectors)
{
	auto image = TRY(try_new<Image>(Gfp::Kernel, area, storage));

	TRY(image->reads_.init());
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
	while (ImageRead *read = reads_.take_kept())
		destroy(read);
}

Result<void> Image::show()
{
	return port_result(shim_image_disk_add(disk_));
}

void Image::remove()
{
	if (!disk_)
		return;
	removing_.store(true, Order::SeqCst);
	full_barrier();
	shim_image_disk_remove(disk_);
	disk_ = nullptr;
	ended_.wait([&] { return idle(); }, 0, false);
	// end() wakes us under the lock: it has left when we get through.
	queue_.with([](Queue &) {});
}

// Who is handed over enters there before it leaves here; hence the order.
bool Image::idle() const
{
	return reads_.idle() && requests_.load(Order::Acquire) == 0;
}

// --- requests --------------------------------------------------------------------------------

void Image::hand_over(bio *bio)
{
	requests_.fetch_add(1, Order::SeqCst);
	queue_.with([&](Queue &queue) { queue.bios.push_back(bio); });
	shim_work_queue(work_);
}

void Image::leave(Slot &slot)
{
	InFlight<ImageRead>::leave(slot);
	if (removing_.load(Order::SeqCst)) [[unlikely]]
		ended_.wake_all();
}

inline ImageRead *Image::take_read(Slot &slot)
{
	if (ImageRead *kept = slot.take_record())
		return kept;
	auto fresh = try_new<ImageRead>(Gfp::NoWait);
	return fresh.ok() ? fresh.release_value().release() : nullptr;
}

// False: it is not in one place of the store, or there is no memory without waiting.
[[gnu::always_inline]] inline bool Image::redirect(bio *bio, Slot &slot, SectorRange range,
						   DiffArea::Whole whole)
{
	const bool from_origin = whole.kind == DiffArea::Whole::Kind::Origin;
	shim_bdev *bdev = area_.origin();
	u64 sector = range.first;

	if (!from_origin) {
		const auto place = storage_.locate(whole.unit);
		const u64 within = range.first % kSectorsPerBlock;
		if (within + range.count > u64{place.units} * kSectorsPerBlock)
			return false;
		bdev = place.bdev;
		sector = place.sector + within;
	}
	ImageRead *read = take_read(slot);
	if (!read)
		return false;
	read->image = this;
	read->slot = &slot;
	read->range = range;
	read->epoch = whole.epoch;
	read->from_origin = from_origin;
	shim_bio_redirect(bio, &read->saved, bdev, sector);
	return true;
}

// A read that comes from one place needs no worker. Return: whether it was taken.
[[gnu::always_inline]] inline bool Image::serve_whole(bio *bio, shim_image_request request,
						      Slot &slot)
{
	const SectorRange range{request.sector, request.sectors};

	if (request.op != SHIM_IMAGE_READ || range.empty())
		return false;
	const auto whole = area_.locate_whole(range);
	return whole.kind != DiffArea::Whole::Kind::No ? redirect(bio, slot, range, whole)
						       : serve_one_source(bio, slot, range);
}

// The same for what locate_whole() leaves: mostly, blocks whose copies are on their way.
[[gnu::noinline]] bool Image::serve_one_source(bio *bio, Slot &slot, SectorRange range)
{
	using Kind = DiffArea::Whole::Kind;
	const auto source = area_.locate(range);

	if (source.sectors != range.count) {
		if (source.copy)
			area_.unpin(*source.copy);
		return false;
	}
	if (!source.at_hand()) {
		const bool from_origin = source.kind == DiffArea::Source::Kind::Origin;
		return redirect(
			bio, slot, range,
			{from_origin ? Kind::Origin : Kind::Store, source.unit, source.epoch});
	}
	shim_bio_cursor cursor{};
	fill(bio, cursor, 0, source);
	shim_bio_end(bio, area_.failed() ? to_int(Errno::Io) : 0);
	leave(slot);
	return true;
}

void Image::submit(bio *bio, shim_image_request request)
{
	Slot &slot = reads_.enter();

	if (area_.failed())
		shim_bio_end(bio, to_int(Errno::Io));
	else if (serve_whole(bio, request, slot))
		return;
	else if (request.op != SHIM_IMAGE_READ ||
		 !cut_by_submitter(bio, {request.sector, request.sectors}))
		hand_over(bio);
	leave(slot);
}

inline void Image::forget(ImageRead &read)
{
	Slot &slot = *read.slot;

	if (ImageRead *homeless = slot.keep_record(&read))
		destroy(homeless);
	leave(slot);
}

bool Image::on_read_done(ImageRead &read, bio *bio, int error)
{
	const bool in_doubt = !error && read.from_origin && !area_.unchanged_since(read.epoch);

	if (area_.failed() || in_doubt) [[unlikely]]
		return on_read_disturbed(read, bio);
	forget(read);
	return true;
}

[[gnu::noinline]] bool Image::on_read_disturbed(ImageRead &read, bio *bio)
{
	// The loss of the image comes last: who loses it drops copies, whose blocks then look untouched.
	const bool again = !area_.is_still_at_origin(read.range, read.epoch);
	const bool lost = area_.failed();

	if (lost) {
		shim_bio_set_error(bio, to_int(Errno::Io));
	} else if (again) {
		COVERAGE_MARK("image: a whole read is overtaken by a copy");
		shim_bio_rewind(bio, &read.saved);
		hand_over(bio);
	}
	forget(read);
	return lost || !again;
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
		ImageRequest *again = nullptr;
		queue_.with([&](Queue &queue) {
			again = queue.again.pop_front();
			if (!again)
				bio = queue.bios.pop_front();
		});
		if (again)
			cut_again(*again);
		else if (bio)
			serve(bio);
		else
			return;
	}
}

void Image::serve(bio *bio)
{
	const shim_image_request request = shim_bio_describe_image(bio);
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
	ImageRequest *started = begin(bio, range, is_write);

	if (!started)
		return;
	const SectorRange left = cut(*started, range, true);
	ASSERT(left.empty());
	put(*started);
}

// False: it is large, or there is no memory without waiting. A submitter inside the block layer must not wait
// for own bios: its earlier ones are held back until it returns.
[[gnu::noinline]] bool Image::cut_by_submitter(bio *bio, SectorRange range)
{
	if (range.empty() || range.count > kSubmitterSectors)
		return false;
	auto request = try_new<ImageRequest>(Gfp::NoWait, *this, bio, range.first, false);
	if (!request.ok())
		return false;
	requests_.fetch_add(1, Order::SeqCst);
	ImageRequest &started = *request.release_value().release();
	const SectorRange left = cut(started, range, false);
	if (!left.empty()) {
		COVERAGE_MARK("image: a submitter leaves a part to the worker");
		cut_later(started, left);
	}
	put(started);
	return true;
}

// Null: the bio has been ended, memory was short.
ImageRequest *Image::begin(bio *bio, SectorRange range, bool is_write)
{
	auto request = try_new<ImageRequest>(Gfp::NoIo, *this, bio, range.first, is_write);

	if (request.ok())
		return request.release_value().release();
	end(bio, to_int(request.error()));
	return nullptr;
}

// --- pieces ----------------------------------------------------------------------------------

// Return: what is left, because memory is short; nothing if it may wait.
SectorRange Image::cut(ImageRequest &request, SectorRange range, bool may_wait)
{
	while (!range.empty()) {
		const auto source = area_.locate(range);
		const u64 moved = move(request, range, source, may_wait);
		range.first += moved;
		range.count -= moved;
		if (moved < source.sectors)
			break;
	}
	return range;
}

// What the worker reads when the pieces that are on their way are done.
void Image::cut_later(ImageRequest &request, SectorRange range)
{
	queue_.with([&](Queue &) {
		request.again_first = min(request.again_first, range.first);
		request.again_end = max(request.again_end, range.end());
	});
}

// All that was found changed, and what lies between.
void Image::cut_again(ImageRequest &request)
{
	const u64 first = std::exchange(request.again_first, ~u64{0});
	const u64 end = std::exchange(request.again_end, 0);

	const SectorRange left = cut(request, {first, end - first}, true);
	ASSERT(left.empty());
	put(request);
}

// Moves the first `source.sectors` sectors of the range. Return: how many it could, see send().
u64 Image::move(ImageRequest &request, SectorRange range, const DiffArea::Source &source,
		bool may_wait)
{
	// All blocks of a write are stored. One that a store was put on after the write was prepared
	// shows zeroes: it goes nowhere. To the origin it must not go, whatever happened.
	ASSERT(!request.is_write || source.kind == DiffArea::Source::Kind::Store ||
	       source.kind == DiffArea::Source::Kind::Zero);
	if (request.is_write && source.kind == DiffArea::Source::Kind::Zero) {
		COVERAGE_MARK("image: a store was put where a write goes");
		return source.sectors;
	}
	const auto offset = static_cast<u32>(range.first - request.first_sector);
	if (!source.at_hand())
		return send(request, {range.first, source.sectors}, source, may_wait);
	fill(request.request, request.cursor, offset, source);
	return source.sectors;
}

// Fills a part of a read with what is at hand, and lets go of the copy.
void Image::fill(bio *bio, shim_bio_cursor &cursor, u32 offset_sectors,
		 const DiffArea::Source &source)
{
	const u32 offset_bytes = offset_sectors << kSectorShift;
	const u32 bytes = source.sectors << kSectorShift;

	if (source.kind == DiffArea::Source::Kind::Zero) {
		shim_bio_fill_zero(bio, &cursor, offset_bytes, bytes);
		return;
	}
	shim_bio_fill(bio, &cursor, offset_bytes, source.memory,
		      source.sector_in_block << kSectorShift, bytes);
	area_.unpin(*source.copy);
}

// One piece, one own bio, or several where the store is not contiguous. Return: how many sectors; the worker
// sends them all.
u64 Image::send(ImageRequest &request, SectorRange part, const DiffArea::Source &source,
		bool may_wait)
{
	const bool from_origin = source.kind == DiffArea::Source::Kind::Origin;
	u64 unit_sector = source.sector_in_block;

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
		shim_io *io = shim_io_clone(request.request, &request.cursor,
					    static_cast<u32>(part.first - request.first_sector),
					    static_cast<u32>(sectors), bdev, sector, may_wait);
		if (!io)
			break;
		request.pieces.fetch_add(1, Order::Relaxed);
		IoOwner *owner = new (shim_io_room(io)) ImagePiece(
			io, request, SectorRange{part.first, sectors}, from_origin, source.epoch);
		shim_io_submit(io, owner);
		part.first += sectors;
		part.count -= sectors;
		unit_sector += sectors;
	}
	return source.sectors - part.count;
}

void Image::on_piece_done(ImagePiece &piece, int error)
{
	ImageRequest &request = piece.request;
	const SectorRange range = piece.range;
	// (Blocks of a lost image may look untouched and be overwritten: put() sees that, later.)
	const bool again =
		!error && piece.from_origin && !area_.is_still_at_origin(range, piece.epoch);

	// At once: a request that waits for another bio must hold none.
	shim_io *io = piece.io;
	piece.~ImagePiece();
	shim_io_free(io);
	if (error)
		request.error.store(error, Order::Relaxed);
	if (again) {
		COVERAGE_MARK("image: a read is overtaken by a copy");
		cut_later(request, range);
	}
	put(request);
}

void Image::put(ImageRequest &request)
{
	if (request.pieces.fetch_sub(1, Order::AcqRel) != 1)
		return;
	if (request.again_end && !area_.failed()) {
		request.pieces.store(1, Order::Relaxed);
		queue_.with([&](Queue &queue) { queue.again.push_back(request); });
		// The worker may have ended it already. The image is not gone: we are the worker, in
		// submit(), or in a completion, whose RCU read section its destruction waits for.
		shim_work_queue(work_);
		return;
	}
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
