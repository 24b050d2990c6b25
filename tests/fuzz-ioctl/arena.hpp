// SPDX-License-Identifier: GPL-2.0
//
// Memory of one thread that arguments and arrays lie in: below 4 GiB, so that it has addresses for
// 32-bit requests, full of poison, with a page behind it that nobody may touch, and with a copy of
// what the thread itself has put there. Whatever differs from the copy was written by the kernel.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <vector>

struct Span {
	std::size_t begin = 0, end = 0;
};

class Arena
{
public:
	static constexpr unsigned char kPoison = 0xa5;
	static constexpr std::size_t kPage = 4096;
	static constexpr std::size_t kBytes = 8 * kPage;

	Arena() : copy_(kBytes, kPoison)
	{
		void *memory = mmap(nullptr, kBytes + 2 * kPage, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		if (memory == MAP_FAILED)
			throw std::system_error(errno, std::generic_category(), "mmap");
		base_ = static_cast<unsigned char *>(memory);
		memset(base_, kPoison, kBytes);
		mprotect(base_ + kBytes, kPage, PROT_NONE);
		mprotect(base_ + kBytes + kPage, kPage, PROT_READ);
	}
	~Arena() { munmap(base_, kBytes + 2 * kPage); }
	Arena(const Arena &) = delete;
	Arena &operator=(const Arena &) = delete;

	std::uint64_t address(std::size_t offset) const
	{
		return reinterpret_cast<std::uint64_t>(base_) + offset;
	}
	std::uint64_t fence() const { return address(kBytes); }
	std::uint64_t read_only() const { return address(kBytes + kPage); }
	// Where an address is in here, or kBytes.
	std::size_t offset_of(std::uint64_t address_in) const
	{
		const std::uint64_t offset = address_in - address(0);
		return offset < kBytes ? offset : kBytes;
	}

	void put(std::size_t offset, const void *from, std::size_t bytes)
	{
		bytes = std::min(bytes, kBytes - offset);
		memcpy(base_ + offset, from, bytes);
		memcpy(copy_.data() + offset, from, bytes);
	}
	const unsigned char *at(std::size_t offset) const { return base_ + offset; }
	unsigned char *racy(std::size_t offset) { return base_ + offset; }
	const unsigned char *given(std::size_t offset) const { return copy_.data() + offset; }

	// The first byte that the kernel changed outside of the spans, or kBytes.
	std::size_t changed_outside(const Span &one, const Span &other) const
	{
		for (std::size_t page = 0; page < kBytes; page += kPage)
			if (memcmp(base_ + page, copy_.data() + page, kPage))
				for (std::size_t line = page; line < page + kPage; line += kLine)
					if (const std::size_t i = changed_in(line, one, other);
					    i != kBytes)
						return i;
		return kBytes;
	}
	// All is poison again.
	void forget(const Span &one, const Span &other)
	{
		for (const Span &span : {one, other}) {
			memset(base_ + span.begin, kPoison, span.end - span.begin);
			memset(copy_.data() + span.begin, kPoison, span.end - span.begin);
		}
	}

private:
	static constexpr std::size_t kLine = 64;

	std::size_t changed_in(std::size_t line, const Span &one, const Span &other) const
	{
		if (memcmp(base_ + line, copy_.data() + line, kLine))
			for (std::size_t i = line; i < line + kLine; i++)
				if (base_[i] != copy_[i] && !inside(one, i) && !inside(other, i))
					return i;
		return kBytes;
	}
	static bool inside(const Span &span, std::size_t i)
	{
		return i >= span.begin && i < span.end;
	}

	unsigned char *base_;
	std::vector<unsigned char> copy_;
};
