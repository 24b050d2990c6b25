// SPDX-License-Identifier: GPL-2.0
//
// ExcludedRanges: sectors of an original device on which a diff storage lies.
//
// What a store writes there cannot be kept out of the device, so those sectors have no frozen
// content: the image shows zeroes there, constantly, and nothing is copied for them. Sorted and
// disjoint. Externally locked; growth is prepared outside of the lock and swapped in.
#pragma once

#include <blksnap/core/sector_range.hpp>

namespace blksnap
{

class ExcludedRanges
{
public:
	struct Run {
		bool excluded;
		u64 sectors; // how far this holds, at most what was asked for
	};

	// What both cover. Context: process.
	static Result<ExcludedRanges> join(const ExcludedRanges &known,
					   const Vector<SectorRange> &more)
	{
		ExcludedRanges joined;
		TRY(joined.ranges_.reserve(known.ranges_.size() + more.size()));
		for (const SectorRange &range : known.ranges_)
			joined.ranges_.push_reserved(range);
		for (const SectorRange &range : more)
			joined.ranges_.push_reserved(range);
		merge(joined.ranges_);
		return joined;
	}

	bool empty() const { return ranges_.empty(); }

	Run lookup(u64 sector, u64 limit) const
	{
		// Nearly always: stores lie elsewhere.
		if (ranges_.empty()) [[likely]]
			return {false, limit};
		u32 low = 0;
		u32 high = ranges_.size();

		while (low < high) { // the first that ends behind the sector
			const u32 middle = low + (high - low) / 2;
			if (ranges_[middle].end() <= sector)
				low = middle + 1;
			else
				high = middle;
		}
		if (low == ranges_.size())
			return {false, limit};
		const SectorRange &range = ranges_[low];
		if (range.first <= sector)
			return {true, min(limit, range.end() - sector)};
		return {false, min(limit, range.first - sector)};
	}
	void swap(ExcludedRanges &other) { ranges_.swap(other.ranges_); }

private:
	Vector<SectorRange> ranges_;
};

} // namespace blksnap
