// SPDX-License-Identifier: GPL-2.0
//
// Stamped blocks: 4 KiB of content that say where they belong and which write they come from.
//
// Every word of a block depends on the place and on the value, so a block that is torn, misplaced,
// mixed from two writes or never written is told from a good one.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

constexpr std::size_t kBlockBytes = 4096;
constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kBlockWords = kBlockBytes / sizeof(std::uint64_t);

inline std::uint64_t stamp_word(std::uint64_t block, std::uint64_t value, std::size_t word)
{
	std::uint64_t x = value * 0x9e3779b97f4a7c15u + block * 0xc2b2ae3d27d4eb4fu + word;
	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9u;
}

inline void write_stamp(void *to, std::uint64_t block, std::uint64_t value)
{
	auto *words = static_cast<std::uint64_t *>(to);
	words[0] = block;
	words[1] = value;
	for (std::size_t i = 2; i < kBlockWords; i++)
		words[i] = stamp_word(block, value, i);
}

// Return: the value, if the block is whole and stands where it belongs.
inline std::optional<std::uint64_t> read_stamp(const void *from, std::uint64_t block)
{
	const auto *words = static_cast<const std::uint64_t *>(from);
	if (words[0] != block)
		return std::nullopt;
	for (std::size_t i = 2; i < kBlockWords; i++)
		if (words[i] != stamp_word(block, words[1], i))
			return std::nullopt;
	return words[1];
}
