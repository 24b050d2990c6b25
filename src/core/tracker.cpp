// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/tracker.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/port/control.h>

namespace blksnap
{

Result<Own<Tracker>> Tracker::create(shim_bdev *bdev, const shim_bdev_info &info, Disk &disk)
{
	shim_params params;
	shim_params_get(&params);

	auto cbt = TRY(CbtMap::create(info.sectors, params.tracking_block_minimum_shift,
				      params.tracking_block_maximum_count));
	shim_device *device = shim_device_remember(bdev);
	if (!device)
		return Errno::NoMem;
	Defer forget([&] { shim_device_forget(device); });
	auto tracker = TRY(try_new<Tracker>(Gfp::Kernel, info, disk, device, std::move(cbt)));
	forget.dismiss();
	return tracker;
}

Tracker::~Tracker()
{
	shim_device_forget(device_);
}

bool Tracker::note(const shim_bdev_info &now)
{
	const bool changed = now.sectors != info_.sectors ||
			     now.start_sector != info_.start_sector || now.diskseq != info_.diskseq;

	has_changed_ |= changed;
	return changed;
}

Result<void> Tracker::refresh()
{
	shim_bdev_info now;
	TRY(port_result(shim_device_describe(device_, &now)));

	const bool differs = note(now);
	if (!std::exchange(has_changed_, false))
		return {};
	const bool resized = now.sectors != info_.sectors || now.start_sector != info_.start_sector;
	COVERAGE_MARK("tracker: the device changed between snapshots");
	if (!differs)
		COVERAGE_MARK("tracker: the device changed and is as it was");
	shim_log(SHIM_LOG_INFO, "%s: %s; a new generation of its change map begins", info_.name,
		 resized   ? "its size or place changed"
		 : differs ? "its medium was exchanged"
			   : "it had another size or place for a while");
	if (resized)
		cbt_->resize(now.sectors);
	else
		cbt_->start_generation();
	info_ = now;
	start_sector_.store(now.start_sector, Order::Relaxed);
	sectors_.store(now.sectors, Order::Relaxed);
	unsettled |= resized;
	return {};
}

} // namespace blksnap
