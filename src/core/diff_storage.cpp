// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/diff_storage.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_area.hpp>

namespace blksnap
{

Result<Own<DiffStorage>> DiffStorage::create(EventQueue &events, u64 portion_sectors)
{
	auto storage = TRY(try_new<DiffStorage>(Gfp::Kernel, events, portion_sectors));

	for (u32 i = 0; i < kBatches; i++) {
		auto batch = TRY(try_new<StoreBatch>(Gfp::Kernel, *storage));
		storage->state_.with([&](State &state) { state.idle.push_back(*batch.release()); });
	}
	storage->work_ = shim_work_create(SHIM_WORK_STORE, storage.get(), "store");
	if (!storage->work_)
		return Errno::NoMem;
	// The first portion is asked for at once: the agent may serve all requests alike.
	storage->ask_for_space();
	return storage;
}

DiffStorage::~DiffStorage()
{
	if (work_)
		shim_work_destroy(work_);
	state_.with([](State &state) {
		ASSERT(state.queue.empty());
		while (StoreBatch *batch = state.idle.pop_front())
			destroy(batch);
	});
	for (shim_bdev *bdev : bdevs_)
		shim_bdev_close(bdev);
}

// --- space -----------------------------------------------------------------------------------

Result<DiffStorage::Portion> DiffStorage::prepare(shim_bdev *bdev, const shim_bdev_info &info,
						  const Vector<GivenRange> &given)
{
	TRY(bdevs_.reserve(bdevs_.size() + 1));

	const StorageRanges::Device device{
		.bdev = bdev,
		.disk_key = info.disk_key,
		.start_sector = info.start_sector,
		.sectors = info.sectors,
		.block_bytes = info.logical_block_bytes,
	};
	// Only this thread changes the ranges: the batch may read them without the lock.
	auto batch = TRY(state_.with_unshared([&](State &state) {
		return StorageRanges::Batch::create(state.ranges, given.size());
	}));
	for (const GivenRange &range : given)
		TRY(batch.add(device, range.sector, range.sectors));
	TRY(batch.seal());
	auto places = TRY(places_.make_room(given.size()));
	return Portion{bdev, std::move(batch), std::move(places)};
}

void DiffStorage::append(Portion &portion)
{
	auto &batch = portion.batch;
	const u32 added = batch.added_units();
	bdevs_.push_reserved(portion.bdev);
	places_.append(portion.places, batch);
	const u32 total = state_.with([&](State &state) {
		state.ranges.commit(batch);
		if (added) {
			state.asked = false;
			state.low_mark_units = (added + 1) / 2;
		}
		return state.ranges.total_units();
	});
	total_units_.store(total, Order::Relaxed);
}

void DiffStorage::ask_for_space()
{
	const bool ask = state_.with([&](State &state) {
		const u32 free = state.ranges.total_units() - state.next_unit;
		if (state.asked || free >= state.low_mark_units)
			return false;
		state.asked = true;
		return true;
	});
	if (!ask)
		return;
	shim_log(SHIM_LOG_INFO, "snapshot %s: asks for %llu sectors of diff storage",
		 events_->snapshot().text().characters,
		 static_cast<unsigned long long>(portion_sectors_));
	events_->post_low_free_space(portion_sectors_);
}

// --- copies ----------------------------------------------------------------------------------

void DiffStorage::push(CopyQueue &copies, bool hurry)
{
	state_.with([&](State &state) {
		const bool first = state.queue.empty();
		while (Copy *copy = copies.pop_front()) {
			copy->assigned = 0;
			copy->stores_left = 0;
			state.queued_pages += copy->blocks;
			state.queue.push_back(*copy);
		}
		// Under the lock: when it is released the copies can be gone, and the storage.
		if (hurry || state.queued_pages >= kGatherPages)
			shim_work_queue(work_);
		else if (first)
			shim_work_queue_delayed(work_, kGatherMs);
	});
}

void DiffStorage::run_store()
{
	for (;;) {
		CopyQueue dropped;
		StoreBatch *batch = nullptr;
		const Fill fill = state_.with([&](State &state) {
			batch = state.idle.pop_front();
			if (!batch)
				return Fill::Nothing; // a completion runs us again
			const Fill result = fill_batch(state, *batch, dropped);
			if (result == Fill::Batch)
				busy_.fetch_add(1, Order::Relaxed);
			else
				state.idle.push_back(*batch);
			return result;
		});
		finish_all(dropped);
		if (fill == Fill::NoSpace)
			fail_without_space();
		else if (fill == Fill::Batch)
			write_batch(*batch);
		else if (fill == Fill::Nothing)
			return;
	}
}

// Takes copies from the queue for one contiguous write. Copies of a lost image are dropped, some at a time.
DiffStorage::Fill DiffStorage::fill_batch(State &state, StoreBatch &batch, CopyQueue &dropped)
{
	u32 room = 0;
	u32 lost = 0;

	batch.parts_count = 0;
	batch.pages = 0;
	if (state.next_unit < state.ranges.total_units()) {
		batch.place = places_.locate(state.next_unit);
		room = min(batch.place.units, StoreBatch::kPages);
	}
	while (Copy *copy = state.queue.front()) {
		if (copy->area.failed()) {
			if (lost++ == kDropped) {
				COVERAGE_MARK("diff_storage: an image is lost with many copies");
				return batch.pages ? Fill::Batch : Fill::Dropped;
			}
			state.queue.remove(*copy);
			state.queued_pages -= copy->blocks - copy->assigned;
			copy->assigned = copy->blocks;
			if (copy->stores_left == 0)
				dropped.push_back(*copy);
			else
				COVERAGE_MARK(
					"diff_storage: an image is lost while a half is written");
			continue;
		}
		if (room == 0)
			return batch.pages ? Fill::Batch : Fill::NoSpace;
		if (copy->assigned)
			COVERAGE_MARK("diff_storage: a copy is stored in two places");
		const u32 blocks = min(room, copy->blocks - copy->assigned);
		add_part(state, batch, *copy, blocks);
		room -= blocks;
	}
	return batch.pages ? Fill::Batch : Fill::Nothing;
}

void DiffStorage::add_part(State &state, StoreBatch &batch, Copy &copy, u32 blocks)
{
	batch.parts[batch.parts_count++] = {&copy, copy.assigned, blocks, state.next_unit};
	batch.pages += blocks;
	state.next_unit += blocks;
	state.queued_pages -= blocks;
	copy.assigned += blocks;
	copy.stores_left++;
	if (copy.assigned == copy.blocks)
		state.queue.remove(copy);
}

// The first copy in the queue finds no room: its image is lost, the copy is dropped in the next
// round. The other images follow when it is their turn, or live if space is appended.
void DiffStorage::fail_without_space()
{
	DiffArea *area = state_.with([](State &state) {
		Copy *copy = state.queue.front();
		return copy ? &copy->area : nullptr;
	});
	COVERAGE_MARK("diff_storage: no space");
	if (area)
		area->fail(Errno::NoSpc);
}

void DiffStorage::write_batch(StoreBatch &batch)
{
	ask_for_space();
	commit_parts(batch);

	shim_io *io = shim_io_alloc(batch.place.bdev, SHIM_IO_WRITE, batch.place.sector,
				    batch.pages, true);
	for (u32 i = 0; i < batch.parts_count; i++) {
		const auto &part = batch.parts[i];
		for (u32 block = 0; block < part.blocks; block++)
			shim_io_add_page(io, part.copy->pages[part.from + block], kPageBytes);
	}
	shim_io_submit(io, static_cast<IoOwner *>(&batch));
}

// The map learns the place before the write ends: until then readers find the copy first.
void DiffStorage::commit_parts(StoreBatch &batch)
{
	for (u32 i = 0; i < batch.parts_count; i++) {
		const auto &part = batch.parts[i];
		const auto result =
			part.copy->area.commit(*part.copy, part.from, part.blocks, part.unit);
		if (result.ok())
			continue;
		COVERAGE_MARK("diff_storage: no memory to remember a place");
		part.copy->area.fail(result.error());
	}
}

void DiffStorage::on_store_write(StoreBatch &batch, int error)
{
	CopyQueue done;

	if (error)
		for (u32 i = 0; i < batch.parts_count; i++)
			batch.parts[i].copy->area.fail(static_cast<Errno>(error));
	progress_.fetch_add(1, Order::Relaxed);
	state_.with([&](State &) {
		for (u32 i = 0; i < batch.parts_count; i++) {
			Copy &copy = *batch.parts[i].copy;
			copy.stores_left--;
			if (copy.stores_left == 0 && copy.assigned == copy.blocks)
				done.push_back(copy);
		}
	});
	finish_all(done);
	state_.with([&](State &state) {
		// With batches left the worker has seen the queue, and what came since has its
		// own wake-up.
		if (state.idle.empty() && !state.queue.empty())
			shim_work_queue(work_);
		state.idle.push_back(batch);
		if (busy_.fetch_sub(1, Order::Release) == 1)
			idle_.wake_all();
	});
}

void DiffStorage::finish_all(CopyQueue &copies)
{
	while (Copy *copy = copies.pop_front())
		copy->area.finish(*copy);
}

void DiffStorage::drain()
{
	idle_.wait([&] { return busy_.load(Order::Acquire) == 0; }, 0, false);
	state_.with([](State &) {});
}

} // namespace blksnap
