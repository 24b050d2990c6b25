// SPDX-License-Identifier: GPL-2.0
//
// The requests and where their arguments have what, for programs of 64 and of 32 bits.
#pragma once

#include <cstddef>
#include <cstdint>

enum class Abi { Native, Compat };
inline constexpr std::size_t kAbis = 2;

enum RequestNumber : unsigned {
	kVersion,
	kTrackerRemove,
	kTrackerCollect,
	kReadCbtMap,
	kMarkDirty,
	kCreate,
	kDestroy,
	kAppend,
	kTake,
	kCollect,
	kCollectImages,
	kWaitEvent,
	kRequests
};

// Offsets into the argument; kAbsent for what a request has not.
inline constexpr int kAbsent = -1;

struct Layout {
	std::uint32_t command;
	std::size_t bytes;
	int id = kAbsent;
	int device = kAbsent;
	int number = kAbsent; // an offset or a time
	int count = kAbsent;
	int pointer = kAbsent;
	std::size_t element_bytes = 0;
};

const char *name_of(unsigned request);
// Whether uapi.rst says that the request may answer so.
bool is_documented(unsigned request, int error);
const Layout &layout_of(unsigned request, Abi abi);
