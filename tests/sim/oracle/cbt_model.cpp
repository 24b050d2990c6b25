// SPDX-License-Identifier: GPL-2.0
//
// CbtModel: see the header.
#include <oracle/cbt_model.hpp>

#include <algorithm>
#include <cstring>
#include <world/report.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

bool same_generation(const Backup &older, const Backup &newer)
{
	return older.valid &&
	       std::memcmp(&older.info.generation_id, &newer.info.generation_id, 16) == 0;
}

// Every block of the mark must have a number above `number`.
void expect_above(const DirtyMark &mark, u32 number, const Backup &newer,
		  const std::vector<u8> &map)
{
	const u64 block_sectors = newer.info.blk_size / 512;
	const u64 end = std::min<u64>(mark.sector + mark.sectors, newer.content.size());
	for (u64 sector = mark.sector; sector < end; sector++) {
		const u64 block = sector / block_sectors;
		if (map[block] <= number)
			fail("cbt",
			     "%s: sectors %llu+%llu were called changed, but block %llu has "
			     "number %u, not above %u",
			     mark.origin->name.c_str(), (unsigned long long)mark.sector,
			     (unsigned long long)mark.sectors, (unsigned long long)block,
			     map[block], number);
	}
}

} // namespace

void check_map_shape(const Device &origin, u64 sectors, const blk_snap_cbt_info &info,
		     const std::vector<u8> &map)
{
	const u64 bytes = sectors * 512;
	if (info.device_capacity != bytes || !info.blk_size ||
	    info.blk_count != (bytes + info.blk_size - 1) / info.blk_size)
		fail("cbt", "%s: %llu bytes in %u blocks of %u", origin.name.c_str(),
		     (unsigned long long)info.device_capacity, info.blk_count, info.blk_size);
	if (map.size() != info.blk_count)
		fail("cbt", "%s: the map has %zu bytes for %u blocks", origin.name.c_str(),
		     map.size(), info.blk_count);
}

void check_map(const Device &origin, const Backup &older, const Backup &newer,
	       const std::vector<u8> &map)
{
	if (!same_generation(older, newer))
		return;
	if (older.content.size() != newer.content.size())
		fail("cbt", "%s had %zu sectors, now %zu, in one generation", origin.name.c_str(),
		     older.content.size(), newer.content.size());
	if (newer.info.snap_number <= older.info.snap_number)
		fail("cbt", "%s: number %u after number %u in one generation", origin.name.c_str(),
		     newer.info.snap_number, older.info.snap_number);
	const u64 block_sectors = newer.info.blk_size / 512;
	for (u64 sector = 0; sector < older.content.size(); sector++) {
		const u64 then = older.content[sector];
		const u64 now = newer.content[sector];
		if (then == now || then == ImageModel::kUnknown || now == ImageModel::kUnknown)
			continue;
		const u8 mark = map[sector / block_sectors];
		if (mark <= older.info.snap_number)
			fail("cbt",
			     "%s sector %llu changed from %016llx to %016llx, block %llu is "
			     "marked %u, the last backup had number %u",
			     origin.name.c_str(), (unsigned long long)sector,
			     (unsigned long long)then, (unsigned long long)now,
			     (unsigned long long)(sector / block_sectors), mark,
			     older.info.snap_number);
	}
}

void check_dirty_marks(const Device &origin, const Backup &older, const Backup &newer,
		       const std::vector<u8> &map)
{
	for (const DirtyMark &mark : world().dirty_marks) {
		if (mark.origin != &origin || mark.end >= newer.map_begin)
			continue;
		if (mark.begin > newer.take_end)
			expect_above(mark, newer.info.snap_number - 1u, newer, map);
		if (same_generation(older, newer) && mark.begin > older.take_end)
			expect_above(mark, older.info.snap_number, newer, map);
	}
}

} // namespace sim
