// SPDX-License-Identifier: GPL-2.0
//
// UserMemory: the memory of a calling program. Some of its pages are not there, any access may fail, and it
// knows who has read what.
#pragma once

#include "../input.hpp"

#include <algorithm>
#include <cstring>

namespace fuzz
{

class UserMemory
{
public:
	static constexpr u64 kBase = 0x10000; // low enough for 32-bit pointers
	static constexpr u64 kBytes = 48 * 4096;
	static constexpr u64 kPageBytes = 4096;

	UserMemory() : bytes_(pattern()), read_(kBytes), mapped_(kBytes / kPageBytes, true) {}

	static bool holds(u64 address, u64 bytes)
	{
		return address >= kBase && bytes <= kBytes && address - kBase <= kBytes - bytes;
	}
	bool is_mapped(u64 address, u64 bytes) const
	{
		return !bytes || mapped_bytes(address, bytes) == bytes;
	}
	void unmap(u64 page) { mapped_[page % mapped_.size()] = false; }
	void fail_access(u32 nth) { fail_at_ = nth; }
	bool planted_fault_fired() const { return fired_; }
	u32 accesses() const { return accesses_; }

	u8 *at(u64 address) { return &bytes_[address - kBase]; }
	const u8 *at(u64 address) const { return &bytes_[address - kBase]; }
	const std::vector<u8> &bytes() const { return bytes_; }
	// A byte that is used was fetched twice: it may have changed in between.
	bool was_read_twice() const { return read_twice_; }

	// The kernel's side. A failed copy leaves what it has done.
	int read(void *to, u64 address, u64 bytes)
	{
		const u64 good = admit(address, bytes);
		if (bytes)
			std::memset(to, 0xdd, bytes);
		if (good)
			std::memcpy(to, at(address), good);
		for (u64 i = 0; i < good; i++)
			read_twice_ |= read_[address - kBase + i]++ != 0;
		return good == bytes ? 0 : -14;
	}
	int write(u64 address, const void *from, u64 bytes)
	{
		const u64 good = admit(address, bytes);
		if (good)
			std::memcpy(at(address), from, good);
		return good == bytes ? 0 : -14;
	}

private:
	static const std::vector<u8> &pattern()
	{
		static const std::vector<u8> bytes = [] {
			std::vector<u8> made(kBytes);
			for (u64 i = 0; i < kBytes; i++)
				made[i] = static_cast<u8>(0x40 + i % 61);
			return made;
		}();
		return bytes;
	}
	u64 mapped_bytes(u64 address, u64 bytes) const
	{
		u64 good = 0;
		while (good < bytes && holds(address + good, 1) &&
		       mapped_[(address + good - kBase) / kPageBytes])
			good += std::min(bytes - good, kPageBytes - (address + good) % kPageBytes);
		return good;
	}
	// How many bytes can be copied.
	u64 admit(u64 address, u64 bytes)
	{
		const u64 good = mapped_bytes(address, bytes);
		if (++accesses_ != fail_at_ || !bytes)
			return good;
		fired_ = true;
		return good / 2;
	}

	std::vector<u8> bytes_;
	std::vector<u8> read_;
	std::vector<bool> mapped_;
	u32 accesses_ = 0;
	u32 fail_at_ = 0;
	bool fired_ = false;
	bool read_twice_ = false;
};

} // namespace fuzz
