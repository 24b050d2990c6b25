// SPDX-License-Identifier: GPL-2.0
//
// Cut: the instant of a snapshot, all or nothing.
//
//     freeze file systems, upper devices first
//     close gates and drain, level by level, upper devices first
//     switch CBT maps, turn copy-on-write on (all gates closed and drained)
//     open gates, thaw, lower devices first
//
// A level is a set of disks that do not stand on each other, as far as can be seen. A write counted in an upper disk
// sends writes to the lower one, so the lower gate closes only when the upper disk is drained.
// All gates stay closed until all are drained: a write that completed before another one was
// submitted is never missing from a set that shows the other.
//
// Consistency never depends on freezing: it only makes file systems clean in the image. Freezing
// and draining have a limit each; when it expires, all is undone and the take fails.
#pragma once

#include <blksnap/core/snapshot.hpp>

namespace blksnap
{

class Cut final
{
public:
	// `members` are prepared. Context: process, one at a time.
	Cut(Vector<Snapshot::Member> &members, const shim_params &params)
		: members_(members), params_(params)
	{
	}
	Cut(const Cut &) = delete;
	Cut &operator=(const Cut &) = delete;

	Result<void> run();
	// From the first gate that closed to the last that opened.
	u64 held_up_us() const { return held_up_us_; }

private:
	Result<void> find_disks();
	Result<void> find_bdevs();
	Result<void> find_levels();
	Result<void> add_levels(shim_freezer *freezer);
	Result<void> cut_frozen(shim_freezer *freezer);
	Result<void> freeze(shim_freezer *freezer);
	Result<void> close_gates();
	void switch_over();
	void open_gates();
	u32 level_end(u32 first) const;
	u32 drain_ms_left() const;

	Vector<Snapshot::Member> &members_;
	const shim_params &params_;
	Vector<Disk *> disks_;	    // each once, upper ones first
	Vector<shim_bdev *> bdevs_; // one handle for each of them
	Vector<u32> level_ends_;
	u32 closed_ = 0; // gates, from the front
	u64 closed_since_ns_ = 0;
	u64 held_up_us_ = 0;
};

} // namespace blksnap
