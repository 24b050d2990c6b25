// SPDX-License-Identifier: GPL-2.0
//
// Direct I/O with many requests in flight from one thread, on the kernel's own aio calls.
#pragma once

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

[[noreturn]] inline void fail_errno(const std::string &what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

struct Request {
	std::uint64_t first_sector = 0;
	std::uint32_t sectors = 0;
	std::uint64_t value = 0;
	std::uint32_t device = 0;
	char *buffer = nullptr;
	iocb control{};
};

class AsyncIo
{
public:
	AsyncIo(unsigned depth, std::size_t buffer_bytes) : requests_(depth)
	{
		if (syscall(SYS_io_setup, depth, &context_))
			fail_errno("io_setup");
		for (Request &request : requests_) {
			request.buffer =
				static_cast<char *>(std::aligned_alloc(4096, buffer_bytes));
			free_.push_back(&request);
		}
	}
	~AsyncIo()
	{
		syscall(SYS_io_destroy, context_);
		for (Request &request : requests_)
			std::free(request.buffer);
	}
	AsyncIo(const AsyncIo &) = delete;
	AsyncIo &operator=(const AsyncIo &) = delete;

	// Return: a request that is not in use, or null.
	Request *idle()
	{
		if (free_.empty())
			return nullptr;
		Request *request = free_.back();
		free_.pop_back();
		return request;
	}
	void put_back(Request *request) { free_.push_back(request); }
	std::size_t in_flight() const { return requests_.size() - free_.size(); }

	void submit(Request &request, int fd, bool write)
	{
		iocb &control = request.control;
		control = {};
		control.aio_data = reinterpret_cast<std::uintptr_t>(&request);
		control.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		control.aio_fildes = static_cast<std::uint32_t>(fd);
		control.aio_buf = reinterpret_cast<std::uintptr_t>(request.buffer);
		control.aio_nbytes = std::uint64_t{request.sectors} * 512;
		control.aio_offset = static_cast<std::int64_t>(request.first_sector * 512);
		iocb *list[] = {&control};
		if (syscall(SYS_io_submit, context_, 1, list) != 1)
			fail_errno("io_submit");
	}

	// Waits for one or more; calls on_end(request, error) for each. A short answer is EIO.
	template <class OnEnd> void reap(OnEnd on_end)
	{
		io_event events[64];
		long count = 0;
		do
			count = syscall(SYS_io_getevents, context_, 1, 64, events, nullptr);
		while (count < 0 && errno == EINTR);
		if (count < 0)
			fail_errno("io_getevents");
		for (long i = 0; i < count; i++) {
			auto *request = reinterpret_cast<Request *>(events[i].data);
			const auto wanted = static_cast<std::int64_t>(request->sectors) * 512;
			int error = 0;
			if (events[i].res < 0)
				error = static_cast<int>(-events[i].res);
			else if (events[i].res != wanted)
				error = EIO;
			on_end(*request, error);
			free_.push_back(request);
		}
	}

private:
	aio_context_t context_ = 0;
	std::vector<Request> requests_;
	std::vector<Request *> free_;
};
