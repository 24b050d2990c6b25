// SPDX-License-Identifier: GPL-2.0
//
// Diff storage: where the copies of all devices of one snapshot are kept.
//
// Copies come in any order and are appended in sequence: random writes at the origins become
// sequential writes here. They are gathered for a moment and written in batches of up to 1 MiB by
// one worker. Places are never reused while the snapshot lives.
//
// The worker takes nothing from a bio and waits for nobody who waits for it: batches are allocated
// with the storage, and nodes for the chunk map come without I/O.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/core/copy.hpp>
#include <blksnap/core/event_queue.hpp>
#include <blksnap/core/storage_places.hpp>
#include <blksnap/port/work.h>

namespace blksnap
{

class DiffStorage;

// One write to the store: parts of copies that stand in a row there.
struct StoreBatch final : IoOwner {
	static constexpr u32 kPages = SHIM_IO_MAX_PAGES;

	struct Part {
		Copy *copy;
		u32 from; // blocks of the copy
		u32 blocks;
		u32 unit;
	};

	explicit StoreBatch(DiffStorage &owner) : IoOwner(IoKind::StoreWrite), storage(owner) {}

	DiffStorage &storage;
	ListHook idle_hook;
	StoragePlaces::Place place;
	u32 parts_count = 0;
	u32 pages = 0;
	Part parts[kPages];
};

class DiffStorage final
{
public:
	struct GivenRange {
		u64 sector;
		u64 sectors;
	};
	// What is about to be appended.
	struct Portion {
		shim_bdev *bdev;
		StorageRanges::Batch batch;
		StoragePlaces::Room places;
	};

	// `portion_sectors`: what is asked for when space runs low. Context: process.
	static Result<Own<DiffStorage>> create(EventQueue &events, u64 portion_sectors);
	DiffStorage(const DiffStorage &) = delete;
	DiffStorage &operator=(const DiffStorage &) = delete;
	// Needs: no copy of any area is left, drain().
	~DiffStorage();

	// --- control: serialised by the snapshot ----------------------------------------------
	// Checks ranges of `bdev` and makes room for them; nothing is added yet. Context: process.
	Result<Portion> prepare(shim_bdev *bdev, const shim_bdev_info &info,
				const Vector<GivenRange> &ranges);
	// Adds what was prepared last, and takes over its device. Cannot fail. Context: process.
	void append(Portion &portion);
	bool empty() const { return total_units_.load(Order::Relaxed) == 0; }
	// Calls body(first sector, sectors) for what of this disk's range was given as storage,
	// in sectors of the disk.
	template <class F>
	Result<void> for_each_overlap(u64 disk_key, u64 sector, u64 sectors, F &&body);
	const Vector<shim_bdev *> &devices() const { return bdevs_; }

	// --- copies. Context: any ---------------------------------------------------------------
	// Takes over buffered copies; each comes back by DiffArea::finish(). `hurry`: somebody waits
	// for their pages or for them to be stored.
	void push(CopyQueue &copies, bool hurry);
	// Somebody waits: do not gather.
	void flush() { shim_work_queue(work_); }
	u32 progress() const { return progress_.load(Order::Relaxed); }

	// Where a unit stands, and how many follow it there. Context: any.
	StoragePlaces::Place locate(u32 unit) const { return places_.locate(unit); }

	// After the last copy: waits until the last write has left. Context: process.
	void drain();

	void run_store();				   // the worker
	void on_store_write(StoreBatch &batch, int error); // Context: any

private:
	static constexpr u32 kBatches = 4;
	static constexpr u32 kGatherPages = 128;
	static constexpr u32 kGatherMs = 20;
	// Copies that are dropped at once: interrupts are off meanwhile.
	static constexpr u32 kDropped = 128;

	struct State {
		StorageRanges ranges;
		CopyQueue queue;
		u32 queued_pages = 0;
		u32 next_unit = 0;
		bool asked = false;	// for more space, since the last append
		u32 low_mark_units = 1; // ask when less than this is free: half of the last portion
		IntrusiveList<StoreBatch, &StoreBatch::idle_hook> idle;
	};
	enum class Fill { Nothing, Batch, NoSpace, Dropped };

	DiffStorage(EventQueue &events, u64 portion_sectors)
		: events_(Ref<EventQueue>(events)), portion_sectors_(portion_sectors)
	{
	}
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	Fill fill_batch(State &state, StoreBatch &batch, CopyQueue &dropped);
	void add_part(State &state, StoreBatch &batch, Copy &copy, u32 blocks);
	void fail_without_space();
	void write_batch(StoreBatch &batch);
	void commit_parts(StoreBatch &batch);
	void ask_for_space();
	static void finish_all(CopyQueue &copies);

	Ref<EventQueue> events_;
	const u64 portion_sectors_;
	StoragePlaces places_;
	Vector<shim_bdev *> bdevs_; // those of places_; control only
	Atomic<u32> total_units_;
	Atomic<u32> progress_;
	Atomic<u32> busy_; // batches being written
	Guarded<State, LockRank::Storage> state_{"blksnap storage"};
	WaitQueue idle_{"blksnap store writes"};
	shim_work *work_ = nullptr;
};

template <class F>
Result<void> DiffStorage::for_each_overlap(u64 disk_key, u64 sector, u64 sectors, F &&body)
{
	const u64 end = sector + sectors;

	while (sector < end) {
		const auto span = state_.with([&](State &state) {
			return state.ranges.first_overlap(disk_key, sector, end - sector);
		});
		if (!span.sectors)
			return {};
		TRY(body(span.sector, span.sectors));
		sector = span.sector + span.sectors;
	}
	return {};
}

} // namespace blksnap
