// SPDX-License-Identifier: GPL-2.0
//
// Block I/O beyond plain reads and writes: single requests with flags, and what is no read or write.
// All return 0 or an errno.
#pragma once

#include "disk.hpp"

#include <fcntl.h>
#include <sys/uio.h>

namespace kselftest
{

// An open block device. Ranges are in sectors of 512 bytes.
class BlockFile
{
public:
	// Past the page cache, unless other flags say so. Throws if it cannot be opened.
	explicit BlockFile(const Disk &disk, int flags = O_RDWR | O_DIRECT);
	~BlockFile();
	BlockFile(const BlockFile &) = delete;
	BlockFile &operator=(const BlockFile &) = delete;

	int fd() const { return fd_; }

	// One request; `rwf`: RWF_NOWAIT and the like. A short transfer is EIO.
	int read(std::uint64_t sector, Bytes &bytes, int rwf = 0) const;
	int write(std::uint64_t sector, const Bytes &bytes, int rwf = 0) const;
	// One request whose memory is in pieces of these many bytes.
	int write_in_pieces(std::uint64_t sector, const Bytes &bytes,
			    std::size_t piece_bytes) const;
	int read_in_pieces(std::uint64_t sector, Bytes &bytes, std::size_t piece_bytes) const;

	int flush() const;
	int discard(std::uint64_t sector, std::uint64_t sectors) const;
	int secure_discard(std::uint64_t sector, std::uint64_t sectors) const;
	int zero_out(std::uint64_t sector, std::uint64_t sectors) const;

private:
	int fd_;
};

// Writes, one for each of these sectors, that one call submits: the kernel gathers them in a plug.
// Return: 0 or an errno; ENOSYS if there is no aio here.
int write_together(const BlockFile &file, const std::vector<std::uint64_t> &sectors,
		   const Bytes &bytes);

// Writes through io_uring with IORING_SETUP_IOPOLL: the submitter polls for the completion.
// Return: 0 or an errno; ENOSYS if there is no io_uring here.
int polled_write(const BlockFile &file, std::uint64_t sector, const Bytes &bytes);
int polled_read(const BlockFile &file, std::uint64_t sector, Bytes &bytes);

} // namespace kselftest
