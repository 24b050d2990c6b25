// SPDX-License-Identifier: GPL-2.0
//
// Opened: an image that was opened before whatever happens: it is read through that.
#pragma once

#include "block_io.hpp"
#include "held.hpp"

#include <cstring>

namespace kselftest
{

class Opened
{
public:
	explicit Opened(const Held &held)
		: at_cut_(held.at_cut()), image_(held.image()), file_(image_, O_RDONLY | O_DIRECT)
	{
	}

	// Return: 0 or an errno.
	int try_read(Bytes &bytes, std::uint64_t sector = 0) const
	{
		return file_.read(sector, bytes);
	}
	// Whether there is what the origin had at the cut.
	bool is_right(std::uint64_t sector, std::uint64_t sectors) const
	{
		Bytes bytes(sectors * 512);
		return !try_read(bytes, sector) &&
		       !memcmp(bytes.data(), &at_cut_[sector * 512], bytes.size());
	}
	bool is_right() const
	{
		constexpr std::uint64_t kPiece = 128;
		for (std::uint64_t at = 0; at < at_cut_.size() / 512; at += kPiece)
			if (!is_right(at, kPiece))
				return false;
		return true;
	}

private:
	const Bytes at_cut_;
	const Disk image_;
	const BlockFile file_;
};

} // namespace kselftest
