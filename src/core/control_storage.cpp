// SPDX-License-Identifier: GPL-2.0
//
// Control: what may be given as diff storage, and what that means for images.
#include <blksnap/core/control.hpp>
#include <blksnap/base/mark.hpp>

namespace blksnap
{

namespace
{

// Does one of the ranges lie on the tracked device?
bool meets(const Tracker &tracker, const shim_bdev_info &store,
	   const Vector<DiffStorage::GivenRange> &ranges)
{
	if (tracker.info().disk_key != store.disk_key)
		return false;
	for (const auto &range : ranges)
		if (!tracker.covered(store.start_sector + range.sector, range.sectors).empty())
			return true;
	return false;
}

} // namespace

Result<void> Control::append_storage(const Uuid &id, DeviceNumber number,
				     const Vector<DiffStorage::GivenRange> &ranges)
{
	shim_params params;
	shim_params_get(&params);

	if (!is_known(id))
		return Errno::Srch;
	// Opened and closed without the mutex, see hold_all().
	OpenDevice device = TRY(open(number));
	const shim_bdev_info info = device.info;

	Mutex::Guard guard(lock_);
	Snapshot *snapshot = find_snapshot(id);
	if (!snapshot)
		return Errno::Srch;

	if (info.is_image) {
		shim_log(SHIM_LOG_ERROR, "%s: is an image; give storage on another device",
			 info.name);
		return Errno::Inval;
	}
	if (info.unstorable) {
		shim_log(SHIM_LOG_ERROR, "%s: cannot be diff storage: %s", info.name,
			 info.unstorable_why);
		return static_cast<Errno>(info.unstorable);
	}
	// Parts of blocks are read from the store in place.
	for (Snapshot::Member &member : snapshot->members()) {
		if (info.logical_block_bytes <= member.tracker->info().logical_block_bytes)
			continue;
		shim_log(SHIM_LOG_ERROR,
			 "%s: its blocks of %u bytes are larger than those of %s; "
			 "give storage on another device",
			 info.name, info.logical_block_bytes, member.tracker->info().name);
		return Errno::Inval;
	}
	TRY(check_stacking(device.bdev, info.name));
	TRY(check_given(info, ranges));
	TRY(check_covered(info, ranges, params));
	// Otherwise each call would leave an open device behind.
	if (ranges.empty())
		return {};
	auto portion = TRY(snapshot->storage().prepare(device.bdev, info, ranges));
	// Before the store can write there: a read in flight looks again when it completes.
	exclude_covered(info, ranges);
	snapshot->storage().append(portion);
	device.release();
	shim_log(SHIM_LOG_INFO, "snapshot %s: %u ranges of %s appended as diff storage",
		 id.text().characters, ranges.size(), info.name);
	return {};
}

Result<bool> Control::stands_on(shim_bdev *upper, shim_bdev *lower)
{
	const int answer = shim_bdev_stands_on(upper, lower);

	if (answer < 0)
		return from_port(answer);
	return answer > 0;
}

// Store writes through a stacked device would come down to a tracked disk as writes of somebody
// else: each copy would need another copy.
Result<void> Control::check_stacking(shim_bdev *store, const char *store_name)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		for (Snapshot::Member &member : snapshot->members()) {
			if (!TRY(stands_on(store, member.bdev)))
				continue;
			shim_log(SHIM_LOG_ERROR,
				 "%s: stands on %s, which is in a snapshot; give storage elsewhere",
				 store_name, member.tracker->info().name);
			return Errno::Inval;
		}
	}
	return {};
}

Result<void> Control::check_stores(shim_bdev *origin, const char *origin_name)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		for (shim_bdev *store : snapshot->storage().devices()) {
			if (!TRY(stands_on(store, origin)))
				continue;
			shim_log(SHIM_LOG_ERROR,
				 "%s: a diff storage stands on it; destroy that snapshot first",
				 origin_name);
			return Errno::Busy;
		}
	}
	return {};
}

// Two stores on the same sectors would overwrite each other's copies. Overlaps within one snapshot,
// and ranges outside of the device, are found when they are appended.
Result<void> Control::check_given(const shim_bdev_info &store,
				  const Vector<DiffStorage::GivenRange> &ranges)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		for (const auto &range : ranges) {
			if (range.sector >= store.sectors ||
			    range.sectors > store.sectors - range.sector)
				continue;
			const auto free = snapshot->storage().for_each_overlap(
				store.disk_key, store.start_sector + range.sector, range.sectors,
				[](u64, u64) -> Result<void> { return Errno::Inval; });
			if (free.ok())
				continue;
			shim_log(SHIM_LOG_ERROR,
				 "%s: sectors %llu:%llu are storage of snapshot %s already",
				 store.name, static_cast<unsigned long long>(range.sector),
				 static_cast<unsigned long long>(range.sectors),
				 snapshot->id().text().characters);
			return free.error();
		}
	}
	return {};
}

// Sectors that a taken snapshot covers hold content of its image, even where the file system calls
// them free. Store writes there would change the image behind its back. One that is being destroyed
// refuses nothing: that may last as long as its store.
Result<void> Control::check_covered(const shim_bdev_info &store,
				    const Vector<DiffStorage::GivenRange> &ranges,
				    const shim_params &params)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		if (!snapshot->covering)
			continue;
		for (Snapshot::Member &member : snapshot->members()) {
			if (!meets(*member.tracker, store, ranges))
				continue;
			if (snapshot->state() == Snapshot::State::Ending) {
				COVERAGE_MARK("storage: on what an ending snapshot covers");
				end_area(*member.tracker);
				continue;
			}
			shim_log(params.storage_on_origin_after_take ? SHIM_LOG_WARNING
								     : SHIM_LOG_ERROR,
				 "%s: storage lies on %s, whose snapshot is taken; allocate "
				 "before take, or elsewhere",
				 store.name, member.tracker->info().name);
			if (!params.storage_on_origin_after_take ||
			    snapshot->state() != Snapshot::State::Taken)
				return Errno::Busy;
		}
	}
	return {};
}

// Its image goes anyway, and shows nothing from now on. The destroy takes the area away outside of
// our mutex, a grace period after it is unpublished.
void Control::end_area(Tracker &tracker)
{
	shim_rcu_read_lock();
	if (DiffArea *area = tracker.area())
		area->end();
	shim_rcu_read_unlock();
}

// Accepted all the same, by parameter: those sectors of the images read as zeroes from now on.
void Control::exclude_covered(const shim_bdev_info &store,
			      const Vector<DiffStorage::GivenRange> &ranges)
{
	for (const Ref<Snapshot> &snapshot : snapshots_) {
		if (snapshot->state() != Snapshot::State::Taken)
			continue;
		for (Snapshot::Member &member : snapshot->members()) {
			if (member.tracker->info().disk_key != store.disk_key)
				continue;
			Vector<SectorRange> parts;
			for (const auto &range : ranges) {
				const auto part = member.tracker->covered(
					store.start_sector + range.sector, range.sectors);
				if (part.empty() || parts.push_back(part).ok())
					continue;
				COVERAGE_MARK("storage: no memory to exclude a range");
				member.area->fail(Errno::NoMem);
				break;
			}
			// The storage is appended all the same: an image that cannot be told is lost.
			if (!parts.empty())
				COVERAGE_MARK("storage: on a taken snapshot, by parameter");
			const auto result = member.area->exclude(parts);
			if (!result.ok())
				member.area->fail(result.error());
		}
	}
}

// Before the cut: what all stores occupy on the devices of this snapshot.
Result<void> Control::exclude_stores(Snapshot &snapshot)
{
	Mutex::Guard guard(lock_);

	for (Snapshot::Member &member : snapshot.members()) {
		const shim_bdev_info &info = member.tracker->info();
		Vector<SectorRange> parts;
		for (const Ref<Snapshot> &other : snapshots_)
			TRY(other->storage().for_each_overlap(
				info.disk_key, info.start_sector, info.sectors,
				[&](u64 sector, u64 sectors) {
					return parts.push_back(
						{sector - info.start_sector, sectors});
				}));
		TRY(member.area->exclude(parts));
	}
	snapshot.covering = true;
	return {};
}

} // namespace blksnap
