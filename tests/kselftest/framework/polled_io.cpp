// SPDX-License-Identifier: GPL-2.0
//
// One polled request, on a ring of its own. The kernel's calls are used as they are: there is no
// library for them on a plain machine.
#include "block_io.hpp"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace kselftest
{

namespace
{

class Ring
{
public:
	Ring()
	{
		parameters_.flags = IORING_SETUP_IOPOLL;
		fd_ = static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters_));
		if (fd_ < 0)
			return;
		submissions_ = map(parameters_.sq_off.array + sizeof(unsigned), IORING_OFF_SQ_RING);
		completions_ =
			map(parameters_.cq_off.cqes + 2 * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
		entries_ = map(sizeof(io_uring_sqe), IORING_OFF_SQES);
	}
	~Ring()
	{
		if (fd_ >= 0)
			close(fd_); // maps go with the process
	}
	Ring(const Ring &) = delete;
	Ring &operator=(const Ring &) = delete;

	// Return: the result of the request, or a negative errno.
	int run(unsigned char opcode, int file, void *memory, std::size_t bytes,
		std::uint64_t offset)
	{
		if (fd_ < 0 || !submissions_ || !completions_ || !entries_)
			return -ENOSYS;
		auto *entry = reinterpret_cast<io_uring_sqe *>(entries_);
		*entry = {};
		entry->opcode = opcode;
		entry->fd = file;
		entry->addr = reinterpret_cast<std::uintptr_t>(memory);
		entry->len = static_cast<std::uint32_t>(bytes);
		entry->off = offset;
		*reinterpret_cast<unsigned *>(submissions_ + parameters_.sq_off.array) = 0;
		counter(submissions_, parameters_.sq_off.tail).fetch_add(1);
		// Entering again goes on polling.
		while (counter(completions_, parameters_.cq_off.tail).load() ==
		       counter(completions_, parameters_.cq_off.head).load())
			if (syscall(SYS_io_uring_enter, fd_, pending_, 1, IORING_ENTER_GETEVENTS,
				    nullptr, 0) < 0 &&
			    errno != EINTR)
				return -errno;
			else
				pending_ = 0;
		const auto *answer = reinterpret_cast<const io_uring_cqe *>(
			completions_ + parameters_.cq_off.cqes);
		return answer->res;
	}

private:
	unsigned char *map(std::size_t bytes, off_t what)
	{
		void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_POPULATE, fd_, what);
		return memory == MAP_FAILED ? nullptr : static_cast<unsigned char *>(memory);
	}
	static std::atomic_ref<unsigned> counter(unsigned char *ring, unsigned offset)
	{
		return std::atomic_ref<unsigned>(*reinterpret_cast<unsigned *>(ring + offset));
	}

	io_uring_params parameters_{};
	int fd_ = -1;
	unsigned pending_ = 1;
	unsigned char *submissions_ = nullptr, *completions_ = nullptr, *entries_ = nullptr;
};

struct Free {
	void operator()(void *memory) const { std::free(memory); }
};

int transfer(unsigned char opcode, const BlockFile &file, std::uint64_t sector,
	     unsigned char *memory, std::size_t bytes)
{
	Ring ring;
	const int result = ring.run(opcode, file.fd(), memory, bytes, sector * 512);

	if (result < 0)
		return -result;
	return static_cast<std::size_t>(result) == bytes ? 0 : EIO;
}

std::unique_ptr<unsigned char, Free> aligned(std::size_t bytes)
{
	return std::unique_ptr<unsigned char, Free>(static_cast<unsigned char *>(
		std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
}

} // namespace

int polled_write(const BlockFile &file, std::uint64_t sector, const Bytes &bytes)
{
	const auto memory = aligned(bytes.size());

	memcpy(memory.get(), bytes.data(), bytes.size());
	return transfer(IORING_OP_WRITE, file, sector, memory.get(), bytes.size());
}

int polled_read(const BlockFile &file, std::uint64_t sector, Bytes &bytes)
{
	const auto memory = aligned(bytes.size());
	const int error = transfer(IORING_OP_READ, file, sector, memory.get(), bytes.size());

	if (!error)
		memcpy(bytes.data(), memory.get(), bytes.size());
	return error;
}

} // namespace kselftest
