// SPDX-License-Identifier: GPL-2.0
//
// ExcludedRanges: sectors of an original device on which a diff storage lies.
//
// What a store writes there cannot be kept out of the device, so those sectors have no frozen
// content: the image shows zeroes there, constantly, and nothing is copied for them. Externally
// locked; growth is prepared outside of the lock.
#pragma once

#include <blksnap/base/vector.hpp>
#include <blksnap/core/tracker.hpp>

namespace blksnap
{

class ExcludedRanges
{
public:
	struct Run {
		bool excluded;
		u64 sectors; // how far this holds, at most what was asked for
	};

	bool empty() const { return ranges_.empty(); }
	u32 size() const { return ranges_.size(); }

	Run lookup(u64 sector, u64 limit) const
	{
		Run run{false, limit};
		for (const SectorRange &range : ranges_) {
			if (sector >= range.first && sector < range.end())
				return {true, min(limit, range.end() - sector)};
			if (range.first > sector)
				run.sectors = min(run.sectors, range.first - sector);
		}
		return run;
	}
	Result<void> reserve(u32 count) { return ranges_.reserve(count); }
	// Need room from reserve().
	void push_reserved(SectorRange range) { ranges_.push_reserved(range); }
	void copy_from(const ExcludedRanges &other)
	{
		for (const SectorRange &range : other.ranges_)
			ranges_.push_reserved(range);
	}
	void swap(ExcludedRanges &other) { ranges_.swap(other.ranges_); }

private:
	Vector<SectorRange> ranges_;
};

} // namespace blksnap
