// SPDX-License-Identifier: GPL-2.0
//
// Storage ranges: checking, sorting and finding the sectors of a diff storage.
//
// Two tables of the same ranges: in order of appending, and by place on their disks, where overlaps are
// found by halves.
#include <blksnap/core/storage_ranges.hpp>
#include <blksnap/base/sort.hpp>

namespace blksnap
{

namespace
{

using Range = StorageRanges::Range;

bool lies_before(const Range &a, const Range &b)
{
	if (a.disk_key != b.disk_key)
		return a.disk_key < b.disk_key;
	return a.absolute_sector < b.absolute_sector;
}

void sort_by_place(const Vector<Range> &ranges, Vector<u32> &order)
{
	heap_sort(order.begin(), order.size(),
		  [&](u32 a, u32 b) { return lies_before(ranges[a], ranges[b]); });
}

// Trims inwards to whole units that whole blocks of the device hold. Return: how many there are.
u64 cut_units(const StorageRanges::Device &device, u64 sector, u64 sectors, u64 &unit_sector)
{
	const u64 grain = max(StorageRanges::kUnitBytes, device.block_bytes) / kSectorBytes;
	const u64 trimmed = (grain - sector % grain) % grain;
	if (sectors <= trimmed)
		return 0;
	unit_sector = sector + trimmed;
	return (sectors - trimmed) / grain * (grain / StorageRanges::kUnitSectors);
}

} // namespace

Result<StorageRanges::Batch> StorageRanges::Batch::create(const StorageRanges &ranges, u32 expected)
{
	const u64 capacity = u64{ranges.size()} + expected;
	if (capacity > ~u32{0} / sizeof(Range))
		return Errno::NoMem;
	Batch batch;
	if (capacity > 0) {
		TRY(batch.ranges_.reserve(static_cast<u32>(capacity)));
		TRY(batch.by_place_.reserve(static_cast<u32>(capacity)));
	}
	for (const Range &range : ranges)
		batch.ranges_.push_reserved(range);
	batch.base_ranges_ = ranges.size();
	batch.base_units_ = batch.total_units_ = ranges.total_units();
	return batch;
}

Result<void> StorageRanges::Batch::add(const Device &device, u64 sector, u64 sectors)
{
	ASSERT(!sealed_);
	ASSERT(device.block_bytes != 0 && (device.block_bytes & (device.block_bytes - 1)) == 0);
	if (sectors == 0 || sector >= device.sectors || sectors > device.sectors - sector)
		return Errno::Inval;
	if (device.start_sector + sector + sectors < device.start_sector)
		return Errno::Inval;

	Range range;
	range.bdev = device.bdev;
	range.first_unit = total_units_;
	range.disk_key = device.disk_key;
	range.absolute_sector = device.start_sector + sector;
	range.sectors = sectors;
	const u64 units = cut_units(device, sector, sectors, range.unit_sector);
	if (units > ~u32{0} - total_units_ || ranges_.size() == kMostRanges)
		return Errno::Inval;
	range.units = static_cast<u32>(units);
	TRY(ranges_.push_back(range));
	total_units_ += range.units;
	return {};
}

Result<void> StorageRanges::Batch::seal()
{
	ASSERT(!sealed_);
	by_place_.clear();
	if (!ranges_.empty())
		TRY(by_place_.reserve(ranges_.size()));
	for (u32 i = 0; i < ranges_.size(); i++)
		by_place_.push_reserved(i);
	sort_by_place(ranges_, by_place_);
	for (u32 i = 1; i < by_place_.size(); i++) {
		const Range &before = ranges_[by_place_[i - 1]];
		const Range &range = ranges_[by_place_[i]];
		if (before.disk_key == range.disk_key &&
		    before.absolute_sector + before.sectors > range.absolute_sector)
			return Errno::Inval;
	}
	sealed_ = true;
	return {};
}

void StorageRanges::commit(Batch &batch)
{
	ASSERT(batch.sealed_ && batch.base_units_ == total_units_);
	ASSERT(batch.base_ranges_ == ranges_.size());
	ranges_.swap(batch.ranges_);
	by_place_.swap(batch.by_place_);
	total_units_ = batch.total_units_;
	batch.sealed_ = false;
}

StorageRanges::Span StorageRanges::first_overlap(u64 disk_key, u64 sector, u64 sectors) const
{
	ASSERT(sector + sectors >= sector);
	// The first range that ends behind `sector`: ranges of a disk do not overlap.
	u32 low = 0;
	for (u32 high = by_place_.size(); low < high;) {
		const u32 middle = low + (high - low) / 2;
		const Range &range = ranges_[by_place_[middle]];
		const bool before = range.disk_key != disk_key
					    ? range.disk_key < disk_key
					    : range.absolute_sector + range.sectors <= sector;
		(before ? low : high) = before ? middle + 1 : middle;
	}
	if (low == by_place_.size())
		return {};
	const Range &range = ranges_[by_place_[low]];
	const u64 first = max(range.absolute_sector, sector);
	const u64 last = min(range.absolute_sector + range.sectors, sector + sectors);
	if (range.disk_key != disk_key || first >= last)
		return {};
	return {first, last - first};
}

} // namespace blksnap
