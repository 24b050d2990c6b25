// SPDX-License-Identifier: GPL-2.0
//
// Entry points: where the world calls the core. Each finds its object and makes one call.
#include <blksnap/core/control.hpp>
#include <blksnap/core/ioctl.hpp>

using namespace blksnap;

namespace
{
// Set before the first entry point can be called, cleared after the last: owned by load and unload.
constinit Control *control = nullptr;
} // namespace

int blksnap_module_init(void) noexcept
{
	auto created = Control::create();
	if (!created.ok())
		return -to_int(created.error());
	control = created.release_value().release();
	return 0;
}

void blksnap_module_exit(void) noexcept
{
	destroy(std::exchange(control, nullptr));
}

long blksnap_control_ioctl(unsigned command, shim_u64 user_argument, int compat) noexcept
{
	auto result = Ioctl(*control, user_argument, compat != 0).run(command);
	if (result.ok())
		return static_cast<long>(result.value());
	shim_log(SHIM_LOG_DEBUG, "ioctl %08x: error %d", command, to_int(result.error()));
	return -to_int(result.error());
}

struct blksnap_decision blksnap_write_submit(void *disk, struct bio *bio) noexcept
{
	return static_cast<Disk *>(disk)->submit(bio);
}

void blksnap_write_read_first(void *copy) noexcept
{
	DiffArea::read_claimed(*static_cast<Copy *>(copy));
}

void blksnap_write_backpressure(void *disk, int may_wait) noexcept
{
	static_cast<Disk *>(disk)->backpressure(may_wait != 0);
}

void blksnap_write_complete(struct shim_bio_saved *saved) noexcept
{
	WriteRecord &record = WriteRecord::from(saved);
	record.disk->complete(record);
}

int blksnap_image_read_complete(struct shim_bio_redirected *saved, struct bio *bio,
				int error) noexcept
{
	ImageRead &read = ImageRead::from(saved);
	return read.image->on_read_done(read, bio, error);
}

void blksnap_image_submit(void *image, struct bio *bio, struct shim_image_request request) noexcept
{
	static_cast<Image *>(image)->submit(bio, request);
}

void blksnap_io_complete(void *owner, int error) noexcept
{
	auto *io = static_cast<IoOwner *>(owner);

	switch (io->io_kind) {
	case IoKind::CopyRead: {
		auto &copy = *static_cast<Copy *>(io);
		copy.area.on_copy_read(copy, error);
		return;
	}
	case IoKind::StoreWrite: {
		auto &batch = *static_cast<StoreBatch *>(io);
		batch.storage.on_store_write(batch, error);
		return;
	}
	case IoKind::ImagePiece: {
		auto &piece = *static_cast<ImagePiece *>(io);
		piece.request.image.on_piece_done(piece, error);
		return;
	}
	}
}

void blksnap_work_run(enum shim_work_kind kind, void *owner) noexcept
{
	switch (kind) {
	case SHIM_WORK_RELEASE:
		return static_cast<Disk *>(owner)->run_release();
	case SHIM_WORK_COPY:
		return static_cast<DiffArea *>(owner)->run_copy();
	case SHIM_WORK_STORE:
		return static_cast<DiffStorage *>(owner)->run_store();
	case SHIM_WORK_IMAGE:
		return static_cast<Image *>(owner)->run();
	case SHIM_WORK_WATCH:
		return static_cast<Snapshot *>(owner)->run_watch();
	case SHIM_WORK_SWEEP:
		return static_cast<Control *>(owner)->run_sweep();
	}
}
