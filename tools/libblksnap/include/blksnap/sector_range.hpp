// SPDX-License-Identifier: GPL-2.0
//
// SectorRange: a run of 512-byte sectors of a device, written SECTOR:COUNT.
#ifndef BLKSNAP_SECTOR_RANGE_HPP
#define BLKSNAP_SECTOR_RANGE_HPP

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace blksnap
{

constexpr std::uint64_t kSectorSizeBytes = 512;

struct SectorRange {
	std::uint64_t offset_sectors = 0;
	std::uint64_t count_sectors = 0;

	// Reads SECTOR:COUNT, both decimal. Throws Error, also if the end does not fit 64 bits.
	static SectorRange parse(std::string_view text);

	std::string to_string() const;

	std::uint64_t end_sectors() const { return offset_sectors + count_sectors; }

	auto operator<=>(const SectorRange &) const = default;
};

// The same sectors in rising order, each once; ranges that touch become one, empty ones vanish.
std::vector<SectorRange> merged(std::vector<SectorRange> ranges);

std::uint64_t total_sectors(const std::vector<SectorRange> &ranges);

} // namespace blksnap

#endif
