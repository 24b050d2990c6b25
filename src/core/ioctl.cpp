// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/ioctl.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/version.hpp>

#define BLKSNAP_FREESTANDING
#include <blksnap.h>
#include <blksnap_compat.h>

namespace blksnap
{

namespace
{

// More than any machine has, and few enough to allocate for on a program's word.
constexpr u32 kMaxDevices = 4096;
constexpr u32 kMaxRanges = 256 * 1024;
constexpr u32 kCbtPieceBytes = 64 * 1024;

DeviceNumber number_of(const blk_snap_dev &device)
{
	return {device.mj, device.mn};
}

blk_snap_dev device_of(DeviceNumber number)
{
	return {number.major, number.minor};
}

Uuid uuid_of(const blk_snap_uuid &from)
{
	Uuid uuid;
	__builtin_memcpy(uuid.bytes, from.b, sizeof(uuid.bytes));
	return uuid;
}

void set_uuid(blk_snap_uuid &to, const Uuid &from)
{
	__builtin_memcpy(to.b, from.bytes, sizeof(to.b));
}

u64 address_of(const void *pointer)
{
	return reinterpret_cast<u64>(pointer);
}

u64 address_of(u32 compat_pointer)
{
	return compat_pointer;
}

// Holes read as zero, also that of an argument which is written back: between a count and the pointer
// that follows it.
void clear_hole(void *count, const void *pointer)
{
	auto *from = static_cast<u8 *>(count) + sizeof(u32);
	__builtin_memset(from, 0, static_cast<const u8 *>(pointer) - from);
}

// An array of a program: `count` was checked by the caller.
template <class T> Result<Vector<T>> read_array(u64 address, u32 count)
{
	Vector<T> items;
	TRY(items.reserve(count));
	for (u32 i = 0; i < count; i++)
		items.push_reserved(T{});
	TRY(port_result(shim_user_read(items.begin(), address, sizeof(T) * count)));
	return items;
}

Result<Vector<blk_snap_block_range>> read_ranges(u64 address, u32 count)
{
	if (count > kMaxRanges)
		return Errno::Inval;
	return read_array<blk_snap_block_range>(address, count);
}

} // namespace

Result<u32> Ioctl::run(u32 command)
{
	bool known = true;

	if (!shim_user_is_admin())
		return Errno::Perm;
	auto result = run_fixed(command, known);
	if (known)
		return result;
	known = true;
	auto sized = compat_ ? run_compat(command, known) : run_native(command, known);
	return known ? std::move(sized) : Result<u32>(Errno::NoTty);
}

// Requests whose structures are the same for 32-bit programs.
Result<u32> Ioctl::run_fixed(u32 command, bool &known)
{
	switch (command) {
	case IOCTL_BLK_SNAP_VERSION:
		return version();
	case IOCTL_BLK_SNAP_TRACKER_REMOVE:
		return tracker_remove();
	case IOCTL_BLK_SNAP_SNAPSHOT_DESTROY:
		return snapshot_destroy();
	case IOCTL_BLK_SNAP_SNAPSHOT_TAKE:
		return snapshot_take();
	case IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT:
		return snapshot_wait_event();
	}
	known = false;
	return u32{0};
}

Result<u32> Ioctl::run_native(u32 command, bool &known)
{
	switch (command) {
	case IOCTL_BLK_SNAP_TRACKER_COLLECT:
		return tracker_collect<blk_snap_tracker_collect, blk_snap_cbt_info>();
	case IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP:
		return tracker_read_cbt_map<blk_snap_tracker_read_cbt_bitmap>();
	case IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS:
		return tracker_mark_dirty_blocks<blk_snap_tracker_mark_dirty_blocks>();
	case IOCTL_BLK_SNAP_SNAPSHOT_CREATE:
		return snapshot_create<blk_snap_snapshot_create>();
	case IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE:
		return snapshot_append_storage<blk_snap_snapshot_append_storage>();
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT:
		return snapshot_collect<blk_snap_snapshot_collect>();
	case IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES:
		return snapshot_collect_images<blk_snap_snapshot_collect_images>();
	}
	known = false;
	return u32{0};
}

Result<u32> Ioctl::run_compat(u32 command, bool &known)
{
	switch (command) {
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_COLLECT:
		return tracker_collect<blk_snap_compat_tracker_collect, blk_snap_compat_cbt_info>();
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_READ_CBT_MAP:
		return tracker_read_cbt_map<blk_snap_compat_tracker_read_cbt_bitmap>();
	case IOCTL_BLK_SNAP_COMPAT_TRACKER_MARK_DIRTY_BLOCKS:
		return tracker_mark_dirty_blocks<blk_snap_compat_tracker_mark_dirty_blocks>();
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_CREATE:
		return snapshot_create<blk_snap_compat_snapshot_create>();
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_APPEND_STORAGE:
		return snapshot_append_storage<blk_snap_compat_snapshot_append_storage>();
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT:
		return snapshot_collect<blk_snap_compat_snapshot_collect>();
	case IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT_IMAGES:
		return snapshot_collect_images<blk_snap_compat_snapshot_collect_images>();
	}
	known = false;
	return u32{0};
}

// --- trackers --------------------------------------------------------------------------------

Result<u32> Ioctl::version()
{
	const blk_snap_version version{kVersionMajor, kVersionMinor, kVersionRevision,
				       kVersionBuild};

	TRY(write(version));
	return u32{0};
}

Result<u32> Ioctl::tracker_remove()
{
	blk_snap_tracker_remove argument;

	TRY(read(argument));
	TRY(control_.remove_tracker(number_of(argument.dev_id)));
	return u32{0};
}

template <class Argument, class Info> Result<u32> Ioctl::tracker_collect()
{
	Argument argument;
	TRY(read(argument));
	Vector<Control::TrackerInfo> trackers;
	TRY(control_.collect_trackers(trackers));

	const u32 room = argument.count;
	const u64 array = address_of(argument.cbt_info_array);
	argument.count = trackers.size();
	clear_hole(&argument.count, &argument.cbt_info_array);
	if (array && room >= trackers.size()) {
		for (u32 i = 0; i < trackers.size(); i++) {
			const CbtMap::Info &cbt = trackers[i].cbt;
			Info info;
			__builtin_memset(&info, 0, sizeof(info)); // its holes go to the program
			info.dev_id = device_of(trackers[i].device);
			info.blk_size = cbt.block_bytes;
			info.device_capacity = cbt.capacity_bytes;
			info.blk_count = cbt.blocks;
			set_uuid(info.generation_id, cbt.generation_id);
			info.snap_number = cbt.snap_number;
			TRY(write_at(array + u64{i} * sizeof(Info), info));
		}
	}
	TRY(write(argument));
	if (array && room < trackers.size())
		return Errno::NoBufs;
	return u32{0};
}

template <class Argument> Result<u32> Ioctl::tracker_read_cbt_map()
{
	Argument argument;
	TRY(read(argument));
	const DeviceNumber device = number_of(argument.dev_id);
	const u64 buffer = address_of(argument.buff);
	Vector<u8> piece;
	TRY(piece.reserve(kCbtPieceBytes));
	u32 copied = 0;

	// The map is copied aside under the control's mutex, and to the program without it: its
	// memory may be slow to come.
	do {
		const u32 wanted = min(argument.length - copied, kCbtPieceBytes);
		const u32 bytes = TRY(
			control_.read_cbt(device, argument.offset + copied, wanted, piece.begin()));
		TRY(port_result(shim_user_write(buffer + copied, piece.begin(), bytes)));
		copied += bytes;
		if (bytes < wanted)
			break;
	} while (copied < argument.length);
	return u32{copied};
}

template <class Argument> Result<u32> Ioctl::tracker_mark_dirty_blocks()
{
	Argument argument;
	TRY(read(argument));
	const auto given =
		TRY(read_ranges(address_of(argument.dirty_blocks_array), argument.count));
	Vector<SectorRange> ranges;

	TRY(ranges.reserve(given.size()));
	for (const blk_snap_block_range &range : given)
		ranges.push_reserved({range.sector_offset, range.sector_count});
	TRY(control_.mark_dirty(number_of(argument.dev_id), ranges));
	return u32{0};
}

// --- snapshots -------------------------------------------------------------------------------

template <class Argument> Result<u32> Ioctl::snapshot_create()
{
	Argument argument;
	TRY(read(argument));
	if (argument.count == 0 || argument.count > kMaxDevices)
		return Errno::Inval;
	const auto given =
		TRY(read_array<blk_snap_dev>(address_of(argument.dev_id_array), argument.count));
	Vector<DeviceNumber> numbers;
	TRY(numbers.reserve(given.size()));
	for (const blk_snap_dev &device : given)
		numbers.push_reserved(number_of(device));

	const Uuid id = TRY(control_.create_snapshot(numbers));
	set_uuid(argument.id, id);
	clear_hole(&argument.count, &argument.dev_id_array);
	const auto told = write(argument);
	if (told.ok())
		return u32{0};
	// The program cannot learn its name: nobody could end it.
	COVERAGE_MARK("ioctl: a snapshot whose name could not be told");
	(void)control_.destroy_snapshot(id).ok();
	return told.error();
}

Result<u32> Ioctl::snapshot_destroy()
{
	blk_snap_snapshot_destroy argument;

	TRY(read(argument));
	TRY(control_.destroy_snapshot(uuid_of(argument.id)));
	return u32{0};
}

template <class Argument> Result<u32> Ioctl::snapshot_append_storage()
{
	Argument argument;
	TRY(read(argument));
	const auto given = TRY(read_ranges(address_of(argument.ranges), argument.count));
	Vector<DiffStorage::GivenRange> ranges;

	TRY(ranges.reserve(given.size()));
	for (const blk_snap_block_range &range : given)
		ranges.push_reserved({range.sector_offset, range.sector_count});
	TRY(control_.append_storage(uuid_of(argument.id), number_of(argument.dev_id), ranges));
	return u32{0};
}

Result<u32> Ioctl::snapshot_take()
{
	blk_snap_snapshot_take argument;

	TRY(read(argument));
	TRY(control_.take_snapshot(uuid_of(argument.id)));
	return u32{0};
}

template <class Argument> Result<u32> Ioctl::snapshot_collect()
{
	Argument argument;
	TRY(read(argument));
	Vector<Uuid> snapshots;
	TRY(control_.collect_snapshots(snapshots));

	const u32 room = argument.count;
	const u64 array = address_of(argument.ids);
	argument.count = snapshots.size();
	clear_hole(&argument.count, &argument.ids);
	if (array && room >= snapshots.size())
		TRY(port_result(shim_user_write(array, snapshots.begin(),
						snapshots.size() * sizeof(Uuid))));
	TRY(write(argument));
	if (array && room < snapshots.size())
		return Errno::NoData;
	return u32{0};
}

template <class Argument> Result<u32> Ioctl::snapshot_collect_images()
{
	Argument argument;
	TRY(read(argument));
	Vector<Control::ImageInfo> images;
	TRY(control_.collect_images(uuid_of(argument.id), images));

	const u32 room = argument.count;
	const u64 array = address_of(argument.image_info_array);
	argument.count = images.size();
	clear_hole(&argument.count, &argument.image_info_array);
	if (array && room >= images.size()) {
		for (u32 i = 0; i < images.size(); i++) {
			const blk_snap_image_info info{device_of(images[i].origin),
						       device_of(images[i].image)};
			TRY(write_at(array + u64{i} * sizeof(info), info));
		}
	}
	TRY(write(argument));
	if (array && room < images.size())
		return Errno::NoData;
	return u32{0};
}

// --- events ----------------------------------------------------------------------------------

Result<u32> Ioctl::snapshot_wait_event()
{
	auto answer =
		TRY(try_new<blk_snap_snapshot_event>(Gfp::Kernel)); // a page: not on the stack
	TRY(port_result(shim_user_read(answer.get(), argument_,
				       __builtin_offsetof(blk_snap_snapshot_event, code))));
	auto events = TRY(control_.events(uuid_of(answer->id)));
	const Event event = TRY(events->wait(answer->timeout_ms));

	answer->code = static_cast<u32>(event.kind);
	answer->time_label = static_cast<i64>(event.time_label_ns);
	if (event.kind == Event::Kind::LowFreeSpace) {
		const blk_snap_event_low_free_space data{event.requested_sectors};
		__builtin_memcpy(answer->data, &data, sizeof(data));
	} else {
		const blk_snap_event_corrupted data{{event.device_major, event.device_minor},
						    to_int(event.error)};
		__builtin_memcpy(answer->data, &data, sizeof(data));
	}
	const auto told = write(*answer);
	if (told.ok())
		return u32{0};
	events->put_back(event);
	return told.error();
}

} // namespace blksnap
