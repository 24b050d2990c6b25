// SPDX-License-Identifier: GPL-2.0
#include "events.hpp"

#include "process.hpp"

namespace kselftest
{

namespace
{

template <class Data>
std::optional<Data> next_event(const Snapshot &snapshot, __u32 code, unsigned timeout_ms)
{
	const double end = now() + timeout_ms / 1000.0;
	blk_snap_snapshot_event event;

	for (;;) {
		const double left = end - now();
		const int error = snapshot.wait_event(
			left > 0 ? static_cast<unsigned>(left * 1000) : 0, event);
		if (error == EINTR)
			continue;
		if (error)
			return {};
		if (event.code != code)
			continue;
		Data data;
		memcpy(&data, event.data, sizeof(data));
		return data;
	}
}

} // namespace

std::optional<blk_snap_event_corrupted> lost_image(const Snapshot &snapshot, unsigned timeout_ms)
{
	return next_event<blk_snap_event_corrupted>(snapshot, blk_snap_event_code_corrupted,
						    timeout_ms);
}

std::optional<std::uint64_t> request_for_space(const Snapshot &snapshot, unsigned timeout_ms)
{
	const auto event = next_event<blk_snap_event_low_free_space>(
		snapshot, blk_snap_event_code_low_free_space, timeout_ms);

	if (!event)
		return {};
	return event->requested_nr_sect;
}

} // namespace kselftest
