// SPDX-License-Identifier: GPL-2.0
//
// Mount points: which block device is mounted at a directory.
#ifndef BLKSNAP_MOUNT_POINT_HPP
#define BLKSNAP_MOUNT_POINT_HPP

#include <blksnap/device.hpp>

#include <iosfwd>
#include <optional>
#include <string>

namespace blksnap
{

// One line of /proc/self/mountinfo, as far as it matters here.
struct Mount {
	DeviceId device;
	std::string directory;
	std::string type;
	std::string source;
};

// The topmost mount at @directory, from the text of a mountinfo file.
std::optional<Mount> find_mount(std::istream &mountinfo, const std::string &directory);

// The device mounted at @path. Throws Error, naming @argument, if nothing is mounted there or if
// the file system there does not lie on exactly one block device.
DeviceId device_mounted_at(const std::string &path, const std::string &argument);

} // namespace blksnap

#endif
