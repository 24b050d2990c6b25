// SPDX-License-Identifier: GPL-2.0
//
// Mount points, read from /proc/self/mountinfo.
//
// A file system such as btrfs shows a device number that belongs to no block device. It still has
// a source, but may have more devices than that one, and a snapshot of one of them is worthless.
#include "mount_point.hpp"

#include "unique_fd.hpp"

#include <blksnap/error.hpp>

#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

namespace blksnap
{

namespace
{

constexpr std::string_view kWhat = "cannot use device";

bool is_octal(char digit)
{
	return digit >= '0' && digit <= '7';
}

// Spaces, tabs, newlines and backslashes are written as three octal digits.
std::string unescaped(const std::string &text)
{
	std::string result;
	for (std::size_t at = 0; at < text.size(); at++) {
		const bool escape = text[at] == '\\' && at + 3 < text.size() &&
				    is_octal(text[at + 1]) && is_octal(text[at + 2]) &&
				    is_octal(text[at + 3]);
		if (!escape) {
			result += text[at];
			continue;
		}
		const auto octal = text.substr(at + 1, 3);
		result += static_cast<char>(std::strtol(octal.c_str(), nullptr, 8));
		at += 3;
	}
	return result;
}

std::optional<Mount> parse_line(const std::string &line)
{
	std::istringstream fields{line};
	std::string id, parent, number, root, directory, word, type, source;
	fields >> id >> parent >> number >> root >> directory;
	while (fields >> word && word != "-")
		;
	fields >> type >> source;
	const auto device = DeviceId::try_parse(number);
	if (!fields || !device)
		return std::nullopt;
	return Mount{*device, unescaped(directory), type, unescaped(source)};
}

bool spans_devices(const std::string &directory)
{
	const UniqueFd fd{open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	btrfs_ioctl_fs_info_args info{};
	if (!fd || ioctl(fd.get(), BTRFS_IOC_FS_INFO, &info) != 0)
		return true;
	return info.num_devices != 1;
}

DeviceId source_device(const Mount &mount, const std::string &argument)
{
	struct stat status {
	};
	if (stat(mount.source.c_str(), &status) != 0 || !S_ISBLK(status.st_mode))
		throw Error{ENOTBLK, kWhat, argument,
			    "the " + mount.type + " file system there lies on no block device",
			    "name a file system that does"};
	if (spans_devices(mount.directory))
		throw Error{ENOTUNIQ, kWhat, argument,
			    "the " + mount.type + " file system there may lie on several devices",
			    "name each of its devices by its path"};
	return {major(status.st_rdev), minor(status.st_rdev)};
}

} // namespace

std::optional<Mount> find_mount(std::istream &mountinfo, const std::string &directory)
{
	std::optional<Mount> found;
	for (std::string line; std::getline(mountinfo, line);) {
		auto mount = parse_line(line);
		if (mount && mount->directory == directory)
			found = std::move(mount);
	}
	return found;
}

DeviceId device_mounted_at(const std::string &path, const std::string &argument)
{
	const std::unique_ptr<char, void (*)(void *)> real{realpath(path.c_str(), nullptr),
							   std::free};
	if (!real)
		fail(errno, kWhat, argument);
	std::ifstream mountinfo{"/proc/self/mountinfo"};
	const auto mount = find_mount(mountinfo, real.get());
	if (!mount)
		throw Error{ENOTBLK, kWhat, argument, "nothing is mounted at this directory",
			    "find its mount point with findmnt --target"};
	if (mount->device.major != 0)
		return mount->device;
	return source_device(*mount, argument);
}

} // namespace blksnap
