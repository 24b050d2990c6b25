// SPDX-License-Identifier: GPL-2.0
//
// Event: waiting, and telling the kinds apart.
#include <blksnap/event.hpp>

#include "abi.hpp"

#include <blksnap/error.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace blksnap
{

namespace
{

template <typename T> T data_of(const blk_snap_snapshot_event &event)
{
	static_assert(sizeof(T) <= sizeof(event.data));
	T data;
	std::memcpy(&data, event.data, sizeof(data));
	return data;
}

Event from_abi(const blk_snap_snapshot_event &event)
{
	switch (event.code) {
	case blk_snap_event_code_low_free_space: {
		const auto data = data_of<blk_snap_event_low_free_space>(event);
		return {event.time_label, LowFreeSpace{data.requested_nr_sect}};
	}
	case blk_snap_event_code_corrupted: {
		const auto data = data_of<blk_snap_event_corrupted>(event);
		const auto original = abi::to_device(data.orig_dev_id);
		return {event.time_label, Corrupted{original, std::abs(data.err_code)}};
	}
	default:
		return {event.time_label, UnknownEvent{event.code}};
	}
}

} // namespace

std::variant<Event, NoEvent> wait_event(const Control &control, const Uuid &snapshot,
					std::chrono::duration<std::uint32_t, std::milli> timeout)
{
	blk_snap_snapshot_event argument{};
	argument.id = abi::from(snapshot);
	argument.timeout_ms = timeout.count();
	const int result = control.request(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &argument);
	switch (-result) {
	case ENOENT:
		return NoEvent::Timeout;
	case EINTR:
		return NoEvent::Interrupted;
	case ESRCH:
		return NoEvent::NotFound;
	default:
		break;
	}
	if (result < 0)
		fail(-result, "cannot wait for events of snapshot", snapshot.to_string());
	return from_abi(argument);
}

} // namespace blksnap
