// SPDX-License-Identifier: GPL-2.0
//
// Storage places: where the units of a diff storage stand, for readers that take no lock.
//
// Runs of units that are contiguous on a device, in order of units; a reader searches them by halves. They
// are appended in place. A full table is replaced by one of at least twice the size and kept until the
// storage goes: who has found it may go on reading, and all that are kept are smaller than the last.
#pragma once

#include <blksnap/base/atomic.hpp>
#include <blksnap/core/storage_ranges.hpp>

namespace blksnap
{

class StoragePlaces final
{
public:
	struct Place {
		shim_bdev *bdev;
		u64 sector; // relative to the device
		u32 units;  // contiguous from there
	};
	struct Run {
		u32 first_unit;
		u32 units;
		u64 sector;
		shim_bdev *bdev;
	};
	// For runs about to be appended: a larger table, if one is needed.
	using Room = Vector<Run>;

	StoragePlaces() = default;
	StoragePlaces(const StoragePlaces &) = delete;
	StoragePlaces &operator=(const StoragePlaces &) = delete;

	// Room for `more` runs; append() must follow before the next call, or nothing. Context: process,
	// one caller of this and append() at a time.
	Result<Room> make_room(u32 more);
	// Adds the units of all ranges of the batch. Must come before anybody learns of these units.
	// Cannot fail.
	void append(Room &room, const StorageRanges::Batch &batch);

	// Where a unit stands that was appended. Context: any.
	Place locate(u32 unit) const
	{
		// In this order: a table is at least as new as its count.
		const u32 count = count_.load(Order::Acquire);
		const Run *runs = runs_.load(Order::Acquire);
		ASSERT(count > 0);
		u32 low = 0;
		for (u32 high = count; high - low > 1;) {
			const u32 middle = low + (high - low) / 2;
			(runs[middle].first_unit <= unit ? low : high) = middle;
		}
		const Run &run = runs[low];
		const u32 skipped = unit - run.first_unit;
		ASSERT(skipped < run.units);
		return {run.bdev, run.sector + u64{skipped} * StorageRanges::kUnitSectors,
			run.units - skipped};
	}

private:
	Atomic<const Run *> runs_;
	Atomic<u32> count_;
	Vector<Run> table_;
	Vector<Vector<Run>> old_;
};

} // namespace blksnap
