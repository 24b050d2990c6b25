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
	u64 take_end = 0;	  // order numbers
	u64 map_begin = 0;	  // from when on the map was read
	std::vector<u64> content; // kUnknown where the sector is not the origin's
};

// Somebody called sectors changed: by MARK_DIRTY, or by a write to the image.
struct DirtyMark {
	const Device *origin;
	u64 sector;
	u64 sectors;
	u64 begin; // of the call
	u64 end;
};

// Fails the history if a block differs between the two backups and the newer map does not say so.
void check_map(const Device &origin, const Backup &older, const Backup &newer,
	       const std::vector<u8> &map);
// Likewise if a block was called changed: since the older backup, which may be none, or since the
// newer one was taken.
void check_dirty_marks(const Device &origin, const Backup &older, const Backup &newer,
		       const std::vector<u8> &map);
// The map has the shape that its description promises for a device of that size.
void check_map_shape(const Device &origin, u64 sectors, const blk_snap_cbt_info &info,
		     const std::vector<u8> &map);

} // namespace sim
