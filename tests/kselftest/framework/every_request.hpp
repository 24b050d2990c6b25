// SPDX-License-Identifier: GPL-2.0
//
// Every request: all twelve with arguments that succeed, for those who may make them.
#pragma once

#include "disk.hpp"
#include "requests.hpp"
#include "snapshot.hpp"

namespace kselftest
{

class EveryRequest
{
public:
	// Makes what the requests are about: a taken snapshot, one that can be taken, one that can be
	// destroyed, and a tracker that can be removed.
	explicit EveryRequest(const Control &control);
	~EveryRequest();
	EveryRequest(const EveryRequest &) = delete;
	EveryRequest &operator=(const EveryRequest &) = delete;

	// For a caller without rights: EPERM, and nothing in his memory is written to.
	void expect_refused(const Control &control);
	// Each succeeds, once. What a refused one had done would show here.
	void expect_accepted();

private:
	static constexpr unsigned kRoom = 8;

	// Outputs are poisoned; pointers lead to the other members.
	struct Arguments {
		blk_snap_version version;
		blk_snap_tracker_remove tracker_remove;
		blk_snap_tracker_collect tracker_collect;
		blk_snap_tracker_read_cbt_bitmap read_cbt_map;
		blk_snap_tracker_mark_dirty_blocks mark_dirty;
		blk_snap_snapshot_create create;
		blk_snap_snapshot_destroy destroy;
		blk_snap_snapshot_append_storage append;
		blk_snap_snapshot_take take;
		blk_snap_snapshot_collect collect;
		blk_snap_snapshot_collect_images collect_images;
		blk_snap_snapshot_event event;

		blk_snap_cbt_info infos[kRoom];
		__u8 map[256];
		blk_snap_block_range dirty, more;
		blk_snap_dev fresh;
		blk_snap_uuid ids[kRoom];
		blk_snap_image_info images[kRoom];
	};

	void fill();
	void *argument_of(unsigned request);

	const Control &control_;
	const NullDisk store_, taken_disk_, created_disk_, doomed_disk_, tracked_disk_, fresh_disk_;
	const Snapshot taken_, created_;
	blk_snap_uuid doomed_;
	Arguments arguments_;
};

} // namespace kselftest
