// SPDX-License-Identifier: GPL-2.0
#include "block_io.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>

namespace kselftest
{

namespace
{

constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kAlignment = 4096;

struct Free {
	void operator()(void *memory) const { std::free(memory); }
};

// Memory as direct I/O wants it. With pieces each of them has a gap behind it, so that the kernel
// cannot make one run of them.
class Buffer
{
public:
	Buffer(std::size_t bytes, std::size_t piece_bytes)
		: bytes_(bytes), piece_bytes_(piece_bytes)
	{
		const std::size_t pieces = (bytes + piece_bytes - 1) / piece_bytes;
		stride_ = (piece_bytes + kAlignment) / kAlignment * kAlignment;
		const std::size_t all = pieces == 1 ? bytes : pieces * stride_;
		memory_.reset(static_cast<unsigned char *>(std::aligned_alloc(
			kAlignment, (all + kAlignment - 1) / kAlignment * kAlignment)));
		for (std::size_t at = 0; at < bytes; at += piece_bytes)
			vectors_.push_back({memory_.get() + at / piece_bytes * stride_,
					    std::min(piece_bytes, bytes - at)});
	}

	void put(const Bytes &bytes)
	{
		std::size_t at = 0;
		for (const iovec &vector : vectors_) {
			memcpy(vector.iov_base, &bytes[at], vector.iov_len);
			at += vector.iov_len;
		}
	}
	void get(Bytes &bytes) const
	{
		std::size_t at = 0;
		for (const iovec &vector : vectors_) {
			memcpy(&bytes[at], vector.iov_base, vector.iov_len);
			at += vector.iov_len;
		}
	}
	const iovec *vectors() const { return vectors_.data(); }
	int count() const { return static_cast<int>(vectors_.size()); }

	int error_of(ssize_t result) const
	{
		if (result < 0)
			return errno;
		return static_cast<std::size_t>(result) == bytes_ ? 0 : EIO;
	}

private:
	std::size_t bytes_, piece_bytes_, stride_;
	std::unique_ptr<unsigned char, Free> memory_;
	std::vector<iovec> vectors_;
};

off64_t offset_of(std::uint64_t sector)
{
	return static_cast<off64_t>(sector * kSectorBytes);
}

int call_range(int fd, unsigned long request, std::uint64_t sector, std::uint64_t sectors)
{
	std::uint64_t range[2] = {sector * kSectorBytes, sectors * kSectorBytes};

	return ioctl(fd, request, range) ? errno : 0;
}

int write_buffered(int fd, std::uint64_t sector, const Bytes &bytes, std::size_t piece, int rwf)
{
	Buffer buffer(bytes.size(), piece);

	buffer.put(bytes);
	return buffer.error_of(
		pwritev2(fd, buffer.vectors(), buffer.count(), offset_of(sector), rwf));
}

int read_buffered(int fd, std::uint64_t sector, Bytes &bytes, std::size_t piece, int rwf)
{
	Buffer buffer(bytes.size(), piece);
	const int error = buffer.error_of(
		preadv2(fd, buffer.vectors(), buffer.count(), offset_of(sector), rwf));

	if (!error)
		buffer.get(bytes);
	return error;
}

} // namespace

BlockFile::BlockFile(const Disk &disk, int flags)
	: fd_(open(disk.path().c_str(), flags | O_CLOEXEC))
{
	if (fd_ < 0)
		throw std::system_error(errno, std::generic_category(), disk.path());
}

BlockFile::~BlockFile()
{
	close(fd_);
}

int BlockFile::read(std::uint64_t sector, Bytes &bytes, int rwf) const
{
	return read_buffered(fd_, sector, bytes, bytes.size(), rwf);
}

int BlockFile::write(std::uint64_t sector, const Bytes &bytes, int rwf) const
{
	return write_buffered(fd_, sector, bytes, bytes.size(), rwf);
}

int BlockFile::write_in_pieces(std::uint64_t sector, const Bytes &bytes,
			       std::size_t piece_bytes) const
{
	return write_buffered(fd_, sector, bytes, piece_bytes, 0);
}

int BlockFile::read_in_pieces(std::uint64_t sector, Bytes &bytes, std::size_t piece_bytes) const
{
	return read_buffered(fd_, sector, bytes, piece_bytes, 0);
}

int BlockFile::flush() const
{
	return fsync(fd_) ? errno : 0;
}

int BlockFile::discard(std::uint64_t sector, std::uint64_t sectors) const
{
	return call_range(fd_, BLKDISCARD, sector, sectors);
}

int BlockFile::secure_discard(std::uint64_t sector, std::uint64_t sectors) const
{
	return call_range(fd_, BLKSECDISCARD, sector, sectors);
}

int BlockFile::zero_out(std::uint64_t sector, std::uint64_t sectors) const
{
	return call_range(fd_, BLKZEROOUT, sector, sectors);
}

} // namespace kselftest
