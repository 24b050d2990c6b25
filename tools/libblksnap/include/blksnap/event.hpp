// SPDX-License-Identifier: GPL-2.0
//
// Event: what the module tells about a snapshot while it is held.
#ifndef BLKSNAP_EVENT_HPP
#define BLKSNAP_EVENT_HPP

#include <blksnap/control.hpp>
#include <blksnap/device.hpp>
#include <blksnap/uuid.hpp>

#include <chrono>
#include <cstdint>
#include <variant>

namespace blksnap
{

// Storage should be appended soon.
struct LowFreeSpace {
	std::uint64_t requested_sectors = 0;
};

// The image of this device is lost.
struct Corrupted {
	DeviceId original;
	int error = 0; // positive errno
};

// A kind that this library does not know.
struct UnknownEvent {
	std::uint32_t code = 0;
};

struct Event {
	std::int64_t time_ns = 0; // of the monotonic clock
	std::variant<LowFreeSpace, Corrupted, UnknownEvent> data;
};

enum class NoEvent {
	Timeout,
	Interrupted, // by a signal
	NotFound,    // there is no such snapshot, or it was destroyed meanwhile
};

// Waits for the next event of a snapshot. Each event goes to one of the waiters. Throws Error.
std::variant<Event, NoEvent> wait_event(const Control &control, const Uuid &snapshot,
					std::chrono::duration<std::uint32_t, std::milli> timeout);

} // namespace blksnap

#endif
