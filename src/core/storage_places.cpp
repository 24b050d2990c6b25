// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/storage_places.hpp>

namespace blksnap
{

Result<StoragePlaces::Room> StoragePlaces::make_room(u32 more)
{
	Room room;
	const u64 needed = u64{table_.size()} + more;

	if (needed <= table_.capacity())
		return room;
	const u64 capacity = max(needed, u64{table_.capacity()} * 2);
	if (capacity > ~u32{0} / sizeof(Run))
		return Errno::NoMem;
	TRY(room.reserve(static_cast<u32>(capacity)));
	TRY(old_.reserve(old_.size() + 1));
	return room;
}

void StoragePlaces::append(Room &room, const StorageRanges::Batch &batch)
{
	if (room.capacity()) {
		for (const Run &run : table_)
			room.push_reserved(run);
		old_.push_reserved(std::move(table_));
		table_ = std::move(room);
		runs_.store(table_.begin(), Order::Release);
	}
	batch.for_each_added([&](const StorageRanges::Range &range) {
		if (range.units)
			table_.push_reserved(
				{range.first_unit, range.units, range.unit_sector, range.bdev});
	});
	count_.store(table_.size(), Order::Release);
}

} // namespace blksnap
