// SPDX-License-Identifier: GPL-2.0
//
// IoOwner: what an own bio belongs to, told by a tag when it completes.
//
// A tag and a switch instead of a callback: the port stays free of function pointers.
#pragma once

#include <blksnap/base/types.hpp>

namespace blksnap
{

enum class IoKind : u8 {
	CopyRead,   // Copy: old blocks from the origin
	StoreWrite, // StoreBatch: copies to the diff storage
	ImagePiece, // ImagePiece: part of a request to an image
};

struct IoOwner {
	explicit IoOwner(IoKind kind) : io_kind(kind) {}

	const IoKind io_kind;
};

} // namespace blksnap
