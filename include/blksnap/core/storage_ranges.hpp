// SPDX-License-Identifier: GPL-2.0
//
// Storage ranges: the sectors given to a snapshot for its diff storage, seen as one row of units.
//
// A unit is 4096 bytes. Units are numbered from 0 in the order in which ranges were appended, so
// a number never changes its place. Appending is all or nothing and has two phases: a Batch checks
// and builds a new table outside of the lock, commit() puts it in place in constant time.
#pragma once

#include <blksnap/base/vector.hpp>
#include <blksnap/port/bdev.h>

namespace blksnap
{

class StorageRanges
{
public:
	static constexpr u32 kUnitBytes = 4096;
	static constexpr u32 kUnitSectors = 8;
	// Of a snapshot, in all calls: what programs can make the kernel remember has an end.
	static constexpr u32 kMostRanges = 1024 * 1024;

	// The device that ranges are given on. Partitions of one disk share `disk_key`; `start_sector`
	// is where the device begins on that disk.
	struct Device {
		shim_bdev *bdev = nullptr; // only handed through
		u64 disk_key = 0;
		u64 start_sector = 0;
		u64 sectors = 0;
		u32 block_bytes = 0; // logical block, a power of two
	};
	// One range as given, and the units that could be cut from it (0: too small to be used).
	struct Range {
		shim_bdev *bdev = nullptr;
		u32 first_unit = 0;
		u32 units = 0;
		u64 unit_sector = 0; // of the first unit, relative to the device
		u64 disk_key = 0;
		u64 absolute_sector = 0; // as given, relative to the disk
		u64 sectors = 0;	 // as given
	};
	struct Span {
		u64 sector = 0;
		u64 sectors = 0;
	};

	// Ranges on their way in. `ranges` must not change between create() and commit().
	// Context: process.
	class Batch
	{
	public:
		static Result<Batch> create(const StorageRanges &ranges, u32 expected);

		// EINVAL: empty, outside of the device, wraps, or too many units or ranges in all. Too
		// small a range is accepted and yields no unit. ENOMEM: more than expected and no memory.
		Result<void> add(const Device &device, u64 sector, u64 sectors);
		// After the last add(): EINVAL if any range overlaps another of the same disk.
		Result<void> seal();
		// Units that commit() will add.
		u32 added_units() const { return total_units_ - base_units_; }
		// Calls body(range) for all that were added, in order.
		template <class F> void for_each_added(F &&body) const
		{
			for (u32 i = base_ranges_; i < ranges_.size(); i++)
				body(ranges_[i]);
		}

	private:
		friend class StorageRanges;

		Vector<Range> ranges_;
		Vector<u32> by_place_; // indices of ranges_, sorted by disk and sector
		u32 base_ranges_ = 0;
		u32 base_units_ = 0;
		u32 total_units_ = 0;
		bool sealed_ = false;
	};

	StorageRanges() = default;
	StorageRanges(const StorageRanges &) = delete;
	StorageRanges &operator=(const StorageRanges &) = delete;

	// Puts a sealed batch in place; the batch then holds the old table, to be freed outside of
	// the lock. Cannot fail. Context: any, under the caller's lock.
	void commit(Batch &batch);

	u32 total_units() const { return total_units_; }

	// The first part of [sector, sector + sectors) of the disk, in sectors of the disk, that was
	// given as storage; `sectors` 0: none. Context: any, under the caller's lock.
	Span first_overlap(u64 disk_key, u64 sector, u64 sectors) const;
	bool overlaps(u64 disk_key, u64 sector, u64 sectors) const
	{
		return first_overlap(disk_key, sector, sectors).sectors != 0;
	}

	// In order of appending.
	u32 size() const { return ranges_.size(); }
	const Range *begin() const { return ranges_.begin(); }
	const Range *end() const { return ranges_.end(); }

private:
	Vector<Range> ranges_;
	Vector<u32> by_place_;
	u32 total_units_ = 0;
};

} // namespace blksnap
