// SPDX-License-Identifier: GPL-2.0
//
// Diff area: the old content of one device's blocks, and the machine that puts it there.
//
// A block is Untouched, or covered by a Copy (see copy.hpp), or Stored: in the chunk map. It only
// goes that way, and a stored block's place in the store is never used for another: that is why a
// read from the store needs no second look, and why a read from the origin is right if the block
// is still Untouched (or being read) when it completes.
//
// Whatever fails costs the image, never the origin: fail() publishes the failure first and
// releases the parked bios after, and from then on every block counts as preserved.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/core/chunk_map.hpp>
#include <blksnap/core/copy_budget.hpp>
#include <blksnap/core/copy_table.hpp>
#include <blksnap/core/copy_waiters.hpp>
#include <blksnap/core/event_queue.hpp>
#include <blksnap/core/excluded_ranges.hpp>
#include <blksnap/core/preserved_cache.hpp>
#include <blksnap/core/tracker.hpp>
#include <blksnap/port/work.h>

namespace blksnap
{

class DiffStorage;
class Image;

class DiffArea final
{
public:
	struct Limits {
		u32 reserve_pages;
		u32 limit_pages;
		u32 timeout_ms;
	};
	// Neither: the content of all blocks is safe, or the image is lost.
	struct Preserve {
		bool parked = false;
		Copy *claimed = nullptr; // not parked: the caller is to read this and to ask again
	};

	// Where a run of an image's sectors is to be read. For Memory, `copy` is pinned.
	struct Source {
		enum class Kind { Zero, Memory, Store, Origin } kind;
		u32 sectors;
		Copy *copy = nullptr;
		page *memory = nullptr;
		u32 unit = 0;		 // of the store
		u32 sector_in_block = 0; // of the memory, of the unit
		u32 epoch = 0;		 // for is_still_at_origin()

		// What no I/O is needed for.
		bool at_hand() const { return kind == Kind::Zero || kind == Kind::Memory; }
	};
	// Where a read of an image can go as it is: to the same sectors of the origin, or to the store
	// from this unit on. No: it needs locate().
	struct Whole {
		enum class Kind { No, Origin, Store } kind = Kind::No;
		u32 unit = 0;
		u32 epoch = 0; // for is_still_at_origin()
	};
	enum class ImageWrite { Ready, Parked, Failed };

	// `origin` is the tracker's device, open until the area is destroyed. Context: process.
	static Result<Own<DiffArea>> create(Tracker &tracker, shim_bdev *origin,
					    DiffStorage &storage, EventQueue &events,
					    const Limits &limits);
	DiffArea(const DiffArea &) = delete;
	DiffArea &operator=(const DiffArea &) = delete;
	~DiffArea();

	// --- origin writes. Context: atomic --------------------------------------------------
	// Says no in doubt. Looks at nothing that others write often.
	bool surely_preserved(SectorRange range) const
	{
		return known_.knows(first_block(range), end_block(range)) || failed();
	}
	// Begins copies of the blocks that have none. Parked: the bio is held, and goes to the disk's
	// release worker when it may look again. `may_read`: the caller can read copies, if
	// shim_submitter_may_read() agrees.
	Preserve preserve(bio *bio, SectorRange range, bool may_read);
	bool is_preserved(SectorRange range);
	// One that was woken because there are pages comes no further: another one may.
	void pass_on();

	// --- the image -----------------------------------------------------------------------
	// Context: process.
	Whole locate_whole(SectorRange range);
	Source locate(SectorRange range);
	void unpin(Copy &copy);
	// Whether nothing was preserved since. `epoch` is that of a Source or Whole. Context: any.
	bool unchanged_since(u32 epoch) const
	{
		// Who changed a block was let go after the epoch was raised. It wraps after 2^32 copies,
		// during which no read is on its way.
		return epoch_.load(Order::Acquire) == epoch;
	}
	// Whether what was read from the origin is what stood there at the cut. Context: any.
	bool is_still_at_origin(SectorRange range, u32 epoch);
	// Ready: all blocks are stored and can be overwritten in the store. Parked: the bio comes
	// back to the image when there is something new. Context: process.
	ImageWrite prepare_image_write(bio *bio, SectorRange range);
	// The image is lost or has ended. Context: any.
	bool failed() const { return failure_.load(Order::Acquire) != 0; }

	// --- life ----------------------------------------------------------------------------
	void set_image(Image *image) { image_ = image; }
	shim_bdev *origin() const { return origin_; }
	const Uuid &snapshot() const { return events_->snapshot(); }
	Tracker &tracker() const { return tracker_; }
	// The image is lost, for `why`. Only the first reason counts. Context: any.
	void fail(Errno why);
	// The snapshot ends: as a failure, but without event and log. Context: any.
	void end();
	// After end() and a grace period: waits until no copy is left. Context: process.
	void drain();
	// The watchdog: parked bios and no progress since the last call. Context: process.
	void tick(u32 elapsed_ms);
	// Store ranges on this device: its image shows zeroes there. Calls are serialised by the
	// caller. Context: process.
	Result<void> exclude(const Vector<SectorRange> &ranges);

	// --- for the storage. Context: process (commit), any (the others) ---------------------
	// Blocks [from, from + blocks) of the copy will stand at `unit` of the store.
	Result<void> commit(Copy &copy, u32 from, u32 blocks, u32 unit);
	// The copy is no longer referred to by the storage: stored, or dropped after a failure.
	void finish(Copy &copy);
	void note_progress() { progress_.fetch_add(1, Order::Relaxed); }

	// --- own reads ------------------------------------------------------------------------
	void run_copy();			  // the worker
	static void read_claimed(Copy &claimed);  // Context: process
	void on_copy_read(Copy &copy, int error); // Context: any

private:
	static constexpr u32 kImageReservePages = 8;
	static constexpr u32 kImageLimitPages = 64;
	// How far one slice of a walk looks, and begins copies: interrupts are off meanwhile.
	static constexpr u32 kWalkLookups = 128;
	static constexpr u64 kWalkBlocks = 512;
	// Of how many copies the waiters are released at once, for the same reason.
	static constexpr u32 kReleasedCopies = 64;
	// Extents that can be mapped without memory, at least: who frees memory may be waiting for it. Far
	// more than that are, as most need no node: a page of 4 nodes for some hundred copies.
	static constexpr u32 kSpareInserts = 8;
	static constexpr int kEnded = -1; // failure_ is this, or a positive errno

	struct State {
		ChunkMap map;
		CopyTable copies;
		CopyWaiters waiters;
		u32 in_store = 0; // copies of which that is true
		CopyBudget origin_budget;
		CopyBudget image_budget;
		ExcludedRanges excluded;
		CopyQueue to_read;
		bool closed = false; // failed or ended: nothing new begins, nobody parks
	};
	struct Scan {
		Copy *wait_for = nullptr;
		bool starved = false;
		CopyQueue started; // begun by this walk, to be read by somebody
		u64 next = 0;	   // block where the slice ended
	};

	// What a counter was when the watchdog looked last.
	struct Seen {
		u32 value = 0;
		bool moved(u32 now) { return std::exchange(value, now) != now; }
	};

	DiffArea(Tracker &tracker, shim_bdev *origin, DiffStorage &storage, EventQueue &events,
		 const Limits &limits);
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	static u64 first_block(SectorRange range) { return range.first / kSectorsPerBlock; }
	static u64 end_block(SectorRange range)
	{
		return (range.end() + kSectorsPerBlock - 1) / kSectorsPerBlock;
	}
	Preserve preserve_slice(bio *bio, Scan &scan, u64 block, u64 end, bool may_read);
	static void park(State &state, bio *bio, Scan &scan);
	void start_copies(State &state, Scan &scan, u64 block, u64 end, CopyUse use);
	void walk(State &state, Scan &scan, u64 block, u64 end, CopyUse use);
	static Copy *claim(CopyQueue &copies, shim_may_read how);
	static u64 preserved_blocks(State &state, u64 block, u64 end);
	static Source find_source(State &state, SectorRange range);
	static Copy *first_copy(State &state, u64 block, u64 end);
	Copy *start_copy(State &state, u64 first, u64 blocks, CopyUse use);
	static CopyBudget &budget(State &state, CopyUse use);
	void wake(CopyUse use, BioList &bios);
	Copy *next_read(State &state, u32 &pages);
	bool submit_read(Copy &head, u32 pages, bool by_worker);
	void leave_to_worker(Copy &copy);
	Result<void> fill_pools();
	bool close(int failure);
	bool release_some();
	void retire(State &state, Copy &copy);

	Tracker &tracker_;
	shim_bdev *origin_;
	DiffStorage &storage_;
	Ref<EventQueue> events_;
	const Limits limits_;
	Image *image_ = nullptr;
	PreservedCache known_; // added to under the state lock
	Guarded<State, LockRank::Area> state_{"blksnap area"};
	Atomic<int> failure_;
	Atomic<u32> epoch_; // raised before a write of the origin may change preserved blocks
	Atomic<u32> live_;  // copies that exist
	Atomic<u32> progress_;
	Seen progress_seen_;
	Seen store_progress_seen_;
	u32 stalled_ms_ = 0;
	ChunkMap::Spares spares_; // used by the store worker only
	WaitQueue drained_{"blksnap copies"};
	shim_work *work_ = nullptr;
};

} // namespace blksnap
