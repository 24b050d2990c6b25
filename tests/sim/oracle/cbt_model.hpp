// SPDX-License-Identifier: GPL-2.0
//
// CbtModel: a backup of one device, and the question whether the map tells all that changed since.
#pragma once

#include <blksnap.h>
#include <oracle/image_model.hpp>
#include <vector>

namespace sim
{

struct Backup {
	bool valid = false;
	blk_snap_cbt_info info{};
	std::vector<u64> content; // kUnknown where the sector is not the origin's
};

// Fails the history if a block differs between the two backups and the newer map does not say so.
void check_map(const Device &origin, const Backup &older, const Backup &newer,
	       const std::vector<u8> &map);
// The map has the shape that its description promises.
void check_map_shape(const Device &origin, const blk_snap_cbt_info &info,
		     const std::vector<u8> &map);

} // namespace sim
