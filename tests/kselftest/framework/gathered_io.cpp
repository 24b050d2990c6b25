// SPDX-License-Identifier: GPL-2.0
#include "block_io.hpp"

#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kselftest
{

namespace
{

// Return: 0 or an errno, also of a request that was submitted and failed.
int submit_and_wait(aio_context_t context, std::vector<iocb> &requests)
{
	std::vector<iocb *> pointers;
	std::vector<io_event> events(requests.size());
	const auto count = static_cast<long>(requests.size());

	for (iocb &request : requests)
		pointers.push_back(&request);
	const long submitted = syscall(SYS_io_submit, context, count, pointers.data());
	if (submitted < 0)
		return errno;
	if (syscall(SYS_io_getevents, context, submitted, submitted, events.data(), nullptr) !=
	    submitted)
		return errno;
	for (long i = 0; i < submitted; i++)
		if (events[i].res < 0)
			return static_cast<int>(-events[i].res);
	return submitted == count ? 0 : EAGAIN;
}

} // namespace

int write_together(const BlockFile &file, const std::vector<std::uint64_t> &sectors,
		   const Bytes &bytes)
{
	const std::size_t size = (bytes.size() + 4095) / 4096 * 4096;
	void *memory =
		mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return errno;
	memcpy(memory, bytes.data(), bytes.size());
	std::vector<iocb> requests(sectors.size());
	for (std::size_t i = 0; i < sectors.size(); i++) {
		requests[i].aio_lio_opcode = IOCB_CMD_PWRITE;
		requests[i].aio_fildes = static_cast<__u32>(file.fd());
		requests[i].aio_buf = reinterpret_cast<std::uintptr_t>(memory);
		requests[i].aio_nbytes = bytes.size();
		requests[i].aio_offset = static_cast<__s64>(sectors[i] * 512);
	}
	aio_context_t context = 0;
	int error = syscall(SYS_io_setup, sectors.size(), &context) ? errno : 0;
	if (!error) {
		error = submit_and_wait(context, requests);
		syscall(SYS_io_destroy, context);
	}
	munmap(memory, size);
	return error;
}

} // namespace kselftest
