// SPDX-License-Identifier: GPL-2.0
//
// Diff area: how it is lost, how it ends, and the watchdog of its copies.
#include <blksnap/core/diff_area.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_storage.hpp>
#include <blksnap/core/disk.hpp>
#include <blksnap/core/image.hpp>

namespace blksnap
{

namespace
{

// For the log: Documentation/troubleshooting.rst says what to do about each.
const char *words_for(Errno why)
{
	switch (why) {
	case Errno::NoSpc:
		return "the diff storage is full";
	case Errno::Io:
		return "reading the device or writing the diff storage failed";
	case Errno::NoMem:
		return "there was no memory for a copy";
	case Errno::TimedOut:
		return "copies made no progress within cow_timeout_ms";
	case Errno::NoDev:
		return "the device changed or is gone";
	default:
		return "a copy failed";
	}
}

} // namespace

void DiffArea::fail(Errno why)
{
	const bool first = close(to_int(why));

	if (!first)
		return;
	shim_log(
		SHIM_LOG_ERROR,
		"snapshot %s: the image of %s is lost: %s (error %d); the device itself is not affected",
		events_->snapshot().text().characters, tracker_.info().name, words_for(why),
		to_int(why));
	events_->post_corrupted(tracker_.info().major, tracker_.info().minor, why);
}

void DiffArea::end()
{
	(void)close(kEnded);
}

// Publishes the state first, releases the bios after: a write that goes on cannot meet a reader
// who still believes the image. Once it is closed nobody parks, so there is an end to those who wait, also
// if others find it closed meanwhile and release some. Return: whether it was open.
bool DiffArea::close(int failure)
{
	BioList origin;
	BioList image;
	const bool was_open = state_.with([&](State &state) {
		if (state.closed)
			return false;
		state.closed = true;
		failure_.store(failure, Order::Release);
		state.origin_budget.wake_all(origin);
		state.image_budget.wake_all(image);
		wake(CopyUse::Origin, origin);
		wake(CopyUse::Image, image);
		return true;
	});
	while (release_some())
		COVERAGE_MARK("diff_area: many wait for copies of an image that is lost");
	if (was_open) {
		shim_work_queue(work_);
		storage_.flush();
	}
	return was_open;
}

// Return: whether somebody still waits.
bool DiffArea::release_some()
{
	BioList origin;
	BioList image;

	return state_.with([&](State &state) {
		const bool more = state.waiters.take_some(kReleasedCopies, origin, image);
		wake(CopyUse::Origin, origin);
		wake(CopyUse::Image, image);
		return more;
	});
}

void DiffArea::drain()
{
	shim_work_queue(work_);
	storage_.flush();
	drained_.wait([&] { return live_.load(Order::Acquire) == 0; }, 0, false);
	// Who brought it to zero woke us under the lock: it has left when we get through.
	state_.with([](State &) {});
}

void DiffArea::tick(u32 elapsed_ms)
{
	bool waiting = false;
	bool storing = false;
	state_.with([&](State &state) {
		waiting = state.origin_budget.has_waiters() || state.waiters.any(CopyUse::Origin);
		storing = state.in_store;
	});
	// The storage serves other devices, too: that it moves tells something only if it has copies of this one,
	// which may stand behind those of others.
	const bool own_moved = progress_seen_.moved(progress_.load(Order::Relaxed));
	const bool store_moved = store_progress_seen_.moved(storage_.progress());
	if (!waiting || own_moved || (storing && store_moved)) {
		stalled_ms_ = 0;
		return;
	}
	stalled_ms_ += elapsed_ms;
	if (stalled_ms_ < limits_.timeout_ms)
		return;
	COVERAGE_MARK("diff_area: nothing moved for too long");
	shim_log(SHIM_LOG_DEBUG, "%s: writes wait for copies, and nothing moved for %u ms",
		 tracker_.info().name, stalled_ms_);
	fail(Errno::TimedOut);
}

Result<void> DiffArea::exclude(const Vector<SectorRange> &ranges)
{
	if (ranges.empty())
		return {};
	auto joined = TRY(state_.with_unshared(
		[&](State &state) { return ExcludedRanges::join(state.excluded, ranges); }));
	state_.with([&](State &state) {
		state.excluded.swap(joined);
		epoch_.fetch_add(1, Order::Release);
	});
	return {};
}

Result<void> DiffArea::fill_pools()
{
	TRY(spares_.refill(kSpareInserts, Gfp::Kernel));
	return state_.with_unshared([&](State &state) -> Result<void> {
		TRY(state.copies.init(max(limits_.limit_pages, limits_.reserve_pages)));
		TRY(state.origin_budget.fill(*this, CopyUse::Origin, limits_.reserve_pages,
					     limits_.limit_pages));
		return state.image_budget.fill(*this, CopyUse::Image, kImageReservePages,
					       kImageLimitPages);
	});
}

} // namespace blksnap
