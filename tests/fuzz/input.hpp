// SPDX-License-Identifier: GPL-2.0
//
// Input: what a target makes of the bytes that the fuzzer gives it. At their end all is zero, so that
// every input is a whole one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace fuzz
{

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

class Input
{
public:
	Input(const u8 *data, std::size_t size) : data_(data), left_(size) {}

	bool empty() const { return left_ == 0; }
	u8 byte()
	{
		if (!left_)
			return 0;
		left_--;
		return *data_++;
	}
	bool flag() { return byte() & 1; }
	u32 number()
	{
		u32 value = 0;
		for (unsigned i = 0; i < 4; i++)
			value = value << 8 | byte();
		return value;
	}
	u64 wide()
	{
		const u64 high = number();
		return high << 32 | number();
	}
	// 0 to limit - 1.
	u32 below(u32 limit) { return (limit <= 256 ? byte() : number()) % limit; }

	// Numbers at which something may happen are more likely than others.
	u64 telling(u64 size)
	{
		const u8 kind = byte();
		switch (kind % 8) {
		case 0:
			return kind / 8;
		case 1:
			return size - kind / 8;
		case 2:
			return size + kind / 8;
		case 3:
			return (u64{1} << byte() % 64) - kind / 128;
		case 4:
			return ~u64{0} - kind / 8;
		case 5:
			return wide();
		default:
			return size ? number() % size : number();
		}
	}
	std::string rest()
	{
		std::string text(reinterpret_cast<const char *>(data_), left_);
		data_ += left_;
		left_ = 0;
		return text;
	}

private:
	const u8 *data_;
	std::size_t left_;
};

[[noreturn]] inline void broken(const char *what, const char *file, int line)
{
	std::fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	std::abort();
}

} // namespace fuzz

// What must be true for every input.
#define HOLDS(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz::broken(#condition, __FILE__, __LINE__);                              \
	} while (0)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);
