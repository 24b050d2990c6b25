// SPDX-License-Identifier: GPL-2.0
//
// Snapshots: making and ending them.
#include <blksnap/snapshot.hpp>

#include "abi.hpp"

#include <blksnap/error.hpp>

#include <array>
#include <cerrno>

namespace blksnap
{

namespace
{

constexpr std::string_view kList = "list the snapshots with blksnap snapshot_collect";

constexpr std::array kCreateFailures{
	KnownFailure{EINVAL, "a device is named twice, or is an image",
		     "name each original device once"},
	KnownFailure{EALREADY, "a device is in another snapshot",
		     "destroy that one first; the kernel log says which, see dmesg"},
	KnownFailure{ENODEV, "there is no such device", "list the devices with lsblk"},
	KnownFailure{ENXIO, "there is no such device", "list the devices with lsblk"},
	KnownFailure{EOPNOTSUPP, "a device is of a kind that cannot be tracked",
		     "see the kernel log with dmesg"},
	KnownFailure{EBUSY,
		     "something else intercepts writes in the kernel, or the diff storage of "
		     "another snapshot stands on a device",
		     "see the kernel log with dmesg, which says what it is"},
	KnownFailure{EAGAIN, "a device was replaced again and again", "try again"},
};

constexpr std::array kAppendFailures{
	KnownFailure{ESRCH, "there is no such snapshot", kList},
	KnownFailure{EINVAL,
		     "a range is empty, leaves the device or overlaps one given before, or the "
		     "device cannot be storage here",
		     "give other ranges or another device; the kernel log says more, see dmesg"},
	KnownFailure{EROFS, "it is read-only", "use another device"},
	KnownFailure{EBUSY, "it lies on sectors that a taken snapshot covers",
		     "append it before the take, or use another device"},
	KnownFailure{ENODEV, "there is no such device", "list the devices with lsblk"},
	KnownFailure{ENXIO, "there is no such device", "list the devices with lsblk"},
};

constexpr std::array kTakeFailures{
	KnownFailure{ESRCH, "there is no such snapshot", kList},
	KnownFailure{EALREADY, "it was taken before", "create another one"},
	KnownFailure{ENODEV, "it has no devices, or one of them is gone",
		     "destroy it and create another one"},
	KnownFailure{EOPNOTSUPP, "a device is of a kind that cannot be tracked",
		     "see the kernel log with dmesg"},
	KnownFailure{ETIMEDOUT, "file systems did not freeze in time",
		     "see the kernel log with dmesg, and try again"},
	KnownFailure{EBUSY,
		     "writes in flight did not end in time, a device has not answered an earlier "
		     "take yet, or a diff storage stands on one",
		     "see the kernel log with dmesg, and try again"},
	KnownFailure{ENOSPC, "it has no diff storage",
		     "append some first, with blksnap snapshot_appendstorage"},
};

constexpr std::array kDestroyFailures{
	KnownFailure{ENODEV, "there is no such snapshot", kList},
};

std::string names_of(std::span<const Device> devices)
{
	std::string names;
	for (const auto &device : devices)
		names.append(names.empty() ? "" : ", ").append(device.name);
	return names;
}

} // namespace

Uuid create_snapshot(const Control &control, std::span<const Device> devices)
{
	std::vector<blk_snap_dev> ids;
	for (const auto &device : devices)
		ids.push_back(abi::from(device.id));
	blk_snap_snapshot_create argument{
		.count = static_cast<__u32>(ids.size()), .dev_id_array = ids.data(), .id = {}};
	const int result = control.request(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument);
	if (result < 0)
		fail(-result, "cannot create a snapshot of", names_of(devices), kCreateFailures);
	return abi::to_uuid(argument.id);
}

void append_storage(const Control &control, const Uuid &snapshot, const Device &storage,
		    std::span<const SectorRange> ranges)
{
	auto blocks = abi::from(ranges);
	blk_snap_snapshot_append_storage argument{.id = abi::from(snapshot),
						  .dev_id = abi::from(storage.id),
						  .count = static_cast<__u32>(blocks.size()),
						  .ranges = blocks.data()};
	const int result = control.request(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &argument);
	if (result < 0)
		fail(-result, "cannot append storage on", storage.name, kAppendFailures);
}

void take_snapshot(const Control &control, const Uuid &snapshot)
{
	blk_snap_snapshot_take argument{.id = abi::from(snapshot)};
	const int result = control.request(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, &argument);
	if (result < 0)
		fail(-result, "cannot take snapshot", snapshot.to_string(), kTakeFailures);
}

void destroy_snapshot(const Control &control, const Uuid &snapshot)
{
	blk_snap_snapshot_destroy argument{.id = abi::from(snapshot)};
	const int result = control.request(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, &argument);
	if (result < 0)
		fail(-result, "cannot destroy snapshot", snapshot.to_string(), kDestroyFailures);
}

std::vector<Uuid> collect_snapshots(const Control &control)
{
	int result = 0;
	const auto ids = abi::collect<blk_snap_uuid>(
		[&](blk_snap_uuid *array, __u32 &count) {
			blk_snap_snapshot_collect argument{.count = count, .ids = array};
			const int answer =
				control.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument);
			count = argument.count;
			return answer;
		},
		ENODATA, result);
	if (result < 0)
		fail(-result, "cannot list", "the snapshots");

	std::vector<Uuid> snapshots;
	snapshots.reserve(ids.size());
	for (const auto &id : ids)
		snapshots.push_back(abi::to_uuid(id));
	return snapshots;
}

} // namespace blksnap
