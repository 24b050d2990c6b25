// SPDX-License-Identifier: GPL-2.0
//
// DeviceId: numbers of block devices, and what sysfs knows about them.
#include <blksnap/device.hpp>

#include "decimal.hpp"

#include <blksnap/error.hpp>

#include <cerrno>
#include <fstream>

namespace blksnap
{

namespace
{

std::string sysfs_directory(const DeviceId &id)
{
	return "/sys/dev/block/" + id.to_string() + "/";
}

} // namespace

std::optional<DeviceId> DeviceId::try_parse(std::string_view text)
{
	const auto pair = parse_decimal_pair<std::uint32_t>(text);
	if (!pair)
		return std::nullopt;
	return DeviceId{pair->first, pair->second};
}

std::string DeviceId::to_string() const
{
	return std::to_string(major) + ":" + std::to_string(minor);
}

std::string device_name(const DeviceId &id)
{
	static constexpr std::string_view kKey = "DEVNAME=";
	std::ifstream uevent{sysfs_directory(id) + "uevent"};
	for (std::string line; std::getline(uevent, line);)
		if (line.starts_with(kKey))
			return "/dev/" + line.substr(kKey.size());
	return id.to_string();
}

std::uint64_t device_capacity_sectors(const DeviceId &id)
{
	std::ifstream size{sysfs_directory(id) + "size"};
	std::uint64_t sectors = 0;
	if (size >> sectors)
		return sectors;
	throw Error{ENODEV, "cannot read the size of", id.to_string(), "there is no such device",
		    "list the devices with lsblk"};
}

} // namespace blksnap
