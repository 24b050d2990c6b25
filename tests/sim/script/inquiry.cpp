// SPDX-License-Identifier: GPL-2.0
//
// Inquiry: see the header.
#include <script/inquiry.hpp>

#include <algorithm>
#include <script/ioctl.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

using agent_ioctl::Count;
using agent_ioctl::kNoArray;

constexpr long kNoData = -61;
constexpr long kNoBufs = -105;

u32 draw_room()
{
	static constexpr u32 kRooms[] = {0, 1, 2, agent_ioctl::kRoom, kNoArray};
	return world().random.pick(kRooms);
}

// The count is told in any case; an array that is too small is an error, and stays empty.
void check_list(const Plan &plan, const char *name, const Count &count, long result, long too_small,
		std::size_t filled)
{
	const bool short_room = count.room != kNoArray && count.room < count.needed;
	if (short_room && result >= 0)
		fail("ioctl", "%s tells %u items in room for %u", name, count.needed, count.room);
	if (!plan.strict())
		return;
	if (result != (short_room ? too_small : 0))
		fail("ioctl", "%s with room for %u of %u gives %ld", name, count.room, count.needed,
		     result);
	if (filled != (short_room || count.room == kNoArray ? 0 : count.needed))
		fail("ioctl", "%s fills %zu items of %u", name, filled, count.needed);
}

void ask_for_snapshots(const Plan &plan, const SnapshotModel &snapshot)
{
	Count count{draw_room()};
	std::vector<blk_snap_uuid> ids;
	const long result = agent_ioctl::collect_snapshots(ids, count);
	check_list(plan, "snapshot_collect", count, result, kNoData, ids.size());
	if (!plan.strict())
		return;
	if (count.needed != 1 || (!ids.empty() && std::memcmp(&ids[0], snapshot.id, 16) != 0))
		fail("ioctl", "%u snapshots, or a wrong one, where there is one", count.needed);
}

void ask_for_images(const Plan &plan, const SnapshotModel &snapshot)
{
	Count count{draw_room()};
	std::vector<agent_ioctl::Image> images;
	const long result = agent_ioctl::collect_images(snapshot.id, images, count);
	check_list(plan, "collect_images", count, result, kNoData, images.size());
	if (plan.strict() && count.needed != snapshot.origins.size())
		fail("ioctl", "%u images of %zu devices", count.needed, snapshot.origins.size());
}

void ask_for_trackers(const Plan &plan, const SnapshotModel &snapshot)
{
	Count count{draw_room()};
	std::vector<blk_snap_cbt_info> infos;
	const long result = agent_ioctl::collect_trackers(infos, count);
	check_list(plan, "tracker_collect", count, result, kNoBufs, infos.size());
	if (!plan.strict() || infos.empty())
		return;
	for (const Device *origin : snapshot.origins)
		if (std::none_of(infos.begin(), infos.end(), [&](const auto &info) {
			    return info.dev_id.mj == origin->major &&
				   info.dev_id.mn == origin->minor;
		    }))
			fail("ioctl", "%s is held and not among the trackers",
			     origin->name.c_str());
}

void ask_for_version()
{
	blk_snap_version version;
	const long result = agent_ioctl::version(version);
	if (result && !(result == -14 && world().efault_fired))
		fail("ioctl", "version gives %ld", result);
	if (!result && version.major != 1)
		fail("ioctl", "version %u", version.major);
}

std::vector<blk_snap_block_range> draw_ranges(const Device &origin, u64 sectors)
{
	Random &random = world().random;
	std::vector<blk_snap_block_range> ranges;
	for (u64 n = random.below(12); n > 0; n--) {
		const u64 count =
			random.one_in(6) ? 0 : 1 + random.below(random.one_in(8) ? sectors : 9);
		const u64 first = random.below(sectors);
		ranges.push_back({first, std::min(count, sectors - first)});
	}
	if (random.one_in(8))
		ranges.push_back({0, origin.sectors});
	return ranges;
}

// One that is wrong makes the whole call wrong.
void spoil(std::vector<blk_snap_block_range> &ranges, u64 sectors)
{
	Random &random = world().random;
	const blk_snap_block_range kBad[] = {
		{sectors, 1}, {sectors - 1, 2}, {~0ull, 1}, {1, ~0ull}, {~0ull - 7, ~0ull - 7},
	};
	ranges.insert(ranges.begin() + static_cast<long>(random.below(ranges.size() + 1)),
		      random.pick(kBad));
}

} // namespace

void inquire(const Plan &plan, const SnapshotModel &snapshot)
{
	ask_for_version();
	ask_for_snapshots(plan, snapshot);
	ask_for_images(plan, snapshot);
	ask_for_trackers(plan, snapshot);
}

void mark_some_dirty(const Plan &plan, const SnapshotModel &snapshot)
{
	Random &random = world().random;
	Device &origin = *snapshot.origins[random.below(snapshot.origins.size())];
	const bool shape_is_known = !plan.resizes && !plan.exchanges;
	const u64 sectors = origin.sectors;
	auto ranges = draw_ranges(origin, sectors);
	const bool bad = random.one_in(5) && shape_is_known;
	if (bad)
		spoil(ranges, sectors);
	const Device *named = &origin;
	for (auto &image : snapshot.images)
		if (&image->origin == &origin && image->image.major && random.one_in(2))
			named = &image->image;
	const u64 begin = world().writes.tick();
	const long result =
		agent_ioctl::mark_dirty(*named, ranges.data(), static_cast<u32>(ranges.size()));
	const u64 end = world().writes.tick();
	if (bad && result == 0)
		fail("ioctl", "mark_dirty accepts a range outside of %s", origin.name.c_str());
	if (plan.strict() && shape_is_known && result != (bad ? -22 : 0))
		fail("ioctl", "mark_dirty gives %ld", result);
	if (result)
		return;
	for (const auto &range : ranges)
		if (range.sector_count)
			world().dirty_marks.push_back(
				{&origin, range.sector_offset, range.sector_count, begin, end});
}

} // namespace sim
