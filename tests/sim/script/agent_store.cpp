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
		if (world().swarm.one_in(16))
			piece = std::min<u64>(piece, 1 + random.below(7)); // too small to be used
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

// The ranges on the disk, and what the images show there meanwhile.
void offer(const Reserved &part, const std::vector<blk_snap_block_range> &ranges,
	   const SnapshotModel &snapshot)
{
	for (const auto &range : ranges) {
		const u64 start = range.sector_offset + part.device->bottom_start();
		// Before the call: once accepted, the core may write there at any time.
		world().store_ranges.push_back(
			{part.disk, start, range.sector_count, &snapshot, true});
		for (ImageModel *image : world().images)
			if (image->origin.bottom() == part.disk)
				image->on_store_offered(start, range.sector_count);
	}
}

void accept(const SnapshotModel &snapshot, std::size_t first, std::size_t count)
{
	for (std::size_t i = first; i < first + count; i++) {
		StoreRange &range = world().store_ranges[i];
		range.ended = snapshot.ending();
		for (ImageModel *image : world().images)
			if (image->origin.bottom() == range.disk)
				image->on_store_given(range.sector, range.sectors);
	}
}

void give(Plan &plan, SnapshotModel &snapshot, Reserved &part, u64 sectors, StoreTime time)
{
	const auto ranges = cut_ranges(part, sectors);
	if (ranges.empty())
		return;
	const bool refused = time == StoreTime::Late && on_covered(part, ranges, snapshot) &&
			     !world().params.storage_on_origin_after_take;
	const long expected = refused ? -16 : 0;
	const std::size_t first = world().store_ranges.size();
	offer(part, ranges, snapshot);
	const long result = agent_ioctl::append(snapshot.id, *part.device, ranges.data(),
						static_cast<u32>(ranges.size()));
	if (result != expected && plan.strict())
		fail("ioctl", "append gives %ld instead of %ld", result, expected);
	if (result < 0 && expected == 0)
		snapshot.store_may_be_short = true;
	if (!result)
		accept(snapshot, first, ranges.size());
}

} // namespace

void append_store(Plan &plan, SnapshotModel &snapshot, StoreTime time)
{
	Random &random = world().random;
	for (Reserved &part : plan.reserved) {
		const bool dedicated = std::find(plan.stores.begin(), plan.stores.end(),
						 part.device) != plan.stores.end();
		const u64 share = part.sectors / ((plan.agents + 1) * (plan.cycles + 1));
		const u64 sectors = plan.tiny_store ? part.sectors / 2
				    : dedicated	    ? share
						    : part.sectors / 4;
		if (time == StoreTime::Late && dedicated && random.one_in(2))
			continue;
		give(plan, snapshot, part, time == StoreTime::Late ? sectors / 2 : sectors, time);
	}
}

namespace
{

void expect_refusal(const Plan &plan, const char *what, long expected, long result)
{
	if (result == expected || (result < 0 && !plan.strict()))
		return;
	fail("ioctl", "append of %s gives %ld instead of %ld", what, result, expected);
}

} // namespace

// A good range comes along in each call: all or nothing, so it can be given later.
void append_nonsense(Plan &plan, SnapshotModel &snapshot)
{
	Random &random = world().random;
	Reserved &part = plan.reserved.back();
	if (part.sectors - part.used < 24)
		return;
	const u64 free = part.sector + part.used;
	const u64 end = part.device->sectors;
	const blk_snap_block_range good{free, 8};
	const struct {
		const char *what;
		blk_snap_block_range range;
	} kBad[] = {
		{"nothing", {free + 8, 0}},
		{"an overlap", {free + 7, 2}},
		{"the same twice", {free, 8}},
		{"a range around the other", {free, 16}},
		{"a range across the end", {end - 4, 5}},
		{"a range behind the end", {end, 1}},
		{"a range that wraps", {free + 8, ~0ull - free}},
		{"a range far behind the end", {~0ull, 8}},
	};
	const auto &bad = random.pick(kBad);
	const blk_snap_block_range pair[] = {random.one_in(2) ? good : bad.range, good};
	const blk_snap_block_range other[] = {good, bad.range};
	const bool first = pair[0].sector_offset != good.sector_offset ||
			   pair[0].sector_count != good.sector_count;
	expect_refusal(plan, bad.what, -22,
		       agent_ioctl::append(snapshot.id, *part.device, first ? pair : other, 2));
	expect_refusal(plan, "too many ranges", -22,
		       agent_ioctl::append(snapshot.id, *part.device, &good, 262145));
	Device nobody;
	nobody.major = 77;
	expect_refusal(plan, "a missing device", -6,
		       agent_ioctl::append(snapshot.id, nobody, &good, 1));
	for (auto &image : snapshot.images)
		if (image->image.major)
			expect_refusal(plan, "an image", -22,
				       agent_ioctl::append(snapshot.id, image->image, &good, 1));
	for (const StoreRange &range : world().store_ranges) {
		if (range.owner != &snapshot || range.ended || range.disk != part.disk)
			continue;
		const blk_snap_block_range last{
			range.sector + range.sectors - 1 - part.device->bottom_start(), 8};
		expect_refusal(plan, "what was given before", -22,
			       agent_ioctl::append(snapshot.id, *part.device, &last, 1));
		return;
	}
}

void release_store(const SnapshotModel &snapshot)
{
	for (StoreRange &range : world().store_ranges)
		if (range.owner == &snapshot)
			range.ended = true;
}

} // namespace sim
