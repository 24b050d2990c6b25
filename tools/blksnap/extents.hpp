// SPDX-License-Identifier: GPL-2.0
//
// Printing where a file lies, for the subcommands that use its sectors.
#ifndef BLKSNAP_EXTENTS_HPP
#define BLKSNAP_EXTENTS_HPP

#include "json.hpp"

#include <blksnap/file_extents.hpp>

namespace blksnap::command
{

inline void print_extents(std::ostream &out, const std::vector<SectorRange> &ranges)
{
	for (const auto &range : ranges)
		out << "allocate range: ofs=" << range.offset_sectors
		    << " cnt=" << range.count_sectors << "\n";
}

inline Json json_extents(const FileExtents &extents)
{
	return {{"device", extents.device.id.to_string()},
		{"name", extents.device.name},
		{"ranges", json_ranges(extents.ranges)}};
}

} // namespace blksnap::command

#endif
