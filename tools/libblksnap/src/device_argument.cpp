// SPDX-License-Identifier: GPL-2.0
//
// Device arguments: from what a person types to one block device.
//
// Tags are looked up by probing all devices, not through /dev/disk/by-uuid: an image of a snapshot
// has the file system of its origin, so the link may well lead to the image.
#include <blksnap/device.hpp>

#include "mount_point.hpp"

#include <blksnap/error.hpp>

#include <blkid/blkid.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

namespace blksnap
{

namespace
{

constexpr std::string_view kWhat = "cannot use device";
constexpr std::string_view kImagePrefix = "/dev/blksnap-image";

struct CacheDeleter {
	void operator()(blkid_cache cache) const { blkid_put_cache(cache); }
};

struct IteratorDeleter {
	void operator()(blkid_dev_iterate iterator) const { blkid_dev_iterate_end(iterator); }
};

using Cache = std::unique_ptr<struct blkid_struct_cache, CacheDeleter>;
using Iterator = std::unique_ptr<struct blkid_struct_dev_iterate, IteratorDeleter>;

bool is_tag(const std::string &argument)
{
	static constexpr std::array<std::string_view, 4> kTags{
		"UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="};
	for (const auto tag : kTags)
		if (argument.starts_with(tag))
			return true;
	return false;
}

std::vector<std::string> devices_with_tag(const std::string &type, const std::string &value)
{
	// An empty cache: what a device held some time ago does not count.
	blkid_cache raw_cache = nullptr;
	if (blkid_get_cache(&raw_cache, "/dev/null") != 0)
		throw std::bad_alloc{};
	const Cache cache{raw_cache};
	blkid_probe_all(cache.get());

	const Iterator iterator{blkid_dev_iterate_begin(cache.get())};
	blkid_dev_set_search(iterator.get(), type.c_str(), value.c_str());
	std::vector<std::string> names;
	for (blkid_dev device = nullptr; blkid_dev_next(iterator.get(), &device) == 0;) {
		const std::string name = blkid_dev_devname(device);
		if (!name.starts_with(kImagePrefix))
			names.push_back(name);
	}
	return names;
}

std::string path_of_tag(const std::string &argument)
{
	const auto equals = argument.find('=');
	const auto names =
		devices_with_tag(argument.substr(0, equals), argument.substr(equals + 1));
	if (names.empty())
		throw Error{ENODEV, kWhat, argument, "no device carries it",
			    "list the tags with blkid, as root"};
	if (names.size() == 1)
		return names.front();
	std::string why = "several devices carry it:";
	for (const auto &name : names)
		why.append(" ").append(name);
	throw Error{ENOTUNIQ, kWhat, argument, why, "name the device by its path"};
}

DeviceId device_at(const std::string &path, const std::string &argument)
{
	struct stat status {
	};
	if (stat(path.c_str(), &status) != 0)
		fail(errno, kWhat, argument);
	if (S_ISBLK(status.st_mode))
		return {major(status.st_rdev), minor(status.st_rdev)};
	if (S_ISDIR(status.st_mode))
		return device_mounted_at(path, argument);
	throw Error{ENOTBLK, kWhat, argument, "it is neither a block device nor a mount point",
		    "give a path below /dev, a mount point, UUID=, LABEL= or MAJOR:MINOR"};
}

} // namespace

Device resolve_device(const std::string &argument)
{
	if (const auto id = DeviceId::try_parse(argument))
		return {*id, argument};
	const auto path = is_tag(argument) ? path_of_tag(argument) : argument;
	return {device_at(path, argument), argument};
}

} // namespace blksnap
