// SPDX-License-Identifier: GPL-2.0
//
// UniqueFd: owns a file descriptor.
#ifndef BLKSNAP_UNIQUE_FD_HPP
#define BLKSNAP_UNIQUE_FD_HPP

#include <unistd.h>

#include <utility>

namespace blksnap
{

class UniqueFd final
{
public:
	explicit UniqueFd(int fd) noexcept : fd_{fd} {}

	UniqueFd(UniqueFd &&other) noexcept : fd_{std::exchange(other.fd_, -1)} {}

	UniqueFd &operator=(UniqueFd &&other) noexcept
	{
		std::swap(fd_, other.fd_);
		return *this;
	}

	~UniqueFd()
	{
		if (fd_ >= 0)
			close(fd_);
	}

	int get() const noexcept { return fd_; }

	explicit operator bool() const noexcept { return fd_ >= 0; }

private:
	int fd_;
};

} // namespace blksnap

#endif
