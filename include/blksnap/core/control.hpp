// SPDX-License-Identifier: GPL-2.0
//
// Control: all trackers, disks and snapshots, and what users may do with them.
//
// One mutex guards the registries and the states of snapshots. Work that can take long (freezing,
// draining, waiting for events, copying to users) is done without it; a snapshot that is
// Creating, Taking or Ending is kept by its state. Only one take runs at a time: two could wait for each other's gates.
#pragma once

#include <blksnap/core/snapshot.hpp>
#include <blksnap/port/hook.h>

namespace blksnap
{

struct DeviceNumber {
	u32 major = 0;
	u32 minor = 0;

	bool operator==(const DeviceNumber &) const = default;
};

class Control final
{
public:
	struct TrackerInfo {
		DeviceNumber device;
		CbtMap::Info cbt;
	};
	struct ImageInfo {
		DeviceNumber origin;
		DeviceNumber image;
	};

	static Result<Own<Control>> create();
	Control(const Control &) = delete;
	Control &operator=(const Control &) = delete;
	// Ends all snapshots and trackers; returns when no bio carries a record of ours.
	~Control();

	// Errors as in Documentation/uapi. Context: process.
	Result<void> remove_tracker(DeviceNumber number);
	Result<void> collect_trackers(Vector<TrackerInfo> &out);
	// Copies up to `length` bytes; gives how many, 0 at the end of the map.
	Result<u32> read_cbt(DeviceNumber number, u32 offset, u32 length, u8 *to);
	// All or nothing. `ranges` may overlap and lie in any order; they are merged.
	Result<void> mark_dirty(DeviceNumber number, Vector<SectorRange> &ranges);
	Result<Uuid> create_snapshot(const Vector<DeviceNumber> &numbers);
	Result<void> destroy_snapshot(const Uuid &id);
	Result<void> append_storage(const Uuid &id, DeviceNumber number,
				    const Vector<DiffStorage::GivenRange> &ranges);
	Result<void> take_snapshot(const Uuid &id);
	Result<void> collect_snapshots(Vector<Uuid> &out);
	Result<void> collect_images(const Uuid &id, Vector<ImageInfo> &out);
	// The queue, to wait on it without any lock. SRCH: no such snapshot.
	Result<Ref<EventQueue>> events(const Uuid &id);

	void run_sweep();

private:
	static constexpr u32 kOpenAttempts = 16;

	// An open device and what it is; closed unless released.
	struct OpenDevice {
		shim_bdev *bdev = nullptr;
		shim_bdev_info info;

		OpenDevice() = default;
		OpenDevice(OpenDevice &&other) : bdev(other.release()), info(other.info) {}
		~OpenDevice()
		{
			// The analyzer does not see that a Result with an error has no value.
			if (bdev) // NOLINT(clang-analyzer-core.uninitialized.Branch)
				shim_bdev_close(bdev);
		}
		shim_bdev *release() { return std::exchange(bdev, nullptr); }
	};

	Control() = default;
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	static Result<OpenDevice> open(DeviceNumber number);
	Tracker *find_tracker(DeviceNumber number);
	Snapshot *find_snapshot(const Uuid &id);
	Tracker *find_tracker_of(DeviceNumber origin_or_image);
	static void settle(Snapshot &snapshot);
	bool is_known(const Uuid &id);
	Result<void> hold_all(Snapshot &snapshot, const Vector<DeviceNumber> &numbers);
	Result<void> hold(Snapshot &snapshot, DeviceNumber number, OpenDevice &device,
			  Vector<Tracker *> &fresh);
	Result<Tracker *> attach(OpenDevice &device);
	static Result<void> check_trackable(Snapshot::Member &member);
	Result<Disk *> hooked_disk(OpenDevice &device);
	void detach(Tracker &tracker);
	void unhook(Disk &disk);
	void reclaim_disks();
	Result<bool> stands_on(shim_bdev *upper, shim_bdev *lower);
	Result<void> check_stacking(shim_bdev *store, const char *store_name);
	Result<void> check_stores(shim_bdev *origin, const char *origin_name);
	Result<void> check_given(const shim_bdev_info &store,
				 const Vector<DiffStorage::GivenRange> &ranges);
	Result<void> check_covered(const shim_bdev_info &store,
				   const Vector<DiffStorage::GivenRange> &ranges,
				   const shim_params &params);
	static void end_area(Tracker &tracker);
	void exclude_covered(const shim_bdev_info &store,
			     const Vector<DiffStorage::GivenRange> &ranges);
	Result<Ref<Snapshot>> begin_take(const Uuid &id);
	Result<void> exclude_stores(Snapshot &snapshot);
	Result<void> take(Snapshot &snapshot);
	void end_snapshot(Ref<Snapshot> snapshot);
	void drop_dead_trackers();
	void check_held(Tracker &tracker, const shim_bdev_info &now);

	Mutex take_lock_{LockRank::Take, "blksnap take"};
	Mutex lock_{LockRank::Control, "blksnap control"};
	Vector<Own<Disk>> disks_; // also those that are unhooked and wait for their last bios
	Vector<Own<Tracker>> trackers_;
	Vector<Ref<Snapshot>> snapshots_;
	u32 hooked_disks_ = 0;
	WaitQueue changed_{"blksnap snapshots"}; // a take has ended
	Atomic<bool> sweeping_;
	shim_work *sweep_ = nullptr;
};

} // namespace blksnap
