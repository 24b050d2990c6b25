// SPDX-License-Identifier: GPL-2.0
//
// SectorRange: reading, writing and merging.
#include <blksnap/sector_range.hpp>

#include "decimal.hpp"

#include <blksnap/error.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace blksnap
{

SectorRange SectorRange::parse(std::string_view text)
{
	const auto pair = parse_decimal_pair<std::uint64_t>(text);
	if (!pair)
		throw Error{EINVAL, "cannot use range", text, "it is not SECTOR:COUNT",
			    "give two decimal numbers of 512-byte sectors, as in 2048:8"};
	const auto [offset, count] = *pair;
	if (count > std::numeric_limits<std::uint64_t>::max() - offset)
		throw Error{EOVERFLOW, "cannot use range", text, "its end does not fit 64 bits",
			    "give sectors of 512 bytes within the device"};
	return {offset, count};
}

std::string SectorRange::to_string() const
{
	return std::to_string(offset_sectors) + ":" + std::to_string(count_sectors);
}

std::vector<SectorRange> merged(std::vector<SectorRange> ranges)
{
	std::sort(ranges.begin(), ranges.end());
	std::vector<SectorRange> result;
	for (const auto &range : ranges) {
		if (range.count_sectors == 0)
			continue;
		if (result.empty() || range.offset_sectors > result.back().end_sectors()) {
			result.push_back(range);
			continue;
		}
		auto &last = result.back();
		const auto end = std::max(last.end_sectors(), range.end_sectors());
		last.count_sectors = end - last.offset_sectors;
	}
	return result;
}

std::uint64_t total_sectors(const std::vector<SectorRange> &ranges)
{
	std::uint64_t total = 0;
	for (const auto &range : ranges)
		total += range.count_sectors;
	return total;
}

} // namespace blksnap
