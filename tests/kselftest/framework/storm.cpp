// SPDX-License-Identifier: GPL-2.0
#include "storm.hpp"

#include "kselftest.hpp"

#include <algorithm>

namespace kselftest
{

namespace
{

// What a request may come to while others make theirs. By number, as in requests.hpp.
const std::vector<int> kMayGive[] = {
	{0},			      // VERSION
	{0, EBUSY, ENODATA},	      // TRACKER_REMOVE
	{0, ENOBUFS},		      // TRACKER_COLLECT
	{0, EPERM, ENODATA},	      // TRACKER_READ_CBT_MAP
	{0, ENODEV},		      // TRACKER_MARK_DIRTY_BLOCKS
	{0, EALREADY},		      // SNAPSHOT_CREATE
	{0, ENODEV},		      // SNAPSHOT_DESTROY
	{0, ESRCH, EINVAL},	      // SNAPSHOT_APPEND_STORAGE
	{0, ESRCH, EALREADY, ENOSPC}, // SNAPSHOT_TAKE
	{0, ENODATA},		      // SNAPSHOT_COLLECT
	{0, ESRCH, ENODEV, ENODATA},  // SNAPSHOT_COLLECT_IMAGES
	{0, ENOENT, ESRCH},	      // SNAPSHOT_WAIT_EVENT
};

} // namespace

void Storm::blow(unsigned seed)
{
	std::minstd_rand random(seed);

	for (; !stopping_; usleep(random() % 50000)) {
		try {
			const Control control;
			for (unsigned i = 0; i < 4; i++)
				make(control, random() % std::size(kRequests), random);
		} catch (const std::system_error &error) {
			EXPECT(error.code().value() == ENOENT || error.code().value() == ENXIO);
			absent_++;
		}
	}
}

void Storm::make(const Control &control, unsigned request, std::minstd_rand &random)
{
	const int error = try_to_make(control, request, random() % 2);
	const std::vector<int> &good = kMayGive[request];

	done_[request] += error == 0;
	if (!EXPECT(std::find(good.begin(), good.end(), error) != good.end()))
		note("request %u: %s", request, errno_text(error).c_str());
}

int Storm::try_to_make(const Control &control, unsigned request, unsigned which)
{
	blk_snap_dev device = devices_[which];
	const blk_snap_uuid id = id_of(which);
	blk_snap_block_range range{0, 8};
	blk_snap_cbt_info trackers[2];
	blk_snap_image_info images[2];
	blk_snap_uuid ids[2];
	unsigned char map[64];
	union {
		blk_snap_version version;
		blk_snap_tracker_remove remove;
		blk_snap_tracker_collect collect_trackers;
		blk_snap_tracker_read_cbt_bitmap read;
		blk_snap_tracker_mark_dirty_blocks mark;
		blk_snap_snapshot_create create;
		blk_snap_snapshot_destroy destroy;
		blk_snap_snapshot_append_storage append;
		blk_snap_snapshot_take take;
		blk_snap_snapshot_collect collect;
		blk_snap_snapshot_collect_images collect_images;
		blk_snap_snapshot_event event;
	} all{};

	switch (request) {
	case 1:
		all.remove = {device};
		break;
	case 2:
		all.collect_trackers = {.count = 2, .cbt_info_array = trackers};
		break;
	case 3:
		all.read = {device, 0, sizeof(map), map};
		break;
	case 4:
		all.mark = {device, 1, &range};
		break;
	case 5:
		all.create.count = 1;
		all.create.dev_id_array = &device;
		break;
	case 6:
		all.destroy = {id};
		break;
	case 7:
		range.sector_offset = place_++ % store_places_ * 8;
		all.append.id = id;
		all.append.dev_id = store_;
		all.append.count = 1;
		all.append.ranges = &range;
		break;
	case kTake:
		all.take = {id};
		break;
	case 9:
		all.collect.count = 2;
		all.collect.ids = ids;
		break;
	case 10:
		all.collect_images.id = id;
		all.collect_images.count = 2;
		all.collect_images.image_info_array = images;
		break;
	case 11:
		all.event.id = id;
		all.event.timeout_ms = 5;
		break;
	}
	const int error = control.try_call(kRequests[request], &all);
	if (request == 5 && !error) {
		const std::lock_guard guard(lock_);
		ids_[which] = all.create.id;
	}
	return error;
}

} // namespace kselftest
