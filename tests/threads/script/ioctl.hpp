// SPDX-License-Identifier: GPL-2.0
//
// Ioctls: the calls of programs. Each gives what the core gives: >= 0 or -errno.
#pragma once

#include <blksnap.h>
#include <cstring>
#include <machine/report.hpp>
#include <vector>

namespace threads::ioctl
{

using Id = blk_snap_uuid;

long call(unsigned command, void *argument);
long create(const std::vector<blk_snap_dev> &devices, Id &id);
long append(const Id &id, blk_snap_dev device, const std::vector<blk_snap_block_range> &ranges);
long take(const Id &id);
long destroy(const Id &id);
long wait_event(const Id &id, u32 timeout_ms, u32 &code);
long read_map(blk_snap_dev device, std::vector<u8> &map);
long remove_tracker(blk_snap_dev device);
long mark_dirty(blk_snap_dev device, const blk_snap_block_range &range);
long collect_images(const Id &id, std::vector<blk_snap_image_info> &images);
long collect_trackers(std::vector<blk_snap_cbt_info> &trackers);
long collect_snapshots(std::vector<Id> &ids);

} // namespace threads::ioctl
