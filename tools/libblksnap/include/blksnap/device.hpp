// SPDX-License-Identifier: GPL-2.0
//
// DeviceId and Device: a block device by number, and as a person names it.
#ifndef BLKSNAP_DEVICE_HPP
#define BLKSNAP_DEVICE_HPP

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace blksnap
{

struct DeviceId {
	std::uint32_t major = 0;
	std::uint32_t minor = 0;

	// Reads MAJOR:MINOR, both decimal.
	static std::optional<DeviceId> try_parse(std::string_view text);

	// MAJOR:MINOR
	std::string to_string() const;

	auto operator<=>(const DeviceId &) const = default;
};

struct Device {
	DeviceId id;
	std::string name; // as given, for messages
};

// The device that @argument means: a path of a block device, a mount point, UUID=, LABEL=,
// PARTUUID=, PARTLABEL= or MAJOR:MINOR. Images of snapshots carry the tags of their origin and are
// not candidates for a tag. Throws Error if it means no device, or more than one.
Device resolve_device(const std::string &argument);

// The path of the device below /dev, or MAJOR:MINOR if the kernel does not know it.
std::string device_name(const DeviceId &id);

// Size of the device in sectors. Throws Error.
std::uint64_t device_capacity_sectors(const DeviceId &id);

} // namespace blksnap

#endif
