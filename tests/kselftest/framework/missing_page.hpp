// SPDX-License-Identifier: GPL-2.0
//
// Missing page: memory of the program that is not there yet. Whoever touches it, the kernel on behalf of a thread as
// well, sleeps until it is provided. Of this process only: a child's memory is another one.
#pragma once

#include "kselftest.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace kselftest
{

class MissingPage
{
public:
	// Skips the test if there is no userfaultfd here.
	MissingPage()
		: bytes_(static_cast<std::size_t>(getpagesize())),
		  fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)))
	{
		if (fd_ < 0)
			skip("no userfaultfd here: " + errno_text(errno));
		void *both = mmap(nullptr, 2 * bytes_, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(both != MAP_FAILED);
		page_ = static_cast<unsigned char *>(both) + bytes_;
		uffdio_api api{UFFD_API, 0, 0};
		uffdio_register all{{address(), bytes_}, UFFDIO_REGISTER_MODE_MISSING, 0};
		REQUIRE_EQ(ioctl(fd_, UFFDIO_API, &api), 0);
		REQUIRE_EQ(ioctl(fd_, UFFDIO_REGISTER, &all), 0);
	}
	~MissingPage()
	{
		close(fd_); // wakes who sleeps
		munmap(static_cast<unsigned char *>(page_) - bytes_, 2 * bytes_);
	}
	MissingPage(const MissingPage &) = delete;
	MissingPage &operator=(const MissingPage &) = delete;

	void *get() const { return page_; }
	// So many bytes of memory that is there come before.
	template <class T> T *after(std::size_t bytes) const
	{
		return reinterpret_cast<T *>(address() - bytes);
	}
	// Return: whether somebody touched it in time.
	bool is_asked_for(int milliseconds) const
	{
		pollfd event{fd_, POLLIN, 0};
		return poll(&event, 1, milliseconds) > 0;
	}
	// Begins with these bytes; who waits goes on.
	void provide(const void *content, std::size_t content_bytes) const
	{
		std::vector<unsigned char> page(bytes_);
		memcpy(page.data(), content, content_bytes);
		uffdio_copy copy{address(), reinterpret_cast<std::uintptr_t>(page.data()), bytes_,
				 0, 0};
		EXPECT_EQ(ioctl(fd_, UFFDIO_COPY, &copy), 0);
	}

private:
	std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(page_); }

	std::size_t bytes_;
	int fd_;
	void *page_ = nullptr;
};

} // namespace kselftest
