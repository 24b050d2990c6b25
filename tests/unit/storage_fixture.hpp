// SPDX-License-Identifier: GPL-2.0
//
// The ranges of a storage and where their units stand, appended to as a diff storage does.
#pragma once

#include <blksnap/core/storage_places.hpp>

#include <cstdint>

namespace blksnap
{

// A device that is only a name.
inline shim_bdev *named_bdev(std::uintptr_t name)
{
	return reinterpret_cast<shim_bdev *>(name);
}

struct Storage : StorageRanges {
	// Like commit(), but may lack memory.
	Result<void> commit(Batch &batch)
	{
		u32 added = 0;
		batch.for_each_added([&](const Range &) { added++; });
		auto room = TRY(places.make_room(added));
		places.append(room, batch);
		StorageRanges::commit(batch);
		return {};
	}
	StoragePlaces::Place locate(u32 unit) const { return places.locate(unit); }

	StoragePlaces places;
};

} // namespace blksnap
