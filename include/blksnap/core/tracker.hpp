// SPDX-License-Identifier: GPL-2.0
//
// Tracker: sees the writes to one original device and remembers them in a CBT map.
//
// It covers a range of sectors of a disk, not a device node: writes that reach the range through
// the whole disk, a partition or a stacked driver all count. While a snapshot is taken, `area()`
// is where old content goes first.
//
// A tracker does not keep its device open (that would block lvremove, partition re-reads and
// shutdown): it only remembers it, and its liveness is checked at each use.
#pragma once

#include <blksnap/base/memory.hpp>
#include <blksnap/core/cbt_map.hpp>
#include <blksnap/core/sector_range.hpp>
#include <blksnap/port/bdev.h>

namespace blksnap
{

class Disk;
class DiffArea;
class Snapshot;

class Tracker final
{
public:
	// `info` describes `bdev`. Context: process.
	static Result<Own<Tracker>> create(shim_bdev *bdev, const shim_bdev_info &info, Disk &disk);
	Tracker(const Tracker &) = delete;
	Tracker &operator=(const Tracker &) = delete;
	~Tracker();

	const shim_bdev_info &info() const { return info_; }
	shim_device *device() const { return device_; }
	Disk &disk() const { return disk_; }
	CbtMap &cbt() { return *cbt_; }

	// The part of an absolute range of the disk that lies on this device, counted from its
	// start; empty if they do not meet. Context: any.
	SectorRange covered(u64 disk_sector, u64 sectors) const
	{
		const u64 start = start_sector_.load(Order::Relaxed);
		const u64 first = max(disk_sector, start);
		const u64 end = min(disk_sector + sectors, start + sectors_.load(Order::Relaxed));

		return first < end ? SectorRange{first - start, end - first} : SectorRange{0, 0};
	}

	// Marks a write. Context: any; the write is counted in flight.
	void mark(SectorRange range)
	{
		// covered() keeps within the size that the map was made for; growth is met by
		// refresh().
		(void)cbt_->mark(range.first, range.count);
	}

	// The diff area of the held snapshot, or null. Valid within an RCU read section.
	DiffArea *area() const { return area_.load(Order::Acquire); }
	// Turns copy-on-write on or, with null, off. On: only behind the closed gate.
	void publish_area(DiffArea *area) { area_.store(area, Order::Release); }

	// How the device is now. What differs is remembered until refresh(): a volume that shrank and grew
	// again may have other content there, which no write brought. Guarded by the control's mutex.
	// Return: whether it differs.
	bool note(const shim_bdev_info &now);
	// Compares with the device as it is now: a new size or medium, now or since the last time, begins a
	// new generation of the map. Only while no snapshot is taken. Return: NoDev if the device is gone.
	Result<void> refresh();

	// The list of trackers on a disk, read by RCU.
	Atomic<Tracker *> next_on_disk;
	// The snapshot that holds it, created or taken. Guarded by the control's mutex.
	Snapshot *holder = nullptr;
	// Writes from before it covered their sectors may be in flight, counted nowhere. Belongs to
	// the holder.
	bool unsettled = true;

private:
	Tracker(const shim_bdev_info &info, Disk &disk, shim_device *device, Own<CbtMap> cbt)
		: info_(info), disk_(disk), device_(device), cbt_(std::move(cbt))
	{
	}
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	shim_bdev_info info_;
	bool has_changed_ = false;
	// Read by writers while refresh() changes them.
	Atomic<u64> start_sector_{info_.start_sector};
	Atomic<u64> sectors_{info_.sectors};
	Disk &disk_;
	shim_device *device_;
	Own<CbtMap> cbt_;
	Atomic<DiffArea *> area_;
};

} // namespace blksnap
