// SPDX-License-Identifier: GPL-2.0
#include "snapshot.hpp"

#include <stdexcept>

namespace kselftest
{

bool same(const blk_snap_dev &a, const blk_snap_dev &b)
{
	return a.mj == b.mj && a.mn == b.mn;
}

bool same(const blk_snap_uuid &a, const blk_snap_uuid &b)
{
	return !memcmp(a.b, b.b, sizeof(a.b));
}

std::vector<blk_snap_uuid> snapshot_ids(const Control &control)
{
	std::vector<blk_snap_uuid> ids(control.snapshots());
	blk_snap_snapshot_collect argument{};

	if (ids.empty())
		return ids;
	argument.count = static_cast<__u32>(ids.size());
	argument.ids = ids.data();
	control.call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &argument, "collect");
	ids.resize(argument.count);
	return ids;
}

std::vector<blk_snap_cbt_info> trackers(const Control &control)
{
	std::vector<blk_snap_cbt_info> infos(control.trackers());
	blk_snap_tracker_collect argument{};

	if (infos.empty())
		return infos;
	argument.count = static_cast<__u32>(infos.size());
	argument.cbt_info_array = infos.data();
	control.call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument, "collect trackers");
	infos.resize(argument.count);
	return infos;
}

std::optional<blk_snap_cbt_info> tracker_of(const Control &control, blk_snap_dev device)
{
	for (const blk_snap_cbt_info &info : trackers(control))
		if (same(info.dev_id, device))
			return info;
	return {};
}

int remove_tracker(const Control &control, blk_snap_dev device)
{
	blk_snap_tracker_remove argument{device};

	return control.try_call(IOCTL_BLK_SNAP_TRACKER_REMOVE, &argument);
}

int try_create(const Control &control, std::vector<blk_snap_dev> devices)
{
	blk_snap_snapshot_create argument{};

	argument.count = static_cast<__u32>(devices.size());
	argument.dev_id_array = devices.data();
	const int error = control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument);
	if (!error)
		control.try_destroy(argument.id);
	return error;
}

int mark_dirty(const Control &control, blk_snap_dev device,
	       std::vector<blk_snap_block_range> ranges)
{
	blk_snap_tracker_mark_dirty_blocks argument{};

	argument.dev_id = device;
	argument.count = static_cast<__u32>(ranges.size());
	argument.dirty_blocks_array = ranges.data();
	return control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &argument);
}

Bytes cbt_map(const Control &control, blk_snap_dev device)
{
	Bytes map, piece(1 << 20);
	blk_snap_tracker_read_cbt_bitmap argument{};

	argument.dev_id = device;
	argument.length = static_cast<__u32>(piece.size());
	argument.buff = piece.data();
	for (;;) {
		argument.offset = static_cast<__u32>(map.size());
		const int got = ioctl(control.fd(), IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &argument);
		if (got < 0)
			throw std::system_error(errno, std::generic_category(),
						"read of the CBT map");
		if (got == 0)
			return map;
		map.insert(map.end(), piece.begin(), piece.begin() + got);
	}
}

std::vector<unsigned> changed_blocks(const Control &control, blk_snap_dev device, unsigned since)
{
	const Bytes map = cbt_map(control, device);
	std::vector<unsigned> changed;

	for (std::size_t i = 0; i < map.size(); i++)
		if (map[i] > since)
			changed.push_back(static_cast<unsigned>(i));
	return changed;
}

Snapshot::Snapshot(const Control &control, std::vector<const Disk *> disks, Trackers trackers)
	: control_(control), trackers_(trackers)
{
	for (const Disk *disk : disks)
		devices_.push_back(disk->number());
	id_ = control.create(devices_);
}

Snapshot::~Snapshot()
{
	destroy();
	if (trackers_ == Trackers::Remove)
		for (const blk_snap_dev &device : devices_)
			remove_tracker(control_, device);
}

int Snapshot::append(const Disk &store, std::vector<blk_snap_block_range> ranges) const
{
	return control_.try_append(id_, store.number(), std::move(ranges));
}

int Snapshot::take() const
{
	return control_.try_take(id_);
}

int Snapshot::destroy() const
{
	return control_.try_destroy(id_);
}

int Snapshot::wait_event(unsigned timeout_ms, blk_snap_snapshot_event &event) const
{
	memset(&event, 0xa5, sizeof(event));
	event.id = id_;
	event.timeout_ms = timeout_ms;
	return control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event);
}

void Snapshot::take_with(const Disk &store) const
{
	if (const int error = append(store, {{0, store.sectors()}}))
		throw std::system_error(error, std::generic_category(), "append");
	if (const int error = take())
		throw std::system_error(error, std::generic_category(), "take");
}

Disk Snapshot::image_of(const Disk &origin) const
{
	const blk_snap_dev number = origin.number();

	for (const blk_snap_image_info &info : control_.images(id_))
		if (same(info.orig_dev_id, number))
			return Disk("/dev/blksnap-image" + std::to_string(info.image_dev_id.mn));
	throw std::runtime_error(origin.path() + " has no image");
}

} // namespace kselftest
