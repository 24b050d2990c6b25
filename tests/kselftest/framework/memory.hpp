// SPDX-License-Identifier: GPL-2.0
//
// Memory: arguments at places where a kernel that reads or writes a byte too much is found out.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace kselftest
{

inline constexpr unsigned char kPoison = 0xa5;

// Addresses that are never those of a program: nothing there, or the kernel's.
#if __SIZEOF_POINTER__ == 8
inline void *const kBadPointers[] = {
	nullptr,
	reinterpret_cast<void *>(8),
	reinterpret_cast<void *>(0xfffffffffffff000UL),
	reinterpret_cast<void *>(0xffff888000000000UL), // all of the machine's memory
	reinterpret_cast<void *>(0x8000000000000000UL), // no address at all
};
#else
inline void *const kBadPointers[] = {nullptr, reinterpret_cast<void *>(8)};
#endif

// `bytes` of poison that end where an unmapped page begins.
class Fenced
{
public:
	explicit Fenced(std::size_t bytes)
		: bytes_(bytes), page_(static_cast<std::size_t>(getpagesize()))
	{
		mapped_ = (bytes + page_ - 1) / page_ * page_;
		base_ = static_cast<unsigned char *>(mmap(nullptr, mapped_ + page_,
							  PROT_READ | PROT_WRITE,
							  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		if (base_ == MAP_FAILED || mprotect(base_ + mapped_, page_, PROT_NONE))
			throw std::system_error(errno, std::generic_category(), "mmap");
		memset(base_, kPoison, mapped_);
	}
	~Fenced() { munmap(base_, mapped_ + page_); }
	Fenced(const Fenced &) = delete;
	Fenced &operator=(const Fenced &) = delete;

	void *get() const { return base_ + mapped_ - bytes_; }
	template <class T> T *as() const { return static_cast<T *>(get()); }
	void make_read_only() const { (void)mprotect(base_, mapped_, PROT_READ); }
	void make_writable() const { (void)mprotect(base_, mapped_, PROT_READ | PROT_WRITE); }
	// Nothing was written, not even before it.
	bool untouched() const
	{
		for (std::size_t i = 0; i < mapped_; i++)
			if (base_[i] != kPoison)
				return false;
		return true;
	}

private:
	std::size_t bytes_, page_, mapped_;
	unsigned char *base_;
};

// All bytes have that value.
inline bool all_bytes(const void *memory, std::size_t bytes, unsigned char value)
{
	for (std::size_t i = 0; i < bytes; i++)
		if (static_cast<const unsigned char *>(memory)[i] != value)
			return false;
	return true;
}

} // namespace kselftest
