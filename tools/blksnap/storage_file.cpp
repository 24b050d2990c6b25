// SPDX-License-Identifier: GPL-2.0
//
// StorageFiles: allocating and removing.
#include "storage_file.hpp"

#include <blksnap/error.hpp>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace blksnap::command
{

namespace
{

// Whole file system blocks, whatever their size.
constexpr std::uint64_t kGrainBytes = 64 << 10;

void allocate(const std::string &path, std::uint64_t bytes)
{
	const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(errno, "cannot open", path, kFileFailures);
	// Not posix_fallocate(): its fallback writes every block. Not what leaves nothing to others for a moment,
	// and fails then: it may be tried again and again.
	struct statvfs filesystem {
	};
	int result = fstatvfs(fd, &filesystem);
	int error = errno;
	if (result == 0 && filesystem.f_bavail * filesystem.f_frsize < bytes) {
		result = -1;
		error = ENOSPC;
	} else if (result == 0) {
		result = fallocate(fd, 0, 0, static_cast<off_t>(bytes));
		error = errno;
	}
	close(fd);
	if (result != 0)
		fail(error, "cannot allocate", path, kFileFailures);
}

} // namespace

StorageFiles::StorageFiles(std::string directory, std::uint64_t limit_bytes)
	: directory_{std::move(directory)}, free_bytes_{limit_bytes}
{
}

// Files of an earlier service may still be storage of a snapshot: never touch them.
std::string StorageFiles::create_empty()
{
	for (;;) {
		auto path = directory_ + "/diff_storage#" + std::to_string(next_number_++);
		const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			fail(errno, "cannot create", path, kFileFailures);
		if (fd < 0)
			continue;
		close(fd);
		return path;
	}
}

const StorageFile &StorageFiles::add(std::uint64_t sectors)
{
	const auto free_sectors = free_bytes_ / kGrainBytes * (kGrainBytes / kSectorSizeBytes);
	const auto wanted_sectors = std::min(sectors, free_sectors);
	if (wanted_sectors == 0)
		throw Error{EDQUOT, "cannot grow the storage in", directory_,
			    "its limit is reached", ""};
	const auto wanted = wanted_sectors * kSectorSizeBytes;
	const auto bytes = (wanted + kGrainBytes - 1) / kGrainBytes * kGrainBytes;

	files_.push_back({create_empty(), {}});
	try {
		auto &file = files_.back();
		allocate(file.path, bytes);
		file.extents = find_file_extents(file.path, ExtentUse::Storage);
	} catch (...) {
		discard_last();
		throw;
	}
	free_bytes_ -= std::min(free_bytes_, bytes);
	return files_.back();
}

bool StorageFiles::is_full() const
{
	return free_bytes_ < kGrainBytes;
}

void StorageFiles::discard_last()
{
	auto &file = files_.back();
	unlink(file.path.c_str());
	free_bytes_ += total_sectors(file.extents.ranges) * kSectorSizeBytes;
	files_.pop_back();
}

void StorageFiles::remove_all()
{
	for (const auto &file : files_)
		unlink(file.path.c_str());
	files_.clear();
}

} // namespace blksnap::command
