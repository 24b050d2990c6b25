// SPDX-License-Identifier: GPL-2.0
//
// Fuzz target: ranges of sectors that a program marks or that a store lies on: merged, joined, looked up.
#include "input.hpp"

#include "../unit/fake_port.hpp"

#include <algorithm>
#include <blksnap/core/excluded_ranges.hpp>

namespace
{

using namespace blksnap;

bool covered(const std::vector<SectorRange> &ranges, u64 sector)
{
	return std::any_of(ranges.begin(), ranges.end(), [&](const SectorRange &range) {
		return sector >= range.first && sector - range.first < range.count;
	});
}

// Sectors at which something begins or ends.
std::vector<u64> edges(const std::vector<SectorRange> &ranges)
{
	std::vector<u64> edges{0, ~u64{0}};
	for (const SectorRange &range : ranges)
		for (const u64 at : {range.first - 1, range.first, range.end() - 1, range.end()})
			edges.push_back(at);
	std::sort(edges.begin(), edges.end());
	edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
	return edges;
}

std::vector<SectorRange> draw(fuzz::Input &input)
{
	std::vector<SectorRange> ranges;
	for (u32 count = input.below(7); count > 0; count--) {
		const u64 first = input.telling(256);
		const SectorRange range{first, input.telling(32)};
		HOLDS(range.wraps() ==
		      (static_cast<unsigned __int128>(range.first) + range.count > ~u64{0}));
		if (!range.wraps())
			ranges.push_back(range);
	}
	return ranges;
}

Vector<SectorRange> vector_of(const std::vector<SectorRange> &ranges)
{
	Vector<SectorRange> vector;
	for (const SectorRange &range : ranges)
		HOLDS(vector.push_back(range).ok());
	return vector;
}

void check_merged(const std::vector<SectorRange> &given)
{
	auto vector = vector_of(given);
	merge(vector);
	const std::vector<SectorRange> merged(vector.begin(), vector.end());
	for (std::size_t i = 0; i < merged.size(); i++) {
		HOLDS(!merged[i].empty() && !merged[i].wraps());
		HOLDS(i == 0 || merged[i - 1].end() < merged[i].first);
	}
	for (const u64 sector : edges(given))
		HOLDS(covered(given, sector) == covered(merged, sector));
}

// A run holds as far as it says, and no farther than it must end.
void check_run(const ExcludedRanges &ranges, const std::vector<SectorRange> &all,
	       const std::vector<u64> &edges, u64 sector, u64 limit)
{
	if (!limit || sector + limit < sector)
		return;
	const auto run = ranges.lookup(sector, limit);
	HOLDS(run.excluded == covered(all, sector));
	HOLDS(run.sectors > 0 && run.sectors <= limit);
	for (const u64 edge : edges)
		if (edge >= sector && edge - sector < run.sectors)
			HOLDS(covered(all, edge) == run.excluded);
	HOLDS(run.sectors == limit || covered(all, sector + run.sectors) != run.excluded);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
	const long before = fake::live_allocations();
	{
		fuzz::Input input(data, size);
		ExcludedRanges ranges;
		std::vector<SectorRange> all;
		HOLDS(ranges.empty());
		for (u32 round = 0; round < 3 && !input.empty(); round++) {
			const auto more = draw(input);
			check_merged(more);
			auto joined = ExcludedRanges::join(ranges, vector_of(more));
			HOLDS(joined.ok());
			ranges.swap(joined.value());
			all.insert(all.end(), more.begin(), more.end());
			const auto at = edges(all);
			for (const u64 sector : at)
				for (const u64 limit : {u64{1}, u64{2}, u64{100}, ~u64{0} - sector})
					check_run(ranges, all, at, sector, limit);
		}
		const u64 sector = input.telling(256);
		check_run(ranges, all, edges(all), sector, input.telling(64));
	}
	HOLDS(fake::live_allocations() == before);
	return 0;
}
