// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/cut.hpp>
#include <blksnap/base/mark.hpp>

namespace blksnap
{

Result<void> Cut::run()
{
	TRY(find_disks());
	TRY(find_bdevs());
	TRY(find_levels());
	shim_freezer *freezer = shim_freezer_create();
	if (!freezer)
		return Errno::NoMem;
	Result<void> result = add_levels(freezer);
	if (result.ok())
		result = cut_frozen(freezer);
	shim_freezer_destroy(freezer);
	return result;
}

Result<void> Cut::cut_frozen(shim_freezer *freezer)
{
	// From the first freeze to the last thaw memory reclaim must not wait for a device that
	// we hold up.
	const unsigned noio = shim_noio_begin();
	Result<void> result = freeze(freezer);
	if (result.ok())
		result = close_gates();
	if (result.ok())
		switch_over();
	open_gates();
	shim_freezer_thaw(freezer);
	shim_noio_end(noio);
	return result;
}

Result<void> Cut::find_disks()
{
	TRY(disks_.reserve(members_.size()));
	for (Snapshot::Member &member : members_) {
		Disk *disk = &member.tracker->disk();
		u32 at = 0;
		while (at < disks_.size() && disks_[at] != disk &&
		       disks_[at]->stack_rank() >= disk->stack_rank())
			at++;
		bool known = false;
		for (Disk *other : disks_)
			known |= other == disk;
		if (known)
			continue;
		disks_.push_reserved(disk);
		for (u32 i = disks_.size() - 1; i > at; i--)
			std::swap(disks_[i], disks_[i - 1]);
	}
	return {};
}

Result<void> Cut::find_bdevs()
{
	TRY(bdevs_.reserve(disks_.size()));
	for (const Disk *disk : disks_) {
		for (const Snapshot::Member &member : members_) {
			if (&member.tracker->disk() != disk)
				continue;
			bdevs_.push_reserved(member.bdev);
			break;
		}
	}
	return {};
}

// A level ends before the first disk that one of its disks may stand on, and with the last stacked one:
// what dm opens without a trace in sysfs, such as the store of a snapshot, is most often a plain disk.
Result<void> Cut::find_levels()
{
	u32 end = disks_.size();

	TRY(level_ends_.reserve(disks_.size()));
	for (u32 i = 0; i < disks_.size(); i++) {
		if (i == end) {
			level_ends_.push_reserved(end);
			end = disks_.size();
		}
		const u32 below = i + 1;
		if (below < disks_.size() && disks_[i]->stack_rank() &&
		    !disks_[below]->stack_rank())
			end = min(end, below);
		const u32 first = below + shim_bdev_first_below(bdevs_[i], bdevs_.begin() + below,
								disks_.size() - below);
		end = min(end, first);
	}
	level_ends_.push_reserved(end);
	return {};
}

u32 Cut::level_end(u32 first) const
{
	u32 level = 0;

	while (level_ends_[level] <= first)
		level++;
	return level_ends_[level];
}

static Result<void> not_added(Errno error)
{
	if (error == Errno::Intr) {
		COVERAGE_MARK("cut: the taker is killed");
		shim_log(SHIM_LOG_ERROR, "take: the caller was killed; nothing was taken");
	} else {
		COVERAGE_MARK("cut: an earlier take still freezes a file system");
		shim_log(SHIM_LOG_ERROR, "take: a file system that an earlier take began to freeze "
					 "has not answered yet; nothing was taken");
	}
	return error;
}

Result<void> Cut::add_levels(shim_freezer *freezer)
{
	Vector<shim_bdev *> bdevs;
	TRY(bdevs.reserve(members_.size()));

	for (u32 first = 0; first < disks_.size(); first = level_end(first)) {
		bdevs.clear();
		for (u32 i = first; i < level_end(first); i++)
			for (Snapshot::Member &member : members_)
				if (&member.tracker->disk() == disks_[i])
					bdevs.push_reserved(member.bdev);
		const int result = shim_freezer_add(freezer, bdevs.begin(), bdevs.size());
		if (result)
			return not_added(from_port(result));
	}
	return {};
}

Result<void> Cut::freeze(shim_freezer *freezer)
{
	for (u32 first = 0; first < disks_.size(); first = level_end(first)) {
		const int result = shim_freezer_freeze(freezer, params_.freeze_timeout_ms);
		if (result) {
			COVERAGE_MARK("cut: a file system does not freeze");
			shim_log(
				SHIM_LOG_ERROR,
				"take: file systems did not freeze within %u ms; nothing was taken",
				params_.freeze_timeout_ms);
			return from_port(result);
		}
	}
	return {};
}

Result<void> Cut::close_gates()
{
	closed_since_ns_ = shim_clock_ns();
	for (u32 first = 0; first < disks_.size(); first = level_end(first)) {
		const u32 end = level_end(first);

		for (; closed_ < end; closed_++)
			disks_[closed_]->close_gate();
		for (u32 i = first; i < end; i++) {
			if (disks_[i]->wait_idle(drain_ms_left()).ok())
				continue;
			COVERAGE_MARK("cut: writes in flight do not end");
			shim_log(SHIM_LOG_ERROR,
				 "%s: writes in flight did not end within %u ms; nothing was taken",
				 disks_[i]->name(), params_.drain_timeout_ms);
			return Errno::Busy;
		}
	}
	return {};
}

// One limit for all disks together, for the gates of all are held.
u32 Cut::drain_ms_left() const
{
	const u64 spent_ms = (shim_clock_ns() - closed_since_ns_) / 1000000;
	return spent_ms < params_.drain_timeout_ms
		       ? params_.drain_timeout_ms - static_cast<u32>(spent_ms)
		       : 1;
}

void Cut::switch_over()
{
	for (Snapshot::Member &member : members_) {
		member.tracker->cbt().commit_switch();
		member.tracker->publish_area(member.area.get());
	}
}

void Cut::open_gates()
{
	if (!closed_)
		return;
	while (closed_)
		disks_[--closed_]->open_gate();
	held_up_us_ = (shim_clock_ns() - closed_since_ns_) / 1000;
}

} // namespace blksnap
