// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/diff_area.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_storage.hpp>
#include <blksnap/core/disk.hpp>
#include <blksnap/core/image.hpp>

namespace blksnap
{

namespace
{

// How many whole blocks from `block` on show zeroes anyway.
u64 excluded_blocks(const ExcludedRanges &excluded, u64 block, u64 limit)
{
	if (excluded.empty())
		return 0;
	const auto run = excluded.lookup(block * kSectorsPerBlock, limit * kSectorsPerBlock);
	return run.excluded ? run.sectors / kSectorsPerBlock : 0;
}

} // namespace

DiffArea::DiffArea(Tracker &tracker, shim_bdev *origin, DiffStorage &storage, EventQueue &events,
		   const Limits &limits)
	: tracker_(tracker), origin_(origin), storage_(storage), events_(Ref<EventQueue>(events)),
	  limits_(limits)
{
}

Result<Own<DiffArea>> DiffArea::create(Tracker &tracker, shim_bdev *origin, DiffStorage &storage,
				       EventQueue &events, const Limits &limits)
{
	auto area = TRY(try_new<DiffArea>(Gfp::Kernel, tracker, origin, storage, events, limits));

	TRY(area->fill_pools());
	TRY(area->known_.init(tracker.info().sectors / kSectorsPerBlock + 1));
	area->work_ = shim_work_create(SHIM_WORK_COPY, area.get(), tracker.info().name);
	if (!area->work_)
		return Errno::NoMem;
	return area;
}

DiffArea::~DiffArea()
{
	if (work_)
		shim_work_destroy(work_);
	state_.with([](State &state) { ASSERT(state.copies.empty()); });
}

// --- origin writes ---------------------------------------------------------------------------

// In slices, so that a bio of GiBs does not keep interrupts off: blocks only ever go towards Stored,
// so what a slice found preserved stays so. A bio that is woken begins at its first block again, but what
// earlier slices found is known by now, without a look at the map.
DiffArea::Preserve DiffArea::preserve(bio *bio, SectorRange range, bool may_read)
{
	const u64 end = end_block(range);
	u64 block = first_block(range);
	Preserve result;

	while ((block = known_.known_until(block, end)) < end) {
		Scan scan;
		result = preserve_slice(bio, scan, block, end, may_read);
		if (result.parked || result.claimed)
			break;
		COVERAGE_MARK("diff_area: a slice of a write is preserved");
		block = scan.next;
	}
	return result;
}

DiffArea::Preserve DiffArea::preserve_slice(bio *bio, Scan &scan, u64 block, u64 end, bool may_read)
{
	const shim_may_read how = may_read ? shim_submitter_may_read(bio) : SHIM_MAY_NOT_READ;
	const auto result = state_.with([&](State &state) {
		scan.next = end;
		if (state.closed)
			return Preserve{};
		start_copies(state, scan, block, end, CopyUse::Origin);
		if (!scan.wait_for && !scan.starved) {
			known_.add(block, scan.next);
			return Preserve{};
		}
		Copy *claimed = claim(scan.started, how);
		if (!scan.started.empty())
			shim_work_queue(work_);
		state.to_read.splice_back(scan.started);
		if (claimed)
			return Preserve{.claimed = claimed};
		park(state, bio, scan);
		return Preserve{.parked = true};
	});
	if (scan.starved)
		storage_.flush();
	return result;
}

void DiffArea::park(State &state, bio *bio, Scan &scan)
{
	shim_bio_prepare_park(bio);
	if (scan.wait_for)
		state.waiters.add(*scan.wait_for, CopyUse::Origin, bio);
	else
		state.origin_budget.wait(bio);
}

void DiffArea::pass_on()
{
	BioList woken;

	state_.with([&](State &state) { state.origin_budget.pass_on(woken); });
	wake(CopyUse::Origin, woken);
}

// From here on it is the claimant's alone: until it is read nobody else touches it. Only one: a task
// that is held up between this and its read must not hold up writes to many blocks.
Copy *DiffArea::claim(CopyQueue &copies, shim_may_read how)
{
	Copy *copy = how == SHIM_MAY_NOT_READ ? nullptr : copies.pop_front();

	if (copy) {
		copy->nowait = how == SHIM_MAY_READ_NOWAIT;
		copy->state = Copy::State::Reading;
		copy->next_in_read = nullptr;
	}
	return copy;
}

bool DiffArea::is_preserved(SectorRange range)
{
	const u64 end = end_block(range);
	u64 block = first_block(range);
	bool preserved = true;

	if (known_.knows(block, end))
		return true;
	while (preserved && block < end) {
		preserved = state_.with([&](State &state) {
			if (state.closed) {
				block = end;
				return true;
			}
			for (u32 i = 0; i < kWalkLookups && block < end; i++) {
				const u64 blocks = preserved_blocks(state, block, end);
				if (!blocks)
					return false;
				block += blocks;
			}
			return true;
		});
	}
	return preserved;
}

// How many blocks from `block` on need no copy for the same reason, 0 if that one does.
u64 DiffArea::preserved_blocks(State &state, u64 block, u64 end)
{
	if (const u64 skip = excluded_blocks(state.excluded, block, end - block))
		return skip;
	if (Copy *copy = state.copies.find(block))
		return copy->state == Copy::State::Buffered ? copy->end() - block : 0;
	const auto run = state.map.lookup(block, end - block);
	return run.mapped() ? run.blocks : 0;
}

// Begins a copy for each block of a slice that has none. The bio waits for the first that is not
// buffered yet, and walks again then.
void DiffArea::start_copies(State &state, Scan &scan, u64 block, u64 end, CopyUse use)
{
	BioList woken;

	walk(state, scan, block, end, use);
	if (!scan.starved)
		budget(state, use).pass_on(woken);
	wake(use, woken);
}

void DiffArea::walk(State &state, Scan &scan, u64 block, u64 end, CopyUse use)
{
	u64 begun = 0;

	for (u32 i = 0; i < kWalkLookups && begun < kWalkBlocks && block < end; i++) {
		if (const u64 skip = excluded_blocks(state.excluded, block, end - block)) {
			block += skip;
			continue;
		}
		Copy *copy = state.copies.find(block);
		if (!copy) {
			const auto run = state.map.lookup(block, end - block);
			if (run.mapped()) {
				block += run.blocks;
				continue;
			}
			copy = start_copy(state, block, state.copies.gap(block, run.blocks), use);
			if (!copy) {
				COVERAGE_MARK("diff_area: no pages for a copy");
				scan.starved = true;
				break;
			}
			scan.started.push_back(*copy);
			begun += copy->blocks;
		}
		if (copy->state != Copy::State::Buffered && !scan.wait_for)
			scan.wait_for = copy;
		block = copy->end();
	}
	scan.next = block;
}

Copy *DiffArea::start_copy(State &state, u64 first, u64 blocks, CopyUse use)
{
	const auto most = static_cast<u32>(
		min<u64>(blocks, Copy::kRegionBlocks - first % Copy::kRegionBlocks));
	Copy *copy = budget(state, use).begin(*this, use, first, most);

	if (!copy)
		return nullptr;
	state.copies.insert(*copy);
	live_.fetch_add(1, Order::Relaxed);
	return copy;
}

CopyBudget &DiffArea::budget(State &state, CopyUse use)
{
	return use == CopyUse::Origin ? state.origin_budget : state.image_budget;
}

// --- own reads -------------------------------------------------------------------------------

void DiffArea::run_copy()
{
	for (;;) {
		u32 pages = 0;
		bool more = false;
		Copy *head = state_.with([&](State &state) {
			if (!state.closed)
				return next_read(state, pages);
			Copy *dropped = state.to_read.pop_front();
			if (dropped)
				retire(state, *dropped);
			more = dropped;
			return static_cast<Copy *>(nullptr);
		});
		if (head)
			(void)submit_read(*head, pages, true);
		else if (!more)
			return;
	}
}

// Takes the next copies that are adjacent on the device, for one read.
Copy *DiffArea::next_read(State &state, u32 &pages)
{
	Copy *head = state.to_read.pop_front();
	Copy *tail = head;

	if (!head)
		return nullptr;
	pages = head->blocks;
	head->state = Copy::State::Reading;
	head->next_in_read = nullptr;
	while (Copy *next = state.to_read.front()) {
		if (next->first != tail->end() || pages + next->blocks > SHIM_IO_MAX_PAGES)
			break;
		state.to_read.remove(*next);
		next->state = Copy::State::Reading;
		next->next_in_read = nullptr;
		pages += next->blocks;
		tail->next_in_read = next;
		tail = next;
	}
	return head;
}

// The copy may be gone, and the area with it, when this returns.
void DiffArea::read_claimed(Copy &copy)
{
	if (!copy.area.submit_read(copy, copy.blocks, false))
		copy.area.leave_to_worker(copy);
}

void DiffArea::leave_to_worker(Copy &copy)
{
	state_.with([&](State &state) {
		copy.state = Copy::State::Queued;
		copy.nowait = false;
		state.to_read.push_back(copy);
		// Under the lock: when it is released the copy can be gone, and the area.
		shim_work_queue(work_);
	});
}

// Only the worker waits for a bio. False: it would have had to.
bool DiffArea::submit_read(Copy &head, u32 pages, bool by_worker)
{
	const u64 device_bytes = tracker_.info().sectors << kSectorShift;
	shim_io *io = shim_io_alloc(origin_, SHIM_IO_READ, head.first * kSectorsPerBlock, pages,
				    by_worker);
	if (!io)
		return false;
	if (head.nowait)
		shim_io_set_nowait(io);
	for (Copy *copy = &head; copy; copy = copy->next_in_read) {
		for (u32 i = 0; i < copy->blocks; i++) {
			const u64 at = (copy->first + i) << kBlockShift;
			const auto bytes =
				static_cast<u32>(min<u64>(kPageBytes, device_bytes - at));
			// The last block of an odd size: its tail goes to the store, so it must
			// not carry what the memory held before.
			if (bytes < kPageBytes)
				shim_page_zero(copy->pages[i], bytes, kPageBytes - bytes);
			shim_io_add_page(io, copy->pages[i], bytes);
		}
	}
	shim_io_submit(io, static_cast<IoOwner *>(&head));
	return true;
}

void DiffArea::on_copy_read(Copy &head, int error)
{
	BioList origin;
	CopyQueue to_store;
	bool hurry = false;

	if (error == to_int(Errno::Again) && head.nowait) {
		COVERAGE_MARK("diff_area: a read would have had to wait");
		return leave_to_worker(head);
	}
	if (error) {
		shim_log(SHIM_LOG_DEBUG, "%s: cannot read old content at sector %llu: error %d",
			 tracker_.info().name,
			 static_cast<unsigned long long>(head.first * kSectorsPerBlock), error);
		fail(static_cast<Errno>(error));
	}
	note_progress();
	state_.with([&](State &state) {
		epoch_.fetch_add(1, Order::Release);
		for (Copy *copy = &head, *next; copy; copy = next) {
			next = copy->next_in_read;
			if (state.closed) {
				COVERAGE_MARK("diff_area: an image is lost while a copy is read");
				retire(state, *copy);
				continue;
			}
			copy->state = Copy::State::Buffered;
			copy->in_store = true;
			state.in_store++;
			known_.add(copy->first, copy->end());
			state.waiters.take(*copy, CopyUse::Origin, origin);
			to_store.push_back(*copy);
			hurry |= !copy->image_waiters.empty();
		}
		hurry |= state.origin_budget.has_waiters() || state.image_budget.has_waiters();
	});
	// If the area is closed nothing is left to do, and it may be gone already.
	if (to_store.empty())
		return;
	wake(CopyUse::Origin, origin);
	storage_.push(to_store, hurry);
}

// --- the end of a copy -----------------------------------------------------------------------

// Nobody refers to it any more: its pages go back, and who waited for pages may look again.
void DiffArea::retire(State &state, Copy &copy)
{
	const CopyUse use = copy.use;
	BioList woken;
	BioList origin;
	BioList image;

	ASSERT(copy.pins == 0);
	state.copies.remove(copy);
	state.waiters.take(copy, CopyUse::Origin, origin);
	state.waiters.take(copy, CopyUse::Image, image);
	budget(state, use).end(copy, woken);
	wake(CopyUse::Origin, origin);
	wake(CopyUse::Image, image);
	wake(use, woken);
	if (live_.fetch_sub(1, Order::Release) == 1)
		drained_.wake_all();
}

void DiffArea::wake(CopyUse use, BioList &bios)
{
	if (bios.empty())
		return;
	if (use == CopyUse::Origin)
		tracker_.disk().release(bios);
	else
		image_->requeue(bios);
}

Result<void> DiffArea::commit(Copy &copy, u32 from, u32 blocks, u32 unit)
{
	if (!spares_.refill(kSpareInserts, Gfp::NoWait).ok())
		TRY(spares_.refill(1, Gfp::NoIo));
	state_.with(
		[&](State &state) { state.map.insert(copy.first + from, blocks, unit, spares_); });
	return {};
}

void DiffArea::finish(Copy &copy)
{
	note_progress();
	state_.with([&](State &state) {
		copy.in_store = false;
		state.in_store--;
		if (copy.pins == 0)
			retire(state, copy);
	});
}

void DiffArea::unpin(Copy &copy)
{
	state_.with([&](State &state) {
		copy.pins--;
		if (copy.pins == 0 && !copy.in_store)
			retire(state, copy);
	});
}

// --- the image -------------------------------------------------------------------------------

DiffArea::Whole DiffArea::locate_whole(SectorRange range)
{
	// Before the look: what is preserved after it was read raises the epoch.
	const u32 epoch = epoch_.load(Order::Acquire);
	const u64 block = first_block(range);
	const u64 blocks = end_block(range) - block;

	return state_.with([=](State &state) -> Whole {
		const auto hole = state.excluded.lookup(range.first, range.count);
		if (hole.excluded || hole.sectors < range.count)
			return {};
		if (state.copies.find(block) || state.copies.gap(block, blocks) < blocks)
			return {};
		const auto run = state.map.lookup(block, blocks);
		if (run.blocks < blocks)
			return {};
		return {run.mapped() ? Whole::Kind::Store : Whole::Kind::Origin, run.unit(), epoch};
	});
}

DiffArea::Source DiffArea::locate(SectorRange range)
{
	const u32 epoch = epoch_.load(Order::Acquire); // as above
	Source source = state_.with([&](State &state) { return find_source(state, range); });
	source.epoch = epoch;
	return source;
}

DiffArea::Source DiffArea::find_source(State &state, SectorRange range)
{
	const auto hole = state.excluded.lookup(range.first, range.count);
	if (hole.excluded)
		return {Source::Kind::Zero, static_cast<u32>(hole.sectors)};
	range.count = hole.sectors;
	const u64 block = first_block(range);
	const u32 within = range.first % kSectorsPerBlock;
	const auto sectors_of = [&](u64 blocks) {
		return static_cast<u32>(min(range.count, blocks * kSectorsPerBlock - within));
	};
	Copy *copy = state.copies.find(block);
	// A copy that is stored and only waits for its last reader takes no new ones: they could keep it
	// for ever. It is in the map.
	if (copy && (copy->state != Copy::State::Buffered || copy->in_store)) {
		if (copy->state != Copy::State::Buffered)
			return {Source::Kind::Origin, sectors_of(copy->end() - block)};
		copy->pins++;
		return {.kind = Source::Kind::Memory,
			.sectors = sectors_of(1),
			.copy = copy,
			.memory = copy->pages[block - copy->first],
			.sector_in_block = within};
	}
	const auto run = state.map.lookup(block, end_block(range) - block);
	const u64 blocks = state.copies.gap(block, run.blocks);
	if (!run.mapped())
		return {Source::Kind::Origin, sectors_of(blocks)};
	return {.kind = Source::Kind::Store,
		.sectors = sectors_of(blocks),
		.unit = run.unit(),
		.sector_in_block = within};
}

bool DiffArea::is_still_at_origin(SectorRange range, u32 epoch)
{
	if (unchanged_since(epoch))
		return true;
	return state_.with([&](State &state) {
		const u64 end = end_block(range);
		const auto hole = state.excluded.lookup(range.first, range.count);

		// A store was put there meanwhile.
		if (hole.excluded)
			COVERAGE_MARK("diff_area: a store was put where an image read was");
		if (hole.excluded || hole.sectors < range.count)
			return false;
		for (u64 block = first_block(range); block < end;) {
			if (Copy *copy = state.copies.find(block)) {
				if (copy->state == Copy::State::Buffered)
					return false;
				block = copy->end();
				continue;
			}
			const auto run = state.map.lookup(block, end - block);
			if (run.mapped())
				return false;
			block += state.copies.gap(block, run.blocks);
		}
		return true;
	});
}

DiffArea::ImageWrite DiffArea::prepare_image_write(bio *bio, SectorRange range)
{
	const u64 end = end_block(range);
	u64 block = first_block(range);

	while (block < end) {
		Scan scan;
		bool started = false;
		const auto result = state_.with([&](State &state) {
			const auto hole = state.excluded.lookup(range.first, range.count);
			if (state.closed || hole.excluded || hole.sectors < range.count)
				return ImageWrite::Failed;
			start_copies(state, scan, block, end, CopyUse::Image);
			started = !scan.started.empty();
			state.to_read.splice_back(scan.started);
			Copy *copy = first_copy(state, block, scan.next);
			if (copy)
				state.waiters.add(*copy, CopyUse::Image, bio);
			else if (scan.starved)
				state.image_budget.wait(bio);
			return copy || scan.starved ? ImageWrite::Parked : ImageWrite::Ready;
		});
		if (started)
			shim_work_queue(work_);
		if (result == ImageWrite::Parked)
			storage_.flush();
		if (result != ImageWrite::Ready)
			return result;
		block = scan.next;
	}
	return ImageWrite::Ready;
}

Copy *DiffArea::first_copy(State &state, u64 block, u64 end)
{
	while (block < end) {
		if (Copy *copy = state.copies.find(block))
			return copy;
		block += state.copies.gap(block, end - block);
	}
	return nullptr;
}

} // namespace blksnap
