// SPDX-License-Identifier: GPL-2.0
//
// Stores: see the header. Ranges are not aligned, and come in several pieces.
#include <script/agent_store.hpp>

#include <algorithm>
#include <script/ioctl.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// Cuts the next `sectors` of a reserved part into ranges.
std::vector<blk_snap_block_range> cut_ranges(Reserved &part, u64 sectors)
{
	Random &random = world().random;
	std::vector<blk_snap_block_range> ranges;
	while (sectors && part.used < part.sectors && ranges.size() < 16) {
		u64 piece = std::min(sectors, part.sectors - part.used);
		if (random.one_in(2))
			piece = std::min<u64>(piece, 8 + random.below(piece));
		ranges.push_back({part.sector + part.used, piece});
		part.used += piece;
		sectors -= piece;
	}
	return ranges;
}

bool on_covered(const Reserved &part, const std::vector<blk_snap_block_range> &ranges,
		const SnapshotModel &snapshot)
{
	for (const auto &range : ranges) {
		const u64 start = part.device->bottom_start() + range.sector_offset;
		for (Device *origin : snapshot.origins)
			if (origin->bottom() == part.disk &&
			    start < origin->bottom_start() + origin->sectors &&
			    origin->bottom_start() < start + range.sector_count)
				return true;
	}
	return false;
}

void give(Plan &plan, SnapshotModel &snapshot, Reserved &part, u64 sectors,
	  StoreTime time)
{
	const auto ranges = cut_ranges(part, sectors);
	if (ranges.empty())
		return;
	const bool refused = time == StoreTime::Late && on_covered(part, ranges, snapshot);
	const long expected = refused ? -16 : 0;
	const std::size_t first = world().store_ranges.size();
	// Recorded before the call: once accepted, the core may write there at any time.
	for (const auto &range : ranges)
		world().store_ranges.push_back({part.disk,
						range.sector_offset + part.device->bottom_start(),
						range.sector_count, &snapshot});
	const long result = agent_ioctl::append(snapshot.id, *part.device, ranges.data(),
						static_cast<u32>(ranges.size()));
	if (result != expected && plan.strict())
		fail("ioctl", "append gives %ld instead of %ld", result, expected);
	if (result < 0 && expected == 0)
		world().image_may_be_lost = true; // there may be too little store now
	if (result < 0)
		for (std::size_t i = 0; i < ranges.size(); i++)
			world().store_ranges[first + i].ended = true;
}

} // namespace

void append_store(Plan &plan, SnapshotModel &snapshot, StoreTime time)
{
	Random &random = world().random;
	for (Reserved &part : plan.reserved) {
		const bool dedicated = std::find(plan.stores.begin(), plan.stores.end(),
						 part.device) != plan.stores.end();
		const u64 share = part.sectors / ((plan.agents + 1) * (plan.cycles + 1));
		const u64 sectors = plan.tiny_store ? part.sectors / 2 : dedicated ? share
								     : part.sectors / 4;
		if (!dedicated && plan.agents > 1)
			continue; // another snapshot may be taken meanwhile
		if (time == StoreTime::Late && dedicated && random.one_in(2))
			continue;
		give(plan, snapshot, part, time == StoreTime::Late ? sectors / 2 : sectors, time);
	}
}

void release_store(Plan &, SnapshotModel &snapshot)
{
	for (StoreRange &range : world().store_ranges)
		if (range.owner == &snapshot)
			range.ended = true;
}

} // namespace sim
