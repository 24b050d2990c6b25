// SPDX-License-Identifier: GPL-2.0
//
// Control: trackers and the disks they are on.
#include <blksnap/core/control.hpp>
#include <blksnap/base/mark.hpp>

namespace blksnap
{

// A partition may be replaced while it is opened, as somebody has its table read again. Then the
// next open finds its successor.
Result<Control::OpenDevice> Control::open(DeviceNumber number)
{
	OpenDevice device;
	Result<void> result = Errno::Again;

	for (u32 i = 0; i < kOpenAttempts && !result.ok() && result.error() == Errno::Again; i++)
		result = port_result(shim_bdev_open(number.major, number.minor, &device.bdev));
	TRY(result);
	shim_bdev_describe(device.bdev, &device.info);
	return device;
}

Tracker *Control::find_tracker(DeviceNumber number)
{
	for (const Own<Tracker> &tracker : trackers_)
		if (tracker->info().major == number.major && tracker->info().minor == number.minor)
			return tracker.get();
	return nullptr;
}

// The device may also be an image: then its origin is meant.
Tracker *Control::find_tracker_of(DeviceNumber number)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		if (snapshot->state() != Snapshot::State::Taken)
			continue;
		for (Snapshot::Member &member : snapshot->members())
			if (member.image->major() == number.major &&
			    member.image->minor() == number.minor)
				return member.tracker;
	}
	return find_tracker(number);
}

// --- attach ----------------------------------------------------------------------------------

namespace
{

// Other errors only tell that it could not be found out.
bool may_miss_writes(const shim_bdev_info &info)
{
	return static_cast<Errno>(info.untrackable) == Errno::NotSupp;
}

Errno refuse(const shim_bdev_info &info)
{
	shim_log(SHIM_LOG_ERROR, "%s: cannot be tracked: %s", info.name, info.untrackable_why);
	return static_cast<Errno>(info.untrackable);
}

} // namespace

// What could be tracked when the snapshot was created may have come to be written to without bios.
Result<void> Control::check_trackable(Snapshot::Member &member)
{
	shim_bdev_info now;

	shim_bdev_describe(member.bdev, &now);
	if (!now.untrackable)
		return {};
	COVERAGE_MARK("control: a device cannot be taken any more");
	if (may_miss_writes(now))
		member.tracker->cbt().start_generation();
	return refuse(now);
}

Result<void> Control::hold(Snapshot &snapshot, DeviceNumber number, OpenDevice &device,
			   Vector<Tracker *> &fresh)
{
	if (device.info.is_image) {
		shim_log(SHIM_LOG_ERROR, "%s: is an image; name the device that it shows",
			 device.info.name);
		return Errno::Inval;
	}
	Tracker *tracker = find_tracker(number);
	if (tracker && tracker->holder) {
		shim_log(SHIM_LOG_ERROR, "%s: is in snapshot %s already; destroy that one first",
			 device.info.name, tracker->holder->id().text().characters);
		return Errno::Already;
	}
	if (device.info.untrackable) {
		if (tracker && tracker->info().disk_key == device.info.disk_key &&
		    may_miss_writes(device.info)) {
			COVERAGE_MARK("control: a tracker may have missed writes");
			detach(*tracker);
		}
		return refuse(device.info);
	}
	TRY(check_stores(device.bdev, device.info.name));
	if (tracker && !tracker->refresh().ok()) {
		// The number belongs to another device now.
		COVERAGE_MARK("control: a tracker of a device that was replaced");
		detach(*tracker);
		tracker = nullptr;
	}
	if (tracker && tracker->info().disk_key != device.info.disk_key)
		return Errno::Again; // what is open has been replaced, and its successor tracked
	if (!tracker) {
		tracker = TRY(attach(device));
		fresh.push_reserved(tracker);
		if (!tracker->refresh().ok()) {
			COVERAGE_MARK("control: a device is replaced after it was opened");
			return Errno::Again;
		}
	}
	snapshot.add_member(*tracker, device.release());
	return {};
}

Result<Tracker *> Control::attach(OpenDevice &device)
{
	const shim_bdev_info &info = device.info;

	TRY(trackers_.reserve(trackers_.size() + 1));
	Disk *disk = TRY(hooked_disk(device));
	auto tracker = Tracker::create(device.bdev, info, *disk);
	if (!tracker.ok()) {
		unhook(*disk);
		return tracker.error();
	}
	Tracker *attached = tracker.value().get();
	disk->add_tracker(*attached);
	trackers_.push_reserved(tracker.release_value());
	shim_log(SHIM_LOG_INFO, "%s: tracking begins", info.name);
	return attached;
}

// The disk of a device, with its bios coming to us.
Result<Disk *> Control::hooked_disk(OpenDevice &device)
{
	shim_params params;
	shim_params_get(&params);
	Disk *disk = nullptr;

	// While hooked, a tracker keeps the key from being reused. Later, a disk that waits for
	// its last bios may be met again, or another one at its address.
	for (const Own<Disk> &known : disks_)
		if (known->key() == device.info.disk_key &&
		    (known->hooked || known->diskseq() == device.info.diskseq))
			disk = known.get();
	if (disk && disk->hooked)
		return disk;
	if (!disk) {
		TRY(disks_.reserve(disks_.size() + 1));
		auto made = TRY(Disk::create(device.info, params.parked_limit));
		disk = made.get();
		disks_.push_reserved(std::move(made));
	}
	if (hooked_disks_ == 0)
		TRY(port_result(shim_hook_install()));
	const int result = shim_hook_add_disk(device.bdev, disk);
	if (result) {
		COVERAGE_MARK("control: a disk cannot be hooked");
		if (hooked_disks_ == 0)
			shim_hook_remove();
		return from_port(result);
	}
	disk->hooked = true;
	hooked_disks_++;
	return disk;
}

// --- detach ----------------------------------------------------------------------------------

void Control::detach(Tracker &tracker)
{
	Disk &disk = tracker.disk();

	disk.remove_tracker(tracker);
	unhook(disk);
	shim_log(SHIM_LOG_INFO, "%s: tracking ends", tracker.info().name);
	for (u32 i = 0; i < trackers_.size(); i++) {
		if (trackers_[i].get() == &tracker) {
			trackers_.remove(i);
			break;
		}
	}
	reclaim_disks();
}

void Control::unhook(Disk &disk)
{
	if (disk.has_trackers())
		return;
	shim_hook_del_disk(&disk);
	disk.hooked = false;
	shim_rcu_synchronize();
	if (--hooked_disks_ == 0)
		shim_hook_remove();
}

// Unhooked disks whose last write has completed go. The grace period lets that completion leave.
void Control::reclaim_disks()
{
	for (u32 i = 0; i < disks_.size();) {
		if (disks_[i]->hooked) {
			i++;
			continue;
		}
		if (!disks_[i]->reclaimable()) {
			COVERAGE_MARK("control: a disk waits for its last writes");
			i++;
			continue;
		}
		shim_rcu_synchronize();
		disks_.remove(i);
	}
}

Result<void> Control::remove_tracker(DeviceNumber number)
{
	{
		Mutex::Guard guard(lock_);
		drop_dead_trackers(); // the number may belong to another device now
		if (Tracker *tracker = find_tracker(number)) {
			if (tracker->holder)
				return Errno::Busy;
			detach(*tracker);
			return {};
		}
	}
	TRY(open(number)); // not under the mutex, see hold_all()
	return Errno::NoData;
}

// --- liveness --------------------------------------------------------------------------------

void Control::drop_dead_trackers()
{
	for (u32 i = trackers_.size(); i-- > 0;) {
		Tracker &tracker = *trackers_[i];
		shim_bdev_info now;

		if (shim_device_describe(tracker.device(), &now)) {
			if (!tracker.holder) // else its reads fail by themselves
				detach(tracker);
			continue;
		}
		(void)tracker.note(now);
		check_held(tracker, now);
	}
}

// A device that moved, shrank or got another medium under its snapshot: its blocks are not where
// they were.
void Control::check_held(Tracker &tracker, const shim_bdev_info &now)
{
	const Snapshot *holder = tracker.holder;

	if (!holder || !holder->covering || holder->state() != Snapshot::State::Taken)
		return;
	const shim_bdev_info &held = tracker.info();
	if (now.start_sector == held.start_sector && now.sectors >= held.sectors &&
	    now.diskseq == held.diskseq)
		return;
	COVERAGE_MARK("control: the sweep finds a device that changed");
	// A destroy takes the area away outside of our mutex, a grace period after it is unpublished.
	shim_rcu_read_lock();
	if (DiffArea *area = tracker.area())
		area->fail(Errno::NoDev);
	shim_rcu_read_unlock();
}

// --- the change map --------------------------------------------------------------------------

Result<void> Control::collect_trackers(Vector<TrackerInfo> &out)
{
	Mutex::Guard guard(lock_);

	drop_dead_trackers();
	for (const Own<Tracker> &tracker : trackers_) {
		shim_bdev_info now;
		// One that a snapshot holds stays until that ends, though its device may be gone.
		if (shim_device_describe(tracker->device(), &now))
			continue;
		TRY(out.push_back(
			{{tracker->info().major, tracker->info().minor}, tracker->cbt().info()}));
	}
	return {};
}

Result<u32> Control::read_cbt(DeviceNumber number, u32 offset, u32 length, u8 *to)
{
	Mutex::Guard guard(lock_);
	Tracker *tracker = find_tracker(number);

	if (!tracker)
		return Errno::NoData;
	if (!tracker->holder || tracker->holder->state() != Snapshot::State::Taken)
		return Errno::Perm;
	return tracker->cbt().read(offset, length, to);
}

Result<void> Control::mark_dirty(DeviceNumber number, Vector<SectorRange> &ranges)
{
	for (const SectorRange &range : ranges)
		if (range.wraps())
			return Errno::Inval;
	// Then each block is marked once, however often a program names it: everybody else waits.
	merge(ranges);

	Mutex::Guard guard(lock_);
	drop_dead_trackers();
	Tracker *tracker = find_tracker_of(number);
	if (!tracker)
		return Errno::NoDev;
	for (const SectorRange &range : ranges)
		if (!tracker->cbt().covers(range.first, range.count))
			return Errno::Inval;
	for (const SectorRange &range : ranges)
		tracker->cbt().mark_both(range.first, range.count);
	return {};
}

} // namespace blksnap
