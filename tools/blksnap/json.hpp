// SPDX-License-Identifier: GPL-2.0
//
// JSON output: one object per answer, with the names that the plain output uses.
#ifndef BLKSNAP_JSON_HPP
#define BLKSNAP_JSON_HPP

#include <blksnap/sector_range.hpp>

#include <nlohmann/json.hpp>

#include <ostream>
#include <vector>

namespace blksnap::command
{

using Json = nlohmann::ordered_json; // keeps the order in which it is written

inline Json json_ranges(const std::vector<SectorRange> &ranges)
{
	auto array = Json::array();
	for (const auto &range : ranges)
		array.push_back({{"sector", range.offset_sectors}, {"count", range.count_sectors}});
	return array;
}

inline void print(std::ostream &out, const Json &json)
{
	out << json.dump(2) << "\n";
}

} // namespace blksnap::command

#endif
