// SPDX-License-Identifier: GPL-2.0
#pragma once

#include <blksnap/base/sort.hpp>
#include <blksnap/base/vector.hpp>

namespace blksnap
{

// Sectors counted from the start of a tracked device.
struct SectorRange {
	u64 first;
	u64 count;

	u64 end() const { return first + count; }
	bool empty() const { return count == 0; }
	// Its end is no sector number.
	bool wraps() const { return end() < first; }
};

// Leaves the same sectors, sorted, in ranges that neither overlap nor touch, none of them empty.
// Needs: no range wraps.
inline void merge(Vector<SectorRange> &ranges)
{
	u32 merged = 0;

	heap_sort(ranges.begin(), ranges.size(),
		  [](const SectorRange &a, const SectorRange &b) { return a.first < b.first; });
	for (const SectorRange &range : ranges) {
		if (range.empty())
			continue;
		if (merged == 0 || ranges[merged - 1].end() < range.first)
			ranges[merged++] = range;
		else if (ranges[merged - 1].end() < range.end())
			ranges[merged - 1].count = range.end() - ranges[merged - 1].first;
	}
	ranges.truncate(merged);
}

} // namespace blksnap
