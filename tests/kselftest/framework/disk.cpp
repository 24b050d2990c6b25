// SPDX-License-Identifier: GPL-2.0
#include "disk.hpp"

#include <linux/fs.h>

#include <cstdlib>
#include <memory>

namespace kselftest
{

namespace
{

constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kPieceBytes = 1 << 20;

[[noreturn]] void fail(int error, const std::string &what)
{
	throw std::system_error(error, std::generic_category(), what);
}

class OpenDisk
{
public:
	OpenDisk(const std::string &path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC))
	{
		if (fd_ < 0)
			fail(errno, path);
	}
	~OpenDisk() { close(fd_); }
	OpenDisk(const OpenDisk &) = delete;
	OpenDisk &operator=(const OpenDisk &) = delete;
	int fd() const { return fd_; }

private:
	int fd_;
};

struct Free {
	void operator()(void *memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<unsigned char, Free>;

Buffer aligned_buffer()
{
	return Buffer(static_cast<unsigned char *>(std::aligned_alloc(4096, kPieceBytes)));
}

std::uint64_t mixed(std::uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

} // namespace

Bytes pattern(std::uint64_t seed, std::uint64_t sectors)
{
	Bytes bytes(sectors * kSectorBytes);
	std::uint64_t state = mixed(seed + 1);

	for (std::size_t i = 0; i < bytes.size(); i += sizeof(state)) {
		state = mixed(state + 0x9e3779b97f4a7c15ULL);
		memcpy(&bytes[i], &state, sizeof(state));
	}
	return bytes;
}

blk_snap_dev Disk::number() const
{
	return device_of(path_);
}

std::string Disk::sysfs() const
{
	const blk_snap_dev device = number();

	return "/sys/dev/block/" + std::to_string(device.mj) + ":" + std::to_string(device.mn);
}

std::uint64_t Disk::sectors() const
{
	const OpenDisk disk(path_, O_RDONLY);
	std::uint64_t bytes = 0;

	if (ioctl(disk.fd(), BLKGETSIZE64, &bytes))
		fail(errno, path_);
	return bytes / kSectorBytes;
}

unsigned Disk::logical_block_bytes() const
{
	const OpenDisk disk(path_, O_RDONLY);
	int bytes = 0;

	if (ioctl(disk.fd(), BLKSSZGET, &bytes))
		fail(errno, path_);
	return static_cast<unsigned>(bytes);
}

int Disk::try_read(std::uint64_t sector, Bytes &bytes) const
{
	const OpenDisk disk(path_, O_RDONLY | O_DIRECT);
	const Buffer buffer = aligned_buffer();

	for (std::size_t done = 0; done < bytes.size();) {
		const std::size_t piece = std::min(kPieceBytes, bytes.size() - done);
		const ssize_t got = pread64(disk.fd(), buffer.get(), piece,
					    static_cast<off64_t>(sector * kSectorBytes + done));
		if (got <= 0)
			return got < 0 ? errno : ENXIO;
		memcpy(&bytes[done], buffer.get(), static_cast<std::size_t>(got));
		done += static_cast<std::size_t>(got);
	}
	return 0;
}

int Disk::try_write(std::uint64_t sector, const Bytes &bytes) const
{
	const OpenDisk disk(path_, O_WRONLY | O_DIRECT);
	const Buffer buffer = aligned_buffer();

	for (std::size_t done = 0; done < bytes.size();) {
		const std::size_t piece = std::min(kPieceBytes, bytes.size() - done);
		memcpy(buffer.get(), &bytes[done], piece);
		const ssize_t written =
			pwrite64(disk.fd(), buffer.get(), piece,
				 static_cast<off64_t>(sector * kSectorBytes + done));
		if (written <= 0)
			return written < 0 ? errno : ENOSPC;
		done += static_cast<std::size_t>(written);
	}
	return 0;
}

Bytes Disk::read(std::uint64_t sector, std::uint64_t sectors) const
{
	Bytes bytes(sectors * kSectorBytes);

	if (const int error = try_read(sector, bytes))
		fail(error, "read of " + path_);
	return bytes;
}

void Disk::write(std::uint64_t sector, const Bytes &bytes) const
{
	if (const int error = try_write(sector, bytes))
		fail(error, "write to " + path_);
}

void Disk::fill(std::uint64_t seed, std::uint64_t sector, std::uint64_t sectors) const
{
	write(sector, pattern(seed, sectors));
}

bool Disk::holds(std::uint64_t seed, std::uint64_t sector, std::uint64_t sectors) const
{
	return read(sector, sectors) == pattern(seed, sectors);
}

} // namespace kselftest
