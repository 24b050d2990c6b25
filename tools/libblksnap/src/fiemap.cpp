// SPDX-License-Identifier: GPL-2.0
//
// Asking a file system for the extents of a file, and refusing those whose answer cannot be
// trusted: with several devices below, or with blocks that move when they are rewritten.
#include <blksnap/file_extents.hpp>

#include "unique_fd.hpp"

#include <blksnap/error.hpp>

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>

namespace blksnap
{

namespace
{

constexpr std::string_view kWhat = "cannot use the sectors of file";
constexpr std::string_view kOther = "use a file on ext4 or xfs, or ranges of a device";
constexpr unsigned kExtentsAtOnce = 256;

struct MovingFilesystem {
	std::uint32_t magic;
	std::string_view name;
};

constexpr std::array kMovingFilesystems{
	MovingFilesystem{BTRFS_SUPER_MAGIC, "btrfs"},  MovingFilesystem{F2FS_SUPER_MAGIC, "f2fs"},
	MovingFilesystem{NILFS_SUPER_MAGIC, "nilfs2"}, MovingFilesystem{0xca451a4e, "bcachefs"},
	MovingFilesystem{0x2fc12fc1, "zfs"},
};

void check_filesystem(int fd, const std::string &path, const struct stat &status)
{
	struct statfs filesystem {
	};
	if (fstatfs(fd, &filesystem) != 0)
		fail(errno, kWhat, path, kFileFailures);
	for (const auto &moving : kMovingFilesystems)
		if (static_cast<std::uint32_t>(filesystem.f_type) == moving.magic)
			throw Error{EOPNOTSUPP, kWhat, path,
				    std::string{moving.name} +
					    " moves blocks, and may spread them over devices",
				    kOther};
	if (major(status.st_dev) == 0)
		throw Error{EOPNOTSUPP, kWhat, path,
			    "its file system does not lie on one block device", kOther};
	fsxattr attributes{};
	const bool known = ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0;
	if (known && (attributes.fsx_xflags & FS_XFLAG_REALTIME))
		throw Error{EOPNOTSUPP, kWhat, path, "it lies on the realtime device of xfs",
			    kOther};
}

// A fiemap with room for the extents that follow it.
class FiemapRequest final
{
public:
	FiemapRequest(std::uint64_t start, std::uint64_t length)
		: memory_{std::calloc(1, sizeof(fiemap) + kExtentsAtOnce * sizeof(fiemap_extent)),
			  std::free}
	{
		if (!memory_)
			throw std::bad_alloc{};
		get()->fm_start = start;
		get()->fm_length = length;
		get()->fm_flags = FIEMAP_FLAG_SYNC;
		get()->fm_extent_count = kExtentsAtOnce;
	}

	fiemap *get() const { return static_cast<fiemap *>(memory_.get()); }

	std::span<const fiemap_extent> mapped() const
	{
		return {get()->fm_extents, get()->fm_mapped_extents};
	}

private:
	std::unique_ptr<void, void (*)(void *)> memory_;
};

// Adds extents from @start on. Return: where to go on, or @size at the end.
std::uint64_t ask_extents(int fd, const std::string &path, std::uint64_t start, std::uint64_t size,
			  std::vector<Extent> &extents)
{
	const FiemapRequest request{start, size - start};
	if (ioctl(fd, FS_IOC_FIEMAP, request.get()) != 0) {
		if (errno != EOPNOTSUPP && errno != ENOTTY)
			fail(errno, kWhat, path, kFileFailures);
		throw Error{EOPNOTSUPP, kWhat, path, "its file system has no FIEMAP", kOther};
	}
	if (request.mapped().empty())
		return size;
	for (const auto &extent : request.mapped()) {
		extents.push_back(
			{extent.fe_logical, extent.fe_physical, extent.fe_length, extent.fe_flags});
		if (extent.fe_flags & FIEMAP_EXTENT_LAST)
			return size;
	}
	return std::max<std::uint64_t>(start + 1,
				       extents.back().logical_bytes + extents.back().length_bytes);
}

} // namespace

FileExtents find_file_extents(const std::string &path, ExtentUse use)
{
	const UniqueFd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
	struct stat status {
	};
	if (!fd || fstat(fd.get(), &status) != 0)
		fail(errno, kWhat, path, kFileFailures);
	if (!S_ISREG(status.st_mode))
		throw Error{EINVAL, kWhat, path, "it is not a regular file",
			    "give devices with --device and --range"};
	check_filesystem(fd.get(), path, status);
	if (fsync(fd.get()) != 0)
		fail(errno, "cannot write out file", path);

	const auto size = static_cast<std::uint64_t>(status.st_size);
	std::vector<Extent> extents;
	for (std::uint64_t start = 0; start < size;)
		start = ask_extents(fd.get(), path, start, size, extents);

	const DeviceId device{major(status.st_dev), minor(status.st_dev)};
	return {.device = {device, device_name(device)},
		.ranges = ranges_of(path, extents, size, use),
		.size_sectors = size / kSectorSizeBytes};
}

} // namespace blksnap
